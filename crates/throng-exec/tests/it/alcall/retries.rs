//! alcall's `retry_*`.

use std::sync::{Mutex, mpsc};

use serde_json::json;
use throng_core::OutcomeKind;
use throng_exec::{Attempt, Blocking, Jitter, RetryPolicy};

use super::{STEP, job, least_gap, recorded, result, run};
use crate::support::{Fault, attempts, fixed, ms, n, once};

#[tokio::test(start_paused = true)]
async fn retry_attempts_counts_the_tries_after_the_first() {
    for (case, retries) in [("retry_attempts.0", 0), ("retry_attempts.2", 2)] {
        let was = recorded(case);
        assert_eq!(was["raised"], json!({"error": "ConnectionError"}));
        let executor = once(1).retry(fixed(retries + 1, ms(0))).build().unwrap();
        let (probe, report) = run(&executor, [job(0).fails(9)]).await;
        assert_eq!(probe.calls(), was["calls"], "{case}");
        assert_eq!(result(&report), json!([was["raised"]]), "{case}");
    }
}

/// alcall repeats every error, a TypeError as well: 5 calls that cannot succeed. Ours asks `Classify`.
#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_not_repeated() {
    let was = recorded("retry_attempts.permanent");
    assert_eq!(was["calls"], json!(5));
    let executor = once(1).retry(fixed(5, ms(0))).build().unwrap();
    let (probe, report) = run(&executor, [job(0).fails(9).permanently()]).await;
    assert_eq!(probe.calls(), json!(1));
    assert_eq!(report.finished[0].outcome.kind(), OutcomeKind::Failed);
}

#[tokio::test(start_paused = true)]
async fn retry_initial_delay_is_the_base() {
    let was = recorded("retry_initial_delay");
    let executor = once(1).retry(fixed(3, ms(2 * STEP))).build().unwrap();
    let (probe, report) = run(&executor, [job(0).fails(2)]).await;
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(result(&report), was["result"]);
}

/// alcall sleeps inside of its semaphore: with one permit, job 1 waits for 300 ms in which nothing runs.
#[tokio::test(start_paused = true)]
async fn a_job_in_backoff_has_no_permit() {
    let was = recorded("retry_initial_delay.in_permit");
    assert_eq!(
        (&was["inputs"], &was["starts_ms"]),
        (&json!([0, 0, 1]), &json!([0, 300, 300]))
    );
    let executor = once(1).retry(fixed(2, ms(6 * STEP))).build().unwrap();
    let (probe, report) = run(&executor, [job(0).fails(1), job(1)]).await;
    assert_eq!(
        (probe.inputs(), probe.starts_ms()),
        (json!([0, 1, 0]), json!([0, 0, 300]))
    );
    assert_eq!(result(&report), was["result"]);
}

/// alcall's waits have no cap. Ours is 30 s unless it is set.
#[tokio::test(start_paused = true)]
async fn retry_backoff_is_the_factor() {
    let was = recorded("retry_backoff");
    let policy = fixed(5, ms(STEP)).factor(2.0);
    let executor = once(1).retry(policy.clone()).build().unwrap();
    let (probe, report) = run(&executor, [job(0).fails(4)]).await;
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(result(&report), was["result"]);

    let executor = once(1).retry(policy.cap(ms(2 * STEP))).build().unwrap();
    let (probe, _) = run(&executor, [job(0).fails(4)]).await;
    assert_eq!(probe.starts_ms(), json!([0, 50, 150, 250, 350]));
}

/// `retry_backoff` alone does nothing in alcall: it multiplies a delay that is 0 unless it is set. Ours begins at 500 ms;
/// who wants no wait says so.
#[tokio::test(start_paused = true)]
async fn a_backoff_has_a_first_wait() {
    let was = recorded("retry_backoff.without_delay");
    assert_eq!(was["starts_ms"], json!([0, 0, 0, 0]));
    let policy = RetryPolicy::exponential(attempts(4)).jitter(Jitter::None);
    let executor = once(1).retry(policy.clone()).build().unwrap();
    let (probe, _) = run(&executor, [job(0).fails(3)]).await;
    assert_eq!(probe.starts_ms(), json!([0, 500, 1_500, 3_500]));

    let executor = once(1).retry(policy.base(ms(0))).build().unwrap();
    let (probe, _) = run(&executor, [job(0).fails(3)]).await;
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
}

