//! Tool calls that a grammar forces, and the turn that follows them.

use serde_json::{Value, json};
use throng_llm::{Completion, FinishReason, Message, Request, ToolChoice, ToolSpec, Wire};

use super::server::{Llama, PLAIN, WIRES, ask};

/// A template under which an answer can begin with nothing but a call.
pub(super) const TOOLS: &str = "meetkai-functionary-medium-v3.2";

pub(super) fn look() -> ToolSpec {
    let parameters = json!({
        "type": "object",
        "properties": {
            "city": {"enum": ["Oslo", "Rome"]},
            "days": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["city", "days"],
        "additionalProperties": false,
    });
    ToolSpec::new("look", parameters).with_description("Looks at the weather.")
}

fn call(max_output_tokens: u32) -> Request {
    ask(max_output_tokens)
        .tool(look())
        .tool_choice(ToolChoice::Required)
}

/// Makes the model end its answer as soon as the grammar lets it; otherwise it calls and calls.
fn once(request: Request) -> Request {
    let end_of_answer = json!({"2": 100});
    request.extra("logit_bias", end_of_answer)
}

#[track_caller]
fn assert_follows_schema(arguments: &str) {
    let value: Value = serde_json::from_str(arguments).expect("JSON");
    assert_eq!(value.as_object().expect("an object").len(), 2, "{value}");
    assert!(value["city"] == "Oslo" || value["city"] == "Rome", "{value}");
    assert!(value["days"].as_u64().is_some_and(|days| days <= 9), "{value}");
}

/// Names and arguments of calls; the server gives each call a new id.
fn calls(done: &Completion) -> Vec<(&str, &str)> {
    let calls = done.tool_calls.iter();
    calls.map(|call| (&*call.name, &*call.arguments)).collect()
}

#[tokio::test]
async fn a_forced_call_and_the_turn_after_it() {
    let Some(llama) = Llama::start(TOOLS, &["--parallel", "1", "--ctx-size", "2048"]).await else {
        return;
    };
    // Under the template above an answer of noise is none, and this one is for the turn that follows.
    let plain = Llama::start(PLAIN, &["--parallel", "1", "--ctx-size", "4096"]).await;
    let plain = plain.expect("a second server");
    for wire in WIRES {
        // On Anthropic's wire the server takes no bias, and the answer goes on until its limit.
        let (request, finish) = match wire {
            Wire::Anthropic => (call(60), FinishReason::Length),
            _ => (once(call(200)), FinishReason::ToolCalls),
        };
        let [streamed, whole] = llama.both(wire, request).await;
        assert!(!streamed.tool_calls.is_empty(), "{wire:?}: {streamed:?}");
        assert_eq!(streamed.tool_calls.len(), whole.tool_calls.len(), "{wire:?}");
        for ((name, arguments), (_, others)) in calls(&streamed).into_iter().zip(calls(&whole)) {
            assert_eq!(name, "look", "{wire:?}");
            assert_follows_schema(arguments);
            // On Anthropic's wire the arguments of an answer in one piece are an object, not a text.
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(parse(arguments), parse(others), "{wire:?}");
        }
        assert_eq!(streamed.finish, Some(finish), "{wire:?}");
        assert_eq!(streamed.finish, whole.finish, "{wire:?}");

        let mut answer = streamed.to_message();
        answer.tool_calls.truncate(1);
        let id = answer.tool_calls[0].id.clone();
        assert!(!id.is_empty(), "{wire:?}");
        let asked = ask(8).tool(look());
        let next = asked
            .clone()
            .message(answer)
            .message(Message::tool(id, "It rains."));
        let [done, whole] = plain.both(wire, next).await;
        assert!(!done.text.is_empty(), "{wire:?}: {done:?}");
        assert_eq!(done.text, whole.text, "{wire:?}");
        let before = plain.whole(&plain.client(wire), asked).await;
        assert!(done.usage.input_tokens > before.usage.input_tokens, "{wire:?}");
    }
}

#[tokio::test]
async fn a_call_that_the_limit_cuts_is_no_call() {
    let Some(llama) = Llama::start(TOOLS, &["--parallel", "1", "--ctx-size", "2048"]).await else {
        return;
    };
    for wire in [Wire::OpenAiChat, Wire::Anthropic] {
        for done in llama.both(wire, call(60)).await {
            assert_eq!(done.finish, Some(FinishReason::Length), "{wire:?}");
            assert!(!done.tool_calls.is_empty(), "{wire:?}: {done:?}");
            calls(&done)
                .iter()
                .for_each(|(_, arguments)| assert_follows_schema(arguments));
            assert_eq!(done.cut_tool_calls.len(), 1, "{wire:?}: {done:?}");
        }
    }
    // On Responses the server says that all is complete, and only the arguments show that it is not.
    for done in llama.both(Wire::OpenAiResponses, call(60)).await {
        let (last, before) = done.tool_calls.split_last().expect("calls");
        assert!(last.parse_arguments().is_err(), "{done:?}");
        assert!(
            before.iter().all(|call| call.parse_arguments().is_ok()),
            "{done:?}"
        );
        assert_eq!(done.finish, Some(FinishReason::ToolCalls));
    }
}
