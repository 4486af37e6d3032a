//! Plans that run while a model still writes them.

use serde_json::json;
use throng_core::OutcomeKind;
use throng_tools::{PlanPolicy, RunOptions, ToolEntry, ToolExecutor, ToolSpec, Tools};

use crate::support::{Log, call, ms, once, outcome, scripted, waits};

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_begins_at_once_and_the_rest_waits_for_the_end() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(waits("look", "look", 10)).unwrap();
    stream.push(waits("send", "send", 10)).unwrap();
    stream
        .push(call("refers", "look", json!({ "give": "$look" })))
        .unwrap();
    tokio::time::sleep(ms(100)).await;
    assert_eq!(log.begun("send"), 0);
    let ended = stream.next().await.unwrap();
    assert_eq!((&*ended.id, ended.started), ("look", Some(ms(0))));
    let report = stream.finish().finish().await;
    let started: Vec<_> = report.results.iter().map(|result| result.started).collect();
    assert_eq!(started, [Some(ms(0)), Some(ms(100)), Some(ms(10))]);
    assert!(report.is_success());
    assert_eq!(report.waves.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn effects_begin_early_where_the_caller_or_the_tool_says_so() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new().early_effects(true));
    stream.push(waits("a", "send", 10)).unwrap();
    tokio::time::sleep(ms(1)).await;
    assert_eq!(log.begun("a"), 1);
    drop(stream);

    let entry = ToolEntry::new(scripted(ToolSpec::new("note").touches_nothing(), &log)).starts_early();
    let executor = ToolExecutor::builder(Tools::new().with(entry).unwrap())
        .build()
        .unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(waits("b", "note", 10)).unwrap();
    tokio::time::sleep(ms(1)).await;
    assert_eq!(log.begun("b"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_cut_leaves_no_effect_and_answers_every_call() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(waits("ended", "look", 1)).unwrap();
    stream.push(waits("runs", "look", 1_000)).unwrap();
    stream.push(waits("held", "send", 1)).unwrap();
    tokio::time::sleep(ms(10)).await;
    let report = stream.cut().finish().await;
    let seen = ["ended", "runs", "held"].map(|id| outcome(&report, id));
    assert_eq!(
        seen,
        [
            OutcomeKind::Succeeded,
            OutcomeKind::Cancelled,
            OutcomeKind::Cancelled
        ]
    );
    assert_eq!(log.begun("held"), 0);
    assert_eq!(executor.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_refer_to_a_later_one_waits_until_the_plan_is_whole() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(call("a", "look", json!({ "give": "$b" }))).unwrap();
    stream
        .push(call("money", "look", json!({ "give": "it costs $5" })))
        .unwrap();
    tokio::time::sleep(ms(10)).await;
    stream.push(waits("b", "look", 5)).unwrap();
    let report = stream.finish().finish().await;
    assert_eq!(report.results[0].outcome.value(), Some(&json!("b")));
    assert_eq!(report.results[1].outcome.value(), Some(&json!("it costs $5")));
    assert_eq!(report.results[0].started, Some(ms(15)));
}

#[tokio::test(start_paused = true)]
async fn cycles_and_calls_that_never_came_are_answered() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(call("a", "look", json!({ "give": "$b" }))).unwrap();
    stream.push(call("b", "look", json!({ "give": "$a" }))).unwrap();
    stream.push(waits("c", "look", 1)).unwrap();
    let report = stream.finish().finish().await;
    let seen = ["a", "b", "c"].map(|id| outcome(&report, id));
    assert_eq!(
        seen,
        [OutcomeKind::Skipped, OutcomeKind::Skipped, OutcomeKind::Succeeded]
    );

    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(waits("a", "look", 1).after("never")).unwrap();
    stream.push(waits("b", "send", 1)).unwrap();
    let report = stream.finish().finish().await;
    assert_eq!(
        (outcome(&report, "a"), outcome(&report, "b")),
        (OutcomeKind::Failed, OutcomeKind::Succeeded)
    );

    let stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    let report = stream.finish().finish().await;
    assert!(report.results.is_empty());
}

#[tokio::test(start_paused = true)]
async fn writes_keep_their_order_with_reads_that_began_early() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let at = |mode: fn(throng_tools::Resource) -> throng_tools::Access| [mode("db:x".parse().unwrap())];
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream
        .push(waits("r1", "look", 50).accesses(at(throng_tools::Access::read)))
        .unwrap();
    stream
        .push(waits("w", "send", 10).accesses(at(throng_tools::Access::write)))
        .unwrap();
    stream
        .push(waits("r2", "look", 10).accesses(at(throng_tools::Access::read)))
        .unwrap();
    let report = stream.finish().finish().await;
    let started: Vec<_> = report
        .results
        .iter()
        .filter_map(|result| result.started)
        .collect();
    assert_eq!(started, [ms(0), ms(50), ms(60)]);
}
