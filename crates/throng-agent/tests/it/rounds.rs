//! Rounds of calls and results, on all wires.

use std::num::NonZeroU32;

use serde_json::json;
use throng_agent::{AgentEvent, Stop};
use throng_exec::{Executor, Jitter, RetryPolicy};
use throng_llm::{Message, StreamEvent, Wire};
use throng_sim::{Behaviour, Fault, Gate, HoldAt, Match, SimConfig, SimServer};

use crate::support::{Done, WIRES, agent, call, check_answered, client, server, server_with, text, tools};
use throng_agent::Agent;

#[tokio::test(flavor = "multi_thread")]
async fn three_rounds_with_parallel_calls_and_a_tool_that_fails_on_every_wire() {
    for wire in WIRES {
        let done = Done::default();
        let server = server(&[
            &[call("weather", "Oslo"), call("weather", "Rome")],
            &[
                call("fail", "x"),
                call("weather", "$1 {awk}"),
                call("note", "Bern"),
            ],
            &[call("note", "Nice"), call("teleport", "Mars")],
        ])
        .await;
        let agent = Agent::builder(client(&server, wire), "m")
            .tools(tools(&done))
            .system("Be brief.")
            .build()
            .unwrap();
        let report = agent.run("How is the weather?").await;
        assert!(matches!(report.stop, Stop::Answered), "{wire}: {}", report.stop);
        assert_eq!(report.text, "done", "{wire}");
        assert_eq!((report.steps.len(), report.tool_calls), (4, 7), "{wire}");
        check_answered(&report.messages);
        let answers: Vec<String> = report
            .messages
            .iter()
            .filter(|message| message.tool_call_id.is_some())
            .map(text)
            .collect();
        assert_eq!(answers[0], r#"{"city":"Oslo","sky":"rain"}"#, "{wire}");
        assert_eq!(answers[1], r#"{"city":"Rome","sky":"rain"}"#, "{wire}");
        assert_eq!(answers[2], "error: the sky has fallen", "{wire}");
        assert_eq!(
            answers[3], r#"{"city":"$1 {awk}","sky":"rain"}"#,
            "nothing in a model's calls is a reference"
        );
        assert_eq!((&*answers[4], &*answers[5]), ("noted", "noted"), "{wire}");
        assert!(
            answers[6].starts_with("error: ") && answers[6].contains("teleport"),
            "{}",
            answers[6]
        );
        let list = done.list();
        let place = |what: &str| list.iter().position(|done| done == what).unwrap();
        assert!(
            place("begin Rome") < place("end Oslo"),
            "{wire}: both run at the same time: {list:?}"
        );
        let first = report.steps[0].tools.as_ref().unwrap();
        assert!(first.overlap() > 1.0, "{wire}: {}", first.overlap());
        assert!(report.spent.usage.total() > 0, "{wire}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_changes_nothing_begins_before_the_answer_ends() {
    let config = SimConfig::builder()
        .instant()
        .script(Match::any().tool_round(1), Behaviour::Text("done".into()));
    let server = SimServer::start(config.build().unwrap()).await.unwrap();
    // The first answer is given piece by piece; each call is a piece that says when the call is whole.
    let event =
        |data: serde_json::Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let tool = |index: u32, name: &str, city: &str| {
        let block = json!({"type": "tool_use", "id": format!("c{index}"), "name": name, "input": {}});
        let delta = json!({"type": "input_json_delta", "partial_json": json!({"city": city}).to_string()});
        event(json!({"type": "content_block_start", "index": index, "content_block": block}))
            + &event(json!({"type": "content_block_delta", "index": index, "delta": delta}))
            + &event(json!({"type": "content_block_stop", "index": index}))
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage});
    let pieces = [
        event(json!({"type": "message_start", "message": message})) + &tool(0, "weather", "Oslo"),
        tool(1, "note", "Rome"),
        tool(2, "weather", "Bern"),
        event(
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        ) + &event(json!({"type": "message_stop"})),
    ];
    let raw = throng_sim::RawReply::chunks(pieces)
        .header("content-type", "text/event-stream")
        .pause(std::time::Duration::from_millis(40));
    server.script(Match::any().tool_round(0), Behaviour::Raw(raw));
    for early in [true, false] {
        let done = Done::default();
        let agent = Agent::builder(client(&server, Wire::Anthropic), "m")
            .tools(tools(&done))
            .early_start(early)
            .build()
            .unwrap();
        let mut run = agent.start([Message::user("Go.")]);
        let mut order = Vec::new();
        while let Some(event) = run.next().await {
            match event {
                AgentEvent::Model {
                    event: StreamEvent::Finished { .. },
                    step: 1,
                } => order.push("answer".to_owned()),
                AgentEvent::ToolEnded { result, .. } => order.push(format!("{} {}", result.name, result.id)),
                _ => {}
            }
        }
        let report = run.finish().await;
        assert!(matches!(report.stop, Stop::Answered), "{}", report.stop);
        check_answered(&report.messages);
        let place = |what: &str| order.iter().position(|seen| seen == what).unwrap();
        assert_eq!(place("weather c0") < place("answer"), early, "{order:?}");
        assert!(
            place("note c1") > place("answer"),
            "what has effects waits for the whole message: {order:?}"
        );
        assert_eq!(
            done.list().iter().filter(|what| *what == "begin Oslo").count(),
            1,
            "nothing runs twice"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_broke_off_is_asked_for_again_and_leaves_no_effects() {
    let done = Done::default();
    let cut = (Match::any().tool_round(0).times(1), Behaviour::Fault(Fault::Cut));
    let server = server_with(Some(cut), &[&[call("weather", "Oslo"), call("note", "Rome")]]).await;
    let retry = RetryPolicy::exponential(NonZeroU32::new(3).unwrap())
        .base(std::time::Duration::from_millis(1))
        .jitter(Jitter::None);
    let executor = Executor::builder().retry(retry).build().unwrap();
    let agent = agent(&server, &done).executor(executor).build().unwrap();
    let mut run = agent.start([Message::user("Go.")]);
    let mut restarted = 0;
    while let Some(event) = run.next().await {
        restarted += usize::from(matches!(event, AgentEvent::AnswerRestarted { step: 1, .. }));
    }
    let report = run.finish().await;
    assert!(matches!(report.stop, Stop::Answered), "{}", report.stop);
    assert_eq!((restarted, report.steps[0].attempts), (1, 2));
    assert_eq!(done.count("note"), 1);
    check_answered(&report.messages);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_are_not_json_or_not_the_schemas_are_answered_and_not_run() {
    let done = Done::default();
    let bad = throng_sim::ToolCall::new("note", "{\"city\": ");
    let wrong = throng_sim::ToolCall::new("note", "{\"city\": 7}");
    let server = server(&[&[bad, wrong, call("note", "Rome")]]).await;
    let report = agent(&server, &done).build().unwrap().run("Go.").await;
    assert!(matches!(report.stop, Stop::Answered), "{}", report.stop);
    check_answered(&report.messages);
    let answers: Vec<String> = report
        .messages
        .iter()
        .filter(|m| m.tool_call_id.is_some())
        .map(text)
        .collect();
    assert!(answers[0].contains("not JSON"), "{}", answers[0]);
    assert!(answers[1].contains("city"), "{}", answers[1]);
    assert_eq!(answers[2], "noted");
    assert_eq!(done.list(), ["note Rome"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_run_ends_its_answer_and_its_tools() {
    let gate = Gate::new();
    let config = SimConfig::builder().instant().script(
        Match::any(),
        Behaviour::Hold {
            at: HoldAt::Tokens(1),
            gate: gate.clone(),
        },
    );
    let server = SimServer::start(config.build().unwrap()).await.unwrap();
    let done = Done::default();
    let run = agent(&server, &done)
        .build()
        .unwrap()
        .start([Message::user("Go.")]);
    server.wait_until(|stats| stats.requests == 1).await;
    drop(run);
    let stats = server.wait_until(|stats| stats.client_closed == 1).await;
    assert_eq!(stats.requests, 1);
    gate.open();
}
