//! Running plans: readiness, limits, references, order, steering, events and the report.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use throng_core::OutcomeKind;
use throng_tools::{
    Access, Assume, CallOutcome, FailureKind, PlanEvent, PlanEventKind, PlanPolicy, Resource, RunOptions,
    StartError, ToolContext, ToolEntry, ToolExecutor, ToolFn, ToolSpec, Tools,
};

use crate::support::{Log, call, ms, n, once, outcome, outcomes, plan, tools, waits};

#[tokio::test(start_paused = true)]
async fn a_call_starts_when_its_last_dependency_ends_and_not_when_a_wave_does() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    // By waves, `c` would have to wait for `slow`.
    let report = executor
        .run(plan([
            waits("a", "look", 10),
            waits("slow", "look", 1_000),
            waits("c", "look", 10).after("a"),
            waits("d", "look", 10).after("c").after("slow"),
        ]))
        .await
        .unwrap();
    let started: Vec<_> = report.results.iter().map(|result| result.started).collect();
    assert_eq!(started, [Some(ms(0)), Some(ms(0)), Some(ms(10)), Some(ms(1_000))]);
    assert_eq!(report.total, ms(1_010));
    assert_eq!(report.work, ms(1_030));
    assert_eq!(report.critical_time, ms(1_010));
    assert_eq!(
        report.critical_path.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        ["slow", "d"]
    );
    assert_eq!(report.lower_bound(), ms(1_010));
    assert_eq!(report.waves.len(), 3);
    assert_eq!(report.waves[1].started, Some(ms(10)));
    assert_eq!(report.speed_up(), None, "it was not measured");
}

#[tokio::test(start_paused = true)]
async fn results_are_in_call_order_and_come_as_they_end() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let mut run = executor
        .start(plan([
            waits("a", "look", 30),
            waits("b", "look", 10),
            waits("c", "look", 20),
        ]))
        .await
        .unwrap();
    let mut ended = Vec::new();
    while let Some(result) = run.next().await {
        ended.push(result.id.to_string());
    }
    assert_eq!(ended, ["b", "c", "a"]);
    let report = run.finish().await;
    let order: Vec<_> = report
        .results
        .iter()
        .map(|result| result.id.to_string())
        .collect();
    assert_eq!(order, ["a", "b", "c"]);
    assert!((report.overlap() - 2.0).abs() < 1e-9, "{}", report.overlap());
}

#[tokio::test(start_paused = true)]
async fn references_take_the_type_of_the_result_and_results_are_not_scanned_again() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let report = executor
        .run(plan([
            call(
                "a",
                "look",
                json!({ "give": { "price": "$1.50", "n": 3, "to": "$$b" } }),
            ),
            call(
                "b",
                "look",
                json!({ "give": { "n": "$a.n", "text": "for ${a.price}", "to": "${a.to}" } }),
            ),
        ]))
        .await
        .unwrap();
    assert_eq!(
        report.results[1].outcome.value(),
        Some(&json!({ "n": 3, "text": "for $1.50", "to": "$b" }))
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_run_than_the_limits_of_all_the_plan_the_tool_and_the_pools_allow() {
    let log = Log::default();
    let calls = |name: &'static str| (0..8).map(move |at| waits(&format!("{name}{at}"), name, 10));
    let executor = once(&log).max_concurrent(n(5)).build().unwrap();
    executor.run(plan(calls("look"))).await.unwrap();
    assert_eq!(log.peak(), 5);

    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let policy = PlanPolicy::default().max_concurrent(n(3));
    executor.run(plan(calls("look")).policy(policy)).await.unwrap();
    assert_eq!(log.peak(), 3);

    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let policy = PlanPolicy::default().per_tool("look", n(2));
    executor.run(plan(calls("look")).policy(policy)).await.unwrap();
    assert_eq!(log.peak(), 2);

    let log = Log::default();
    let spec = ToolSpec::new("heavy").read_only().touches_nothing();
    let heavy = ToolEntry::new(crate::support::scripted(spec, &log)).takes("gpu", 2);
    let tools = Tools::new().with(heavy).unwrap();
    let executor = ToolExecutor::builder(tools.clone())
        .pool("gpu", 5)
        .build()
        .unwrap();
    executor.run(plan(calls("heavy"))).await.unwrap();
    assert_eq!(log.peak(), 2);
    let error = ToolExecutor::builder(tools).build().unwrap_err();
    assert_eq!(error.setting, "pool");
}

#[tokio::test(start_paused = true)]
async fn of_the_ready_the_urgent_go_first_and_then_those_with_the_longest_way() {
    let log = Log::default();
    let executor = once(&log).max_concurrent(n(1)).build().unwrap();
    let mut urgent = waits("urgent", "look", 1);
    urgent.priority = 1;
    executor
        .run(plan([
            waits("short", "look", 1),
            waits("long", "look", 1),
            waits("after long", "look", 1).after("long"),
            urgent,
        ]))
        .await
        .unwrap();
    let begun: Vec<_> = log
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("begin"))
        .collect();
    assert_eq!(begun[..2], ["begin urgent", "begin long"]);
}

