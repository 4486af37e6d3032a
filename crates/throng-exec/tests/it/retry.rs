//! Invariants: a permit is an active attempt; a Retry-After is a floor for everybody who uses the key; a wait past the
//! deadline fails now.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use throng_core::{ErrorClass, Outcome, OutcomeKind};
use throng_exec::{Attempt, Executor, JobSpec, RetryPolicy};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, PERMANENT, TRANSIENT, attempts, fixed, ms, n, once, throttled};

/// Runs jobs that fail with `fault` in their first `failures` attempts, and returns when each attempt of each job
/// began, in milliseconds since the start.
async fn attempts_of(executor: &Executor, fault: Fault, jobs: Vec<u32>) -> (Vec<Vec<u64>>, Vec<OutcomeKind>) {
    let began = Instant::now();
    let log = Arc::new(Mutex::new(vec![Vec::new(); jobs.len()]));
    let seen = Arc::clone(&log);
    let runner = move |(index, failures): (usize, u32), cx: Attempt| {
        let (fault, millis) = (fault.clone(), u64::try_from(began.elapsed().as_millis()).unwrap());
        seen.lock().unwrap()[index].push(millis);
        async move {
            if cx.number().get() <= failures {
                Err(fault)
            } else {
                Ok(())
            }
        }
    };
    let report = executor.run(jobs.into_iter().enumerate(), runner).await;
    let kinds = report.finished.iter().map(|job| job.outcome.kind()).collect();
    (std::mem::take(&mut *log.lock().unwrap()), kinds)
}

