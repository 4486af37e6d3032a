//! How children end: by themselves, by a signal, by the clock, by their caller.

use std::time::Duration;

use throng_process::{Command, End, Signal};
use tokio::time::timeout;

use crate::support::{gone, quick, sh, text};

#[tokio::test]
async fn an_end_says_what_ended_it() {
    let check = |script: &'static str, end, words: &'static str| async move {
        let finished = sh(script).run().await.unwrap();
        assert_eq!(finished.end, end, "{script}");
        assert_eq!(finished.end.to_string(), words);
        assert_eq!(finished.leak, None, "{script}");
    };
    check("exit 0", End::Exited { code: 0 }, "exited with code 0").await;
    check("exit 300", End::Exited { code: 44 }, "exited with code 44").await;
    let words = "was ended by signal 9 (SIGKILL)";
    check("kill -9 $$", End::Signalled { signal: 9 }, words).await;
    let words = "was ended by signal 11 (SIGSEGV)";
    check("kill -11 $$", End::Signalled { signal: 11 }, words).await;
}

#[tokio::test]
async fn a_child_that_is_out_of_time_is_asked_first() {
    let script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let command = sh(script)
        .timeout(Duration::from_millis(50))
        .ladder([(Signal::Terminate, Duration::from_secs(5))]);
    let finished = command.run().await.unwrap();
    assert_eq!(finished.end, End::TimedOut { killed: false });
    assert_eq!(
        finished.status.code(),
        Some(5),
        "the status is still the child's own"
    );
    assert_eq!(text(&finished), "ready\nbye");
}

#[tokio::test]
async fn a_child_that_refuses_is_killed() {
    let script = "trap '' TERM INT; echo $$; while :; do sleep 0.01; done";
    let ladder = [Signal::Interrupt, Signal::Terminate].map(|signal| (signal, Duration::from_millis(20)));
    let command = sh(script).timeout(Duration::from_millis(50)).ladder(ladder);
    let finished = command.run().await.unwrap();
    assert_eq!(finished.end, End::TimedOut { killed: true });
    assert_eq!(finished.end.to_string(), "ran out of time, and was killed");
    gone(&text(&finished)).await;
}

#[tokio::test]
async fn the_whole_group_ends_with_a_timeout() {
    // The grandchild refuses to end, and holds the output.
    let script = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.01; done' & wait";
    let finished = quick(sh(script).timeout(Duration::from_millis(50)))
        .run()
        .await
        .unwrap();
    assert_eq!(
        finished.end,
        End::TimedOut { killed: false },
        "the child itself did not refuse"
    );
    assert!(finished.leak.as_ref().unwrap().pipes);
    gone(&text(&finished)).await;
}

#[tokio::test]
async fn a_grandchild_that_cleans_up_has_the_grace_too() {
    let script =
        "sh -c 'trap \"sleep 0.03; echo cleaned; exit\" TERM; while :; do sleep 0.01; done' & echo up; wait";
    let command = sh(script)
        .timeout(Duration::from_millis(50))
        .leak_wait(Duration::ZERO)
        .ladder([(Signal::Terminate, Duration::from_secs(5))]);
    let finished = command.run().await.unwrap();
    assert_eq!(finished.end, End::TimedOut { killed: false });
    assert_eq!(text(&finished), "up\ncleaned");
}

#[tokio::test]
async fn a_caller_can_stop_it() {
    let stop = tokio::time::sleep(Duration::from_millis(20));
    let finished = quick(Command::new("sleep").arg("600"))
        .run_until(stop)
        .await
        .unwrap();
    assert_eq!(finished.end, End::Stopped { killed: false });
}

#[tokio::test]
async fn a_run_that_is_dropped_kills_the_group() {
    let folder = tempfile::tempdir().unwrap();
    let script =
        "trap '' TERM; (trap '' TERM; sleep 600 & echo $! > b.tmp; mv b.tmp b; wait) & echo $$ > a; wait";
    let command = sh(script).folder(folder.path());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let mut run = Box::pin(command.run());
    while !folder.path().join("b").exists() {
        let waited = timeout(Duration::from_millis(5), run.as_mut()).await;
        assert!(waited.is_err(), "it does not end by itself");
    }
    drop(run);
    gone(read("a").trim()).await;
    gone(read("b").trim()).await;
}

#[tokio::test]
async fn a_stopped_process_is_killed_too() {
    let command = quick(sh("kill -STOP $$").timeout(Duration::from_millis(50)));
    let finished = command.run().await.unwrap();
    assert_eq!(finished.end, End::TimedOut { killed: true });
}

#[tokio::test]
async fn a_session_of_its_own_has_no_terminal() {
    let script = "if (: < /dev/tty) 2>/dev/null; then echo terminal; else echo none; fi";
    let finished = sh(script).own_session().run().await.unwrap();
    assert_eq!(text(&finished), "none");
    let finished = quick(
        sh("sleep 600 & wait")
            .own_session()
            .timeout(Duration::from_millis(30)),
    );
    let finished = finished.run().await.unwrap();
    assert_eq!(finished.end, End::TimedOut { killed: false });
    assert_eq!(finished.leak, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_children_at_once_each_end_as_they_should() {
    let mut running = tokio::task::JoinSet::new();
    for n in 0..60_i32 {
        running.spawn(async move {
            let script = format!("echo {n}; sleep 0.0{}; exit {}", n % 5, n % 4);
            let finished = sh(&script).run().await.unwrap();
            assert_eq!(finished.end, End::Exited { code: n % 4 });
            assert_eq!(text(&finished), n.to_string());
            assert_eq!(finished.leak, None);
        });
    }
    running.join_all().await;
}
