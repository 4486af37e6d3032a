//! What holds on every wire: the same conversation gets the same answer, whole and streamed.

use std::num::NonZeroU32;

use serde_json::{Value, json};
use throng_sim::{
    Behaviour, Match, ScriptedReply, SimServer, ToolCall, Wire, count_tokens, expected_arguments,
    expected_reasoning, expected_text,
};

use crate::client::{instant, start};
use crate::reader::{Answer, read};
use crate::requests::{Ask, Mode, ask, ways};

async fn answer(server: &SimServer, wire: Wire, mode: Mode, request: &Ask) -> Answer {
    let reply = ask(server, wire, mode, request).await.unwrap();
    read(wire, &reply).unwrap_or_else(|err| panic!("{wire} {mode:?}: {err}\n{}", reply.text()))
}

fn weather() -> Value {
    json!({"type": "object", "required": ["city", "days"], "properties": {
        "city": {"type": "string", "minLength": 30}, "days": {"type": "integer", "minimum": 1, "maximum": 9}}})
}

#[tokio::test]
async fn the_text_is_the_expected_one_and_its_tokens_are_counted() {
    let server = start(instant().seed(11)).await;
    for (wire, mode) in ways() {
        for prompt in 0..12 {
            let request = Ask {
                system: (prompt % 2 == 0).then(|| "Be brief.".into()),
                image: prompt % 3 == 0,
                ..Ask::new(format!("Question {prompt}: 東京?"))
            };
            let answer = answer(&server, wire, mode, &request).await;
            let text = expected_text(11, &request.texts());
            assert_eq!(answer.text, text, "{wire} {mode:?}");
            assert_eq!(
                answer.input_tokens,
                Some(count_tokens(&request.texts())),
                "{wire} {mode:?}"
            );
            assert_eq!(answer.output_tokens, Some(count_tokens(&text)), "{wire} {mode:?}");
            assert_eq!((answer.reasoning.as_str(), answer.calls.len()), ("", 0));
        }
    }
    assert!(server.log().iter().all(|entry| entry.status == Some(200)));
    let wires: std::collections::HashSet<Wire> = server.log().iter().map(|entry| entry.wire).collect();
    assert_eq!(wires.len(), 5);
}

#[tokio::test]
async fn a_limit_and_a_stop_text_cut_the_answer() {
    let server = start(instant().output_tokens(40..=40)).await;
    let whole = server.config().expected_text("x");
    let stop: String = whole.chars().skip(50).take(6).collect();
    for (wire, mode) in ways() {
        let limited = Ask {
            max_tokens: Some(5),
            ..Ask::new("x")
        };
        let reply = answer(&server, wire, mode, &limited).await;
        assert_eq!(
            reply.text,
            whole.chars().take(20).collect::<String>(),
            "{wire} {mode:?}"
        );
        let reason = match wire {
            Wire::OpenAiResponses => "max_output_tokens",
            Wire::Anthropic => "max_tokens",
            Wire::Gemini => "MAX_TOKENS",
            _ => "length",
        };
        assert_eq!((reply.finish.as_str(), reply.output_tokens), (reason, Some(5)));
        if wire == Wire::OpenAiResponses {
            continue; // It has no stop texts.
        }
        let stopped = Ask {
            stop: Some(stop.clone()),
            ..Ask::new("x")
        };
        let reply = answer(&server, wire, mode, &stopped).await;
        assert_eq!(reply.text, whole.split(&stop).next().unwrap(), "{wire} {mode:?}");
        let reason = match wire {
            Wire::Anthropic => "stop_sequence",
            Wire::Gemini => "STOP",
            _ => "stop",
        };
        assert_eq!(reply.finish, reason);
    }
}

#[tokio::test]
async fn a_schema_is_satisfied() {
    let server = start(instant().seed(3)).await;
    let request = Ask {
        schema: Some(weather()),
        ..Ask::new("What will it be like?")
    };
    for (wire, mode) in ways() {
        let reply = answer(&server, wire, mode, &request).await;
        let value: Value = serde_json::from_str(&reply.text).unwrap();
        assert_eq!(
            value,
            expected_arguments(3, "What will it be like?", &weather()),
            "{wire} {mode:?}"
        );
    }
}

#[tokio::test]
async fn a_tool_is_called_when_the_request_insists() {
    let server = start(instant().seed(2)).await;
    let request = Ask {
        tools: vec![("weather", weather()), ("now", json!({"type": "object"}))],
        insists: true,
        ..Ask::new("x")
    };
    for (wire, mode) in ways() {
        let reply = answer(&server, wire, mode, &request).await;
        if wire == Wire::Ollama {
            assert_eq!(reply.text, expected_text(2, "x"), "it cannot insist");
            continue;
        }
        let expected = expected_arguments(2, "x", &weather());
        assert_eq!(reply.calls, [("weather".into(), expected)], "{wire} {mode:?}");
        assert_eq!(reply.text, "");
        let finish = match wire {
            Wire::OpenAiChat => "tool_calls",
            Wire::OpenAiResponses => "completed",
            Wire::Anthropic => "tool_use",
            _ => "STOP",
        };
        assert_eq!(reply.finish, finish);
    }
}

