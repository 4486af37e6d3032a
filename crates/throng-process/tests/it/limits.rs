//! Limits that the kernel holds.

use std::time::Duration;

use throng_process::{Command, End, LimitKind, Limits};

use crate::support::{sh, text};

#[tokio::test]
async fn a_burner_of_cpu_time_is_ended_by_its_limit() {
    let limits = Limits::none().cpu(Duration::from_millis(10));
    let finished = sh("while :; do :; done").limits(limits).run().await.unwrap();
    let limit = LimitKind::Cpu;
    assert_eq!(finished.end, End::LimitHit { limit });
    assert_eq!(finished.end.to_string(), "was ended by its limit on CPU time");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_burner_that_ignores_the_signal_is_ended_all_the_same() {
    let limits = Limits::none().cpu(Duration::from_secs(1));
    let finished = sh("trap '' XCPU; while :; do :; done")
        .limits(limits)
        .run()
        .await
        .unwrap();
    let limit = LimitKind::Cpu;
    assert_eq!(finished.end, End::LimitHit { limit });
}

#[tokio::test]
async fn a_kill_by_somebody_else_is_not_taken_for_the_limit() {
    let limits = Limits::none().cpu(Duration::from_secs(5));
    let finished = sh("kill -9 $$").limits(limits).run().await.unwrap();
    assert_eq!(finished.end, End::Signalled { signal: 9 });
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn memory_beyond_the_limit_is_not_given() {
    let script = "x=$(head -c 400000000 /dev/zero | tr '\\0' a); echo ${#x}";
    let limits = Limits::none().address_space(64 << 20);
    let finished = sh(script).limits(limits).run().await.unwrap();
    assert!(!finished.end.is_success(), "{}", finished.end);
    assert_ne!(text(&finished), "400000000");
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let command = Command::new("dd")
        .args(["if=/dev/zero", "of=big", "bs=4096", "count=100"])
        .folder(folder.path())
        .limits(Limits::none().file_size(8192));
    let finished = command.run().await.unwrap();
    let limit = LimitKind::FileSize;
    assert_eq!(finished.end, End::LimitHit { limit });
    assert_eq!(folder.path().join("big").metadata().unwrap().len(), 8192);
}

#[tokio::test]
async fn the_program_finds_its_limits_set() {
    let limits = Limits::none().open_files(32).cpu(Duration::from_millis(1500));
    let finished = sh("ulimit -n; ulimit -t; ulimit -Ht")
        .limits(limits)
        .run()
        .await
        .unwrap();
    assert_eq!(text(&finished), "32\n2\n3");
}

#[tokio::test]
async fn a_stricter_limit_of_this_process_stays() {
    let strict = sh("ulimit -n 16; exec sh -c 'ulimit -n'");
    let finished = strict
        .limits(Limits::none().open_files(u64::MAX))
        .run()
        .await
        .unwrap();
    assert_eq!(text(&finished), "16");
}
