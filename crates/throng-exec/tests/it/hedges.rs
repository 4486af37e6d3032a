//! Second attempts that have to wait for their permit: whatever holds them back, its end starts them.

use std::time::Duration;

use throng_core::Usage;
use throng_exec::{Attempt, Executor, Hedge, JobSpec, KeyPolicy, Rates, Run, Runner};
use tokio::time::sleep;

use crate::support::{Fault, TRANSIENT, attempts, ms, n, once};

fn hedge() -> Hedge {
    Hedge::new().sample(1).max_share(1.0)
}

/// The first job takes 10 ms; the first attempt of the second never ends, so that only its hedge can end the run.
async fn stuck_without_hedge(job: u64, cx: Attempt) -> Result<bool, Fault> {
    if job > 0 && !cx.is_hedge() {
        std::future::pending::<()>().await;
    }
    sleep(ms(10)).await;
    Ok(cx.is_hedge())
}

fn one_a_second() -> Rates {
    Rates::new()
        .requests_per_minute(attempts(60))
        .burst(Duration::ZERO)
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_waits_for_the_rates_of_the_run_starts_when_they_allow_it() {
    let executor = once(2).rates(one_a_second()).hedge(hedge()).build().unwrap();
    let report = executor.run(0..2, stuck_without_hedge).await;
    assert_eq!(report.finished[1].outcome.as_success(), Some(&true));
    assert_eq!(report.summary.wall, ms(2_010));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_waits_for_the_rates_of_its_key_starts_when_they_allow_it() {
    let policy = KeyPolicy::new().rates(one_a_second());
    let executor = once(2).each_key(policy).hedge(hedge()).build().unwrap();
    let jobs = (0..2).map(|job| JobSpec::new(job).key("one"));
    let report = executor.run(jobs, stuck_without_hedge).await;
    assert_eq!(report.finished[1].outcome.as_success(), Some(&true));
    assert_eq!(report.summary.wall, ms(2_010));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_waits_for_a_higher_limit_or_the_end_of_a_pause_starts_then() {
    for paused in [false, true] {
        let executor = once(1).window(n(2)).hedge(hedge()).build().unwrap();
        let mut run = executor.start(0..2, stuck_without_hedge);
        let handle = run.handle();
        run.next().await.unwrap();
        if paused {
            sleep(ms(5)).await;
            handle.pause();
            handle.set_max_concurrent(n(2));
            sleep(ms(100)).await;
            handle.resume();
        } else {
            sleep(ms(100)).await;
            handle.set_max_concurrent(n(2));
        }
        let job = run.next().await.unwrap();
        assert_eq!(job.outcome.as_success(), Some(&true), "paused: {paused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_hedge_has_used_counts_when_it_times_out_after_the_first_attempt_failed() {
    let executor = once(2).attempt_timeout(ms(100)).hedge(hedge()).build().unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        match (job, cx.is_hedge()) {
            (0, _) => sleep(ms(10)).await,
            (_, false) => {
                sleep(ms(50)).await;
                return Err(TRANSIENT);
            }
            (_, true) => {
                cx.report_usage(&Usage::of(3, 4));
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    };
    let mut run = one_after_another(&executor, runner);
    run.next().await.unwrap();
    let job = run.next().await.unwrap();
    assert_eq!((job.attempts, job.errors.len()), (2, 1));
    assert_eq!(job.usage, Usage::of(3, 4));
}

/// Starts a run of two jobs, of which the second comes when the first has ended.
fn one_after_another<R>(executor: &Executor, runner: R) -> Run<u64, (), Fault>
where
    R: Runner<u64, Output = (), Error = Fault>,
{
    let jobs = futures_util::stream::unfold(0_u64, |job| async move {
        sleep(ms(20)).await;
        (job < 2).then_some((job, job + 1))
    });
    executor.start_stream(jobs, runner)
}
