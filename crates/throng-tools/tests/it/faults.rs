//! Whatever fails and whenever a plan is cancelled, cut or dropped: every call is answered once, in order, and nothing is
//! left.
//!
//! `THRONG_CASES` sets how many plans are tried.

use fastrand::Rng;
use serde_json::{Value, json};
use throng_core::OutcomeKind;
use throng_tools::{
    Access, Assume, Call, FailurePolicy, Mode, Plan, PlanPolicy, PlanReport, PlanRun, Resource, ResultCache,
    RunOptions, Shape, ToolExecutor, Turn,
};

use crate::support::{Log, Memory, cases, fixed, ms, n, tools};

fn draw(rng: &mut Rng) -> Vec<Call> {
    let n_calls = rng.usize(1..14);
    (0..n_calls)
        .map(|at| {
            let tool = ["look", "set", "send", "wild", "none"];
            let tool = tool[if rng.u8(0..12) == 0 { 4 } else { rng.usize(0..4) }];
            let fail = ["transient", "permanent", "unknown", "throttled", "panic", "hang"];
            let mut arguments = json!({ "ms": rng.u64(0..30) });
            if rng.u8(0..3) == 0 {
                arguments["fail"] = json!(fail[rng.usize(..fail.len())]);
                arguments["times"] = json!(rng.u64(1..4));
            }
            if rng.u8(0..3) == 0 {
                // Some refer to later ones or to themselves: cycles.
                let to = if rng.u8(0..10) == 0 { n_calls } else { at.max(1) };
                arguments["give"] = json!(format!("$c{}", rng.usize(..to)));
            }
            let mut call = Call::new(format!("c{at}"), tool, arguments);
            if at > 0 && rng.u8(0..4) == 0 {
                call = call.after(format!("c{}", rng.usize(..at)));
            }
            if rng.u8(0..3) == 0 {
                let resource: Resource = ["db:a", "db:a/b", "db:c"][rng.usize(0..3)].parse().unwrap();
                let mode = [Mode::Read, Mode::Write, Mode::Exclusive][rng.usize(0..3)];
                call = call.accesses([Access::new(resource, mode)]);
            }
            call.priority = rng.i32(-1..2);
            call.timeout = (rng.u8(0..3) == 0).then(|| ms(rng.u64(1..40)));
            call
        })
        .collect()
}

fn executor(rng: &mut Rng, log: &Log, seed: u64) -> ToolExecutor {
    let policies = [
        FailurePolicy::Continue,
        FailurePolicy::SkipDependents,
        FailurePolicy::FailFast,
    ];
    let builder = ToolExecutor::builder(tools(log))
        .max_concurrent(n(rng.usize(1..6)))
        .timeout(Some(ms(50)))
        .retry(fixed(rng.u32(1..4), ms(rng.u64(0..10))).patience(ms(60)))
        .on_failure(policies[rng.usize(..policies.len())])
        .assume([Assume::Independent, Assume::ReadOnly, Assume::Exclusive][rng.usize(0..3)])
        .single_flight(rng.bool())
        .cancel_grace(ms(rng.u64(0..20)))
        .seed(seed);
    let builder = if rng.bool() {
        builder.cache(ResultCache::new(n(3), ms(20)))
    } else {
        builder
    };
    builder.build().unwrap()
}

/// Returns a model's message that asks for these calls.
fn message(shape: Shape, ids: &[String]) -> Value {
    let calls: Vec<_> = ids
        .iter()
        .map(|id| match shape {
            Shape::OpenAiChat => {
                json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
            }
            Shape::OpenAiResponses => {
                json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
            }
            Shape::Anthropic => json!({"type": "tool_use", "id": id, "name": "f", "input": {}}),
            Shape::Gemini => json!({"functionCall": {"id": id, "name": "f", "args": {}}}),
            _ => json!({"id": id, "function": {"name": "f", "arguments": {}}}),
        })
        .collect();
    match shape {
        Shape::OpenAiResponses => json!(calls),
        Shape::Anthropic => json!({"role": "assistant", "content": calls}),
        Shape::Gemini => json!({"role": "model", "parts": calls}),
        _ => json!({"role": "assistant", "content": "", "tool_calls": calls}),
    }
}

