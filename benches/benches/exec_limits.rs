//! What the policies of the executor achieve: rehearsals in virtual time, through the dispatcher that runs in life, against
//! models of a provider; and one run in real time with a slow consumer.
//!
//! Times in *round trips* are in units of the provider's mean latency.

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use throng_benches::{Report, is_quick};
use throng_core::{ErrorClass, OutcomeKind};
use throng_exec::{
    AdaptiveLimit, Answer, Ask, Attempt, Executor, ExecutorBuilder, Hedge, InvalidConfig, JobSpec, KeyPolicy,
    Limit, Provider, ProviderModel, Rates, RetryPolicy,
};

const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut report = Report::default();
    let seeds = if is_quick() { 1 } else { 20 };
    slot_use(&mut report, seeds)?;
    outage(&mut report, seeds)?;
    retry_after(&mut report, seeds)?;
    hedging(&mut report, seeds)?;
    for capacity in [10, 32, 100, 400] {
        adaptive(&mut report, seeds, capacity)?;
    }
    slow_consumer(&mut report)?;
    report.finish()?;
    Ok(())
}

fn count(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}

fn times(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN)
}

fn limited(limit: usize, seed: u64) -> ExecutorBuilder {
    Executor::builder()
        .max_concurrent(count(limit))
        .window(count(limit * 64))
        .retry(RetryPolicy::exponential(times(5)).base(5 * SECOND))
        .retry_budget(None)
        .seed(seed)
}

/// The share of permits in use while three in ten attempts fail and their jobs back off, until the input ends.
fn slot_use(report: &mut Report, seeds: u64) -> Result<(), InvalidConfig> {
    let mut samples = Vec::new();
    for seed in 0..seeds {
        let mut model = ProviderModel::new(seed).spread(0.5).fail(0.3);
        let mut busy = Busy::new(&mut model, SECOND);
        let jobs = 64 * 400;
        limited(64, seed).build()?.rehearse(0..jobs, &mut busy);
        // The last jobs have nobody to fill up with.
        let buckets = &busy.buckets[..busy.buckets.len() * 9 / 10];
        let used: f64 = buckets.iter().map(|bucket| bucket.busy).sum();
        samples.push(100.0 * used / (64.0 * buckets.len() as f64));
    }
    report.record("slot_use_30_percent_failing", "%", samples);
    Ok(())
}

/// Calls for each job when every call fails with a transient error.
fn outage(report: &mut Report, seeds: u64) -> Result<(), InvalidConfig> {
    let mut samples = Vec::new();
    for seed in 0..seeds {
        let executor = Executor::builder()
            .max_concurrent(count(32))
            .retry(RetryPolicy::exponential(times(5)))
            .seed(seed)
            .build()?;
        let mut model = ProviderModel::new(seed).fail(1.0);
        let summary = executor.rehearse(0..1_000, &mut model);
        samples.push(summary.attempts as f64 / summary.ended() as f64);
    }
    report.record("outage_calls_per_job", "calls", samples);
    Ok(())
}

/// Attempts that begin on a key before its Retry-After has passed; and the share of all attempts that is refused.
fn retry_after(report: &mut Report, seeds: u64) -> Result<(), InvalidConfig> {
    let (mut early, mut refused) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let executor = Executor::builder().max_concurrent(count(64)).seed(seed).build()?;
        let rates = Rates::new().requests_per_minute(times(1_200));
        let mut model = ProviderModel::new(seed).spread(0.5).rates(&rates);
        let mut watched = Watched {
            model: &mut model,
            waits: HashMap::new(),
            paused_until: Duration::ZERO,
            early: 0.0,
        };
        let summary = executor.rehearse(0..10_000_u32, &mut watched);
        early.push(watched.early);
        refused.push(100.0 * summary.throttles as f64 / summary.attempts as f64);
    }
    report.record("starts_before_retry_after", "starts", early);
    report.record("refused_at_a_rate_limit", "%", refused);
    Ok(())
}

