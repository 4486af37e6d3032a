//! The five shapes of calls and results.

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_tools::{Answer, Shape, Turn};

/// Returns a response with two calls, `search` with `{"q": "x"}` and `list` without arguments, in each shape.
fn response(shape: Shape) -> Value {
    match shape {
        Shape::OpenAiChat => {
            json!({"id": "r", "object": "chat.completion", "choices": [{"index": 0, "finish_reason":
            "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_a", "type": "function", "function": {"name": "search", "arguments": "{\"q\": \"x\"}"}},
                {"id": "call_b", "type": "function", "function": {"name": "list", "arguments": ""}},
            ]}}]})
        }
        Shape::OpenAiResponses => json!({"id": "r", "object": "response", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "search", "arguments": "{\"q\":\"x\"}",
             "status": "completed"},
            {"type": "function_call", "id": "fc_2", "call_id": "call_b", "name": "list", "arguments": "{}"},
        ]}),
        Shape::Anthropic => {
            json!({"id": "m", "type": "message", "role": "assistant", "stop_reason": "tool_use", "content": [
                {"type": "thinking", "thinking": "so", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "call_a", "name": "search", "input": {"q": "x"}},
                {"type": "tool_use", "id": "call_b", "name": "list", "input": {}},
            ]})
        }
        Shape::Gemini => json!({"candidates": [{"content": {"role": "model", "parts": [
            {"text": "I look."},
            {"functionCall": {"id": "call_a", "name": "search", "args": {"q": "x"}}, "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "call_b", "name": "list"}},
        ]}, "finishReason": "STOP"}]}),
        _ => {
            json!({"model": "m", "done": true, "message": {"role": "assistant", "content": "", "tool_calls": [
                {"id": "call_a", "function": {"index": 0, "name": "search", "arguments": {"q": "x"}}},
                {"id": "call_b", "function": {"index": 0, "name": "list", "arguments": {}}},
            ]}})
        }
    }
}

/// Answers the first call with an object and the second with an error.
fn answers(turn: &Turn) -> Vec<Value> {
    turn.answers(|index, _| match index {
        0 => Answer::ok(json!({"hits": [1]})),
        _ => Answer::error("no such folder"),
    })
}

#[test]
fn calls_are_read_from_every_shape_which_is_known_by_itself() {
    for shape in Shape::ALL {
        let response = response(shape);
        let turn = Turn::read(&response).unwrap();
        assert_eq!(turn.shape(), shape);
        let calls: Vec<_> = turn
            .calls()
            .iter()
            .map(|call| (call.id.as_str(), call.name.as_str(), &call.arguments))
            .collect();
        assert_eq!(
            calls,
            [
                ("call_a", "search", &json!({"q": "x"})),
                ("call_b", "list", &json!({}))
            ],
            "{shape}"
        );
        // What goes back is known by itself too, and is as the model sent it.
        let again = Turn::read(turn.message()).unwrap();
        assert_eq!((again.shape(), again.message()), (shape, turn.message()));
        assert_eq!(again.calls(), turn.calls());
        assert_eq!(shape.as_str().parse(), Ok(shape));
    }
}

#[test]
fn results_are_written_as_each_provider_wants_them() {
    let check = |shape: Shape, expect: Value| {
        let turn = Turn::read(&response(shape)).unwrap();
        assert_eq!(Value::from(answers(&turn)), expect, "{shape}");
    };
    check(
        Shape::OpenAiChat,
        json!([
            {"role": "tool", "tool_call_id": "call_a", "content": "{\"hits\":[1]}"},
            {"role": "tool", "tool_call_id": "call_b", "content": "Error: no such folder"},
        ]),
    );
    check(
        Shape::OpenAiResponses,
        json!([
            {"type": "function_call_output", "call_id": "call_a", "output": "{\"hits\":[1]}"},
            {"type": "function_call_output", "call_id": "call_b", "output": "Error: no such folder"},
        ]),
    );
    check(
        Shape::Anthropic,
        json!([{"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_a", "content": "{\"hits\":[1]}"},
            {"type": "tool_result", "tool_use_id": "call_b", "content": "no such folder", "is_error": true},
        ]}]),
    );
    check(
        Shape::Gemini,
        json!([{"role": "user", "parts": [
            {"functionResponse": {"id": "call_a", "name": "search", "response": {"output": {"hits": [1]}}}},
            {"functionResponse": {"id": "call_b", "name": "list", "response": {"error": "no such folder"}}},
        ]}]),
    );
    check(
        Shape::Ollama,
        json!([
            {"role": "tool", "tool_name": "search", "tool_call_id": "call_a", "content": "{\"hits\":[1]}"},
            {"role": "tool", "tool_name": "list", "tool_call_id": "call_b", "content": "Error: no such folder"},
        ]),
    );
}

