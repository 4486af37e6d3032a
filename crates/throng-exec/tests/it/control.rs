//! Pause, drain, cancel, abort, deadline: what stops and what goes on, and no admitted job without an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use throng_core::{Outcome, OutcomeKind, TimeoutKind};
use throng_exec::{Attempt, Finished, Run, RunSummary};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, TRANSIENT, fixed, ms, n, once};

type Jobs = Vec<Finished<u64, (), Fault>>;

/// Jobs of 100 ms; every third fails at its first attempt.
async fn work(n: u64, cx: Attempt) -> Result<(), Fault> {
    sleep(ms(100)).await;
    if n % 3 == 2 && cx.number().get() == 1 {
        Err(TRANSIENT)
    } else {
        Ok(())
    }
}

async fn collect(mut run: Run<u64, (), Fault>) -> (Jobs, RunSummary) {
    let mut jobs = Vec::new();
    while let Some(job) = run.next().await {
        jobs.push(job);
    }
    jobs.sort_by_key(|job| job.id);
    let summary = run.finish().await.unwrap();
    assert_eq!(
        summary.admitted,
        jobs.len() as u64,
        "each admitted job has one outcome"
    );
    assert!(
        jobs.iter()
            .enumerate()
            .all(|(index, job)| job.id.index() == index as u64)
    );
    (jobs, summary)
}

