//! A rehearsal is a real run in virtual time: the same decisions, the same events, the same times.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use throng_core::{ErrorClass, Event, EventKind, OutcomeKind, RunId};
use throng_exec::{
    Answer, Ask, Attempt, CircuitBreaker, Cost, Executor, ExecutorBuilder, Fallback, Hedge, JobSpec,
    KeyPolicy, Priority, ProviderModel, Rates, RetryPolicy, Shedding, WhileOpen,
};
use tokio::time::sleep;

use crate::support::{Fault, attempts, fixed, ms, n, once};

/// Says how an attempt goes, from nothing but the seed, the job and the number of the attempt.
fn answer(seed: u64, job: u64, attempt: u32) -> Answer {
    let mut rng = fastrand::Rng::with_seed(seed ^ (job << 20) ^ u64::from(attempt));
    let after = ms(rng.u64(1..400));
    match rng.u8(0..10) {
        0 => Answer::fail(after, ErrorClass::Permanent),
        1 | 2 => Answer::fail(after, ErrorClass::Transient),
        3 => Answer::fail(
            after,
            ErrorClass::Throttled {
                retry_after: Some(ms(rng.u64(1..2_000))),
            },
        ),
        4 => Answer::fail(after, ErrorClass::Overloaded { retry_after: None }),
        _ => Answer::succeed(after),
    }
}

fn jobs(seed: u64, count: u64) -> Vec<JobSpec<u64>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut job = |job| {
        let spec = JobSpec::new(job)
            .priority(Priority::new(rng.i8(-1..2)))
            .weight(NonZeroU32::new(rng.u32(1..3)).unwrap())
            .cost(Cost {
                input_tokens: rng.u32(1..50),
                output_tokens: 10,
            });
        match rng.u8(0..3) {
            0 => spec.key("a"),
            1 => spec.key("b"),
            _ => spec,
        }
    };
    (0..count).map(&mut job).collect()
}

type Log = Arc<Mutex<Vec<(u128, EventKind)>>>;

fn logged(builder: ExecutorBuilder) -> (Executor, Log) {
    let log = Log::default();
    let inside = Arc::clone(&log);
    let sink = move |event: &Event| {
        inside
            .lock()
            .unwrap()
            .push((event.at.as_millis(), event.kind.clone()));
    };
    let id = RunId::from_parts(0, [0; 10]);
    (builder.run_id(id).events(Arc::new(sink)).build().unwrap(), log)
}

/// What happened to each job, and when; the order between jobs at the same instant is left open.
fn by_job(log: &Log) -> HashMap<u64, Vec<(u128, String)>> {
    let mut jobs: HashMap<u64, Vec<(u128, String)>> = HashMap::new();
    for (at, kind) in log.lock().unwrap().iter() {
        let job = match kind {
            EventKind::JobAdmitted { job }
            | EventKind::AttemptStarted { job, .. }
            | EventKind::AttemptFailed { job, .. }
            | EventKind::RetryScheduled { job, .. }
            | EventKind::FellBack { job, .. }
            | EventKind::RetryRefused { job, .. }
            | EventKind::JobFinished { job, .. } => job.index(),
            _ => u64::MAX,
        };
        jobs.entry(job).or_default().push((*at, format!("{kind:?}")));
    }
    jobs
}

async fn real(builder: ExecutorBuilder, seed: u64, count: u64) -> (Log, Duration) {
    let (executor, log) = logged(builder);
    let runner = move |job: u64, cx: Attempt| async move {
        let answer = answer(seed, job, cx.number().get());
        sleep(answer.after).await;
        answer.result.map_err(Fault)
    };
    let report = executor.run(jobs(seed, count), runner).await;
    (log, report.summary.wall)
}

fn rehearsed(builder: ExecutorBuilder, seed: u64, count: u64) -> (Log, Duration) {
    let (executor, log) = logged(builder);
    let mut provider = |job: &u64, ask: &Ask| answer(seed, *job, ask.attempt.get());
    let summary = executor.rehearse(jobs(seed, count), &mut provider);
    (log, summary.wall)
}

/// An executor with one attempt at a time: no two things happen at the same instant, so that the whole log is the same.
fn serial(seed: u64) -> ExecutorBuilder {
    Executor::builder()
        .max_concurrent(n(1))
        .retry(fixed(3, ms(70)))
        .fallback(Fallback::new().key("b"))
        .each_key(KeyPolicy::new().rates(Rates::new().requests_per_minute(attempts(400))))
        .circuit_breaker(CircuitBreaker::new().sample(attempts(5)).rest(ms(1_500)))
        .deadline(ms(120_000))
        .seed(seed)
}