/// A provider that counts the attempts that begin before the Retry-After of a refusal has passed.
struct Watched<'a> {
    model: &'a mut ProviderModel,
    waits: HashMap<(u64, u32), Duration>,
    paused_until: Duration,
    early: f64,
}

impl<J> Provider<J> for Watched<'_> {
    fn start(&mut self, job: &J, ask: &Ask) -> Answer {
        self.early += f64::from(u8::from(ask.at < self.paused_until));
        let answer = self.model.start(job, ask);
        if let Some(wait) = answer.result.err().and_then(|class| class.retry_after()) {
            self.waits.insert((ask.job.index(), ask.attempt.get()), wait);
        }
        answer
    }

    fn end(&mut self, now: Duration, ask: &Ask) {
        if let Some(wait) = self.waits.remove(&(ask.job.index(), ask.attempt.get())) {
            self.paused_until = self.paused_until.max(now + wait);
        }
        Provider::<J>::end(self.model, now, ask);
    }
}

/// What hedging does to the 99th percentile of a latency of which one in twenty-five is ten times as long.
fn hedging(report: &mut Report, seeds: u64) -> Result<(), InvalidConfig> {
    let (mut cut, mut more) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let run = |hedge: bool| -> Result<_, InvalidConfig> {
            let mut builder = Executor::builder().max_concurrent(count(32)).seed(seed);
            if hedge {
                builder = builder.hedge(Hedge::new());
            }
            let mut model = ProviderModel::new(seed).spread(0.2).slow(0.04, 10.0);
            Ok(builder.build()?.rehearse(0..10_000, &mut model))
        };
        let (plain, hedged) = (run(false)?, run(true)?);
        let p99 = |time: Duration| time.as_secs_f64();
        cut.push(100.0 - 100.0 * p99(hedged.running_time.p99) / p99(plain.running_time.p99));
        more.push(100.0 * hedged.attempts as f64 / plain.attempts as f64 - 100.0);
    }
    report.record("hedging_cuts_p99_by", "%", cut);
    report.record("hedging_more_calls", "%", more);
    Ok(())
}

/// An adaptive limit against a provider that accepts `capacity` calls at a time, half of it from round trip 200 on, and all
/// of it again from round trip 300 on.
fn adaptive(report: &mut Report, seeds: u64, capacity: usize) -> Result<(), InvalidConfig> {
    let mut figures = [const { Vec::new() }; 4];
    for seed in 0..seeds {
        let mut model = ProviderModel::new(seed)
            .spread(0.5)
            .refusal(Duration::from_millis(100))
            .concurrency(count(capacity))
            .concurrency_from(200 * SECOND, count(capacity / 2))
            .concurrency_from(300 * SECOND, count(capacity));
        let limit = Limit::Adaptive(AdaptiveLimit::new().max(count(4 * capacity)));
        let executor = Executor::builder()
            .max_concurrent(count(4 * capacity))
            .window(count(16 * capacity))
            .retry(RetryPolicy::exponential(times(100)).base(SECOND))
            .each_key(KeyPolicy::new().limit(limit))
            .deadline(400 * SECOND)
            .seed(seed)
            .build()?;
        // The mean of a log-normal latency with median 1 s and sigma 0.5.
        let round_trip = SECOND.mul_f64(0.125_f64.exp());
        let mut busy = Busy::new(&mut model, round_trip);
        let jobs = (0..).map(JobSpec::<u64>::new);
        executor.rehearse::<u64, _, _>(jobs.take(1_000 * capacity), &mut busy);
        let at = |seconds: f64| (seconds / round_trip.as_secs_f64()).ceil() as usize;
        let window = |from: usize, to: usize| {
            let buckets = &busy.buckets[from..to.min(busy.buckets.len())];
            let sum = |figure: fn(&Bucket) -> f64| buckets.iter().map(figure).sum::<f64>();
            let used = sum(|bucket| bucket.busy) / buckets.len() as f64;
            (
                used,
                sum(|bucket| bucket.refused),
                sum(|bucket| bucket.started).max(1.0),
            )
        };
        let (halved, doubled) = (at(200.0), at(300.0));
        let (steady, refused, started) = window(50, halved - 1);
        figures[0].push(100.0 * steady / capacity as f64);
        figures[1].push(100.0 * refused / started);
        // Five round trips in which at most a twentieth is refused, or two, and nine tenths of the capacity are used.
        let settles = |from: usize, capacity: usize| {
            let settled = |&from: &usize| {
                let (used, refused, started) = window(from, from + 5);
                refused <= (0.05 * started).max(2.0) && used >= 0.9 * capacity as f64
            };
            (from..busy.buckets.len() - 5)
                .find(settled)
                .map_or(f64::INFINITY, |bucket| (bucket - from) as f64)
        };
        figures[2].push(settles(halved, capacity / 2));
        figures[3].push(settles(doubled, capacity));
    }
    let names = [
        "throughput_to_oracle",
        "refused",
        "settled_after_halving",
        "settled_after_doubling",
    ];
    let units = ["%", "%", "round trips", "round trips"];
    for ((name, unit), samples) in names.into_iter().zip(units).zip(figures) {
        report.record(&format!("adaptive_{capacity}.{name}"), unit, samples);
    }
    Ok(())
}

