//! The policies of a key: retry budget, circuit breaker, its own rates and limit; shedding, fallback steps and hedges.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throng_core::{ErrorClass, Event, EventKind, Outcome, OutcomeKind, Usage};
use throng_exec::{
    Attempt, BreakerState, CircuitBreaker, Cost, ErrorClasses, Executor, Fallback, Hedge, JobSpec, KeyPolicy,
    Priority, Rates, RetryBudget, RetryPolicy, Shedding, Steps, WhileOpen,
};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Gauge, PERMANENT, TRANSIENT, attempts, fixed, ms, n, once, throttled};

#[tokio::test(start_paused = true)]
async fn an_outage_costs_at_most_a_fifth_more_calls() {
    let executor = Executor::builder()
        .max_concurrent(n(50))
        .retry(fixed(4, ms(10)))
        .seed(1)
        .build()
        .unwrap();
    let down = |_: u64, _: Attempt| async move {
        sleep(ms(5)).await;
        Err::<(), _>(TRANSIENT)
    };
    let report = executor.run(0..1_000, down).await;
    assert_eq!(report.summary.count(OutcomeKind::Failed), 1_000);
    assert_eq!(report.summary.attempts, 1_035, "500 tokens at 14 for each retry");
    assert!(report.summary.retries_refused >= 965, "{:?}", report.summary);
}

#[tokio::test(start_paused = true)]
async fn successes_fill_the_budget_again() {
    let executor = once(4)
        .retry(fixed(2, ms(10)))
        .retry_budget(Some(RetryBudget::new(28)))
        .build()
        .unwrap();
    // Every tenth job fails once: each retry is paid back by its own success.
    let flaky = |job: u64, cx: Attempt| async move {
        sleep(ms(20)).await;
        if job.is_multiple_of(10) && cx.number().get() == 1 {
            Err(TRANSIENT)
        } else {
            Ok(())
        }
    };
    let report = executor.run(0..1_000, flaky).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 1_000);
    assert_eq!(report.summary.retries_refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_job_is_bounded_by_the_deadline_and_not_by_the_budget() {
    let executor = once(1)
        .retry(fixed(2, ms(10)))
        .retry_budget(Some(RetryBudget::new(0)))
        .deadline(ms(60_000))
        .build()
        .unwrap();
    let busy = |_: u64, cx: Attempt| async move {
        if cx.number().get() < 20 {
            Err(throttled(Some(ms(1_000))))
        } else {
            Ok(())
        }
    };
    let report = executor.run([1], busy).await;
    assert_eq!(
        report.summary.count(OutcomeKind::Succeeded),
        1,
        "{:?}",
        report.finished
    );
}

#[tokio::test(start_paused = true)]
async fn one_key_in_an_outage_leaves_the_budget_of_another_alone() {
    let executor = once(10).retry(fixed(3, ms(10))).build().unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        let down = job.is_multiple_of(2) || cx.number().get() == 1;
        if down { Err(TRANSIENT) } else { Ok(()) }
    };
    let jobs = (0..40).map(|job| JobSpec::new(job).key(if job % 2 == 0 { "down" } else { "flaky" }));
    let mut run = executor.start(jobs, runner);
    let handle = run.handle();
    let mut keys = Vec::new();
    while run.next().await.is_some() {
        keys = handle.keys();
    }
    let budget = |name: &str| {
        let key = keys
            .iter()
            .find(|key| key.key.as_ref().is_some_and(|key| key.as_str() == name));
        key.unwrap().budget.unwrap()
    };
    assert!(budget("down") < 14, "{keys:?}");
    let summary = run.finish().await.unwrap();
    assert_eq!(summary.count(OutcomeKind::Succeeded), 20);
    let flaky = summary
        .keys
        .iter()
        .find(|key| key.key.as_str() == "flaky")
        .unwrap();
    assert_eq!((flaky.count(OutcomeKind::Succeeded), flaky.attempts), (20, 40));
    assert_eq!(flaky.running_time.count, 20);
}