#[tokio::test(start_paused = true)]
async fn medians_that_were_learned_decide_which_way_is_the_longest() {
    let log = Log::default();
    let executor = once(&log).max_concurrent(n(1)).build().unwrap();
    executor
        .run(plan([waits("x", "set", 500), waits("y", "look", 1)]))
        .await
        .unwrap();
    assert_eq!(executor.estimates().median("set"), Some(ms(500)));
    executor
        .run(plan([waits("a", "look", 1), waits("b", "set", 500)]))
        .await
        .unwrap();
    let lines = log.lines();
    let begun: Vec<_> = lines.iter().filter(|line| line.starts_with("begin")).collect();
    assert_eq!(begun[2..], ["begin b", "begin a"]);
    // A run that is not recorded teaches nothing.
    let options = RunOptions::new().record(false);
    let report = executor
        .run_with(plan([waits("c", "set", 1)]), options)
        .await
        .unwrap();
    assert!(!report.recorded);
    assert_eq!(executor.estimates().median("set"), Some(ms(500)));
    assert_eq!(executor.stats().plans, 2);
    assert_eq!((executor.stats().calls, executor.stats().succeeded), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn tools_of_which_nothing_is_known_keep_their_place_unless_something_is_assumed() {
    let calls = || {
        plan([
            waits("a", "wild", 10),
            waits("b", "wild", 10),
            waits("c", "look", 10),
        ])
    };
    let log = Log::default();
    let report = once(&log).build().unwrap().run(calls()).await.unwrap();
    assert_eq!(report.total, ms(20));
    let log = Log::default();
    let executor = once(&log).assume(Assume::Independent).build().unwrap();
    assert_eq!(executor.run(calls()).await.unwrap().total, ms(10));
    // What the plan says goes first.
    let policy = PlanPolicy::default().assume(Assume::Exclusive);
    assert_eq!(executor.run(calls().policy(policy)).await.unwrap().total, ms(20));
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_trusted_is_taken_as_unknown() {
    let log = Log::default();
    let spec = ToolSpec::new("claims").read_only().touches_nothing();
    let entry = ToolEntry::new(crate::support::scripted(spec, &log)).trusted(false);
    assert_eq!(entry.effect_of(), throng_tools::Effect::Unknown);
    let executor = ToolExecutor::builder(Tools::new().with(entry).unwrap())
        .build()
        .unwrap();
    let report = executor
        .run(plan([waits("a", "claims", 5), waits("b", "claims", 5)]))
        .await
        .unwrap();
    assert_eq!(report.total, ms(10));
}

#[tokio::test(start_paused = true)]
async fn a_sequential_plan_keeps_the_order_of_emission() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let policy = PlanPolicy::default().sequential();
    let calls = [
        waits("a", "look", 30),
        waits("b", "look", 10),
        waits("c", "look", 20),
    ];
    let report = executor.run(plan(calls).policy(policy)).await.unwrap();
    assert_eq!(log.peak(), 1);
    assert_eq!(log.lines()[0], "begin a");
    assert_eq!(log.lines()[4], "begin c");
    assert_eq!(report.total, ms(60));
}

#[tokio::test(start_paused = true)]
async fn a_speed_up_is_measured_by_a_run_of_one_call_at_a_time() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = || plan((0..4).map(|at| waits(&format!("c{at}"), "look", 10)));
    let options = RunOptions::new().measure_sequential(true);
    let report = executor.run_with(calls(), options.clone()).await.unwrap();
    assert_eq!(report.sequential, Some(ms(40)));
    assert_eq!(report.speed_up(), Some(4.0));
    assert_eq!(executor.stats().plans, 1, "the measurement is no run of its own");
    let error = executor
        .run_with(plan([waits("m", "send", 1)]), options)
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::NotRepeatable { .. }), "{error}");
    assert_eq!(log.begun("m"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_a_running_plan_can_be_changed() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = plan((0..6).map(|at| waits(&format!("c{at}"), "look", 10)));
    let run = executor.start(calls).await.unwrap();
    let handle = run.handle();
    tokio::time::sleep(ms(5)).await;
    handle.set_parallel(false);
    // Those that had begun go on.
    assert_eq!(handle.running(), 6);
    drop(run);

    let log = Log::default();
    let executor = once(&log).max_concurrent(n(1)).build().unwrap();
    let calls = plan((0..6).map(|at| waits(&format!("c{at}"), "look", 10)));
    let run = executor.start(calls).await.unwrap();
    tokio::time::sleep(ms(5)).await;
    assert_eq!(log.running(), 1);
    executor.set_max_concurrent(n(4));
    run.handle().set_max_concurrent(n(3));
    tokio::time::sleep(ms(1)).await;
    assert_eq!(log.running(), 3);
    assert!(run.handle().set_limit("look", 0));
    assert!(!run.handle().set_limit("nothing", 0));
    tokio::time::sleep(ms(100)).await;
    assert_eq!(
        (log.running(), run.handle().ended()),
        (0, 3),
        "the tool is paused"
    );
    assert_eq!(executor.limit("look"), Some(0));
    executor.set_limit("look", 1);
    let report = run.finish().await;
    assert!(report.is_success());
    assert_eq!(log.peak(), 3);
}

#[tokio::test(start_paused = true)]
async fn two_plans_share_limits_and_exclusive_resources() {
    let log = Log::default();
    let executor = once(&log).max_concurrent(n(2)).build().unwrap();
    let calls = |name: &str| plan((0..4).map(|at| waits(&format!("{name}{at}"), "look", 10)));
    let (a, b) = tokio::join!(executor.run(calls("a")), executor.run(calls("b")));
    assert!(a.unwrap().is_success() && b.unwrap().is_success());
    assert_eq!(log.peak(), 2);
    assert_eq!(executor.running(), 0);

    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let deploy = |id: &str| {
        let target: Resource = "deploy:production".parse().unwrap();
        plan([waits(id, "send", 10).accesses([Access::exclusive(target)])])
    };
    let (a, b) = tokio::join!(executor.run(deploy("a")), executor.run(deploy("b")));
    assert!(a.unwrap().is_success() && b.unwrap().is_success());
    assert_eq!(log.peak(), 1);
}

#[tokio::test(start_paused = true)]
async fn tools_are_told_of_session_metadata_attempt_and_deadline() {
    let tool = ToolFn::with_context(
        ToolSpec::new("tell").read_only(),
        |_: Value, cx: ToolContext| async move {
            Ok(json!({
                "id": &*cx.call_id,
                "session": cx.session.as_deref(),
                "metadata": &*cx.metadata,
                "attempt": cx.attempt,
                "deadline": cx.deadline.is_some(),
            }))
        },
    );
    let executor = ToolExecutor::builder(Tools::new().with(tool).unwrap())
        .build()
        .unwrap();
    let options = RunOptions::new().session("s1").metadata(json!({ "user": 7 }));
    let report = executor
        .run_with(plan([call("a", "tell", json!({}))]), options)
        .await
        .unwrap();
    assert_eq!(
        report.results[0].outcome.value(),
        Some(
            &json!({ "id": "a", "session": "s1", "metadata": { "user": 7 }, "attempt": 1, "deadline": true })
        )
    );
    assert_eq!(report.session.as_deref(), Some("s1"));
    assert_eq!(report.to_json()["metadata"], json!({ "user": 7 }));
}

#[tokio::test(start_paused = true)]
async fn events_tell_of_every_transition_in_order() {
    let log = Log::default();
    let seen: Arc<Mutex<Vec<PlanEvent>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let executor = once(&log)
        .retry(crate::support::fixed(2, ms(10)))
        .events(move |event: &PlanEvent| sink.lock().unwrap().push(event.clone()))
        .build()
        .unwrap();
    let calls = [
        call(
            "a",
            "look",
            json!({ "ms": 5, "fail": "transient", "times": 1, "give": 1 }),
        ),
        call("b", "look", json!({ "give": "$a" })),
    ];
    executor.run(plan(calls)).await.unwrap();
    let seen = seen.lock().unwrap();
    let words: Vec<_> = seen
        .iter()
        .map(|event| {
            let at = event.at.as_millis();
            match &event.kind {
                PlanEventKind::PlanStarted => format!("{at} started"),
                PlanEventKind::CallAdded { index, .. } => format!("{at} added {index}"),
                PlanEventKind::AttemptStarted { index, attempt } => format!("{at} attempt {index}#{attempt}"),
                PlanEventKind::RetryScheduled { index, attempt, .. } => {
                    format!("{at} retry {index}#{attempt}")
                }
                PlanEventKind::CallEnded { index, outcome, .. } => format!("{at} ended {index} {outcome}"),
                PlanEventKind::PlanEnded => format!("{at} over"),
                other => format!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(
        words,
        [
            "0 started",
            "0 added 0",
            "0 added 1",
            "0 attempt 0#1",
            "5 retry 0#2",
            "15 attempt 0#2",
            "20 ended 0 succeeded",
            "20 attempt 1#1",
            "20 ended 1 succeeded",
            "20 over"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_ends_no_plan() {
    let log = Log::default();
    let executor = once(&log)
        .events(|_: &PlanEvent| panic!("the sink is broken"))
        .build()
        .unwrap();
    let report = executor.run(plan([waits("a", "look", 1)])).await.unwrap();
    assert!(report.is_success());
}

#[tokio::test(start_paused = true)]
async fn a_cycle_skips_its_calls_and_the_rest_runs() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let report = executor
        .run(plan([
            call("a", "look", json!({ "give": "$b" })),
            call("b", "look", json!({ "give": "$a.x" })),
            call("c", "look", json!({ "give": "$a" })),
            waits("d", "look", 1),
            waits("e", "look", 1).after("a"),
        ]))
        .await
        .unwrap();
    assert_eq!(log.begun("d"), 1);
    let skipped: Vec<_> = ["a", "b", "c"].map(|id| outcome(&report, id)).into();
    assert_eq!(skipped, [OutcomeKind::Skipped; 3]);
    assert_eq!(outcome(&report, "e"), OutcomeKind::Succeeded);
    let text = report.results[0].outcome.error_text().unwrap();
    assert!(
        text.contains("`a` waits for `b` (argument `give` is `$b`)"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_runs_nothing() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let plan = plan([waits("a", "look", 1), call("b", "look", json!({ "give": "$a" }))]);
    let dry = executor.dry_run(&plan).unwrap();
    assert_eq!(dry.waves, [["a"], ["b"]]);
    assert_eq!(dry.edges.len(), 1);
    assert!(log.lines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropping_a_run_aborts_it_and_shutdown_leaves_nothing() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = || plan((0..8).map(|at| waits(&format!("c{at}"), "send", 1_000)));
    let run = executor.start(calls()).await.unwrap();
    tokio::time::sleep(ms(1)).await;
    assert_eq!(log.running(), 8);
    drop(run);
    tokio::time::sleep(ms(1)).await;
    assert_eq!((log.running(), executor.running()), (0, 0));

    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let run = executor.start(calls()).await.unwrap();
    tokio::time::sleep(ms(1)).await;
    run.shutdown().await;
    assert_eq!((log.running(), executor.running()), (0, 0));
    assert_eq!(
        tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        before
    );
}

#[tokio::test(start_paused = true)]
async fn unknown_tools_and_wrong_arguments_fail_before_anything_runs() {
    let log = Log::default();
    let schema = json!({
        "type": "object",
        "properties": { "n": { "type": "integer" }, "kind": { "enum": ["x", "y"] }, "name": {} },
        "required": ["n", "name"],
        "additionalProperties": false,
    });
    let strict = ToolSpec::new("strict")
        .read_only()
        .touches_nothing()
        .parameters(schema);
    let strict = crate::support::scripted(strict, &log);
    let executor = ToolExecutor::builder(tools(&log).with(strict).unwrap())
        .build()
        .unwrap();
    let report = executor
        .run(plan([
            waits("a", "look", 50),
            call("b", "nothing", json!({})),
            call("c", "strict", json!({ "n": "one", "kind": "z", "more": 1 })),
            call("d", "strict", json!({ "n": "$a", "name": 1 })),
            call("e", "strict", json!({ "n": "$a", "kind": 1 })),
        ]))
        .await
        .unwrap();
    let error = |at: usize| report.results[at].outcome.error_text().unwrap();
    assert_eq!(
        error(1),
        "there is no tool `nothing`; there are `look`, `set`, `send`, `wild`, `strict`"
    );
    let all = error(2);
    for part in [
        "expected a member \"name\"",
        "`more`",
        "at `/n`: expected integer, found string \"one\"",
        "at `/kind`: expected one of",
    ] {
        assert!(all.contains(part), "{all}");
    }
    // What a reference becomes is checked when it is known: the rest at once.
    let late = &report.results[3];
    assert_eq!(late.ended, ms(50), "{}", error(3));
    assert!(
        error(3).contains("at `/n`: expected integer, found string \"a\""),
        "{}",
        error(3)
    );
    let early = &report.results[4];
    assert_eq!(early.ended, ms(0));
    assert!(
        error(4).contains("\"name\"") && !error(4).contains("/n`"),
        "{}",
        error(4)
    );
    let kind = |at: usize| match &report.results[at].outcome {
        CallOutcome::Failed { kind, .. } => Some(*kind),
        _ => None,
    };
    assert_eq!(kind(1), Some(FailureKind::UnknownTool));
    assert_eq!(kind(3), Some(FailureKind::InvalidArguments));
    assert_eq!(log.begun("d") + log.begun("c"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_the_declared_result_cannot_have_fails_before_anything_runs() {
    let log = Log::default();
    let output = json!({
        "type": "object",
        "properties": { "items": { "type": "array", "items": { "type": "object", "properties": { "id": { "type": "integer" } } } } },
        "additionalProperties": false,
    });
    let list = ToolSpec::new("list").read_only().touches_nothing().output(output);
    let give = json!({ "items": [{ "id": 4, "extra": true }] });
    let list = ToolFn::new(list, move |_: Value| {
        let give = give.clone();
        async move {
            tokio::time::sleep(ms(10)).await;
            Ok(give)
        }
    });
    let executor = ToolExecutor::builder(tools(&log).with(list).unwrap())
        .build()
        .unwrap();
    let report = executor
        .run(plan([
            call("a", "list", json!({})),
            call("good", "look", json!({ "give": "$a.items[0].id" })),
            call("open", "look", json!({ "give": "${a.output.items[0].extra}" })),
            call("bad", "look", json!({ "give": "$a.item" })),
            call("worse", "look", json!({ "give": "$a.items[0].id.x" })),
        ]))
        .await
        .unwrap();
    assert_eq!(report.results[1].outcome.value(), Some(&json!(4)));
    assert_eq!(report.results[2].outcome.value(), Some(&json!(true)));
    assert_eq!((report.results[3].ended, report.results[4].ended), (ms(0), ms(0)));
    let text = report.results[3].outcome.error_text().unwrap();
    assert!(
        text.contains("at `give`: `$a.item` leads nowhere: the result has no member `item`, but `items`"),
        "{text}"
    );
    assert_eq!(outcomes(&report)["worse"], OutcomeKind::Failed);
}

#[tokio::test(start_paused = true)]
async fn the_report_and_the_trace_are_json_that_others_read() {
    let log = Log::default();
    let executor = once(&log).build().unwrap();
    let calls = [
        waits("a", "look", 10),
        waits("b", "look", 20),
        call("c", "look", json!({ "ms": 5, "fail": "permanent", "seen": "$a" })),
    ];
    let report = executor.run(plan(calls)).await.unwrap();
    let line = report.results[2].to_json();
    assert_eq!(
        line,
        json!({
            "id": "c", "outcome": "failed", "result": null, "error": "never",
            "started_ms": 10.0, "ended_ms": 15.0, "attempts": 1,
        })
    );
    let summary = report.to_json();
    assert_eq!(summary["outcomes"], json!({ "succeeded": 2, "failed": 1 }));
    assert_eq!(summary["errors"], json!([{ "id": "c", "error": "never" }]));
    assert_eq!(summary["lower_bound_ms"], json!(20.0));
    assert_eq!(summary.get("speed_up"), None);

    let trace = report.to_chrome_trace();
    let bars: Vec<_> = trace["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["ph"] == "X")
        .map(|event| {
            (
                event["args"]["id"].clone(),
                event["tid"].clone(),
                event["ts"].clone(),
                event["dur"].clone(),
            )
        })
        .collect();
    assert_eq!(
        bars,
        [
            (json!("a"), json!(1), json!(0.0), json!(10_000.0)),
            (json!("b"), json!(2), json!(0.0), json!(20_000.0)),
            (json!("c"), json!(1), json!(10_000.0), json!(5_000.0)),
        ]
    );
}
