//! What children leave behind.

use std::time::Duration;

use throng_process::{Command, End};

use crate::support::{gone, runs, sh, text};

const WAIT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_grandchild_that_keeps_the_pipe_open_is_a_leak_and_ends() {
    let finished = sh("sleep 600 & echo $!").leak_wait(WAIT).run().await.unwrap();
    assert_eq!(
        finished.end,
        End::Exited { code: 0 },
        "the child itself ended well"
    );
    let leak = finished.leak.as_ref().unwrap();
    assert!(leak.pipes);
    let pid = text(&finished);
    if cfg!(target_os = "linux") {
        assert_eq!(leak.processes, [format!("sleep ({pid})")]);
    }
    gone(&pid).await;
}

#[tokio::test]
async fn a_grandchild_without_the_pipe_is_a_leak_and_ends() {
    let script = "sleep 600 >/dev/null 2>&1 & echo $!";
    let finished = sh(script).leak_wait(WAIT).run().await.unwrap();
    let leak = finished.leak.as_ref().unwrap();
    assert!(!leak.pipes);
    gone(&text(&finished)).await;
}

#[tokio::test]
async fn a_grandchild_that_ends_soon_after_is_none() {
    let script = "(sleep 0.02; echo late) & echo early";
    let finished = sh(script).leak_wait(Duration::from_secs(5)).run().await.unwrap();
    assert_eq!(text(&finished), "early\nlate");
    assert_eq!(finished.leak, None);
    let script = "(sleep 0.02) >/dev/null 2>&1 & echo early";
    let finished = sh(script).leak_wait(Duration::from_secs(5)).run().await.unwrap();
    assert_eq!(finished.leak, None);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_grandchild_in_a_session_of_its_own_is_seen_and_not_waited_for() {
    let finished = sh("setsid sleep 5 & echo $!")
        .leak_wait(WAIT)
        .run()
        .await
        .unwrap();
    assert!(finished.leak.as_ref().unwrap().pipes);
    // It left the group, so it is not ours to end.
    let pid = text(&finished);
    assert!(runs(&pid));
    let killed = Command::new("kill").args(["-9", &pid]).run().await.unwrap();
    assert!(killed.end.is_success());
}

#[tokio::test]
async fn no_descriptor_or_process_stays_behind() {
    let count = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let run = || async {
        sh("exit 3").run().await.unwrap();
        let timed_out = sh("sleep 600")
            .timeout(Duration::from_millis(1))
            .run()
            .await
            .unwrap();
        assert!(matches!(timed_out.end, End::TimedOut { .. }));
        sh("sleep 600 &")
            .leak_wait(Duration::from_millis(1))
            .run()
            .await
            .unwrap();
        drop(Command::new("cat").start().unwrap());
    };
    run().await;
    let before = count();
    for _ in 0..20 {
        run().await;
    }
    // The other tests of this program open and close descriptors meanwhile: fewer than 20 runs would leave.
    assert!(count() < before + 40, "{before} before, {} after", count());
}
