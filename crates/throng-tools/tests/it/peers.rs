//! What goes wrong in other executors of tool calls, one test each.

use std::sync::Arc;

use serde_json::{Value, json};
use throng_core::OutcomeKind;
use throng_tools::{PlanPolicy, RunOptions, ToolExecutor, ToolFn, ToolSpec, Tools};

use crate::support::{Log, call, ms, n, once, outcome, plan, waits};

/// LLMCompiler: an exception of a tool, and the scheduler never returns.
#[tokio::test(start_paused = true)]
async fn a_tool_that_raises_does_not_hang_the_plan() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = [
        call("1", "look", json!({ "fail": "panic" })),
        call("2", "look", json!({ "give": "$1" })),
        waits("3", "look", 5),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    let seen = ["1", "2", "3"].map(|id| outcome(&report, id));
    assert_eq!(
        seen,
        [
            OutcomeKind::Panicked,
            OutcomeKind::Skipped,
            OutcomeKind::Succeeded
        ]
    );
}

/// LLMCompiler: a result that says `$1.50` has `$1` put in once more.
#[tokio::test(start_paused = true)]
async fn a_price_in_a_result_stays_a_price() {
    let log = Log::default();
    let price = ToolFn::new(ToolSpec::new("price").read_only(), |_: Value| async {
        Ok("$1.50")
    });
    let tools = crate::support::tools(&log).with(price).unwrap();
    let executor = ToolExecutor::builder(tools).build().unwrap();
    let calls = [
        call("1", "look", json!({ "give": "FIRST" })),
        call("2", "price", json!({})),
        call("3", "look", json!({ "give": "it costs $2, and $1.50 is $1" })),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(
        report.results[2].outcome.value(),
        Some(&json!("it costs $1.50, and $1.50 is FIRST"))
    );
}

/// LangGraph and others: one error, and what the siblings have done is lost; or they are cancelled, 26 of 27.
#[tokio::test(start_paused = true)]
async fn one_error_loses_no_sibling() {
    let log = Log::default();
    let executor = once(&log).max_concurrent(n(27)).build().unwrap();
    let mut calls: Vec<_> = (1..27)
        .map(|at| waits(&format!("c{at}"), "look", 10 + at))
        .collect();
    calls.insert(0, call("c0", "look", json!({ "fail": "permanent" })));
    let report = executor.run(plan(calls)).await.unwrap();
    assert_eq!(report.count(OutcomeKind::Succeeded), 26);
    assert_eq!(report.results.len(), 27);
}

/// adk-rust: reads are moved ahead of earlier writes, and see what was there before.
#[tokio::test(start_paused = true)]
async fn a_read_sees_the_write_before_it_and_not_the_one_after() {
    let cell = Arc::new(std::sync::Mutex::new("old".to_owned()));
    let (of_read, of_write) = (Arc::clone(&cell), cell);
    let read = ToolSpec::new("read").read_only().reads("file:{path}").unwrap();
    let read = ToolFn::new(read, move |_: Value| {
        let cell = Arc::clone(&of_read);
        async move { Ok(cell.lock().unwrap().clone()) }
    });
    let write = ToolSpec::new("write").idempotent().writes("file:{path}").unwrap();
    let write = ToolFn::new(write, move |args: Value| {
        let cell = Arc::clone(&of_write);
        async move {
            tokio::time::sleep(ms(20)).await;
            *cell.lock().unwrap() = args["text"].as_str().unwrap_or_default().to_owned();
            Ok(Value::Null)
        }
    });
    let tools = Tools::new().with(read).unwrap().with(write).unwrap();
    let executor = ToolExecutor::builder(tools).build().unwrap();
    let read = |id: &str| call(id, "read", json!({ "path": "/a/b" }));
    let write = |id: &str, text: &str| call(id, "write", json!({ "path": "/a/./b", "text": text }));
    let calls = [
        read("r0"),
        write("w1", "new"),
        read("r1"),
        write("w2", "newer"),
        read("r2"),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    let seen = [0, 2, 4].map(|at| report.results[at].outcome.value().cloned());
    assert_eq!(
        seen,
        [Some(json!("old")), Some(json!("new")), Some(json!("newer"))]
    );
}

/// LLMCompiler in stream mode: a call that is ready waits for the next line of the plan.
#[tokio::test(start_paused = true)]
async fn a_ready_call_does_not_wait_for_the_stream() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(waits("1", "look", 50)).unwrap();
    stream.push(call("2", "look", json!({ "give": "$1" }))).unwrap();
    tokio::time::sleep(ms(1_000)).await;
    stream.push(waits("3", "look", 1)).unwrap();
    let report = stream.finish().finish().await;
    assert_eq!(report.results[1].started, Some(ms(50)));
}

/// pydantic-ai, openai-agents: 792 calls in one message, and all are started at once.
#[tokio::test(start_paused = true)]
async fn hundreds_of_calls_do_not_run_at_once() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = (0..792).map(|at| waits(&format!("c{at}"), "look", 10));
    let report = executor.run(plan(calls)).await.unwrap();
    assert!(report.is_success());
    assert_eq!(log.peak(), 16);
}

/// term-llm and others: a cancelled message is answered when its slowest call ends, or some of its calls never.
#[tokio::test(start_paused = true)]
async fn cancelling_does_not_wait_for_the_slowest() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = [
        waits("slow", "send", 1_000_000),
        call("deaf", "look", json!({ "fail": "hang" })),
        waits("next", "look", 1).after("slow"),
    ];
    let run = executor.start(plan(calls)).await.unwrap();
    tokio::time::sleep(ms(10)).await;
    run.handle().cancel();
    let report = run.finish().await;
    assert!(report.total <= ms(110), "{:?}", report.total);
    assert_eq!(report.count(OutcomeKind::Cancelled), 3);
    assert_eq!((log.running(), executor.running()), (0, 0));
}

/// LibreChat: a call whose arguments can be read before they are complete runs twice.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_pushed_twice_runs_once() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
    stream.push(waits("a", "look", 5)).unwrap();
    stream.push(waits("a", "look", 6)).unwrap_err();
    tokio::time::sleep(ms(1)).await;
    let report = stream.finish().finish().await;
    assert_eq!((log.begun("a"), report.results.len()), (1, 1));
}

/// codex: one write blocks everything.
#[tokio::test(start_paused = true)]
async fn a_write_blocks_only_what_touches_the_same() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let touches = |id: &str, tool: &str, access: &str| {
        let (mode, resource) = access.split_once(' ').unwrap();
        let resource = resource.parse().unwrap();
        let access = match mode {
            "read" => throng_tools::Access::read(resource),
            _ => throng_tools::Access::write(resource),
        };
        waits(id, tool, 10).accesses([access])
    };
    let report = executor
        .run(plan([
            touches("w", "send", "write file:/a/b/c"),
            touches("list", "look", "read file:/a"),
            touches("other", "send", "write file:/a2"),
            touches("read", "look", "read file:/a/d"),
        ]))
        .await
        .unwrap();
    let started: Vec<_> = report
        .results
        .iter()
        .filter_map(|result| result.started)
        .collect();
    assert_eq!(started, [ms(0), ms(10), ms(0), ms(0)]);
}
