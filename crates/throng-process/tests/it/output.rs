//! Input, arguments, environment and output.

use std::time::Duration;

use throng_process::{Command, End, Environment, Keep};

use crate::support::{sh, text};

#[tokio::test]
async fn arguments_reach_the_program_as_they_are() {
    let odd = ["a b", "", "$HOME", "`id`", "\"'", "*", "; exit 3", "-n", "\n"];
    let script = "for a in \"$@\"; do printf '[%s]' \"$a\"; done";
    let finished = sh(script).arg("sh").args(odd).run().await.unwrap();
    let expected: String = odd.iter().map(|arg| format!("[{arg}]")).collect();
    assert_eq!(finished.stdout.whole(), Some(expected.as_bytes()));
    assert_eq!(finished.end, End::Exited { code: 0 });
}

#[tokio::test]
async fn input_and_output_larger_than_the_pipes_do_not_wait_for_each_other() {
    let input: Vec<u8> = (0..4 << 20).map(|n: u32| (n % 251) as u8).collect();
    let command = Command::new("cat")
        .input(input.clone())
        .keep_stdout(Keep::first(8 << 20));
    let finished = command.run().await.unwrap();
    assert!(finished.stdout.whole() == Some(&input[..]));
}

#[tokio::test]
async fn input_that_is_not_read_is_no_error() {
    let finished = sh("exit 7").input(vec![0; 1 << 20]).run().await.unwrap();
    assert_eq!(finished.end, End::Exited { code: 7 });
    let finished = sh("cat").run().await.unwrap();
    assert_eq!(
        finished.stdout.whole(),
        Some(&b""[..]),
        "there is nothing to read"
    );
}

#[tokio::test]
async fn a_hundred_megabytes_are_read_and_their_ends_are_kept() {
    let script = "echo first; head -c 100000000 /dev/zero; echo last; head -c 3000000 /dev/zero >&2";
    let finished = sh(script)
        .keep_stdout(Keep::ends(1000, 24))
        .keep_stderr(Keep::last(10))
        .run()
        .await
        .unwrap();
    assert_eq!(finished.end, End::Exited { code: 0 });
    assert!(finished.stdout.head().starts_with(b"first\n\0"));
    assert!(finished.stdout.tail().ends_with(b"\0last\n"));
    assert_eq!(finished.stdout.dropped(), 100_000_000 + 6 + 5 - 1024);
    assert_eq!(finished.stderr.dropped(), 3_000_000 - 10);
}

#[tokio::test]
async fn a_child_that_never_stops_writing_does_not_hold_its_clock_up() {
    let command = Command::new("yes")
        .keep_stdout(Keep::first(4))
        .timeout(Duration::from_millis(50));
    let finished = command.run().await.unwrap();
    assert_eq!(finished.end, End::TimedOut { killed: false });
    assert_eq!(finished.stdout.head(), b"y\ny\n");
    assert!(finished.stdout.dropped() > 0);
}

#[tokio::test]
async fn both_outputs_are_told_apart() {
    let finished = sh("echo out; echo err >&2").run().await.unwrap();
    assert_eq!(finished.stdout.text(), "out\n");
    assert_eq!(finished.stderr.text(), "err\n");
}

#[tokio::test]
async fn the_environment_is_the_one_that_was_chosen() {
    let seen = |environment| async {
        let finished = Command::new("env").environment(environment).run().await.unwrap();
        let mut names: Vec<String> = text(&finished)
            .lines()
            .map(|line| line.split_once('=').unwrap().0.to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        seen(Environment::only(["PATH", "THRONG_NO_SUCH"])).await,
        ["PATH"]
    );
    assert_eq!(seen(Environment::empty().set("A", "1")).await, ["A"]);
    let inherited = seen(Environment::inherit().set("A", "1").remove("PATH")).await;
    assert!(inherited.contains(&"A".to_owned()) && !inherited.contains(&"PATH".to_owned()));
}

#[tokio::test]
async fn a_relative_program_starts_from_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.path().join("mine")).unwrap();
    let script = "pwd; echo $0";
    let command = Command::new("./mine").args(["-c", script]).folder(folder.path());
    let finished = command.run().await.unwrap();
    let place = folder.path().canonicalize().unwrap();
    assert_eq!(text(&finished), format!("{}\n./mine", place.display()));
}