#[test]
fn custom_tools_of_openai_take_text() {
    let chat = json!({"role": "assistant", "tool_calls": [
        {"id": "c", "type": "custom", "custom": {"name": "python", "input": "{\"not\": \"arguments\"}"}},
    ]});
    let turn = Turn::read(&chat).unwrap();
    assert_eq!(turn.shape(), Shape::OpenAiChat);
    assert_eq!(turn.calls()[0].arguments, json!("{\"not\": \"arguments\"}"));
    assert_eq!(answers(&turn)[0]["tool_call_id"], "c");
    let responses = json!([{"type": "custom_tool_call", "id": "ctc", "call_id": "c", "name": "python", "input": "1 + 1"}]);
    let turn = Turn::read(&responses).unwrap();
    assert_eq!(turn.calls()[0].arguments, json!("1 + 1"));
    assert_eq!(
        answers(&turn),
        [json!({"type": "custom_tool_call_output", "call_id": "c", "output": "{\"hits\":[1]}"})]
    );
}

#[test]
fn gemini_without_ids_is_answered_by_name_and_order() {
    let content = json!({"role": "model", "parts": [
        {"functionCall": {"name": "f", "args": {"n": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {"n": 2}}},
        {"functionCall": {"name": "g", "args": {}}},
    ]});
    let turn = Turn::read(&content).unwrap();
    let ids: Vec<_> = turn.calls().iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["call_1", "call_2", "call_3"]);
    assert_eq!(
        turn.message(),
        &content,
        "the signature is kept, and no id is made up"
    );
    let parts = turn.answers(|index, _| Answer::ok(json!(index)));
    assert_eq!(
        parts,
        [json!({"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": {"output": 0}}},
            {"functionResponse": {"name": "f", "response": {"output": 1}}},
            {"functionResponse": {"name": "g", "response": {"output": 2}}},
        ]})]
    );
}

#[test]
fn ollama_without_ids_is_answered_by_name_and_order() {
    let message = json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]});
    let turn = Turn::read(&message).unwrap();
    assert_eq!(
        (turn.shape(), turn.calls()[0].id.as_str()),
        (Shape::Ollama, "call_1")
    );
    assert_eq!(turn.message(), &message);
    assert_eq!(
        turn.answers(|_, _| Answer::ok(json!("x"))),
        [json!({"role": "tool", "tool_name": "f", "content": "x"})]
    );
}

#[test]
fn ids_given_twice_or_not_at_all_are_made_unique_on_both_sides() {
    let message = json!({"role": "assistant", "tool_calls": [
        {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "call_3", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "call_3", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]});
    let turn = Turn::read(&message).unwrap();
    let expect = ["x", "call_2", "call_3", "call_4", "call_5", "call_6"];
    let ids: Vec<_> = turn.calls().iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, expect);
    let sent: Vec<_> = turn.message()["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!(sent, expect);
    let answered = answers(&turn);
    let answered: Vec<_> = answered
        .iter()
        .map(|answer| answer["tool_call_id"].as_str().unwrap())
        .collect();
    assert_eq!(answered, expect);
    turn.plan().unwrap();
}

#[test]
fn arguments_that_are_no_json_are_kept_and_said() {
    let message = json!({"role": "assistant", "tool_calls": [
        {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{\"a\": "}},
        {"id": "y", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
    ]});
    let turn = Turn::read(&message).unwrap();
    assert_eq!(turn.calls()[0].arguments, json!("{\"a\": "));
    assert!(
        turn.malformed(0)
            .unwrap()
            .starts_with("the arguments are not JSON: EOF")
    );
    assert_eq!(turn.malformed(1), None);
}

#[test]
fn answers_without_calls_have_none() {
    for (shape, message) in [
        (
            Shape::OpenAiChat,
            json!({"choices": [{"message": {"role": "assistant", "content": "hi"}}]}),
        ),
        (Shape::OpenAiChat, json!({"role": "assistant", "content": "hi"})),
        (
            Shape::OpenAiResponses,
            json!({"output": [{"type": "message", "content": []}]}),
        ),
        (
            Shape::Anthropic,
            json!({"role": "assistant", "content": [{"type": "text", "text": "hi"}]}),
        ),
        (Shape::Gemini, json!({"candidates": [{"finishReason": "SAFETY"}]})),
        (
            Shape::Ollama,
            json!({"message": {"role": "assistant", "content": "hi"}}),
        ),
    ] {
        let turn = Turn::read(&message).unwrap();
        assert_eq!((turn.shape(), turn.calls().len()), (shape, 0), "{message}");
        assert!(
            turn.answers(|_, _| panic!("there is nothing to answer"))
                .is_empty()
        );
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let check = |answer: Value, expect: &str| {
        let error = Turn::read(&answer).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(json!({}), "this is no message of a model");
    check(json!("x"), "this is no message of a model");
    check(json!([]), "this is no message of a model");
    check(
        json!({"choices": []}),
        "the message of an answer of openai-chat is not there",
    );
    check(
        json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"arguments": "{}"}}]}),
        "tool_calls[0].function.name of an answer of openai-chat is not there",
    );
    check(
        json!({"role": "model", "parts": [{"text": ""}, {"functionCall": {}}]}),
        "parts[1].functionCall.name of an answer of gemini is not there",
    );
    assert!(
        "openai"
            .parse::<Shape>()
            .unwrap_err()
            .to_string()
            .contains("`openai-chat`")
    );
}

