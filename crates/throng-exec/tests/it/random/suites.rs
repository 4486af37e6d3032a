//! The suites: each plan is run on a paused clock or on two threads, and everything that is true of every run is checked.
//!
//! `THRONG_CASES` sets how many runs are tried.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use throng_core::{Event, OutcomeKind};
use throng_exec::{Attempt, Finished, RunHandle, RunSummary};
use tokio::runtime::{Builder, Handle};
use tokio::time::sleep;

use super::draw;
use super::log::Model;
use super::plan::{Cap, Control, Plan};
use super::world::{Gauges, act, executor, specs};
use crate::support::{Fault, ms, n};

type Done = Finished<usize, u32, Fault>;

pub(crate) fn cases() -> u32 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(1_000)
}

async fn steer(run: RunHandle, controls: Vec<(u64, Control)>) {
    for (wait, control) in controls {
        sleep(ms(wait)).await;
        match control {
            Control::Pause => run.pause(),
            Control::Resume => run.resume(),
            Control::Drain => run.drain(),
            Control::Cancel(grace) => run.cancel(ms(grace)),
            Control::Abort => run.abort(),
            Control::Limit(limit) => run.set_max_concurrent(n(limit)),
        }
    }
    run.resume();
}

async fn check(mut plan: Plan) -> Result<(), TestCaseError> {
    if plan.timeout.is_none() {
        // A job that hangs ends by a limit of some kind, or the run would not.
        plan.deadline = Some(plan.deadline.unwrap_or(5_000));
    }
    let plan = &plan;
    let before = Handle::current().metrics().num_alive_tasks();
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let events = Arc::clone(&events);
        Arc::new(move |event: &Event| events.lock().unwrap().push(event.clone()))
    };
    let gauges = Gauges::default();
    let lowest = plan.concurrencies().min().unwrap_or(1);
    let runner = {
        let (plan, gauges) = (plan.clone(), gauges.clone());
        move |job: usize, cx: Attempt| {
            // It may hold less than its weight, but never less than the lowest limit of the run.
            let weight = plan.weight(job as u64, cx.step()).min(lowest);
            let inside = gauges.enter(cx.key().map(|key| key.as_str()), weight);
            let job = plan.jobs[job].clone();
            async move {
                let result = act(&job, cx).await;
                drop(inside);
                result
            }
        }
    };
    let mut run = executor(plan, sink).start(specs(plan), runner);
    let handle = run.handle();
    let steering = tokio::spawn(steer(handle.clone(), plan.controls.clone()));
    let mut seen = Vec::new();
    while let Some(job) = run.next().await {
        seen.push(job);
        check_budgets(plan, &handle)?;
        if plan.stop_after == Some(seen.len()) {
            break;
        }
        if plan.consumer_pause > 0 {
            sleep(ms(plan.consumer_pause)).await;
        }
    }
    let summary = if plan.stop_after == Some(seen.len()) {
        drop(run);
        None
    } else {
        let summary = run.finish().await;
        Some(summary.map_err(|error| TestCaseError::fail(error.to_string()))?)
    };
    let _ = steering.await;
    sleep(ms(1)).await;
    check_no_task_is_left(before).await?;
    check_nothing_is_left(plan, &handle, &gauges)?;
    let events = events.lock().unwrap();
    let mut model = Model::new(plan);
    model.take_all(&events).map_err(TestCaseError::fail)?;
    check_outcomes(plan, &seen, &model)?;
    if let Some(summary) = summary {
        prop_assert!(model.over, "the end of the run was not told: {events:#?}");
        check_summary(plan, &summary, &seen, &model)?;
    }
    Ok(())
}

/// Waits for tasks that are on their way out: on threads they may end after what they have brought about.
async fn check_no_task_is_left(before: usize) -> Result<(), TestCaseError> {
    let mut alive = before;
    for _ in 0..20_000 {
        alive = Handle::current().metrics().num_alive_tasks();
        if alive == before {
            return Ok(());
        }
        sleep(ms(1)).await;
    }
    Err(TestCaseError::fail(format!("{} tasks are left", alive - before)))
}

fn check_budgets(plan: &Plan, handle: &RunHandle) -> Result<(), TestCaseError> {
    let capacity = plan.policies.budget.map(|budget| budget.capacity);
    for key in handle.keys() {
        prop_assert!(
            key.budget <= capacity,
            "{:?} of a budget of {:?}",
            key.budget,
            capacity
        );
    }
    Ok(())
}