#[tokio::test]
async fn scripted_calls_come_side_by_side_behind_text_and_reasoning() {
    let calls = [
        ToolCall::new("a", r#"{"x":1,"y":"é🦀"}"#),
        ToolCall::new("b", "{}"),
    ];
    let said = ScriptedReply::new()
        .reasoning("Hm, two of them.")
        .text("One moment.");
    let said = calls.iter().fold(said, |said, call| said.tool_call(call.clone()));
    let server = start(
        instant()
            .script(
                Match::prompt_contains("calls"),
                Behaviour::ToolCalls(calls.into()),
            )
            .script(Match::prompt_contains("all"), Behaviour::Reply(said)),
    )
    .await;
    let wanted: Vec<(String, Value)> =
        vec![("a".into(), json!({"x": 1, "y": "é🦀"})), ("b".into(), json!({}))];
    for (wire, mode) in ways() {
        let reply = answer(&server, wire, mode, &Ask::new("calls")).await;
        assert_eq!(
            (reply.calls, reply.text.as_str()),
            (wanted.clone(), ""),
            "{wire} {mode:?}"
        );
        let reply = answer(&server, wire, mode, &Ask::new("all")).await;
        assert_eq!(reply.calls, wanted, "{wire} {mode:?}");
        assert_eq!(
            (reply.text.as_str(), reply.reasoning.as_str()),
            ("One moment.", "Hm, two of them.")
        );
    }
}

#[tokio::test]
async fn tools_are_called_round_by_round_until_the_text_comes() {
    let two = NonZeroU32::new(2).unwrap();
    let server = start(instant().seed(6).tool_rounds(2, two)).await;
    let tools = vec![
        ("weather", weather()),
        ("now", json!({"type": "object"})),
        ("add", weather()),
    ];
    let mut request = Ask {
        tools,
        system: Some("You have tools.".into()),
        ..Ask::new("Plan a trip.")
    };
    for round in 0..=2 {
        let texts = request.texts();
        let arguments = expected_arguments(6, &texts, &weather());
        let calls: [Vec<(String, Value)>; 3] = [
            vec![("weather".into(), arguments.clone()), ("now".into(), json!({}))],
            vec![("add".into(), arguments.clone()), ("weather".into(), arguments)],
            vec![],
        ];
        let text = if round == 2 {
            expected_text(6, &texts)
        } else {
            String::new()
        };
        for (wire, mode) in ways() {
            let reply = answer(&server, wire, mode, &request).await;
            assert_eq!(reply.calls, calls[round], "{wire} {mode:?} round {round}");
            assert_eq!(reply.text, text, "{wire} {mode:?} round {round}");
        }
        request.rounds.push(vec![
            ("weather", json!({"city": "x"}), "Sunny."),
            ("now", json!({}), "12:00"),
        ]);
    }
}

#[tokio::test]
async fn a_rule_goes_by_the_round() {
    let first = Behaviour::ToolCalls(vec![ToolCall::new("a", "{}")]);
    let server = start(
        instant()
            .script(Match::prompt_contains("go").tool_round(0), first)
            .script(
                Match::prompt_contains("go").tool_round(1),
                Behaviour::Text("Done.".into()),
            ),
    )
    .await;
    let begin = Ask::new("go");
    let end = Ask {
        rounds: vec![vec![("a", json!({}), "42")]],
        ..Ask::new("go")
    };
    for (wire, mode) in ways() {
        assert_eq!(
            answer(&server, wire, mode, &begin).await.calls.len(),
            1,
            "{wire} {mode:?}"
        );
        assert_eq!(
            answer(&server, wire, mode, &end).await.text,
            "Done.",
            "{wire} {mode:?}"
        );
    }
}

#[tokio::test]
async fn reasoning_comes_before_the_answer_and_is_counted() {
    let server = start(instant().seed(8).reasoning_tokens(10..=20)).await;
    let scripted = start(instant().seed(8).script(Match::any(), Behaviour::Reasoning)).await;
    let text = expected_text(8, "Why?");
    let reasoning = server.config().expected_reasoning("Why?").unwrap();
    assert!((10..=20).contains(&count_tokens(&reasoning)) && reasoning != text);
    for (wire, mode) in ways() {
        let reply = answer(&server, wire, mode, &Ask::new("Why?")).await;
        assert_eq!(
            (&reply.text, &reply.reasoning),
            (&text, &reasoning),
            "{wire} {mode:?}"
        );
        let tokens = count_tokens(&text) + count_tokens(&reasoning);
        assert_eq!(reply.output_tokens, Some(tokens), "{wire} {mode:?}");
        if wire != Wire::Ollama {
            assert_eq!(
                reply.reasoning_tokens,
                count_tokens(&reasoning),
                "{wire} {mode:?}"
            );
        }
        let signed = matches!(wire, Wire::Anthropic | Wire::Gemini);
        assert_eq!(
            reply.signature.is_some_and(|text| text.len() == 88),
            signed,
            "{wire} {mode:?}"
        );
        let reply = answer(&scripted, wire, mode, &Ask::new("Why?")).await;
        assert_eq!(reply.reasoning, expected_reasoning(8, "Why?"), "{wire} {mode:?}");
    }
}

#[tokio::test]
async fn equal_requests_get_equal_bytes() {
    let builder = || instant().seed(5).reasoning_tokens(4..=9);
    let (one, other) = (start(builder()).await, start(builder()).await);
    for (wire, mode) in ways() {
        let first = ask(&one, wire, mode, &Ask::new("x")).await.unwrap();
        let second = ask(&other, wire, mode, &Ask::new("x")).await.unwrap();
        assert_eq!(first.body, second.body, "{wire} {mode:?}");
    }
}
