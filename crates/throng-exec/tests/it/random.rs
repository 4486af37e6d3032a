//! Random runs against a naive model: whatever the jobs do and whenever the run is steered, the limit holds, each
//! admitted job has one outcome, no job is lost or doubled, and no task is left.
//!
//! `THRONG_CASES` sets how many runs are tried.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use throng_core::{ErrorClass, OutcomeKind};
use throng_exec::{Attempt, Executor, Jitter, JobSpec, OutputOrder, RetryPolicy};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::support::{Fault, Gauge, attempts, ms, n};

#[derive(Clone, Debug)]
struct Plan {
    limit: usize,
    window: usize,
    seed: u64,
    ordered: bool,
    timeout: Option<u64>,
    deadline: Option<u64>,
    jobs: Vec<Job>,
    controls: Vec<(u64, Control)>,
    consumer_pause: u64,
    stop_after: Option<usize>,
}

#[derive(Clone, Debug)]
struct Job {
    key: u8,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Succeed(u64),
    Fail(u64),
    Throttle(u64),
    Permanent(u64),
    Panic(u64),
    Hang,
}

#[derive(Clone, Copy, Debug)]
enum Control {
    Pause,
    Resume,
    Drain,
    Cancel(u64),
    Abort,
    Limit(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..20_u64).prop_map(Step::Succeed),
        3 => (0..20_u64).prop_map(Step::Fail),
        1 => (0..20_u64).prop_map(Step::Throttle),
        1 => (0..20_u64).prop_map(Step::Permanent),
        1 => (0..20_u64).prop_map(Step::Panic),
        1 => Just(Step::Hang),
    ]
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        2 => Just(Control::Pause),
        4 => Just(Control::Resume),
        1 => Just(Control::Drain),
        1 => (0..30_u64).prop_map(Control::Cancel),
        1 => Just(Control::Abort),
        3 => (1..9_usize).prop_map(Control::Limit),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let job = (0..3_u8, prop::collection::vec(step(), 1..4)).prop_map(|(key, steps)| Job { key, steps });
    let shape = (1..9_usize, 0..20_usize, any::<u64>(), any::<bool>());
    let limits = (prop::option::of(5..40_u64), prop::option::of(20..400_u64));
    let jobs = prop::collection::vec(job, 0..60);
    let controls = prop::collection::vec((0..60_u64, control()), 0..5);
    let consumer = (0..15_u64, prop::option::weighted(0.1, 0..40_usize));
    (shape, limits, jobs, controls, consumer).prop_map(
        |(
            (limit, extra, seed, ordered),
            (timeout, deadline),
            jobs,
            controls,
            (consumer_pause, stop_after),
        )| Plan {
            limit,
            window: limit + extra,
            seed,
            ordered,
            timeout,
            deadline,
            jobs,
            controls,
            consumer_pause,
            stop_after,
        },
    )
}

fn executor(plan: &Plan) -> Executor {
    let retry = RetryPolicy::exponential(attempts(3))
        .base(ms(10))
        .cap(ms(50))
        .jitter(Jitter::Full);
    let mut builder = Executor::builder()
        .max_concurrent(n(plan.limit))
        .window(n(plan.window))
        .retry(retry.patience(ms(2_000)))
        .seed(plan.seed)
        .order(if plan.ordered {
            OutputOrder::Submission
        } else {
            OutputOrder::Completion
        });
    if let Some(timeout) = plan.timeout {
        builder = builder.attempt_timeout(ms(timeout));
    }
    // A job that hangs ends by a limit of some kind, or the run would not.
    let deadline = plan
        .deadline
        .or(if plan.timeout.is_none() { Some(5_000) } else { None });
    if let Some(deadline) = deadline {
        builder = builder.deadline(ms(deadline));
    }
    builder.build().unwrap()
}

async fn act(steps: Vec<Step>, cx: Attempt) -> Result<u32, Fault> {
    let attempt = cx.number().get();
    let step = steps
        .get(attempt as usize - 1)
        .or(steps.last())
        .copied()
        .unwrap_or(Step::Succeed(0));
    let wait = |millis| async move {
        if millis > 0 {
            sleep(ms(millis)).await;
        }
    };
    match step {
        Step::Succeed(millis) => wait(millis).await,
        Step::Fail(millis) => {
            wait(millis).await;
            return Err(Fault(ErrorClass::Transient));
        }
        Step::Throttle(millis) => {
            wait(millis).await;
            return Err(Fault(ErrorClass::Throttled {
                retry_after: Some(ms(millis)),
            }));
        }
        Step::Permanent(millis) => {
            wait(millis).await;
            return Err(Fault(ErrorClass::Permanent));
        }
        Step::Panic(millis) => {
            wait(millis).await;
            std::panic::resume_unwind(Box::new("planned"));
        }
        Step::Hang => std::future::pending().await,
    }
    Ok(attempt)
}