fn check_nothing_is_left(plan: &Plan, handle: &RunHandle, gauges: &Gauges) -> Result<(), TestCaseError> {
    check_budgets(plan, handle)?;
    let progress = handle.progress();
    prop_assert!(progress.over);
    prop_assert_eq!(
        (progress.ready, progress.running, progress.backing_off),
        (0, 0, 0)
    );
    for key in handle.keys() {
        prop_assert_eq!((key.jobs, key.running), (0, 0), "a permit is lost: {:?}", key);
    }
    prop_assert_eq!(gauges.now(), 0, "an attempt still runs");
    let highest = plan.concurrencies().max().unwrap_or(1);
    let (all, keys) = gauges.peaks();
    prop_assert!(all <= highest, "{} ran at a limit of {}", all, highest);
    for (key, peak) in keys {
        let most = match plan.limits(key).and_then(|limits| limits.cap) {
            Some(Cap::Fixed(most)) => most,
            Some(Cap::Adaptive { max, .. }) => max,
            None => highest,
        };
        prop_assert!(
            peak <= most,
            "{} of key {:?} ran at a limit of {}",
            peak,
            key,
            most
        );
    }
    Ok(())
}

/// Checks each outcome against what the events say of the job.
fn check_outcomes(plan: &Plan, seen: &[Done], model: &Model<'_>) -> Result<(), TestCaseError> {
    let ids: BTreeSet<_> = seen.iter().map(|job| job.id.index()).collect();
    prop_assert_eq!(ids.len(), seen.len(), "a job has one outcome");
    prop_assert!(!plan.ordered || seen.iter().map(|job| job.id).is_sorted());
    for job in seen {
        let told = &model.jobs[&job.id.index()];
        prop_assert_eq!(job.input as u64, job.id.index());
        prop_assert_eq!((job.step, job.attempts), (told.step, told.attempts), "{:?}", job);
        prop_assert!(job.errors.len() <= job.attempts as usize);
        if let Some(attempt) = job.outcome.as_success() {
            prop_assert_eq!(Some(*attempt), told.last, "the value is that of another attempt");
        }
        let Some((at, outcome)) = told.finished else {
            return Err(TestCaseError::fail(format!("{job:?} was not told of")));
        };
        prop_assert_eq!(job.outcome.kind(), outcome);
        prop_assert_eq!(
            job.timing.total(),
            at - told.admitted,
            "the four times of {:?}",
            job
        );
    }
    Ok(())
}

fn check_summary(
    plan: &Plan,
    summary: &RunSummary,
    seen: &[Done],
    model: &Model<'_>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(summary.admitted, seen.len() as u64, "an outcome is lost");
    prop_assert_eq!(summary.admitted, model.jobs.len() as u64);
    prop_assert_eq!(summary.ended(), summary.admitted);
    if summary.input_exhausted {
        prop_assert_eq!(summary.admitted, plan.jobs.len() as u64);
    }
    for kind in OutcomeKind::ALL {
        let count = seen.iter().filter(|job| job.outcome.kind() == kind).count();
        prop_assert_eq!(summary.count(kind), count as u64, "{:?}", kind);
    }
    let told = (model.attempts(), model.hedges, model.fallbacks, model.refused);
    let summed = (
        summary.attempts,
        summary.hedges,
        summary.fallbacks,
        summary.retries_refused,
    );
    prop_assert_eq!(summed, told);
    let total: Duration = seen.iter().map(|job| job.timing.total()).sum();
    prop_assert_eq!(
        summary.queued + summary.throttled + summary.backoff + summary.running,
        total
    );
    Ok(())
}

fn try_plans(cases: u32, run: impl Fn(Plan) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    });
    if let Err(error) = runner.run(&draw::plan(), run) {
        panic!("{error}");
    }
}

#[test]
fn random_runs_keep_every_promise() {
    try_plans(cases(), |plan| {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let hour = Duration::from_secs(3_600);
        let checked = runtime.block_on(async { tokio::time::timeout(hour, check(plan)).await });
        checked.unwrap_or_else(|_| Err(TestCaseError::fail("the run does not end")))
    });
}

#[test]
fn random_runs_keep_every_promise_on_two_threads() {
    try_plans(cases() / 20 + 1, |mut plan| {
        // Real time: short deadlines, so that jobs that hang end soon.
        plan.deadline = Some(plan.deadline.unwrap_or(100).min(100));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let minute = Duration::from_secs(60);
        let checked = runtime.block_on(async { tokio::time::timeout(minute, check(plan)).await });
        checked.unwrap_or_else(|_| Err(TestCaseError::fail("the run does not end")))
    });
}
