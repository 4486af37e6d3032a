//! Every fault on every wire: a strict client takes what still succeeds, and nothing else.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use throng_sim::{Behaviour, Fault, FaultMix, Match, SimServer, ToolCall, Wire, expected_text};

use crate::client::{instant, start};
use crate::reader::read;
use crate::requests::{Ask, Mode, ask, ways};

/// A server where every request meets one fault, and slowness is quick.
async fn only(fault: Fault) -> SimServer {
    let slow = Duration::from_millis(5);
    start(instant().fail(1.0).fault_mix(FaultMix::only(fault)).slow(slow, 2)).await
}

/// The text that a whole answer has.
fn text(fault: Fault, prompt: &str) -> String {
    let mut text = expected_text(0, prompt);
    if fault == Fault::SplitSurrogates && text.chars().all(|char| char.len_utf16() == 1) {
        text.push('🦀');
    }
    text
}

#[tokio::test]
async fn an_answer_of_text_is_taken_if_the_fault_leaves_it_whole() {
    for fault in Fault::ALL {
        let server = only(fault).await;
        for (wire, mode) in ways() {
            for prompt in 0..6 {
                let prompt = format!("{wire} {mode:?} {prompt}");
                let reply = ask(&server, wire, mode, &Ask::new(&prompt)).await;
                let answer = reply
                    .map_err(|err| err.to_string())
                    .and_then(|reply| read(wire, &reply));
                match answer {
                    Ok(answer) => {
                        assert!(fault.still_succeeds(), "{fault} on {prompt}: {answer:?}");
                        assert_eq!(answer.text, text(fault, &prompt), "{fault} on {prompt}");
                        assert_eq!(
                            answer.output_tokens,
                            Some(throng_sim::count_tokens(&answer.text)),
                            "{fault} on {prompt}"
                        );
                        assert_eq!(answer.input_tokens, Some(throng_sim::count_tokens(&prompt)));
                    }
                    Err(err) => assert!(!fault.still_succeeds(), "{fault} on {prompt}: {err}"),
                }
            }
        }
        crate::client::soon(server.wait_until(|stats| stats.open == 0)).await;
        assert_eq!(server.stats().faults, 66, "{fault}");
    }
}

#[tokio::test]
async fn an_answer_of_tool_calls_is_taken_if_the_fault_leaves_it_whole() {
    let calls = || {
        let arguments = r#"{"city":"Žižkov, far away","days":3}"#;
        Behaviour::ToolCalls(vec![ToolCall::new("a", "{}"), ToolCall::new("b", arguments)])
    };
    for fault in Fault::ALL {
        let server = start(instant().slow(Duration::from_millis(5), 2)).await;
        // A call that a request insists on, since a scripted fault takes the place of scripted calls.
        server.script(Match::any(), Behaviour::Fault(fault));
        let request = Ask {
            tools: vec![(
                "b",
                json!({"type": "object", "required": ["x"], "properties": {"x": {"minLength": 40}}}),
            )],
            insists: true,
            ..Ask::new("x")
        };
        for (wire, mode) in ways() {
            let reply = ask(&server, wire, mode, &request).await;
            let answer = reply
                .map_err(|err| err.to_string())
                .and_then(|reply| read(wire, &reply));
            assert_eq!(
                answer.is_ok(),
                fault.still_succeeds(),
                "{fault} on {wire} {mode:?}: {answer:?}"
            );
        }
    }
    let plain = start(instant().script(Match::any(), calls())).await;
    for (wire, mode) in ways() {
        let reply = ask(&plain, wire, mode, &Ask::new("x")).await.unwrap();
        assert_eq!(read(wire, &reply).unwrap().calls.len(), 2);
    }
}

#[tokio::test]
async fn an_answer_of_one_token_or_none_ends_as_the_fault_says() {
    let server = start(instant().output_tokens(1..=1).slow(Duration::from_millis(5), 2)).await;
    for fault in Fault::ALL {
        server.script(Match::prompt_contains(fault.as_str()), Behaviour::Fault(fault));
        for (wire, mode) in ways() {
            let reply = ask(&server, wire, mode, &Ask::new(fault.as_str())).await;
            let answer = reply
                .map_err(|err| err.to_string())
                .and_then(|reply| read(wire, &reply));
            assert_eq!(
                answer.is_ok(),
                fault.still_succeeds(),
                "{fault} on {wire} {mode:?}: {answer:?}"
            );
        }
    }
}

/// One answer of 20 tokens that meets a fault.
async fn bytes(fault: Fault, wire: Wire, mode: Mode) -> String {
    let server = start(
        instant()
            .output_tokens(20..=20)
            .script(Match::any(), Behaviour::Fault(fault)),
    )
    .await;
    ask(&server, wire, mode, &Ask::new("x")).await.unwrap().text()
}

#[tokio::test]
async fn a_byte_order_mark_comes_first_and_once() {
    for (wire, mode) in ways() {
        let text = bytes(Fault::Bom, wire, mode).await;
        assert_eq!(
            text.starts_with('\u{feff}'),
            mode != Mode::Whole,
            "{wire} {mode:?}"
        );
        assert_eq!(text.matches('\u{feff}').count(), usize::from(mode != Mode::Whole));
    }
}