async fn check(plan: Plan) -> Result<(), TestCaseError> {
    let before = Handle::current().metrics().num_alive_tasks();
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let runner = move |job: Job, cx: Attempt| {
        let inside = inside.enter();
        async move {
            let result = act(job.steps, cx).await;
            drop(inside);
            result
        }
    };
    let jobs: Vec<_> = plan
        .jobs
        .iter()
        .map(|job| JobSpec::new(job.clone()).key(format!("{}", job.key)))
        .collect();
    let mut run = executor(&plan).start(jobs, runner);
    let handle = run.handle();
    let (steered, controls) = (handle.clone(), plan.controls.clone());
    let steering = tokio::spawn(async move {
        for (wait, control) in controls {
            sleep(ms(wait)).await;
            match control {
                Control::Pause => steered.pause(),
                Control::Resume => steered.resume(),
                Control::Drain => steered.drain(),
                Control::Cancel(grace) => steered.cancel(ms(grace)),
                Control::Abort => steered.abort(),
                Control::Limit(limit) => steered.set_max_concurrent(n(limit)),
            }
        }
        steered.resume();
    });
    let mut seen = Vec::new();
    while let Some(job) = run.next().await {
        prop_assert_eq!(
            &format!("{:?}", job.input),
            &format!("{:?}", plan.jobs[job.id.index() as usize])
        );
        prop_assert!(job.errors.len() <= job.attempts as usize);
        if let Some(attempt) = job.outcome.as_success() {
            prop_assert_eq!(*attempt, job.attempts, "the value is that of the last attempt");
        }
        seen.push(job.id.index());
        if plan.stop_after == Some(seen.len()) {
            break;
        }
        sleep(ms(plan.consumer_pause)).await;
    }
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    prop_assert_eq!(distinct.len(), seen.len(), "a job has one outcome");
    if plan.ordered {
        prop_assert!(seen.is_sorted());
    }
    if plan.stop_after == Some(seen.len()) {
        drop(run);
    } else {
        let summary = run
            .finish()
            .await
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(summary.admitted, seen.len() as u64);
        prop_assert_eq!(summary.ended(), summary.admitted);
        prop_assert_eq!(
            distinct.last().map_or(0, |last| last + 1),
            seen.len() as u64,
            "no job is lost"
        );
        if summary.input_exhausted {
            prop_assert_eq!(summary.admitted, plan.jobs.len() as u64);
        }
        let parts = [OutcomeKind::Shed].map(|kind| summary.count(kind));
        prop_assert_eq!(parts, [0]);
    }
    let _ = steering.await;
    sleep(ms(1)).await;
    let highest = plan
        .controls
        .iter()
        .fold(plan.limit, |highest, (_, control)| match control {
            Control::Limit(limit) => highest.max(*limit),
            _ => highest,
        });
    prop_assert!(
        gauge.peak() <= highest,
        "{} attempts ran at a limit of {}",
        gauge.peak(),
        highest
    );
    prop_assert_eq!(gauge.now(), 0, "an attempt still runs");
    prop_assert_eq!(handle.progress().running, 0, "a permit is lost");
    prop_assert_eq!(
        Handle::current().metrics().num_alive_tasks(),
        before,
        "a task is left"
    );
    Ok(())
}

pub(crate) fn cases() -> u32 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(1_000)
}

#[test]
fn random_runs_keep_every_promise() {
    let mut runner = TestRunner::new(Config {
        cases: cases(),
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&plan(), |plan| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let checked =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(3_600), check(plan)).await });
        checked.unwrap_or_else(|_| Err(TestCaseError::fail("the run does not end")))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn random_runs_keep_every_promise_on_two_threads() {
    let mut runner = TestRunner::new(Config {
        cases: cases() / 20 + 1,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&plan(), |mut plan| {
        // Real time: short deadlines, so that jobs that hang end soon.
        plan.deadline = Some(plan.deadline.unwrap_or(100).min(100));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let checked =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), check(plan)).await });
        checked.unwrap_or_else(|_| Err(TestCaseError::fail("the run does not end")))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
