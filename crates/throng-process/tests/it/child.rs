//! Children that live long and speak a protocol.

use std::time::Duration;

use throng_process::{Command, End, Keep, Signal};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::{gone, quick, runs, sh};

const SOON: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn requests_and_answers_go_back_and_forth() {
    let script =
        "while read line; do echo \"log $line\" >&2; echo \"<$line>\"; done; echo closed >&2; exit 4";
    let mut child = sh(script).start().unwrap();
    let mut requests = child.take_stdin().unwrap();
    let mut answers = BufReader::new(child.take_stdout().unwrap()).lines();
    assert!(child.take_stdin().is_none());
    for n in 0..50 {
        requests.write_all(format!("{n}\n").as_bytes()).await.unwrap();
        assert_eq!(answers.next_line().await.unwrap().unwrap(), format!("<{n}>"));
    }
    drop(requests);
    assert_eq!(answers.next_line().await.unwrap(), None);
    assert_eq!(child.wait().await.unwrap(), End::Exited { code: 4 });
    assert_eq!(
        child.wait().await.unwrap(),
        End::Exited { code: 4 },
        "the end can be asked for again"
    );
    let log = child.stderr();
    assert!(log.text().starts_with("log 0\nlog 1\n") && log.text().ends_with("log 49\nclosed\n"));
    child.signal(Signal::Kill).unwrap();
}

#[tokio::test]
async fn a_log_without_end_is_bounded_and_holds_nobody_up() {
    let script = "head -c 20000000 /dev/zero >&2; echo end >&2; echo done";
    let mut child = sh(script).keep_stderr(Keep::last(8)).start().unwrap();
    let mut answers = BufReader::new(child.take_stdout().unwrap()).lines();
    assert_eq!(answers.next_line().await.unwrap().as_deref(), Some("done"));
    assert!(child.wait().await.unwrap().is_success());
    assert_eq!(child.stderr().tail(), b"\0\0\0\0end\n");
    assert_eq!(child.stderr().dropped(), 20_000_000 + 4 - 8);
}

#[tokio::test]
async fn dropping_the_handle_kills_the_group() {
    let script = "trap '' TERM; sleep 600 & echo $!; echo $$; wait";
    let mut child = sh(script).start().unwrap();
    let mut answers = BufReader::new(child.take_stdout().unwrap()).lines();
    let grandchild = answers.next_line().await.unwrap().unwrap();
    let itself = answers.next_line().await.unwrap().unwrap();
    assert_eq!(itself, child.id().to_string());
    assert!(runs(&itself) && runs(&grandchild));
    drop(child);
    gone(&itself).await;
    gone(&grandchild).await;
}

#[tokio::test]
async fn a_child_that_reads_to_the_end_shuts_down_by_itself() {
    let child = Command::new("cat").start().unwrap();
    assert_eq!(child.shut_down(LONG).await.unwrap(), End::Exited { code: 0 });
}

#[tokio::test]
async fn a_child_that_does_not_is_asked_and_then_killed() {
    let child = quick(sh("sleep 600")).start().unwrap();
    let end = child.shut_down(SOON).await.unwrap();
    assert_eq!(end, End::Stopped { killed: false });
    let mut child = quick(sh("trap '' TERM; echo up; while :; do sleep 0.01; done"))
        .start()
        .unwrap();
    let mut answers = BufReader::new(child.take_stdout().unwrap()).lines();
    assert_eq!(answers.next_line().await.unwrap().as_deref(), Some("up"));
    let end = child.shut_down(SOON).await.unwrap();
    assert_eq!(end, End::Stopped { killed: true });
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let script = "sleep 600 >/dev/null 2>&1 & echo $!; read line; exit 6";
    let mut child = sh(script).leak_wait(SOON).start().unwrap();
    let mut requests = child.take_stdin().unwrap();
    let mut answers = BufReader::new(child.take_stdout().unwrap()).lines();
    let grandchild = answers.next_line().await.unwrap().unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(10), child.wait())
            .await
            .is_err()
    );
    requests.write_all(b"go\n").await.unwrap();
    // Each of these waits gives up early: some while the child runs, some while its group is looked at.
    let end = loop {
        if let Ok(end) = tokio::time::timeout(Duration::from_millis(7), child.wait()).await {
            break end.unwrap();
        }
    };
    assert_eq!(end, End::Exited { code: 6 });
    gone(&grandchild).await;
}