#[tokio::test(start_paused = true)]
async fn a_job_in_backoff_lets_the_next_job_start_at_once() {
    let executor = once(1).retry(fixed(2, ms(500))).build().unwrap();
    let (began, kinds) = attempts_of(&executor, TRANSIENT, vec![1, 0]).await;
    assert_eq!(began, [vec![0, 500], vec![0]]);
    assert_eq!(kinds, [OutcomeKind::Succeeded; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_ahead_of_new_jobs() {
    let executor = once(1).retry(fixed(2, ms(15))).build().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&order);
    let runner = move |job: u64, cx: Attempt| {
        log.lock().unwrap().push((job, cx.number().get()));
        async move {
            sleep(ms(10)).await;
            if job == 0 && cx.number().get() == 1 {
                Err(TRANSIENT)
            } else {
                Ok(())
            }
        }
    };
    let _ = executor.run(0..5, runner).await;
    assert_eq!(
        *order.lock().unwrap(),
        [(0, 1), (1, 1), (2, 1), (0, 2), (3, 1), (4, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_is_not_tried_again() {
    let executor = once(1).retry(fixed(5, ms(1))).build().unwrap();
    let (began, kinds) = attempts_of(&executor, PERMANENT, vec![9]).await;
    assert_eq!((began, kinds), (vec![vec![0]], vec![OutcomeKind::Failed]));
}

#[tokio::test(start_paused = true)]
async fn a_predicate_decides_what_is_tried_again() {
    let executor = once(1).retry(fixed(3, ms(1))).build().unwrap();
    let runner = |code: u16, _: Attempt| async move { Err::<(), _>(code) };
    let retryable = |code: &u16| {
        if *code >= 500 {
            ErrorClass::Transient
        } else {
            ErrorClass::Permanent
        }
    };
    let mut run = executor.start_classified([404, 503], runner, retryable);
    let mut tried = Vec::new();
    while let Some(job) = run.next().await {
        assert_eq!(job.errors.len() + 1, job.attempts as usize);
        tried.push((job.outcome, job.attempts));
    }
    assert_eq!(tried, [(Outcome::Failed(404), 1), (Outcome::Failed(503), 3)]);
}

#[tokio::test(start_paused = true)]
async fn backoff_is_exponential_up_to_its_cap() {
    let policy = fixed(6, ms(100)).factor(2.0).cap(ms(350));
    let executor = once(1).retry(policy).build().unwrap();
    let (began, kinds) = attempts_of(&executor, TRANSIENT, vec![9]).await;
    assert_eq!(began, [vec![0, 100, 300, 650, 1_000, 1_350]]);
    assert_eq!(kinds, [OutcomeKind::Failed]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_tried_again_unless_the_policy_says_no() {
    for (retry, expect) in [(true, 3), (false, 1)] {
        let policy = fixed(3, ms(1)).retry_timeouts(retry);
        let executor = once(1).retry(policy).attempt_timeout(ms(10)).build().unwrap();
        let hang = |_: u8, _: Attempt| std::future::pending::<Result<(), Fault>>();
        let report = executor.run([0], hang).await;
        assert_eq!(report.finished[0].attempts, expect);
        assert_eq!(report.finished[0].outcome.kind(), OutcomeKind::TimedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_back_everybody_who_uses_the_key() {
    let executor = once(2)
        .retry(RetryPolicy::exponential(attempts(2)))
        .build()
        .unwrap();
    let began = Instant::now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let runner = move |key: &'static str, cx: Attempt| {
        seen.lock()
            .unwrap()
            .push((key, cx.id().job.index(), began.elapsed()));
        async move {
            sleep(ms(1)).await;
            let first = cx.id().job.index() == 0 && cx.number().get() == 1;
            if first {
                Err(throttled(Some(ms(3_000))))
            } else {
                Ok(())
            }
        }
    };
    let jobs = ["slow", "slow", "slow", "free", "free"].map(|key| JobSpec::new(key).key(key));
    let report = executor.run(jobs, runner).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 5);
    let log = log.lock().unwrap();
    let mut later: Vec<_> = log
        .iter()
        .filter(|(key, _, at)| *key == "slow" && *at > ms(1))
        .collect();
    later.sort();
    assert!(
        later.iter().all(|(_, _, at)| *at >= ms(3_001)),
        "sooner than Retry-After: {later:?}"
    );
    assert!(
        later.iter().any(|(_, job, at)| *job == 0 && *at > ms(3_001)),
        "no positive jitter: {later:?}"
    );
    assert!(
        log.iter()
            .filter(|(key, ..)| *key == "free")
            .all(|(_, _, at)| *at <= ms(5)),
        "{log:?}"
    );
    assert_eq!(report.summary.throttles, 1);
    assert_eq!(
        report.finished[0].timing.backoff,
        ms(0),
        "a throttled job is throttled, not in backoff"
    );
    assert!(report.finished[0].timing.throttled >= ms(3_000));
}

#[tokio::test(start_paused = true)]
async fn being_throttled_does_not_use_up_attempts() {
    let executor = once(1).retry(fixed(2, ms(1))).build().unwrap();
    let (began, kinds) = attempts_of(&executor, throttled(Some(ms(10))), vec![20]).await;
    assert_eq!(kinds, [OutcomeKind::Succeeded]);
    assert_eq!(began[0].len(), 21);
    assert!(
        began[0].windows(2).all(|pair| pair[1] - pair[0] >= 10),
        "{began:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn patience_ends_with_a_job_that_is_throttled_for_ever() {
    let policy = fixed(2, ms(100)).patience(ms(1_000));
    let executor = once(1).retry(policy).build().unwrap();
    let (began, kinds) = attempts_of(&executor, throttled(None), vec![u32::MAX]).await;
    assert_eq!(kinds, [OutcomeKind::Failed]);
    assert!(*began[0].last().unwrap() <= 1_020, "{began:?}");
    assert!(began[0].len() > 5, "{began:?}");
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_beyond_patience_or_deadline_fails_now() {
    for builder in [
        once(1).retry(fixed(9, ms(1)).patience(ms(5_000))),
        once(1).retry(fixed(9, ms(1))).deadline(ms(5_000)),
    ] {
        let began = Instant::now();
        let executor = builder.build().unwrap();
        let (_, kinds) = attempts_of(&executor, throttled(Some(ms(6_000))), vec![1]).await;
        assert_eq!(
            (kinds, began.elapsed()),
            (vec![OutcomeKind::Failed], Duration::ZERO)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_failing_jobs_keep_every_permit_busy() {
    // A third of the jobs, but for the last, fail once and wait 10 s; the others would not get far if permits were held meanwhile.
    let executor = Executor::builder()
        .max_concurrent(n(8))
        .window(n(4_096))
        .retry(fixed(2, ms(10_000)))
        .build()
        .unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        sleep(ms(100)).await;
        if job.is_multiple_of(3) && job < 8_000 && cx.number().get() == 1 {
            Err(TRANSIENT)
        } else {
            Ok(())
        }
    };
    let report = executor.run(0..9_000, runner).await;
    let busy = report.summary.running.as_secs_f64() / (8.0 * report.summary.wall.as_secs_f64());
    assert!(busy > 0.99, "permits were busy {busy:.4} of the time");
}

#[tokio::test(start_paused = true)]
async fn a_policy_without_waits_ends_all_the_same() {
    let executor = once(1)
        .retry(fixed(2_000, ms(0)).factor(2.0))
        .retry_budget(None)
        .build()
        .unwrap();
    let (began, kinds) = attempts_of(&executor, TRANSIENT, vec![u32::MAX]).await;
    assert_eq!((began[0].len(), kinds), (2_000, vec![OutcomeKind::Failed]));

    let executor = once(1).retry(fixed(2, ms(0)).patience(ms(100))).build().unwrap();
    let (began, kinds) = attempts_of(&executor, throttled(None), vec![u32::MAX]).await;
    assert_eq!(kinds, [OutcomeKind::Failed]);
    assert!(began[0].len() <= 101, "{} attempts", began[0].len());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_throttled_attempts_counts_against_patience() {
    let executor = once(1)
        .retry(fixed(2, ms(1)).patience(ms(10_000)))
        .build()
        .unwrap();
    let slow = |_: u8, _: Attempt| async {
        sleep(ms(1_000)).await;
        Err::<(), _>(throttled(Some(ms(1))))
    };
    let report = executor.run([0], slow).await;
    assert!(
        (5..=10).contains(&report.finished[0].attempts),
        "{}",
        report.finished[0].attempts
    );
}

#[tokio::test(start_paused = true)]
async fn jitter_does_not_cost_a_job_the_retry_that_its_floor_allows() {
    for seed in 0..50 {
        let policy = fixed(2, ms(1)).patience(ms(600_000));
        let executor = once(1)
            .retry(policy)
            .deadline(ms(450_000))
            .seed(seed)
            .build()
            .unwrap();
        let (_, kinds) = attempts_of(&executor, throttled(Some(ms(400_000))), vec![1]).await;
        assert_eq!(kinds, [OutcomeKind::Succeeded], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_overload_that_names_no_time_uses_up_attempts() {
    let executor = once(1).retry(fixed(3, ms(10))).build().unwrap();
    let silent = Fault(ErrorClass::Overloaded { retry_after: None });
    let (began, kinds) = attempts_of(&executor, silent, vec![u32::MAX]).await;
    assert_eq!((began[0].len(), kinds), (3, vec![OutcomeKind::Failed]));
    let later = Fault(ErrorClass::Overloaded {
        retry_after: Some(ms(5)),
    });
    let (began, kinds) = attempts_of(&executor, later, vec![10]).await;
    assert_eq!((began[0].len(), kinds), (11, vec![OutcomeKind::Succeeded]));
}
