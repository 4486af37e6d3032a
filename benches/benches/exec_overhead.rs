//! What the executor costs per job, beside bare worker tasks, `JoinSet` with a semaphore, and `buffer_unordered` over
//! `tokio::spawn`: jobs that return at once and jobs that yield once, at most 64 at a time, on two worker threads. With an
//! interpreter that has lionagi, beside its alcall as well.

use std::convert::Infallible;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use throng_benches::{Report, Subject, is_quick, peak_memory, python, resident_memory};
use throng_exec::{
    AdaptiveLimit, Attempt, CircuitBreaker, Executor, Fallback, Hedge, KeyPolicy, Rates, RetryBudget,
    RetryPolicy, Shedding,
};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

const LIMIT: usize = 64;

#[derive(Clone, Copy)]
enum Job {
    NoOp,
    Yields,
}

impl Job {
    async fn run(self, n: u64) -> u64 {
        match self {
            Self::NoOp => {}
            Self::Yields => tokio::task::yield_now().await,
        }
        std::hint::black_box(n)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let peers = python::peers()?;
    let mut report = Report::default();
    let lazy = if is_quick() { 100_000 } else { 10_000_000 };
    report.record("lazy_10m_added_mb", "MB", vec![added_memory(&runtime, lazy)?]);

    let in_flight = if is_quick() { 10_000 } else { 100_000 };
    let (megabytes, bytes) = memory_in_flight(&runtime, in_flight)?;
    report.record("in_flight_100k_mb", "MB", vec![megabytes]);
    report.record("in_flight_bytes_per_job", "bytes", vec![bytes]);

    let jobs = if is_quick() { 10_000 } else { 1_000_000 };
    for (group, job) in [("noop", Job::NoOp), ("yield", Job::Yields)] {
        let bare = bare_executor()?;
        let full = full_executor()?;
        let all = every_policy()?;
        let runtime = &runtime;
        let mut subjects: Vec<Subject<'_>> = vec![
            ("workers", timed(move || runtime.block_on(workers(jobs, job)))),
            (
                "bare",
                timed(move || runtime.block_on(throng(bare.clone(), jobs, job))),
            ),
            (
                "full",
                timed(move || runtime.block_on(throng(full.clone(), jobs, job))),
            ),
            (
                "all",
                timed(move || runtime.block_on(throng(all.clone(), jobs, job))),
            ),
            ("joinset", timed(move || runtime.block_on(joinset(jobs, job)))),
            (
                "buffer_unordered_spawn",
                timed(move || runtime.block_on(buffered(jobs, job))),
            ),
        ];
        report.measure(group, jobs, &mut subjects);
    }
    report.ratio("bare_vs_workers", "noop.bare", "noop.workers");
    report.ratio("full_vs_workers", "noop.full", "noop.workers");
    report.ratio("all_vs_workers", "noop.all", "noop.workers");
    report.ratio("full_yield_vs_joinset", "yield.full", "yield.joinset");
    report.ratio("full_yield_vs_workers", "yield.full", "yield.workers");
    report.ratio("all_yield_vs_workers", "yield.all", "yield.workers");
    for peer in peers {
        report.record(&format!("python.{}", peer.name), "ns/job", peer.ns_per_job);
    }
    report.ratio("full_vs_alcall", "noop.full", "python.alcall");
    report.finish()?;
    Ok(())
}

fn timed<'a>(mut run: impl FnMut() + 'a) -> Box<dyn FnMut(u64) -> Duration + 'a> {
    Box::new(move |iterations| {
        let began = Instant::now();
        for _ in 0..iterations {
            run();
        }
        began.elapsed()
    })
}

fn limit() -> NonZeroUsize {
    NonZeroUsize::new(LIMIT).unwrap_or(NonZeroUsize::MIN)
}

fn bare_executor() -> Result<Executor, throng_exec::InvalidConfig> {
    Executor::builder()
        .max_concurrent(limit())
        .retry(RetryPolicy::none())
        .build()
}

fn full_executor() -> Result<Executor, throng_exec::InvalidConfig> {
    Executor::builder()
        .max_concurrent(limit())
        .retry(RetryPolicy::exponential(NonZeroU32::MIN.saturating_add(2)))
        .attempt_timeout(Duration::from_secs(60))
        .deadline(Duration::from_secs(3600))
        .build()
}