/// 32 jobs of 100 ms, four at a time, and a consumer that takes 25 ms for each outcome: to the ideal of 900 ms, in which the
/// consumer never waits after the first outcome.
fn slow_consumer(report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let executor = Executor::builder().max_concurrent(count(4)).build()?;
    let runs = if is_quick() { 1 } else { 5 };
    let mut samples = Vec::new();
    for _ in 0..runs {
        samples.push(runtime.block_on(async {
            let job = |_: u32, _: Attempt| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>(())
            };
            let began = Instant::now();
            let mut run = executor.start(0..32, job);
            let mut taken = 0;
            while let Some(finished) = run.next().await {
                taken += u32::from(finished.outcome.kind() == OutcomeKind::Succeeded);
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            assert_eq!(taken, 32);
            began.elapsed().as_secs_f64() / 0.9
        }));
    }
    report.record("slow_consumer_to_ideal", "ratio", samples);
    Ok(())
}

/// A provider that is watched: for each round trip, how many accepted calls were in flight on average, how many calls began,
/// and how many of them were refused.
struct Busy<'a> {
    model: &'a mut ProviderModel,
    round_trip: Duration,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    busy: f64,
    started: f64,
    refused: f64,
}

impl<'a> Busy<'a> {
    fn new(model: &'a mut ProviderModel, round_trip: Duration) -> Self {
        Self {
            model,
            round_trip,
            buckets: Vec::new(),
        }
    }

    fn bucket(&mut self, index: usize) -> &mut Bucket {
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        &mut self.buckets[index]
    }
}

impl<J> Provider<J> for Busy<'_> {
    fn start(&mut self, job: &J, ask: &Ask) -> Answer {
        let answer = self.model.start(job, ask);
        let unit = self.round_trip.as_secs_f64();
        let mut from = ask.at.as_secs_f64() / unit;
        let refused = matches!(answer.result, Err(ErrorClass::Throttled { .. }));
        let bucket = self.bucket(from as usize);
        bucket.started += 1.0;
        bucket.refused += f64::from(u8::from(refused));
        let to = (ask.at + answer.after).as_secs_f64() / unit;
        while !refused && from < to {
            let end = (from.floor() + 1.0).min(to);
            self.bucket(from as usize).busy += end - from;
            from = end;
        }
        answer
    }

    fn end(&mut self, now: Duration, ask: &Ask) {
        Provider::<J>::end(self.model, now, ask);
    }
}