/// Returns an answer with these calls, whose ids may be missing or equal.
fn asked(shape: Shape, ids: &[Option<u8>]) -> Value {
    let id = |id: &Option<u8>| id.map_or(Value::Null, |id| json!(format!("id{id}")));
    let calls: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(place, given)| {
            let name = format!("tool{}", place % 2);
            match shape {
                Shape::OpenAiChat => json!({"id": id(given), "type": "function", "function": {"name": name, "arguments": "{}"}}),
                Shape::OpenAiResponses => json!({"type": "function_call", "call_id": id(given), "name": name, "arguments": "{}"}),
                Shape::Anthropic => json!({"type": "tool_use", "id": id(given), "name": name, "input": {}}),
                Shape::Gemini => json!({"functionCall": {"id": id(given), "name": name, "args": {}}}),
                _ => json!({"id": id(given), "function": {"name": name, "arguments": {}}}),
            }
        })
        .collect();
    match shape {
        Shape::OpenAiChat | Shape::Ollama => json!({"role": "assistant", "tool_calls": calls}),
        Shape::OpenAiResponses => json!(calls),
        Shape::Anthropic => json!({"role": "assistant", "content": calls}),
        _ => json!({"role": "model", "parts": calls}),
    }
}

/// Returns what pairs a call with its answer: id and name, as far as they are given.
fn pairs(shape: Shape, list: &Value, call: bool) -> Vec<(Value, Value)> {
    let entries: Vec<&Value> = match (shape, call) {
        (Shape::Anthropic, false) => list[0]["content"].as_array().unwrap().iter().collect(),
        (Shape::Gemini, false) => list[0]["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["functionResponse"])
            .collect(),
        (Shape::Gemini, true) => list["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["functionCall"])
            .collect(),
        (Shape::Anthropic, true) => list["content"].as_array().unwrap().iter().collect(),
        (Shape::OpenAiChat | Shape::Ollama, true) => list["tool_calls"].as_array().unwrap().iter().collect(),
        _ => list.as_array().unwrap().iter().collect(),
    };
    let keys = match (shape, call) {
        (Shape::OpenAiChat, false) => ("tool_call_id", ""),
        (Shape::OpenAiResponses, _) => ("call_id", ""),
        (Shape::Anthropic, false) => ("tool_use_id", ""),
        (Shape::Ollama, false) => ("tool_call_id", "tool_name"),
        (Shape::Ollama, true) => ("id", "function"),
        (Shape::Gemini, _) => ("id", "name"),
        _ => ("id", ""),
    };
    entries
        .into_iter()
        .map(|entry| {
            let name = &entry[keys.1];
            let name = if name.is_object() { &name["name"] } else { name };
            (entry[keys.0].clone(), name.clone())
        })
        .collect()
}

proptest! {
    #[test]
    fn every_call_is_answered_once_in_order(
        shape in prop::sample::select(Shape::ALL.to_vec()),
        ids in prop::collection::vec(prop::option::weighted(0.8, 0_u8..6), 1..10),
    ) {
        let turn = Turn::read_as(shape, &asked(shape, &ids)).unwrap();
        prop_assert_eq!(turn.calls().len(), ids.len());
        turn.plan().unwrap();
        let mut seen = Vec::new();
        let written = turn.answers(|index, _| { seen.push(index); Answer::ok(json!(index)) });
        prop_assert_eq!(seen, (0..ids.len()).collect::<Vec<_>>());
        let answered = pairs(shape, &Value::from(written), false);
        let asked = pairs(shape, turn.message(), true);
        prop_assert_eq!(&answered, &asked);
        let given: Vec<_> = answered.iter().map(|(id, _)| id).filter(|id| !id.is_null()).collect();
        let mut unique = given.clone();
        unique.sort_by_key(|id| id.to_string());
        unique.dedup();
        prop_assert_eq!(unique.len(), given.len(), "an id is answered twice");
    }
}