/// A service that fails while the clock is before `up`.
async fn service(began: Instant, up: Duration) -> Result<(), Fault> {
    sleep(ms(10)).await;
    if began.elapsed() < up {
        Err(TRANSIENT)
    } else {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_lets_jobs_wait_and_probes_before_it_closes() {
    let began = Instant::now();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&calls);
    let breaker = CircuitBreaker::new().sample(attempts(10)).rest(ms(1_000));
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    let executor = once(5)
        .circuit_breaker(breaker)
        .events(Arc::new(move |event: &Event| {
            if let EventKind::BreakerChanged { state, .. } = &event.kind {
                seen.lock().unwrap().push((*state, event.at.as_millis()));
            }
        }))
        .build()
        .unwrap();
    let runner = move |_: u64, _: Attempt| {
        log.lock().unwrap().push(began.elapsed().as_millis());
        service(began, ms(1_500))
    };
    let report = executor.run(0..40, runner).await;
    assert_eq!(
        report.summary.count(OutcomeKind::Failed),
        15,
        "ten, four that had begun, and one probe"
    );
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 25);
    assert_eq!(
        *states.lock().unwrap(),
        [
            ("open", 20),
            ("half_open", 1_020),
            ("open", 1_030),
            ("half_open", 2_030),
            ("closed", 2_040)
        ]
    );
    let probes = calls
        .lock()
        .unwrap()
        .iter()
        .filter(|at| (1_000..2_040).contains(*at))
        .count();
    assert_eq!(probes, 2);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_can_refuse_jobs_at_once() {
    let breaker = CircuitBreaker::new()
        .sample(attempts(10))
        .rest(ms(60_000))
        .while_open(WhileOpen::Fail);
    let executor = once(5).circuit_breaker(breaker).build().unwrap();
    let began = Instant::now();
    let run = executor.start(0..1_000, move |_: u64, _: Attempt| service(began, ms(60_000)));
    let handle = run.handle();
    let summary = run.finish().await.unwrap();
    assert_eq!((summary.attempts, summary.count(OutcomeKind::Shed)), (14, 986));
    assert!(began.elapsed() < ms(100));
    assert_eq!(handle.keys()[0].breaker, Some(BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn throttled_attempts_and_permanent_errors_do_not_open_a_breaker() {
    let breaker = CircuitBreaker::new().sample(attempts(4));
    let executor = once(2).circuit_breaker(breaker).build().unwrap();
    let runner = |job: u64, _: Attempt| async move {
        Err::<(), _>(if job.is_multiple_of(2) {
            PERMANENT
        } else {
            throttled(None)
        })
    };
    let report = executor.run(0..50, runner).await;
    assert_eq!(report.summary.count(OutcomeKind::Failed), 50);
    assert!(report.summary.wall < ms(1_000));
}

#[tokio::test(start_paused = true)]
async fn each_key_has_rates_of_its_own() {
    let rates = |rpm| KeyPolicy::new().rates(Rates::new().requests_per_minute(attempts(rpm)).burst(ms(0)));
    let executor = once(50)
        .each_key(rates(60))
        .key("fast", rates(600))
        .build()
        .unwrap();
    let began = Instant::now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&log);
    let runner = move |_: u64, cx: Attempt| {
        let key = cx.key().unwrap().as_str().to_owned();
        inside.lock().unwrap().push((key, began.elapsed().as_millis()));
        async move { Ok::<_, Fault>(()) }
    };
    let jobs = (0..12).map(|job| JobSpec::new(job).key(["a", "b", "fast"][job as usize % 3]));
    let report = executor.run(jobs, runner).await;
    let log = log.lock().unwrap();
    let times =
        |name: &str| -> Vec<u128> { log.iter().filter(|(key, _)| key == name).map(|x| x.1).collect() };
    assert_eq!(times("a"), [0, 1_000, 2_000, 3_000]);
    assert_eq!(times("b"), [0, 1_000, 2_000, 3_000]);
    assert_eq!(times("fast"), [0, 100, 200, 300]);
    for job in &report.finished {
        assert_eq!(job.timing.queued, ms(0), "{job:?}");
    }
    assert_eq!(report.finished[9].timing.throttled, ms(3_000));
}

#[tokio::test(start_paused = true)]
async fn a_refund_lets_a_key_go_on_at_once() {
    let rates = Rates::new().output_tokens_per_minute(attempts(600));
    let executor = once(1).each_key(KeyPolicy::new().rates(rates)).build().unwrap();
    let cost = Cost {
        input_tokens: 0,
        output_tokens: 100,
    };
    let starts = Arc::new(Mutex::new(Vec::new()));
    let (began, log) = (Instant::now(), Arc::clone(&starts));
    let runner = move |_: u64, cx: Attempt| {
        log.lock().unwrap().push(began.elapsed().as_millis());
        async move {
            sleep(ms(100)).await;
            cx.report_usage(&Usage::of(0, 10));
            Ok::<_, Fault>(())
        }
    };
    let _ = executor
        .run((0..3).map(move |job| JobSpec::new(job).cost(cost)), runner)
        .await;
    assert_eq!(*starts.lock().unwrap(), [0, 1_000, 2_000]);
}

#[tokio::test(start_paused = true)]
async fn a_key_runs_no_more_than_its_limit_and_leaves_the_rest_to_others() {
    let executor = once(10)
        .window(n(60))
        .each_key(KeyPolicy::new().limit(n(3)))
        .build()
        .unwrap();
    let gauges = [Gauge::default(), Gauge::default(), Gauge::default()];
    let inside = gauges.clone();
    let runner = move |job: u64, _: Attempt| {
        let inside = inside[job as usize % 3].enter();
        async move {
            sleep(ms(10)).await;
            drop(inside);
            Ok::<_, Fault>(())
        }
    };
    let jobs = (0..60).map(|job| JobSpec::new(job).key(["a", "b", "c"][job as usize % 3]));
    let report = executor.run(jobs, runner).await;
    assert_eq!(gauges.map(|gauge| gauge.peak()), [3, 3, 3]);
    assert_eq!(report.summary.wall, ms(70));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_too_long_is_shed() {
    let executor = once(1).shed(Shedding::new().max_wait(ms(25))).build().unwrap();
    let runner = |_: u64, _: Attempt| async move {
        sleep(ms(10)).await;
        Ok::<_, Fault>(())
    };
    let report = executor.run(0..10, runner).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 3);
    assert_eq!(report.summary.count(OutcomeKind::Shed), 7);
    for job in report.finished.iter().filter(|job| job.outcome == Outcome::Shed) {
        assert_eq!((job.attempts, job.timing.queued), (0, ms(25)));
    }
    assert_eq!(report.summary.wall, ms(30));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_too_long_sheds_what_matters_least() {
    let executor = once(1).shed(Shedding::new().max_queue(n(4))).build().unwrap();
    let runner = |_: u64, _: Attempt| async move {
        sleep(ms(10)).await;
        Ok::<_, Fault>(())
    };
    let jobs = (0..20).map(|job| {
        JobSpec::new(job).priority(if job % 5 == 0 {
            Priority::HIGH
        } else {
            Priority::NORMAL
        })
    });
    let report = executor.run(jobs, runner).await;
    let done: Vec<u64> = report
        .finished
        .iter()
        .filter(|job| job.outcome.is_success())
        .map(|job| job.id.index())
        .collect();
    assert_eq!(
        done,
        [0, 1, 5, 10, 15],
        "one started, four waited, the others were shed"
    );
    assert_eq!(report.summary.count(OutcomeKind::Shed), 15);
}

#[tokio::test(start_paused = true)]
async fn a_job_falls_back_after_the_named_errors_only_and_takes_the_permit_of_the_other_key() {
    let executor = once(20)
        .retry(fixed(2, ms(10)))
        .key("small", KeyPolicy::new().limit(n(2)))
        .fallback(
            Fallback::new()
                .after(ErrorClasses::TRANSIENT.or(ErrorClasses::TIMEOUT))
                .key("small")
                .timeout(ms(500))
                .retry(fixed(3, ms(10))),
        )
        .attempt_timeout(ms(50))
        .build()
        .unwrap();
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let small = move |_: u64, cx: Attempt| {
        let inside = inside.enter();
        async move {
            assert_eq!(cx.key().unwrap().as_str(), "small");
            sleep(ms(100)).await;
            drop(inside);
            if cx.number().get() == 3 {
                Err(TRANSIENT)
            } else {
                Ok("small")
            }
        }
    };
    let large = |job: u64, cx: Attempt| async move {
        assert_eq!((cx.key().unwrap().as_str(), cx.step()), ("large", 0));
        match job {
            0 => Ok("large"),
            1 => Err(PERMANENT),
            2 => std::future::pending().await,
            _ => Err(TRANSIENT),
        }
    };
    let jobs = (0..6).map(|job| JobSpec::new(job).key("large"));
    let report = executor.run(jobs, Steps::new(large, small)).await;
    let got: Vec<_> = report
        .finished
        .iter()
        .map(|job| (job.outcome.as_success().copied(), job.step, job.attempts))
        .collect();
    let fell = (Some("small"), 1, 4);
    assert_eq!(got, [(Some("large"), 0, 1), (None, 0, 1), fell, fell, fell, fell]);
    assert_eq!(gauge.peak(), 2);
    assert_eq!(report.summary.fallbacks, 4);
    assert_eq!(report.finished[3].key.as_ref().unwrap().as_str(), "large");
}

#[tokio::test(start_paused = true)]
async fn without_patience_a_refusal_falls_back_at_once() {
    let executor = once(1)
        .retry(RetryPolicy::exponential(attempts(5)).patience(ms(0)))
        .fallback(Fallback::new())
        .build()
        .unwrap();
    let runner = |_: u64, cx: Attempt| async move {
        if cx.step() == 0 {
            Err(throttled(Some(ms(30_000))))
        } else {
            Ok(())
        }
    };
    let jobs = [JobSpec::new(1).key("a")];
    let report = executor.run(jobs, runner).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 1);
    assert!(report.summary.wall < ms(1_000), "{:?}", report.summary.wall);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_sends_jobs_to_the_next_step() {
    let breaker = CircuitBreaker::new()
        .sample(attempts(4))
        .while_open(WhileOpen::Fail);
    let executor = once(2)
        .circuit_breaker(breaker)
        .fallback(Fallback::new().key("other"))
        .build()
        .unwrap();
    let runner = |_: u64, cx: Attempt| async move { if cx.step() == 0 { Err(TRANSIENT) } else { Ok(()) } };
    let report = executor
        .run((0..50).map(|job| JobSpec::new(job).key("one")), runner)
        .await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 50);
    assert_eq!((report.summary.attempts, report.summary.fallbacks), (54, 50));
}

/// Every 20th job takes 1 s, and so does every 20th second attempt; the others take 100 ms.
async fn bimodal(slow: Arc<AtomicU32>) -> Result<(), Fault> {
    let count = slow.fetch_add(1, Ordering::Relaxed);
    sleep(ms(if count.is_multiple_of(25) { 1_000 } else { 100 })).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn hedging_cuts_the_p99_of_a_bimodal_latency_for_few_more_calls() {
    let run = async |hedge: Option<Hedge>| {
        let mut builder = once(20);
        if let Some(hedge) = hedge {
            builder = builder.hedge(hedge);
        }
        let count = Arc::new(AtomicU32::new(1));
        let runner = move |_: u64, _: Attempt| bimodal(Arc::clone(&count));
        builder.build().unwrap().run(0..3_000, runner).await.summary
    };
    let (plain, hedged) = (run(None).await, run(Some(Hedge::new())).await);
    assert_eq!(hedged.count(OutcomeKind::Succeeded), 3_000);
    let ratio = hedged.running_time.p99.as_secs_f64() / plain.running_time.p99.as_secs_f64();
    assert!(
        ratio <= 0.7,
        "{ratio}: {:?} after {:?}",
        hedged.running_time,
        plain.running_time
    );
    assert!(hedged.hedges_won > 0);
    assert!(hedged.attempts <= 3_150, "{} attempts", hedged.attempts);
}

#[tokio::test(start_paused = true)]
async fn hedges_keep_to_the_concurrency_and_to_the_budget() {
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let count = Arc::new(AtomicU32::new(1));
    let executor = once(5)
        .hedge(Hedge::new().quantile(0.5).max_share(1.0))
        .retry_budget(Some(RetryBudget::new(14).success(0)))
        .build()
        .unwrap();
    let runner = move |_: u64, cx: Attempt| {
        let inside = inside.enter();
        let count = Arc::clone(&count);
        async move {
            let result = if cx.is_hedge() {
                Err(TRANSIENT)
            } else {
                bimodal(count).await
            };
            drop(inside);
            result
        }
    };
    let report = executor.run(0..500, runner).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 500);
    assert_eq!(gauge.peak(), 5);
    assert!(report.summary.hedges >= 1, "{:?}", report.summary);
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_fails_waits_for_its_hedge() {
    let executor = once(2)
        .hedge(Hedge::new().sample(1).max_share(1.0))
        .build()
        .unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        match (job, cx.is_hedge()) {
            (0, _) => sleep(ms(10)).await,
            (_, false) => {
                sleep(ms(50)).await;
                return Err(TRANSIENT);
            }
            (_, true) => sleep(ms(100)).await,
        }
        Ok(cx.is_hedge())
    };
    let mut executor_of_one = executor.start([0, 1, 2, 3], runner);
    let mut won = Vec::new();
    while let Some(job) = executor_of_one.next().await {
        if job.outcome.as_success() == Some(&true) {
            assert_eq!((job.attempts, job.errors.len()), (2, 1));
            won.push(job.id.index());
        }
    }
    assert!(!won.is_empty());
}

#[tokio::test(start_paused = true)]
async fn both_failing_is_one_failure_with_both_errors() {
    let executor = once(4)
        .hedge(Hedge::new().sample(1).max_share(1.0))
        .build()
        .unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        sleep(ms(if job == 0 { 10 } else { 30 })).await;
        match job {
            0 => Ok(()),
            _ if cx.is_hedge() => Err(Fault(ErrorClass::Timeout)),
            _ => {
                sleep(ms(100)).await;
                Err(TRANSIENT)
            }
        }
    };
    // The first job teaches the latency, the second is hedged.
    let mut run = executor.start_stream(
        futures_util::stream::unfold(0_u64, |job| async move {
            sleep(ms(20)).await;
            (job < 2).then_some((job, job + 1))
        }),
        runner,
    );
    let mut last = None;
    while let Some(job) = run.next().await {
        last = Some(job);
    }
    let job = last.unwrap();
    assert_eq!(job.outcome, Outcome::Failed(TRANSIENT));
    assert_eq!((job.attempts, job.errors), (2, vec![Fault(ErrorClass::Timeout)]));
    assert_eq!(run.handle().progress().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_refused_pauses_its_key() {
    let executor = once(4)
        .hedge(Hedge::new().sample(1).max_share(1.0))
        .build()
        .unwrap();
    let began = Instant::now();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&starts);
    let runner = move |job: u64, cx: Attempt| {
        log.lock().unwrap().push((job, began.elapsed().as_millis()));
        async move {
            match (job, cx.is_hedge()) {
                (1, true) => return Err(throttled(Some(ms(10_000)))),
                (1, false) => sleep(ms(200)).await,
                _ => sleep(ms(20)).await,
            }
            Ok(())
        }
    };
    let jobs = futures_util::stream::unfold(0_u64, |job| async move {
        sleep(ms(50)).await;
        (job < 3).then_some((job, job + 1))
    });
    let summary = executor.start_stream(jobs, runner).finish().await.unwrap();
    assert_eq!((summary.count(OutcomeKind::Succeeded), summary.throttles), (3, 1));
    let third = starts
        .lock()
        .unwrap()
        .iter()
        .find(|(job, _)| *job == 2)
        .unwrap()
        .1;
    assert!(third >= 10_000, "{starts:?}");
}