#[tokio::test]
async fn surrogates_are_escaped_one_by_one() {
    for (wire, mode) in ways() {
        let text = bytes(Fault::SplitSurrogates, wire, mode).await;
        let (high, low) = (text.find("\\ud8").unwrap(), text.find("\\udd").unwrap());
        if mode == Mode::Whole {
            assert_eq!(high + 6, low, "side by side on {wire}");
        } else {
            assert!(
                text[high..low].contains('\n'),
                "in two events on {wire} {mode:?}: {text}"
            );
        }
    }
}

#[tokio::test]
async fn what_keeps_alive_stands_between_the_events() {
    for (wire, mode) in ways() {
        let text = bytes(Fault::KeepAlives, wire, mode).await;
        let marks: &[&str] = match (wire, mode) {
            (_, Mode::Whole) => &["\n \r\n{"],
            (_, Mode::Array) => &["\n\n["],
            (Wire::OpenAiChat, _) => &[": keep-alive\n\n", "data: null\n\n"],
            (Wire::OpenAiResponses, _) => &[": keep-alive\n\n", "event: keepalive\n"],
            (Wire::Anthropic, _) => &["event: ping\n", ": keep-alive\n\n"],
            (Wire::Gemini, _) => &[": keep-alive\r\n\r\n", "data: null\r\n\r\n"],
            _ => &["\n\n{"],
        };
        for mark in marks {
            assert!(text.contains(mark), "{mark:?} on {wire} {mode:?}: {text}");
        }
    }
}

#[tokio::test]
async fn what_is_not_known_stands_between_the_events() {
    for (wire, mode) in ways() {
        let text = bytes(Fault::UnknownEvents, wire, mode).await;
        assert!(text.contains("future"), "{wire} {mode:?}");
    }
}

#[tokio::test]
async fn the_usage_comes_more_than_once() {
    for (wire, mode) in ways().filter(|(_, mode)| *mode != Mode::Whole) {
        let text = bytes(Fault::UsageTwice, wire, mode).await;
        let mark = match wire {
            Wire::OpenAiChat => "\"completion_tokens\":20",
            Wire::OpenAiResponses => "\"total_tokens\":",
            Wire::Anthropic => "event: message_delta",
            Wire::Gemini => "\"candidatesTokenCount\":20",
            _ => "\"prompt_eval_count\":",
        };
        assert!(text.matches(mark).count() >= 2, "{wire} {mode:?}: {text}");
    }
    let anthropic = bytes(Fault::UsageTwice, Wire::Anthropic, Mode::Stream).await;
    assert!(
        anthropic.contains("\"usage\":{\"input_tokens\":0,"),
        "0 first: {anthropic}"
    );
}

#[tokio::test]
async fn a_whole_answer_comes_where_a_stream_was_asked_for() {
    for (wire, mode) in ways() {
        let server =
            start(instant().script(Match::any(), Behaviour::Fault(Fault::JsonInsteadOfStream))).await;
        let reply = ask(&server, wire, mode, &Ask::new("x")).await.unwrap();
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert!(reply.json().is_object(), "{wire} {mode:?}");
    }
}

#[tokio::test]
async fn a_stream_ends_within_the_arguments_of_a_call() {
    let schema = json!({"type": "object", "required": ["x"], "properties": {"x": {"type": "string", "minLength": 60}}});
    let request = Ask {
        tools: vec![("far", schema)],
        insists: true,
        ..Ask::new("x")
    };
    for (wire, mode) in ways().filter(|(wire, mode)| *wire != Wire::Ollama && *mode != Mode::Whole) {
        let server = start(instant().script(Match::any(), Behaviour::Fault(Fault::CutToolArguments))).await;
        let reply = ask(&server, wire, mode, &request).await.unwrap();
        let text = reply.text();
        assert!(
            reply.ended && text.contains("\"far\"") && !text.contains("xxx\""),
            "{wire} {mode:?}: {text}"
        );
        if wire != Wire::Gemini {
            assert!(text.ends_with("\n\n"), "between two events on {wire}: {text}");
        } else {
            assert!(!text.ends_with('\n') && text.contains("{\"x\":"), "{text}");
        }
    }
    let mut server = start(instant().tool_rounds(1, NonZeroU32::MIN)).await;
    server.script(Match::any(), Behaviour::Fault(Fault::CutToolArguments));
    let text = ask(&server, Wire::Ollama, Mode::Stream, &request)
        .await
        .unwrap()
        .text();
    assert!(
        text.contains("\"name\":\"far\",\"arguments\":{\"x\":") && !text.ends_with('\n'),
        "{text}"
    );
    server = start(instant().script(Match::any(), Behaviour::Fault(Fault::CutToolArguments))).await;
    let text = ask(&server, Wire::Ollama, Mode::Stream, &Ask::new("x"))
        .await
        .unwrap()
        .text();
    assert!(
        text.ends_with('\n') && !text.contains("\"done\":true"),
        "as a stream without its end: {text}"
    );
}