/// alcall has no jitter: calls that failed together come back together. Ours come back one by one unless told otherwise.
#[tokio::test(start_paused = true)]
async fn jobs_that_failed_together_come_back_apart() {
    let was = recorded("retry_backoff.together");
    assert_eq!(was["starts_ms"], json!([0, 0, 0, 100, 100, 100]));
    let jobs = || (0..3).map(|n| job(n).fails(1));
    let policy = fixed(2, ms(2 * STEP));
    let executor = once(3).retry(policy.clone()).build().unwrap();
    let (probe, _) = run(&executor, jobs()).await;
    assert_eq!(probe.starts_ms(), was["starts_ms"]);

    let executor = once(3).retry(policy.jitter(Jitter::Full)).build().unwrap();
    let (probe, report) = run(&executor, jobs()).await;
    let starts_ms = probe.starts_ms();
    let retries = json!(starts_ms.as_array().unwrap()[3..]);
    assert!(least_gap(&retries) > 0, "seed 7: {starts_ms}");
    assert_eq!(result(&report), was["result"]);
}

#[tokio::test(start_paused = true)]
async fn retry_default_is_a_default_of_the_outcome() {
    let was = recorded("retry_default");
    let executor = once(2).retry(fixed(2, ms(0))).build().unwrap();
    let (probe, report) = run(&executor, [job(0).fails(9), job(1)]).await;
    let outcomes = report.finished.into_iter().map(|job| job.outcome);
    let values: Vec<_> = outcomes
        .map(|outcome| outcome.success().map_or(-1, u64::cast_signed))
        .collect();
    assert_eq!(
        (json!(values), probe.calls()),
        (was["result"].clone(), was["calls"].clone())
    );
}

/// `None` as the default is a default of alcall and none of AlcallParams, which drops it. An `Option` has no such case.
#[tokio::test(start_paused = true)]
async fn none_is_a_default_like_any_other() {
    let was = recorded("retry_default.none");
    let dropped = recorded("params.default_none");
    assert_eq!(dropped["raised"], json!({"error": "ConnectionError"}));
    let executor = once(2).build().unwrap();
    let (_, report) = run(&executor, [job(0).fails(9), job(1)]).await;
    let outcomes = report.finished.into_iter().map(|job| job.outcome);
    let values: Vec<Option<u64>> = outcomes.map(|outcome| outcome.success()).collect();
    assert_eq!(json!(values), was["result"]);
}

#[tokio::test(start_paused = true)]
async fn retry_timeout_limits_each_attempt() {
    let was = recorded("retry_timeout");
    let executor = once(2)
        .attempt_timeout(ms(3 * STEP))
        .retry(fixed(2, ms(0)))
        .build()
        .unwrap();
    let (probe, report) = run(&executor, [job(0).steps(100), job(1).steps(1)]).await;
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(result(&report), was["result"]);
    assert_eq!(probe.wall_ms(), was["wall_ms"]);
    assert_eq!((&was["cancelled"], probe.gauge.now()), (&json!(2), 0));
}

/// alcall waits for a function that blocks a thread whatever the limit is: 300 ms at a limit of 100 ms, and no error. A
/// call of [`Blocking`] is left behind in its thread when its time is over, and its job times out.
#[tokio::test(start_paused = true)]
async fn a_timeout_does_not_wait_for_a_thread() {
    let was = recorded("retry_timeout.sync");
    assert_eq!((&was["result"], &was["wall_ms"]), (&json!([0]), &json!(300)));
    let executor = once(1).attempt_timeout(ms(2 * STEP)).build().unwrap();
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let (starts, mut started) = tokio::sync::mpsc::channel(1);
    let runner = Blocking::new(n(1), move |_: u64, _: Attempt| {
        starts.try_send(()).unwrap();
        Ok::<_, Fault>(blocked.lock().unwrap().recv())
    });
    let mut run = executor.start([0], runner.clone());
    started.recv().await.unwrap();
    // The clock does not move by itself while a thread of `spawn_blocking` works.
    tokio::time::advance(ms(2 * STEP)).await;
    let job = run.next().await.unwrap();
    assert_eq!(job.outcome.kind(), OutcomeKind::TimedOut);
    assert_eq!(runner.detached(), 1);
    release.send(()).unwrap();
    runner.wait_detached().await;
}
