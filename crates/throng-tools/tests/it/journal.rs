//! A journaled plan that was killed goes on: what ended is not run again, what is not known is said.

use std::sync::Arc;

use serde_json::json;
use throng_core::{Journal, OutcomeKind};
use throng_tools::{
    CallOutcome, FailureKind, Plan, PlanReport, RunOptions, Source, StartError, ToolExecutor,
};

use crate::support::{Log, Memory, call, fixed, ms, once, outcome, plan, waits};

fn journaled(memory: &Memory) -> RunOptions {
    let journal: Arc<dyn Journal> = Arc::new(memory.clone());
    RunOptions::new().journal(journal, "run")
}

fn calls() -> Plan {
    plan([
        waits("a", "send", 10),
        waits("b", "look", 40),
        waits("c", "send", 40),
        call("d", "look", json!({ "give": ["$a", "$b"] })),
        waits("e", "send", 5).after("a"),
    ])
}

/// Starts the plan and kills it after a time, without the tasks' having a chance to write anything more.
async fn kill_after(executor: &ToolExecutor, memory: &Memory, wait: u64) {
    let run = executor.start_with(calls(), journaled(memory)).await.unwrap();
    tokio::time::sleep(ms(wait)).await;
    run.shutdown().await;
}

async fn resume(executor: &ToolExecutor, memory: &Memory) -> PlanReport {
    executor.run_with(calls(), journaled(memory)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_resumed_plan_runs_no_ended_call_again_and_reports_each_unknown_one() {
    let (log, memory) = (Log::default(), Memory::default());
    let executor = once(&log).build().unwrap();
    kill_after(&executor, &memory, 20).await;
    let report = resume(&executor, &memory).await;
    // `a` and `e` have ended, `b` is repeatable, and nobody knows of `c`.
    assert_eq!(["a", "b", "c", "e"].map(|id| log.begun(id)), [1, 2, 1, 1]);
    let c = &report.results[2];
    assert!(c.outcome.outcome_unknown());
    assert!(
        matches!(
            &c.outcome,
            CallOutcome::Failed {
                kind: FailureKind::Interrupted,
                ..
            }
        ),
        "{c:?}"
    );
    assert_eq!(report.results[0].source, Source::Journal);
    assert_eq!(report.results[1].attempts, 2);
    assert_eq!(report.results[3].outcome.value(), Some(&json!(["a", "b"])));
    // Now all of it has ended.
    let again = resume(&executor, &memory).await;
    assert_eq!(log.begun("b"), 2);
    assert_eq!(outcome(&again, "d"), OutcomeKind::Succeeded);
    assert!(again.results[2].outcome.outcome_unknown());
}

#[tokio::test(start_paused = true)]
async fn whenever_it_is_killed_no_effect_happens_twice_and_none_is_lost() {
    for wait in 0..60 {
        let (log, memory) = (Log::default(), Memory::default());
        let executor = once(&log).build().unwrap();
        kill_after(&executor, &memory, wait).await;
        kill_after(&executor, &memory, wait).await;
        let report = resume(&executor, &memory).await;
        for (at, id) in [(0, "a"), (2, "c"), (4, "e")] {
            let result = &report.results[at];
            assert_eq!(log.begun(id), 1, "{id} after {wait} ms");
            let known = result.outcome.is_success() || result.outcome.outcome_unknown();
            assert!(known, "{result:?} after {wait} ms");
        }
        assert_eq!(executor.running(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_intent_is_written_before_the_tool_is_called_and_the_end_before_what_comes_after() {
    for n in 1..8 {
        let (log, memory) = (Log::default(), Memory::default());
        memory.fail_at(n);
        let executor = once(&log).build().unwrap();
        let chain = || {
            plan([
                waits("a", "send", 1),
                waits("b", "send", 1).after("a"),
                waits("c", "send", 1).after("b"),
            ])
        };
        let report = executor.run_with(chain(), journaled(&memory)).await.unwrap();
        // The writes: the plan, then begin and end of each call.
        let begun = ["a", "b", "c"].map(|id| log.begun(id));
        let calls_begun = n / 2;
        for (at, begun) in begun.into_iter().enumerate() {
            assert_eq!(
                begun,
                usize::from(at < calls_begun),
                "call {at} when write {n} fails"
            );
        }
        if n == 7 {
            assert!(report.is_success());
        }
        assert_eq!(report.results.len(), 3);
        if n % 2 == 0 && n < 7 {
            assert!(report.journal_error.is_some(), "write {n} ends a call");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_plan_under_the_same_name_is_refused() {
    let (log, memory) = (Log::default(), Memory::default());
    let executor = once(&log).build().unwrap();
    resume(&executor, &memory).await;
    let changed = plan([waits("a", "send", 11)]);
    let error = executor.run_with(changed, journaled(&memory)).await.unwrap_err();
    assert!(matches!(error, StartError::PlanChanged { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_remembered_and_retries_are_written() {
    let (log, memory) = (Log::default(), Memory::default());
    let executor = once(&log).retry(fixed(3, ms(1))).build().unwrap();
    let calls = || {
        plan([
            call("a", "look", json!({ "fail": "permanent" })),
            call("b", "look", json!({ "fail": "transient", "times": 2, "give": 1 })),
            call("c", "look", json!({ "give": "$a" })),
        ])
    };
    let first = executor.run_with(calls(), journaled(&memory)).await.unwrap();
    let second = executor.run_with(calls(), journaled(&memory)).await.unwrap();
    for (first, second) in first.results.iter().zip(&second.results) {
        assert_eq!(first.outcome.error_text(), second.outcome.error_text());
        assert_eq!(
            (first.attempts, first.outcome.value()),
            (second.attempts, second.outcome.value())
        );
    }
    assert_eq!((log.begun("a"), log.begun("b")), (1, 3));
    let b = memory
        .entries("run")
        .into_iter()
        .find(|entry| entry.step == "call:b")
        .unwrap();
    assert_eq!(b.attempts, 3);
}
