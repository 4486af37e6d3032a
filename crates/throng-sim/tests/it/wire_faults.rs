//! Every fault on every wire: a strict client takes what still succeeds, and nothing else.

use std::time::Duration;

use serde_json::json;
use throng_sim::{Behaviour, Fault, FaultMix, Match, SimServer, ToolCall, expected_text};

use crate::client::{instant, start};
use crate::reader::read;
use crate::requests::{Ask, ask, ways};

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