fn wide(seed: u64) -> ExecutorBuilder {
    Executor::builder()
        .max_concurrent(n(8))
        .retry(RetryPolicy::exponential(attempts(4)).base(ms(64)))
        .each_key(KeyPolicy::new().limit(n(5)))
        .shed(Shedding::new().max_wait(ms(900)))
        .circuit_breaker(
            CircuitBreaker::new()
                .ratio(0.8)
                .sample(attempts(5))
                .while_open(WhileOpen::Fail),
        )
        .attempt_timeout(ms(300))
        .seed(seed)
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_event_log() {
    for seed in 0..40 {
        let ((real, wall), (rehearsed, expected)) = (
            real(serial(seed), seed, 60).await,
            rehearsed(serial(seed), seed, 60),
        );
        assert_eq!(*real.lock().unwrap(), *rehearsed.lock().unwrap(), "seed {seed}");
        assert_eq!(wall.as_millis(), expected.as_millis(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_real_run_repeats_itself() {
    for seed in 0..20 {
        let ((first, _), (second, _)) = (real(wide(seed), seed, 60).await, real(wide(seed), seed, 60).await);
        assert_eq!(*first.lock().unwrap(), *second.lock().unwrap(), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_rehearsal_does_to_each_job_what_the_run_does() {
    let mut same = 0;
    for seed in 0..40 {
        let ((real, wall), (rehearsed, expected)) =
            (real(wide(seed), seed, 60).await, rehearsed(wide(seed), seed, 60));
        same += usize::from(by_job(&real) == by_job(&rehearsed));
        // Two things at the same millisecond may come in another order, and then the random waits differ.
        let ratio = wall.as_secs_f64() / expected.as_secs_f64();
        assert!(
            (0.5..2.0).contains(&ratio),
            "seed {seed}: {wall:?} and {expected:?}"
        );
    }
    assert!(same >= 30, "{same} of 40");
}

#[test]
fn a_campaign_of_an_hour_is_rehearsed_at_once() {
    let rates = Rates::new().requests_per_minute(attempts(600));
    let executor = Executor::builder().max_concurrent(n(64)).seed(1).build().unwrap();
    let mut model = ProviderModel::new(1)
        .latency(ms(800))
        .spread(0.5)
        .rates(&rates)
        .fail(0.05)
        .output_tokens(300);
    let began = std::time::Instant::now();
    let summary = executor.rehearse(0..36_000_u32, &mut model);
    assert!(summary.count(OutcomeKind::Succeeded) > 35_500, "{summary:?}");
    let minutes = summary.wall.as_secs_f64() / 60.0;
    assert!((60.0..75.0).contains(&minutes), "{minutes} minutes");
    let tokens = summary.usage.output_tokens.unwrap() as f64 / summary.count(OutcomeKind::Succeeded) as f64;
    assert!((280.0..320.0).contains(&tokens), "{tokens} tokens a job");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn an_answer_that_never_comes_ends_the_rehearsal() {
    let never = |_: &u32, _: &Ask| Answer::succeed(Duration::MAX);
    let summary = once(2).build().unwrap().rehearse(0..5, &mut { never });
    assert_eq!(summary.count(OutcomeKind::Cancelled), 5);
    let executor = once(2).attempt_timeout(ms(10)).build().unwrap();
    let summary = executor.rehearse(0..5, &mut { never });
    assert_eq!((summary.count(OutcomeKind::TimedOut), summary.wall), (5, ms(30)));
}

#[test]
fn hedges_are_rehearsed() {
    let executor = once(20).hedge(Hedge::new()).build().unwrap();
    let model = || ProviderModel::new(3).latency(ms(100)).slow(0.04, 10.0);
    let hedged = executor.rehearse(0..5_000, &mut model());
    let plain = once(20).build().unwrap().rehearse(0..5_000, &mut model());
    assert!(hedged.hedges > 100 && hedged.hedges <= 250, "{hedged:?}");
    assert_eq!(hedged.retries, 0, "an attempt that was dropped ends nothing else");
    assert!(
        hedged.running_time.p99 < plain.running_time.p99.mul_f64(0.7),
        "{hedged:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_rehearsal_ends_every_job_once(seed in any::<u64>(), count in 0..200_u64) {
        let (log, _) = rehearsed(wide(seed), seed, count);
        let finished = log.lock().unwrap().iter()
            .filter(|(_, kind)| matches!(kind, EventKind::JobFinished { .. }))
            .count();
        prop_assert_eq!(finished as u64, count);
    }
}
