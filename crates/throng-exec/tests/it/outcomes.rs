//! Invariant: one outcome per job, panics included; the times of a job add up.

use throng_core::{Outcome, OutcomeKind, TimeoutKind, Usage};
use throng_exec::Attempt;
use tokio::time::{Instant, sleep};

use crate::support::{Fault, PERMANENT, fixed, ms, once};

#[derive(Clone, Copy, Debug)]
enum Act {
    Succeed,
    Fail,
    PanicAtOnce,
    PanicLater,
    Hang,
}

async fn act(act: Act, _: Attempt) -> Result<&'static str, Fault> {
    match act {
        Act::Succeed => Ok("done"),
        Act::Fail => Err(PERMANENT),
        Act::PanicAtOnce => panic!("at once"),
        Act::PanicLater => {
            sleep(ms(5)).await;
            panic!("later: {}", 2 + 2);
        }
        Act::Hang => std::future::pending().await,
    }
}

#[tokio::test(start_paused = true)]
async fn every_way_to_end_is_one_outcome_in_the_order_of_submission() {
    let executor = once(2).attempt_timeout(ms(50)).build().unwrap();
    let acts = [
        Act::Hang,
        Act::PanicLater,
        Act::Fail,
        Act::PanicAtOnce,
        Act::Succeed,
    ];
    let report = executor.run(acts, act).await;
    let outcomes: Vec<_> = report.finished.iter().map(|job| job.outcome.clone()).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::TimedOut(TimeoutKind::Attempt),
            Outcome::Panicked("later: 4".into()),
            Outcome::Failed(PERMANENT),
            Outcome::Panicked("at once".into()),
            Outcome::Succeeded("done"),
        ]
    );
    assert!(report.finished.iter().all(|job| job.attempts == 1));
    let summary = &report.summary;
    assert_eq!(summary.ended(), 5);
    assert_eq!(summary.count(OutcomeKind::Panicked), 2);
    assert_eq!(summary.wall, ms(50));
    assert!(summary.input_exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_panics_before_its_future_is_a_panicked_job() {
    fn refuse(_: u8, _: Attempt) -> std::future::Ready<Result<(), Fault>> {
        panic!("no future");
    }
    let report = once(1).build().unwrap().run([1, 2], refuse).await;
    let kinds: Vec<_> = report.finished.iter().map(|job| job.outcome.kind()).collect();
    assert_eq!(kinds, [OutcomeKind::Panicked; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_long_panic_message_is_cut() {
    let executor = once(1).build().unwrap();
    let shout = |_: u8, _: Attempt| async move {
        if true {
            panic!("{}", "é".repeat(5_000))
        } else {
            Err::<(), _>(PERMANENT)
        }
    };
    let report = executor.run([1], shout).await;
    let Outcome::Panicked(message) = &report.finished[0].outcome else {
        panic!("{report:?}")
    };
    assert_eq!(message.len(), 1024);
}

#[tokio::test(start_paused = true)]
async fn the_times_of_a_job_add_up_to_its_life() {
    let executor = once(1).retry(fixed(3, ms(100))).build().unwrap();
    let runner = |n: u32, cx: Attempt| async move {
        sleep(ms(30)).await;
        if cx.number().get() <= n {
            Err(crate::support::TRANSIENT)
        } else {
            Ok(())
        }
    };
    let began = Instant::now();
    let mut run = executor.start([0, 2, 1], runner);
    let mut summed = ms(0);
    while let Some(job) = run.next().await {
        let timing = job.timing;
        assert_eq!(timing.total(), began.elapsed(), "{timing:?}");
        assert_eq!(timing.running, ms(30) * job.attempts);
        assert_eq!(timing.backoff, ms(100) * (job.attempts - 1));
        assert_eq!(job.errors.len(), job.attempts as usize - 1);
        summed += timing.total();
    }
    let summary = run.finish().await.unwrap();
    assert_eq!(
        summary.queued + summary.throttled + summary.backoff + summary.running,
        summed
    );
    assert_eq!((summary.attempts, summary.retries), (6, 3));
}

#[tokio::test(start_paused = true)]
async fn usage_and_first_output_are_reported_and_a_late_report_is_lost() {
    let executor = once(1).retry(fixed(2, ms(1))).build().unwrap();
    let runner = |leak: bool, cx: Attempt| async move {
        sleep(ms(10)).await;
        cx.first_output();
        cx.report_usage(&Usage::of(5, 1));
        cx.report_usage(&Usage::of(0, 3));
        sleep(ms(10)).await;
        cx.first_output();
        if leak {
            tokio::spawn(async move {
                sleep(ms(1)).await;
                cx.report_usage(&Usage::of(1_000, 1_000));
            });
            return Ok(());
        }
        if cx.number().get() == 1 {
            Err(crate::support::TRANSIENT)
        } else {
            Ok(())
        }
    };
    let report = executor.run([true, false], runner).await;
    assert_eq!(report.finished[0].usage, Usage::of(5, 3));
    assert_eq!(
        report.finished[1].usage,
        Usage::of(10, 6),
        "a failed attempt was paid for as well"
    );
    assert_eq!(report.finished[1].timing.first_output, Some(ms(10)));
    assert_eq!(report.summary.usage, Usage::of(15, 9));
    assert_eq!(report.summary.first_output.count, 2);
}

#[tokio::test(start_paused = true)]
async fn distributions_are_those_of_the_jobs() {
    let executor = once(1).build().unwrap();
    let runner = |n: u64, cx: Attempt| async move {
        sleep(ms(n)).await;
        cx.first_output();
        sleep(ms(9 * n)).await;
        Ok::<_, Fault>(())
    };
    let report = executor.run(1..=100, runner).await;
    let close = |measured: std::time::Duration, expect: u64| {
        let off = measured.as_secs_f64() / ms(expect).as_secs_f64() - 1.0;
        assert!(off.abs() < 0.002, "{measured:?} is not {expect} ms");
    };
    let running = report.summary.running_time;
    assert_eq!(running.count, 100);
    close(running.min, 10);
    close(running.mean, 505);
    close(running.p50, 500);
    close(running.p95, 950);
    close(running.p99, 990);
    close(running.max, 1_000);
    close(report.summary.first_output.p50, 50);
}
