//! Answers of text, JSON and reasoning: the same in pieces and in one piece, on every wire.

use serde_json::{Value, json};
use throng_llm::{FinishReason, ResponseFormat, Wire};

use super::server::{Llama, PLAIN, WIRES, ask};

/// A template under which every answer begins with reasoning.
const REASONING: &str = "llama-cpp-deepseek-r1";

#[tokio::test]
async fn a_text_is_the_same_in_pieces_and_in_one_piece() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "1", "--ctx-size", "1024"]).await else {
        return;
    };
    let mut texts = Vec::new();
    for wire in WIRES {
        let [streamed, whole] = llama.both(wire, ask(24)).await;
        assert!(!streamed.text.is_empty(), "{wire:?}: {streamed:?}");
        assert_eq!(streamed.text, whole.text, "{wire:?}");
        assert_eq!(streamed.usage, whole.usage, "{wire:?}");
        assert_eq!(streamed.finish, whole.finish, "{wire:?}");
        assert_eq!(streamed.usage.output_tokens, Some(24), "{wire:?}");
        assert!(streamed.usage.input_tokens > Some(100), "{wire:?}: {streamed:?}");
        assert!(
            streamed.usage.cached_input_tokens > Some(100),
            "{wire:?}: {streamed:?}"
        );
        assert!(streamed.id.is_some() && whole.id.is_some(), "{wire:?}");
        // On Responses the server calls an answer completed that the limit has cut.
        let expect = match wire {
            Wire::OpenAiResponses => FinishReason::Stop,
            _ => FinishReason::Length,
        };
        assert_eq!(streamed.finish, Some(expect), "{wire:?}");
        texts.push((streamed.text, streamed.usage.input_tokens));
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[tokio::test]
async fn an_answer_ends_before_a_text_to_stop_at() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "1", "--ctx-size", "1024"]).await else {
        return;
    };
    for wire in [Wire::OpenAiChat, Wire::Anthropic] {
        let [full, _] = llama.both(wire, ask(24)).await;
        let stop: String = full.text.chars().skip(8).take(3).collect();
        let expect = full.text.split(&stop).next().unwrap();
        for done in llama.both(wire, ask(24).stop(&stop)).await {
            assert_eq!(
                (&*done.text, done.finish),
                (expect, Some(FinishReason::Stop)),
                "{wire:?}"
            );
        }
    }
}

#[tokio::test]
async fn json_follows_its_schema() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "1", "--ctx-size", "1024"]).await else {
        return;
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "city": {"enum": ["Oslo", "Rome"]},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 3},
            "open": {"type": "boolean"},
        },
        "required": ["city", "days", "open"],
        "additionalProperties": false,
    });
    // On Anthropic's wire the server reads no schema.
    for wire in [Wire::OpenAiChat, Wire::OpenAiResponses] {
        let request = match wire {
            Wire::OpenAiChat => ask(200).response_format(ResponseFormat::JsonSchema {
                name: "place".into(),
                schema: schema.clone(),
                strict: true,
            }),
            // Here it reads only its own member, not the format of the wire.
            _ => ask(200).extra("json_schema", schema.clone()),
        };
        let [streamed, whole] = llama.both(wire, request).await;
        assert_eq!(streamed.text, whole.text, "{wire:?}");
        assert_eq!(streamed.finish, Some(FinishReason::Stop), "{wire:?}");
        let value: Value = serde_json::from_str(&streamed.text).expect("JSON");
        assert_eq!(value.as_object().unwrap().len(), 3, "{value}");
        assert!(value["city"] == "Oslo" || value["city"] == "Rome", "{value}");
        let days = value["days"].as_array().expect("an array");
        assert!((2..=3).contains(&days.len()), "{value}");
        let in_range = |day: &Value| day.as_u64().is_some_and(|day| day <= 9);
        assert!(days.iter().all(in_range), "{value}");
        assert!(value["open"].is_boolean(), "{value}");
    }
}

#[tokio::test]
async fn reasoning_is_told_from_text() {
    let Some(llama) = Llama::start(REASONING, &["--parallel", "1", "--ctx-size", "1024"]).await else {
        return;
    };
    for wire in WIRES {
        let [streamed, whole] = llama.both(wire, ask(24)).await;
        assert!(!streamed.reasoning.is_empty(), "{wire:?}: {streamed:?}");
        assert_eq!(streamed.reasoning, whole.reasoning, "{wire:?}");
        assert_eq!((&*streamed.text, &*whole.text), ("", ""), "{wire:?}");
        assert_eq!(streamed.usage, whole.usage, "{wire:?}");
        if wire == Wire::Anthropic {
            // Here the server reads no grammar.
            continue;
        }
        // The grammar writes the end of the reasoning and a text after it.
        let request = ask(200).extra("grammar", r#"root ::= [a-z]{5} "</think>" "Hello.""#);
        let [streamed, whole] = llama.both(wire, request).await;
        assert_eq!((&*streamed.text, &*whole.text), ("Hello.", "Hello."), "{wire:?}");
        assert_eq!(streamed.reasoning, whole.reasoning, "{wire:?}");
        assert_eq!(streamed.reasoning.trim().len(), 5, "{wire:?}: {streamed:?}");
        assert_eq!(streamed.finish, Some(FinishReason::Stop), "{wire:?}");
    }
}