/// Returns the ids that the answers name, in their order.
fn answered(shape: Shape, answers: &[Value]) -> Vec<String> {
    let parts: Vec<&Value> = match shape {
        Shape::Anthropic => answers[0]["content"].as_array().unwrap().iter().collect(),
        Shape::Gemini => answers[0]["parts"].as_array().unwrap().iter().collect(),
        _ => answers.iter().collect(),
    };
    let id = |part: &Value| match shape {
        Shape::OpenAiResponses => part["call_id"].clone(),
        Shape::Anthropic => part["tool_use_id"].clone(),
        Shape::Gemini => part["functionResponse"]["id"].clone(),
        _ => part["tool_call_id"].clone(),
    };
    parts
        .into_iter()
        .map(|part| id(part).as_str().unwrap().to_owned())
        .collect()
}

fn check(report: &PlanReport, ids: &[String], seed: u64) {
    for shape in Shape::ALL {
        let turn = Turn::read_as(shape, &message(shape, ids)).unwrap();
        let answers = turn.answers(|index, _| report.results[index].to_answer());
        assert_eq!(answered(shape, &answers), ids, "seed {seed}");
    }
    let seen: Vec<_> = report
        .results
        .iter()
        .map(|result| result.id.to_string())
        .collect();
    assert_eq!(seen, ids, "seed {seed}");
    for result in &report.results {
        let kind = result.outcome.kind();
        assert_eq!(
            result.outcome.error_text().is_none(),
            kind == OutcomeKind::Succeeded,
            "seed {seed}"
        );
        if let Some(started) = result.started {
            assert!(
                started <= result.ended && result.attempts > 0,
                "seed {seed}: {result:?}"
            );
        }
        assert!(result.ended <= report.total, "seed {seed}: {result:?}");
    }
}

/// Takes every result as it ends, steering the plan meanwhile, and returns the report.
async fn steer(rng: &mut Rng, mut run: PlanRun, seed: u64) -> PlanReport {
    let handle = run.handle();
    let mut ended = 0;
    loop {
        let pause = ms(rng.u64(1..40));
        tokio::select! {
            result = run.next() => match result {
                Some(_) => ended += 1,
                None => break,
            },
            () = tokio::time::sleep(pause) => match rng.u8(0..6) {
                0 => handle.cancel(),
                1 => handle.set_parallel(rng.bool()),
                2 => { handle.set_limit("look", rng.usize(1..4)); }
                3 => handle.set_max_concurrent(n(rng.usize(1..4))),
                _ => {}
            },
        }
    }
    let report = run.finish().await;
    assert_eq!(ended, report.results.len(), "seed {seed}");
    report
}

#[tokio::test(start_paused = true)]
async fn every_call_is_answered_once_in_order_whatever_happens() {
    for seed in 0..cases(1_000) {
        let mut rng = Rng::with_seed(seed);
        let log = Log::default();
        let executor = executor(&mut rng, &log, seed);
        let calls = draw(&mut rng);
        let ids: Vec<_> = calls.iter().map(|call| call.id.clone()).collect();
        let mut options = RunOptions::new();
        if rng.u8(0..4) == 0 {
            let memory = Memory::default();
            if rng.bool() {
                memory.fail_at(rng.usize(1..20));
            }
            options = options.journal(std::sync::Arc::new(memory), "run");
        }
        match rng.u8(0..6) {
            0 => {
                let mut stream = executor.start_streaming(PlanPolicy::default(), options);
                for call in calls {
                    stream.push(call).unwrap();
                    if rng.bool() {
                        tokio::time::sleep(ms(rng.u64(1..10))).await;
                    }
                }
                let run = if rng.bool() { stream.cut() } else { stream.finish() };
                check(&run.finish().await, &ids, seed);
            }
            1 => {
                let run = executor
                    .start_with(Plan::new(calls).unwrap(), options)
                    .await
                    .unwrap();
                tokio::time::sleep(ms(rng.u64(0..60))).await;
                run.shutdown().await;
            }
            2 => {
                let other = Plan::new(draw(&mut rng)).unwrap();
                let plan = Plan::new(calls).unwrap();
                let (report, _) = tokio::join!(executor.run_with(plan, options), executor.run(other));
                check(&report.unwrap(), &ids, seed);
            }
            _ => {
                let run = executor
                    .start_with(Plan::new(calls).unwrap(), options)
                    .await
                    .unwrap();
                let report = steer(&mut rng, run, seed).await;
                check(&report, &ids, seed);
            }
        }
        assert_eq!((log.running(), executor.running()), (0, 0), "seed {seed}");
    }
}