fn counts(summary: &RunSummary) -> [u64; 3] {
    [
        OutcomeKind::Succeeded,
        OutcomeKind::Failed,
        OutcomeKind::Cancelled,
    ]
    .map(|kind| summary.count(kind))
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_starts_nothing_and_goes_on_when_resumed() {
    let began = Instant::now();
    let run = once(2)
        .build()
        .unwrap()
        .start(0..6_u64, |_: u64, _: Attempt| async {
            sleep(ms(100)).await;
            Ok::<_, Fault>(())
        });
    let handle = run.handle();
    let all = tokio::spawn(collect(run));
    sleep(ms(150)).await;
    handle.pause();
    sleep(ms(1_000)).await;
    let progress = handle.progress();
    assert_eq!(
        (progress.running, progress.ended(), progress.paused),
        (0, 4, true)
    );
    handle.resume();
    let (_, summary) = all.await.unwrap();
    assert_eq!(counts(&summary), [6, 0, 0]);
    assert_eq!(began.elapsed(), ms(1_250));
}

#[tokio::test(start_paused = true)]
async fn draining_lets_running_jobs_end_and_starts_nothing() {
    let executor = once(2).window(n(8)).retry(fixed(2, ms(10_000))).build().unwrap();
    let run = executor.start(0..1_000, work);
    let handle = run.handle();
    let all = tokio::spawn(collect(run));
    sleep(ms(250)).await;
    handle.drain();
    let began = Instant::now();
    let (jobs, summary) = all.await.unwrap();
    assert_eq!(began.elapsed(), ms(50), "the two that ran had 50 ms to go");
    // 0, 1, 3, 4 succeeded, 2 is in backoff with an error, 5 runs at its first attempt and fails.
    assert_eq!(jobs[2].outcome, Outcome::Failed(TRANSIENT));
    assert_eq!(jobs[5].outcome, Outcome::Failed(TRANSIENT));
    let [succeeded, failed, cancelled] = counts(&summary);
    assert_eq!((succeeded, failed), (4, 2));
    assert_eq!(cancelled, summary.admitted - 6);
    assert!(
        jobs[6..].iter().all(|job| job.attempts == 0),
        "no job that began is lost"
    );
    assert!(!summary.input_exhausted);
}

#[tokio::test(start_paused = true)]
async fn cancelling_asks_first_and_drops_after_the_grace_period() {
    let executor = once(3).build().unwrap();
    let run = executor.start(0..100_u64, |n: u64, cx: Attempt| async move {
        match n {
            // Stops when it is asked to, in time.
            0 => {
                cx.cancelled().await;
                sleep(ms(10)).await;
                Ok(())
            }
            // Gives up when it is asked to.
            1 => {
                cx.cancelled().await;
                Err(TRANSIENT)
            }
            _ => std::future::pending().await,
        }
    });
    let handle = run.handle();
    let all = tokio::spawn(collect(run));
    sleep(ms(100)).await;
    let began = Instant::now();
    handle.cancel(ms(50));
    let (jobs, summary) = all.await.unwrap();
    assert_eq!(began.elapsed(), ms(50));
    assert_eq!(jobs[0].outcome, Outcome::Succeeded(()));
    assert_eq!(jobs[1].outcome, Outcome::Cancelled);
    assert_eq!(jobs[1].errors, [TRANSIENT], "what the attempt said is kept");
    assert_eq!(counts(&summary), [1, 0, summary.admitted - 1]);
}

#[tokio::test(start_paused = true)]
async fn aborting_ends_every_job_at_once() {
    let executor = once(4).retry(fixed(5, ms(1_000))).build().unwrap();
    let run = executor.start(0..1_000, work);
    let handle = run.handle();
    let all = tokio::spawn(collect(run));
    sleep(ms(350)).await;
    let began = Instant::now();
    handle.abort();
    let (_, summary) = all.await.unwrap();
    assert_eq!(began.elapsed(), ms(0));
    assert!(summary.count(OutcomeKind::Succeeded) > 0);
    assert_eq!(summary.ended(), summary.admitted);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_running_jobs_time_out_and_waiting_ones_are_skipped() {
    let executor = once(2)
        .window(n(8))
        .deadline(ms(250))
        .retry(fixed(2, ms(120)))
        .attempt_timeout(ms(500))
        .build()
        .unwrap();
    let began = Instant::now();
    let (jobs, summary) = collect(executor.start(0..1_000, work)).await;
    assert_eq!(began.elapsed(), ms(250));
    assert_eq!(
        jobs[2].outcome,
        Outcome::Failed(TRANSIENT),
        "its retry at 320 ms would come too late"
    );
    assert_eq!(jobs[4].outcome, Outcome::TimedOut(TimeoutKind::Deadline));
    assert_eq!(jobs[5].outcome, Outcome::TimedOut(TimeoutKind::Deadline));
    assert!(
        jobs[6..]
            .iter()
            .all(|job| job.outcome == Outcome::Skipped && job.attempts == 0)
    );
    assert_eq!(summary.count(OutcomeKind::TimedOut), 2);
    assert_eq!(summary.wall, ms(250));
}

#[tokio::test(start_paused = true)]
async fn a_job_can_have_a_timeout_of_its_own() {
    let executor = once(4).attempt_timeout(ms(1_000)).build().unwrap();
    let jobs = [10, 2_000].map(|millis| throng_exec::JobSpec::new(millis).timeout(ms(millis)));
    let began = Instant::now();
    let hang = |_: u64, _: Attempt| std::future::pending::<Result<(), Fault>>();
    let mut run = executor.start(jobs, hang);
    let mut ended = Vec::new();
    while let Some(job) = run.next().await {
        assert_eq!(job.outcome, Outcome::TimedOut(TimeoutKind::Attempt));
        ended.push(began.elapsed());
    }
    assert_eq!(ended, [ms(10), ms(2_000)]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_knows_when_it_will_be_dropped() {
    let executor = once(1)
        .attempt_timeout(ms(300))
        .deadline(ms(390))
        .build()
        .unwrap();
    let began = Instant::now();
    let runner = move |_: u8, cx: Attempt| async move {
        let left = cx.deadline().map(|at| at - began);
        sleep(ms(200)).await;
        Ok::<_, Fault>(left)
    };
    let report = executor.run([0, 1], runner).await;
    let left: Vec<_> = report
        .finished
        .into_iter()
        .map(|job| job.outcome.success().flatten())
        .collect();
    assert_eq!(left[0], Some(ms(300)));
    assert_eq!(left[1], None, "the second was ended by the deadline");
}

#[tokio::test(start_paused = true)]
async fn progress_is_live() {
    let seen = Arc::new(AtomicU64::new(0));
    let executor = once(3).retry(fixed(2, ms(1_000))).build().unwrap();
    let run = executor.start(0..9, work);
    let handle = run.handle();
    let all = tokio::spawn(collect(run));
    sleep(ms(150)).await;
    let progress = handle.progress();
    assert_eq!(progress.admitted, 9);
    assert_eq!(
        (progress.running, progress.backing_off, progress.ready),
        (3, 1, 3)
    );
    assert_eq!(progress.count(OutcomeKind::Succeeded), 2);
    assert_eq!(progress.elapsed, ms(150));
    seen.fetch_add(1, Ordering::SeqCst);
    all.await.unwrap();
    let progress = handle.progress();
    assert!(progress.over);
    assert_eq!((progress.ended(), progress.retries), (9, 3));
    handle.abort();
    assert_eq!(
        handle.summary().count(OutcomeKind::Succeeded),
        9,
        "nothing changes after the end"
    );
}

#[tokio::test]
async fn an_attempt_that_uses_up_its_budget_times_out_all_the_same() {
    // Real time: a task that never waits does not let a paused clock go on.
    let executor = once(1).attempt_timeout(ms(20)).build().unwrap();
    let began = std::time::Instant::now();
    let busy = move |_: u8, _: Attempt| async move {
        while began.elapsed() < std::time::Duration::from_secs(20) {
            tokio::task::coop::consume_budget().await;
        }
        Ok::<_, Fault>(())
    };
    let report = executor.run([0], busy).await;
    assert_eq!(
        report.finished[0].outcome,
        Outcome::TimedOut(TimeoutKind::Attempt)
    );
}

#[tokio::test]
async fn no_attempt_begins_after_the_deadline_though_no_job_ever_waits() {
    let executor = once(1).deadline(ms(30)).build().unwrap();
    let busy = |_: u32, _: Attempt| async {
        let began = std::time::Instant::now();
        while began.elapsed() < ms(5) {}
        Ok::<_, Fault>(())
    };
    let report = executor.run(0..64, busy).await;
    let began = report.finished.iter().filter(|job| job.attempts > 0).count();
    // Jobs of 5 ms or more, one after another: the eighth cannot begin within 30 ms, however slow the machine is.
    assert!(began <= 7, "{began} jobs began");
    assert_eq!(report.summary.count(OutcomeKind::Skipped), 64 - began as u64);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_times_out_while_the_run_is_cancelled_is_cancelled() {
    let executor = once(1).attempt_timeout(ms(100)).build().unwrap();
    let hang = |_: u64, _: Attempt| std::future::pending::<Result<(), Fault>>();
    let run = executor.start(0..3_u64, hang);
    run.handle().cancel(ms(10_000));
    let handle = run.handle();
    sleep(ms(50)).await;
    drop(handle);
    let (jobs, _) = collect(run).await;
    assert!(
        jobs.iter().all(|job| job.outcome == Outcome::Cancelled),
        "{jobs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn jobs_that_a_drain_ends_are_told_in_their_order() {
    let run = once(1).build().unwrap().start(0..5_u64, work);
    let handle = run.handle();
    sleep(ms(50)).await;
    handle.drain();
    let mut run = run;
    let mut ids = Vec::new();
    while let Some(job) = run.next().await {
        ids.push(job.id.index());
    }
    assert_eq!(ids, [1, 2, 3, 4, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_can_look_for_outcomes_without_waiting() {
    let mut run = once(2).build().unwrap().start(0..4_u64, work);
    assert!(run.try_next().is_none());
    sleep(ms(100)).await;
    tokio::task::yield_now().await;
    assert!(run.try_next().is_some() && run.try_next().is_some());
    assert!(run.try_next().is_none());
    assert_eq!(run.finish().await.unwrap().ended(), 4);
}
