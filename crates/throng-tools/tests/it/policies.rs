//! What failures, timeouts, retries, sharing and learned limits do.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::OutcomeKind;
use throng_exec::{AdaptiveLimit, RetryPolicy};
use throng_tools::{
    Access, CallOutcome, Effect, FailurePolicy, PlanPolicy, PlanReport, ResultCache, Source, ToolEntry,
    ToolError, ToolExecutor, ToolFn, ToolSpec, Tools,
};

use crate::support::{Log, call, fixed, ms, n, once, outcome, outcomes, plan, scripted, tools, waits};

/// `a` fails; `ref` refers to it, `dep` depends on it, `far` on `dep`, and `free` on nothing.
async fn run_with(policy: FailurePolicy) -> PlanReport {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = [
        call("a", "look", json!({ "ms": 10, "fail": "permanent" })),
        call("ref", "look", json!({ "give": "$a" })),
        waits("dep", "look", 1).after("a"),
        waits("far", "look", 1).after("dep"),
        waits("free", "look", 500),
    ];
    let policy = PlanPolicy::default().on_failure(policy);
    executor.run(plan(calls).policy(policy)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn by_default_only_those_that_need_the_result_are_skipped() {
    let report = run_with(FailurePolicy::Continue).await;
    assert_eq!(outcome(&report, "ref"), OutcomeKind::Skipped);
    for id in ["dep", "far", "free"] {
        assert_eq!(outcome(&report, id), OutcomeKind::Succeeded, "{id}");
    }
    let text = report.results[1].outcome.error_text().unwrap();
    assert_eq!(text, "skipped, because call `a` failed");
}

#[tokio::test(start_paused = true)]
async fn dependents_can_be_skipped_and_those_of_dependents_too() {
    let report = run_with(FailurePolicy::SkipDependents).await;
    for id in ["ref", "dep", "far"] {
        assert_eq!(outcome(&report, id), OutcomeKind::Skipped, "{id}");
    }
    assert_eq!(outcome(&report, "free"), OutcomeKind::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_failure_can_end_the_plan() {
    let report = run_with(FailurePolicy::FailFast).await;
    assert_eq!(outcome(&report, "a"), OutcomeKind::Failed);
    for id in ["ref", "dep", "far", "free"] {
        assert_eq!(outcome(&report, id), OutcomeKind::Cancelled, "{id}");
    }
    assert!(
        report.cancelled && report.total <= ms(10 + 100),
        "{:?}",
        report.total
    );
}

#[tokio::test(start_paused = true)]
async fn a_tool_can_have_a_failure_policy_of_its_own() {
    let log = Log::default();
    let spec = ToolSpec::new("vital").read_only().touches_nothing();
    let vital = ToolEntry::new(scripted(spec, &log)).on_failure(FailurePolicy::FailFast);
    let executor = ToolExecutor::builder(tools(&log).with(vital).unwrap())
        .build()
        .unwrap();
    let calls = [
        call("a", "look", json!({ "ms": 1, "fail": "permanent" })),
        call("b", "vital", json!({ "ms": 5, "fail": "permanent" })),
        waits("c", "look", 500),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(outcome(&report, "c"), OutcomeKind::Cancelled);
    let text = report.results[2].outcome.error_text().unwrap();
    assert_eq!(text, "cancelled, because call `b` failed");
}

#[tokio::test(start_paused = true)]
async fn effects_decide_what_is_tried_again() {
    let log = Log::default();
    let executor = once(&log)
        .retry(fixed(3, ms(10)))
        .timeout(Some(ms(50)))
        .build()
        .unwrap();
    let fails = |id: &str, tool: &str, how: &str| call(id, tool, json!({ "fail": how }));
    let report = executor
        .run(plan([
            fails("look transient", "look", "transient"),
            fails("look permanent", "look", "permanent"),
            fails("set unknown", "set", "unknown"),
            fails("set hang", "set", "hang"),
            fails("send transient", "send", "transient"),
            fails("send unknown", "send", "unknown"),
            fails("send hang", "send", "hang"),
            call(
                "send throttled",
                "send",
                json!({ "fail": "throttled", "times": 4 }),
            ),
            fails("send panic", "send", "panic"),
        ]))
        .await
        .unwrap();
    let seen = |id: &str| {
        let result = report.results.iter().find(|result| &*result.id == id).unwrap();
        (
            result.attempts,
            result.outcome.kind(),
            result.outcome.outcome_unknown(),
        )
    };
    assert_eq!(seen("look transient"), (3, OutcomeKind::Failed, false));
    assert_eq!(seen("look permanent"), (1, OutcomeKind::Failed, false));
    assert_eq!(seen("set unknown"), (3, OutcomeKind::Failed, true));
    assert_eq!(seen("set hang"), (3, OutcomeKind::TimedOut, true));
    assert_eq!(seen("send transient"), (1, OutcomeKind::Failed, false));
    assert_eq!(seen("send unknown"), (1, OutcomeKind::Failed, true));
    assert_eq!(seen("send hang"), (1, OutcomeKind::TimedOut, true));
    // Whoever was refused has had no effect.
    assert_eq!(seen("send throttled"), (5, OutcomeKind::Succeeded, false));
    assert_eq!(seen("send panic"), (1, OutcomeKind::Panicked, true));
    assert_eq!(log.begun("set unknown"), 3);
    assert_eq!(log.begun("send unknown"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_free_while_its_call_waits_for_another_attempt() {
    let log = Log::default();
    let executor = once(&log)
        .max_concurrent(n(1))
        .retry(fixed(2, ms(100)))
        .build()
        .unwrap();
    let calls = [
        call("a", "look", json!({ "ms": 10, "fail": "transient", "times": 1 })),
        waits("b", "look", 20),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(report.results[1].started, Some(ms(10)));
    assert_eq!(report.total, ms(120));
    assert_eq!(report.work, ms(40));
}

#[tokio::test(start_paused = true)]
async fn the_timeout_of_the_call_goes_before_that_of_the_tool_and_of_the_executor() {
    let log = Log::default();
    let spec = ToolSpec::new("slow")
        .read_only()
        .touches_nothing()
        .timeout(ms(30));
    let executor = ToolExecutor::builder(tools(&log).with(scripted(spec, &log)).unwrap())
        .retry(RetryPolicy::none())
        .timeout(Some(ms(70)))
        .build()
        .unwrap();
    let mut own = waits("own", "slow", 1_000);
    own.timeout = Some(ms(20));
    let report = executor
        .run(plan([
            own,
            waits("tool", "slow", 1_000),
            waits("executor", "look", 1_000),
        ]))
        .await
        .unwrap();
    let ended: Vec<_> = report.results.iter().map(|result| result.ended).collect();
    assert_eq!(ended, [ms(20), ms(30), ms(70)]);
}

#[tokio::test(start_paused = true)]
async fn equal_calls_that_change_nothing_share_an_attempt_while_it_runs() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let same = |id: &str, tool: &str| call(id, tool, json!({ "ms": 10, "give": 1 }));
    let calls = [
        same("a", "look"),
        same("b", "look"),
        same("c", "look"),
        same("d", "set"),
        same("e", "set"),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(["a", "b", "c", "d", "e"].map(|id| log.begun(id)), [1, 0, 0, 1, 1]);
    let sources: Vec<_> = report.results.iter().map(|result| result.source).collect();
    assert_eq!(sources[..3], [Source::Own, Source::Shared, Source::Shared]);
    assert!(
        report
            .results
            .iter()
            .all(|result| result.outcome.value() == Some(&json!(1)))
    );
    let executor = once(&log).single_flight(false).build().unwrap();
    executor
        .run(plan([same("f", "look"), same("g", "look")]))
        .await
        .unwrap();
    assert_eq!((log.begun("f"), log.begun("g")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_shared() {
    let log = Log::default();
    let executor = once(&log).max_concurrent(n(2)).build().unwrap();
    let same = |id: &str| call(id, "look", json!({ "ms": 10, "fail": "permanent" }));
    let report = executor
        .run(plan([same("a"), same("b"), same("c")]))
        .await
        .unwrap();
    assert_eq!(["a", "b", "c"].map(|id| log.begun(id)), [1, 1, 1]);
    assert_eq!(report.count(OutcomeKind::Failed), 3);
    assert_eq!(executor.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_shares_no_attempt_that_began_before_what_it_waits_for_had_ended() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let same = |id: &str| call(id, "look", json!({ "ms": 20, "give": 1 }));
    let calls = [
        same("a"),
        waits("w", "send", 10),
        same("b").after("w"),
        same("c").after("w"),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(["a", "b", "c"].map(|id| log.begun(id)), [1, 1, 1]);
    assert!(report.is_success());
}

/// A counter that `read` reads and `add` raises.
fn counter(log: &Log) -> Tools {
    let value = Arc::new(AtomicU64::new(0));
    let (of_read, of_add) = (Arc::clone(&value), value);
    let reads = log.clone();
    let read = ToolSpec::new("read").read_only().reads("db:counter").unwrap();
    let read = ToolFn::new(read, move |_: Value| {
        let (value, inside) = (Arc::clone(&of_read), reads.enter("read"));
        async move {
            let inside = inside;
            let seen = value.load(Ordering::SeqCst);
            tokio::time::sleep(ms(10)).await;
            drop(inside);
            Ok(seen)
        }
    });
    let add = ToolSpec::new("add")
        .effect(Effect::Once)
        .writes("db:counter")
        .unwrap();
    let add = ToolFn::new(add, move |_: Value| {
        let value = Arc::clone(&of_add);
        async move {
            tokio::time::sleep(ms(5)).await;
            Ok(value.fetch_add(1, Ordering::SeqCst) + 1)
        }
    });
    Tools::new().with(read).unwrap().with(add).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cached_result_is_what_the_call_would_have_read() {
    let log = Log::default();
    let cache = ResultCache::new(n(8), Duration::from_secs(60));
    let executor = ToolExecutor::builder(counter(&log)).cache(cache).build().unwrap();
    let read = |id: &str| call(id, "read", json!({}));
    let add = |id: &str| call(id, "add", json!({}));
    let report = executor
        .run(plan([read("a"), read("b"), add("w"), read("c"), read("d")]))
        .await
        .unwrap();
    let values: Vec<_> = report
        .results
        .iter()
        .filter_map(|result| result.outcome.value())
        .collect();
    assert_eq!(values, [&json!(0), &json!(0), &json!(1), &json!(1), &json!(1)]);
    assert_eq!(log.begun("read"), 2);
    // Nothing was written since.
    let report = executor.run(plan([read("a")])).await.unwrap();
    assert_eq!((report.results[0].source, log.begun("read")), (Source::Cache, 2));
    executor.run(plan([add("w")])).await.unwrap();
    let report = executor.run(plan([read("a")])).await.unwrap();
    assert_eq!(report.results[0].outcome.value(), Some(&json!(2)));
    tokio::time::sleep(Duration::from_secs(61)).await;
    let report = executor.run(plan([read("a")])).await.unwrap();
    assert_eq!(report.results[0].source, Source::Own);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_while_another_plan_wrote_is_not_kept() {
    let log = Log::default();
    let cache = ResultCache::new(n(8), Duration::from_secs(60));
    let executor = ToolExecutor::builder(counter(&log)).cache(cache).build().unwrap();
    let reads = executor
        .start(plan([call("a", "read", json!({}))]))
        .await
        .unwrap();
    tokio::time::sleep(ms(1)).await;
    executor.run(plan([call("w", "add", json!({}))])).await.unwrap();
    assert_eq!(reads.finish().await.results[0].outcome.value(), Some(&json!(0)));
    let report = executor.run(plan([call("a", "read", json!({}))])).await.unwrap();
    assert_eq!(report.results[0].outcome.value(), Some(&json!(1)));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_refuses_teaches_its_limit() {
    let running = Arc::new(AtomicU64::new(0));
    let tool = ToolFn::new(
        ToolSpec::new("small").read_only().touches_nothing(),
        move |_: Value| {
            let running = Arc::clone(&running);
            async move {
                if running.fetch_add(1, Ordering::SeqCst) >= 3 {
                    running.fetch_sub(1, Ordering::SeqCst);
                    return Err(ToolError::throttled("at most three", None));
                }
                tokio::time::sleep(ms(10)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(Value::Null)
            }
        },
    );
    let limit = AdaptiveLimit::new().initial(NonZeroUsize::MIN);
    let tools = Tools::new().with(ToolEntry::new(tool).limit(limit)).unwrap();
    let executor = ToolExecutor::builder(tools)
        .max_concurrent(n(64))
        .seed(3)
        .build()
        .unwrap();
    assert_eq!(executor.limit("small"), Some(1));
    let calls = (0..300).map(|at| call(&format!("c{at}"), "small", json!({ "at": at })));
    let report = executor.run(plan(calls)).await.unwrap();
    assert!(report.is_success(), "{:?}", outcomes(&report));
    let learned = executor.limit("small").unwrap();
    assert!((2..=5).contains(&learned), "{learned}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_plan_answers_every_call_and_says_what_is_not_known() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let target = Access::write("db:x".parse().unwrap());
    let run = executor
        .start(plan([
            waits("ended", "look", 1),
            waits("looks", "look", 10_000),
            waits("sends", "send", 10_000).accesses([target.clone()]),
            waits("waits", "send", 1).accesses([target]),
        ]))
        .await
        .unwrap();
    tokio::time::sleep(ms(5)).await;
    run.handle().cancel();
    let report = run.finish().await;
    assert!(report.total <= ms(105), "{:?}", report.total);
    let unknown: Vec<_> = report
        .results
        .iter()
        .map(|result| result.outcome.outcome_unknown())
        .collect();
    assert_eq!(unknown, [false, false, true, false]);
    assert!(
        report.results[1..]
            .iter()
            .all(|result| matches!(result.outcome, CallOutcome::Cancelled { .. }))
    );
    assert!(report.results[0].outcome.is_success());
}

#[tokio::test]
async fn a_blocking_tool_runs_on_threads_of_its_own() {
    let spec = ToolSpec::new("hash").read_only().touches_nothing();
    let hash = ToolFn::blocking(spec, n(2), |args: Value, cx| {
        assert!(!cx.cancel.is_cancelled());
        match args["n"].as_u64() {
            Some(13) => panic!("unlucky"),
            Some(n) => Ok(n * n),
            None => Err(ToolError::permanent("no number")),
        }
    });
    let executor = ToolExecutor::builder(Tools::new().with(hash).unwrap())
        .build()
        .unwrap();
    let calls = [4, 13].map(|n| call(&format!("c{n}"), "hash", json!({ "n": n })));
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(report.results[0].outcome.value(), Some(&json!(16)));
    assert_eq!(
        report.results[1].outcome.error_text().as_deref(),
        Some("the tool panicked: unlucky")
    );
}