/// Every policy that a run can have, none of which comes into play: rates and limits that are never reached, priorities
/// that age, a retry budget, a breaker, hedges, shedding, a fallback step.
fn every_policy() -> Result<Executor, throng_exec::InvalidConfig> {
    let much = NonZeroU32::MAX;
    let rates = Rates::new()
        .requests_per_minute(much)
        .input_tokens_per_minute(much)
        .output_tokens_per_minute(much)
        .burst(Duration::from_secs(60));
    let key = KeyPolicy::new()
        .rates(rates.clone())
        .limit(AdaptiveLimit::new().initial(limit()).min(limit()));
    Executor::builder()
        .max_concurrent(limit())
        .retry(RetryPolicy::exponential(NonZeroU32::MIN.saturating_add(2)))
        .retry_budget(Some(RetryBudget::default()))
        .attempt_timeout(Duration::from_secs(60))
        .deadline(Duration::from_secs(3600))
        .rates(rates)
        .each_key(key)
        .circuit_breaker(CircuitBreaker::new())
        .hedge(Hedge::new().min_delay(Duration::from_secs(30)))
        .shed(
            Shedding::new()
                .max_wait(Duration::from_secs(60))
                .max_queue(NonZeroUsize::MAX),
        )
        .fallback(Fallback::new().key("other"))
        .build()
}

/// The executor. It catches panics and keeps its metrics whatever the policies are.
async fn throng(executor: Executor, jobs: u64, job: Job) {
    spawned(async move {
        let runner = move |n: u64, _: Attempt| async move { Ok::<_, Infallible>(job.run(n).await) };
        let mut run = executor.start(0..jobs, runner);
        let mut taken = 0;
        while let Some(finished) = run.next().await {
            taken += u64::from(finished.outcome.is_success());
        }
        assert_eq!(taken, jobs);
    })
    .await;
}

/// The least that can do the work: 64 tasks that share an iterator and send their results into a channel.
async fn workers(jobs: u64, job: Job) {
    spawned(async move {
        let input = Arc::new(Mutex::new(0..jobs));
        let (sender, mut results) = mpsc::channel(4 * LIMIT);
        for _ in 0..LIMIT {
            let (input, sender) = (Arc::clone(&input), sender.clone());
            tokio::spawn(async move {
                loop {
                    let next = input.lock().expect("no worker panics").next();
                    let Some(n) = next else { return };
                    let result = job.run(n).await;
                    if sender.send(result).await.is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut taken = 0;
        while results.recv().await.is_some() {
            taken += 1;
        }
        assert_eq!(taken, jobs);
    })
    .await;
}

/// The usual way: a permit is taken before each task is spawned into a `JoinSet`.
async fn joinset(jobs: u64, job: Job) {
    spawned(async move {
        let permits = Arc::new(Semaphore::new(LIMIT));
        let mut running = JoinSet::new();
        let mut taken = 0;
        for n in 0..jobs {
            let permit = Arc::clone(&permits)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            running.spawn(async move {
                let result = job.run(n).await;
                drop(permit);
                result
            });
            while running.try_join_next().is_some() {
                taken += 1;
            }
        }
        while running.join_next().await.is_some() {
            taken += 1;
        }
        assert_eq!(taken, jobs);
    })
    .await;
}

async fn buffered(jobs: u64, job: Job) {
    spawned(async move {
        let tasks = futures_util::stream::iter(0..jobs).map(|n| tokio::spawn(job.run(n)));
        let taken = tasks.buffer_unordered(LIMIT).count().await;
        assert_eq!(taken as u64, jobs);
    })
    .await;
}

/// Runs the consumer in a task of its own, so that it shares the worker threads with the jobs.
async fn spawned(consumer: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(consumer).await.expect("the consumer does not panic");
}

/// Returns how many megabytes so many jobs take that run at the same time, and how many bytes each takes beyond its future:
/// a parked future of 64 bytes.
fn memory_in_flight(runtime: &Runtime, jobs: usize) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    const FUTURE: f64 = 64.0;
    let limit = NonZeroUsize::new(jobs).ok_or("no jobs")?;
    let executor = Executor::builder()
        .max_concurrent(limit)
        .window(limit)
        .attempt_timeout(Duration::from_secs(3600))
        .build()?;
    let runner = |_: u32, _: Attempt| async move {
        let state = std::hint::black_box([0_u8; FUTURE as usize - 1]);
        std::future::pending::<()>().await;
        std::hint::black_box(state);
        Ok::<_, Infallible>(())
    };
    let before = resident_memory().ok_or("this system does not tell the memory of a process")?;
    let after = runtime.block_on(async {
        let run = executor.start(0..u32::try_from(jobs).unwrap_or(u32::MAX), runner);
        let handle = run.handle();
        while handle.progress().running < jobs as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let after = resident_memory();
        run.shutdown().await;
        after
    });
    let added = after
        .ok_or("this system does not tell the memory of a process")?
        .saturating_sub(before) as f64;
    Ok((added / 1e6, added / jobs as f64 - FUTURE))
}

/// Returns by how many megabytes a lazy run of so many jobs raises the peak memory of this process.
fn added_memory(runtime: &Runtime, jobs: u64) -> Result<f64, Box<dyn std::error::Error>> {
    runtime.block_on(throng(full_executor()?, 1_000, Job::NoOp));
    let before = peak_memory().ok_or("this system does not tell the peak memory of a process")?;
    runtime.block_on(throng(full_executor()?, jobs, Job::NoOp));
    let after = peak_memory().ok_or("this system does not tell the peak memory of a process")?;
    Ok((after - before) as f64 / 1e6)
}
