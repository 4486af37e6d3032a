//! alcall's `return_exceptions` and `**kwargs`.

use serde_json::{Value, json};
use throng_core::{Outcome, OutcomeKind};
use throng_exec::Attempt;

use super::{Job, Probe, job, recorded, result, run};
use crate::support::{Fault, PERMANENT, once};

fn jobs() -> [Job; 3] {
    [
        job(0).steps(1),
        job(1).steps(2).fails(9).permanently(),
        job(2).steps(6),
    ]
}

#[tokio::test(start_paused = true)]
async fn return_exceptions_is_always_on() {
    let was = recorded("return_exceptions.on");
    let executor = once(3).build().unwrap();
    let (probe, report) = run(&executor, jobs()).await;
    assert_eq!(result(&report), was["result"]);
    assert_eq!(probe.wall_ms(), was["wall_ms"]);
    assert_eq!(report.summary.count(OutcomeKind::Cancelled), 0);
}

/// Without `return_exceptions`, which is the default, alcall raises the first error: the result of job 0 is lost, and
/// job 2 is cancelled. Ours goes on and gives one outcome for each job; the first error is one expression away.
#[tokio::test(start_paused = true)]
async fn one_error_costs_no_other_job_its_result() {
    let was = recorded("return_exceptions.off");
    assert_eq!(was["raised"], json!({"error": "KeyError"}));
    assert_eq!((&was["calls"], &was["cancelled"]), (&json!(3), &json!(1)));
    let executor = once(3).build().unwrap();
    let (_, report) = run(&executor, jobs()).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 2);
    let mut outcomes = report.finished.into_iter().map(|job| job.outcome);
    let first = outcomes.find_map(|outcome| match outcome {
        Outcome::Failed(error) => Some(error),
        _ => None,
    });
    assert_eq!(first, Some(PERMANENT));
}

/// Who wants alcall's default stops at the first failure, and keeps what had ended.
#[tokio::test(start_paused = true)]
async fn a_run_can_stop_at_the_first_error() {
    let was = recorded("return_exceptions.off");
    let executor = once(3).build().unwrap();
    let probe = Probe::new();
    let mut run = executor.start(jobs(), probe.runner());
    let mut kinds = Vec::new();
    while let Some(job) = run.next().await {
        if !job.outcome.is_success() {
            run.handle().abort();
        }
        kinds.push(job.outcome.kind());
    }
    assert_eq!(
        kinds,
        [
            OutcomeKind::Succeeded,
            OutcomeKind::Failed,
            OutcomeKind::Cancelled
        ]
    );
    assert_eq!(probe.calls(), was["calls"]);
    assert_eq!(probe.wall_ms(), was["wall_ms"]);
}

/// When two calls fail at the same time alcall raises an ExceptionGroup, and for one it does not: a caller has to catch
/// both. Ours gives each error with its job.
#[tokio::test(start_paused = true)]
async fn two_errors_are_two_outcomes() {
    let was = recorded("return_exceptions.off.two");
    assert_eq!(
        was["raised"],
        json!({"error": "ExceptionGroup", "of": [{"error": "KeyError"}, {"error": "KeyError"}]})
    );
    let executor = once(3).build().unwrap();
    let failing = |n| job(n).steps(2).fails(9).permanently();
    let (_, report) = run(&executor, [failing(0), failing(1), job(2).steps(6)]).await;
    assert_eq!(
        result(&report),
        json!([{"error": "KeyError"}, {"error": "KeyError"}, 2])
    );
}

#[tokio::test(start_paused = true)]
async fn kwargs_are_what_the_closure_captures() {
    let was = recorded("kwargs");
    let (add, times) = (1, 10);
    let runner = move |item: u64, _: Attempt| async move { Ok::<_, Fault>((item + add) * times) };
    let report = once(2).build().unwrap().run([1, 2], runner).await;
    let outcomes = report.finished.into_iter().map(|job| job.outcome);
    let values: Value = outcomes.filter_map(Outcome::success).collect();
    assert_eq!(values, was["result"]);
}
