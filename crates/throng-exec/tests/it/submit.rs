//! Jobs that are submitted one by one share the limits of one run; a layer of tower does the same for requests.

use std::sync::{Arc, Mutex};

use throng_core::{Outcome, OutcomeKind};
use throng_exec::{Attempt, JobSpec, NotServed, Priority, Shedding};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Gauge, TRANSIENT, fixed, ms, n, once};

#[tokio::test(start_paused = true)]
async fn submissions_share_the_limits_and_get_their_own_outcomes() {
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let runner = move |job: u64, cx: Attempt| {
        let inside = inside.enter();
        async move {
            sleep(ms(10)).await;
            drop(inside);
            if cx.number().get() == 1 && job.is_multiple_of(7) {
                Err(TRANSIENT)
            } else {
                Ok(job * 2)
            }
        }
    };
    let executor = once(3).retry(fixed(2, ms(5))).retry_budget(None).build().unwrap();
    let submitter = executor.serve(runner);
    let mut tasks = tokio::task::JoinSet::new();
    for job in 0..100_u64 {
        let submitter = submitter.clone();
        tasks.spawn(async move { (job, submitter.submit(job).await.unwrap()) });
    }
    while let Some(done) = tasks.join_next().await {
        let (job, finished) = done.unwrap();
        assert_eq!(finished.outcome, Outcome::Succeeded(job * 2));
        assert_eq!(
            (finished.input, finished.attempts > 1),
            (job, job.is_multiple_of(7))
        );
    }
    assert_eq!(gauge.peak(), 3);
    let handle = submitter.handle().clone();
    drop(submitter);
    sleep(ms(1)).await;
    assert!(handle.progress().over);
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_is_dropped_frees_its_permit() {
    let runner = |forever: bool, _: Attempt| async move {
        if forever {
            std::future::pending::<()>().await;
        }
        Ok::<_, Fault>(())
    };
    let submitter = once(1).build().unwrap().serve(runner);
    let dropped = tokio::time::timeout(ms(20), submitter.submit(true)).await;
    assert!(dropped.is_err());
    let second = tokio::time::timeout(ms(20), submitter.submit(false)).await;
    assert!(second.unwrap().unwrap().outcome.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_submission_that_is_dropped_says_nothing_of_the_service() {
    let breaker = throng_exec::CircuitBreaker::new()
        .sample(crate::support::attempts(4))
        .rest(ms(100));
    let executor = once(4).circuit_breaker(breaker).build().unwrap();
    let hangs = |_: u64, _: Attempt| std::future::pending::<Result<(), Fault>>();
    let submitter = executor.serve(hangs);
    for job in 0..20 {
        assert!(tokio::time::timeout(ms(10), submitter.submit(job)).await.is_err());
    }
    sleep(ms(1)).await;
    let summary = submitter.handle().summary();
    assert_eq!(summary.count(OutcomeKind::Cancelled), 20);
    assert_eq!(summary.count(OutcomeKind::Failed), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_after_the_end() {
    let submitter = once(1)
        .build()
        .unwrap()
        .serve(|(): (), _: Attempt| async { Ok::<_, Fault>(()) });
    submitter.handle().abort();
    sleep(ms(1)).await;
    assert_eq!(submitter.submit(()).await.unwrap_err(), NotServed);
}

#[tokio::test(start_paused = true)]
async fn the_more_important_submission_goes_first() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&log);
    let runner = move |job: i8, _: Attempt| {
        inside.lock().unwrap().push(job);
        async {
            sleep(ms(10)).await;
            Ok::<_, Fault>(())
        }
    };
    let submitter = once(1).build().unwrap().serve(runner);
    let submit = async |job: i8| {
        submitter
            .submit(JobSpec::new(job).priority(Priority::new(job)))
            .await
    };
    let _ = tokio::join!(submit(0), submit(1), submit(2), submit(3));
    assert_eq!(*log.lock().unwrap(), [0, 3, 2, 1]);
}

/// Shedding at twice the load that can be served: what is accepted is not late, and what can be served is.
#[tokio::test(start_paused = true)]
async fn shedding_keeps_the_p99_of_accepted_jobs_flat_at_twice_the_load() {
    let p99 = async |per_second: u64, shedding: Shedding| {
        let runner = |_: u64, _: Attempt| async {
            sleep(ms(100)).await;
            Ok::<_, Fault>(())
        };
        let executor = once(10).window(n(4_096)).shed(shedding).build().unwrap();
        let submitter = executor.serve(runner);
        let mut tasks = tokio::task::JoinSet::new();
        let began = Instant::now();
        for job in 0..20 * per_second {
            tokio::time::sleep_until(began + ms(job * 1_000 / per_second)).await;
            let submitter = submitter.clone();
            tasks.spawn(async move { submitter.submit(job).await.unwrap() });
        }
        let mut times = Vec::new();
        while let Some(done) = tasks.join_next().await {
            let done = done.unwrap();
            match done.outcome.kind() {
                OutcomeKind::Succeeded => times.push(done.timing.total().as_millis()),
                kind => assert_eq!(kind, OutcomeKind::Shed),
            }
        }
        times.sort_unstable();
        (times[times.len() * 99 / 100], times.len() as u64 / 20)
    };
    let shedding = Shedding::new().max_wait(ms(50));
    let (calm, _) = p99(80, shedding).await;
    let (crowded, served) = p99(200, shedding).await;
    assert!(crowded <= calm + 50, "{crowded} ms after {calm} ms");
    assert!((95..=101).contains(&served), "{served} a second");
    let (late, _) = p99(200, Shedding::new()).await;
    assert!(late > 5_000, "without shedding: {late} ms");
}

#[cfg(feature = "tower")]
mod layer {
    use std::sync::atomic::{AtomicU32, Ordering};

    use ::tower::{Layer, Service, ServiceExt, service_fn};
    use throng_exec::tower::{ExecutorLayer, ServiceError, ServiceRunner};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_behind_the_layer_has_every_policy() {
        let calls = Arc::new(AtomicU32::new(0));
        let (gauge, inside) = (Gauge::default(), Arc::clone(&calls));
        let watched = gauge.clone();
        let service = service_fn(move |request: u32| {
            let call = inside.fetch_add(1, Ordering::SeqCst);
            let here = watched.enter();
            async move {
                sleep(ms(10)).await;
                drop(here);
                if call.is_multiple_of(5) {
                    Err(TRANSIENT)
                } else {
                    Ok(request + 1)
                }
            }
        });
        let executor = once(2).retry(fixed(4, ms(1))).retry_budget(None).build().unwrap();
        let service = ExecutorLayer::new(executor).layer(service);
        let mut tasks = tokio::task::JoinSet::new();
        for request in 0..50 {
            let mut service = service.clone();
            tasks.spawn(async move { (request, service.ready().await.unwrap().call(request).await) });
        }
        while let Some(done) = tasks.join_next().await {
            let (request, response) = done.unwrap();
            assert_eq!(response, Ok(request + 1));
        }
        assert_eq!(gauge.peak(), 2);
        assert!(calls.load(Ordering::SeqCst) > 50);
        service.submitter().handle().abort();
        sleep(ms(1)).await;
        assert_eq!(service.oneshot(1).await, Err(ServiceError::Over));
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_a_runner() {
        let service = service_fn(|request: u32| async move {
            sleep(ms(10)).await;
            Ok::<_, Fault>(request * 2)
        });
        let report = once(4)
            .build()
            .unwrap()
            .run(0..8, ServiceRunner::new(service))
            .await;
        let values: Vec<u32> = report
            .finished
            .into_iter()
            .filter_map(|job| job.outcome.success())
            .collect();
        assert_eq!(values, [0, 2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(report.summary.wall, ms(20));
    }
}
