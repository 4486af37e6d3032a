//! Recorded traffic over Anthropic's Messages and OpenAI's Responses: every stream decodes without loss, whatever its
//! split, compared to a reading line by line without this crate.

use serde_json::{Value, json};
use throng_llm::{ErrorKind, StreamEvent, Wire};

use crate::recorded::{Recorded, data, recorded};
use crate::support::{Ended, Server, answer, call, cases, decode_of};

/// What a stream says.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    text: String,
    reasoning: String,
    opaque: Vec<Value>,
    /// Id, name and arguments.
    calls: Vec<(String, String, Value)>,
    finish: String,
    input: Option<u64>,
    output: Option<u64>,
    id: String,
    model: String,
    /// How many frames say something that has no event.
    unknown: usize,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads the frames of a stream.
fn frames(body: &str) -> Vec<Value> {
    let lines = body.lines().filter_map(|line| line.strip_prefix("data: "));
    let lines = lines.filter(|data| *data != "[DONE]");
    lines
        .map(|data| serde_json::from_str(data).expect(data))
        .collect()
}

fn messages(frames: &[Value]) -> Naive {
    let mut naive = Naive::default();
    let mut blocks: Vec<Value> = Vec::new();
    let mut arguments: Vec<String> = Vec::new();
    let mut usage = json!({});
    for frame in frames {
        for usage_of in [&frame["message"]["usage"], &frame["usage"]] {
            for (name, count) in usage_of.as_object().into_iter().flatten() {
                usage[name] = count.clone();
            }
        }
        let at = frame["index"].as_u64().unwrap_or_default() as usize;
        match frame["type"].as_str().unwrap() {
            "message_start" => {
                naive.id = text(&frame["message"]["id"]);
                naive.model = text(&frame["message"]["model"]);
            }
            "content_block_start" => {
                assert_eq!(at, blocks.len());
                blocks.push(frame["content_block"].clone());
                arguments.push(String::new());
            }
            "content_block_delta" => {
                let delta = &frame["delta"];
                let block = &mut blocks[at];
                for name in ["text", "thinking", "signature"] {
                    if let Some(more) = delta[name].as_str() {
                        block[name] = (text(&block[name]) + more).into();
                    }
                }
                arguments[at] += &text(&delta["partial_json"]);
                naive.unknown += usize::from(delta["type"] == "citations_delta");
            }
            "message_delta" => naive.finish = text(&frame["delta"]["stop_reason"]),
            _ => {}
        }
    }
    for (block, arguments) in blocks.iter().zip(arguments) {
        naive.text += &text(&block["text"]);
        naive.reasoning += &text(&block["thinking"]);
        match block["type"].as_str().unwrap() {
            "thinking" | "redacted_thinking" => naive.opaque.push(block.clone()),
            "tool_use" => {
                let arguments = if arguments.is_empty() { "{}" } else { &arguments };
                let arguments = serde_json::from_str(arguments).unwrap();
                naive
                    .calls
                    .push((text(&block["id"]), text(&block["name"]), arguments));
            }
            _ => {}
        }
    }
    naive.finish = match &*naive.finish {
        "end_turn" | "stop_sequence" => "stop".to_owned(),
        "tool_use" => "tool_calls".to_owned(),
        "max_tokens" => "length".to_owned(),
        other => other.to_owned(),
    };
    let of = |name: &str| usage[name].as_u64().unwrap_or_default();
    naive.input =
        Some(of("input_tokens") + of("cache_creation_input_tokens") + of("cache_read_input_tokens"));
    naive.output = usage["output_tokens"].as_u64();
    naive
}

fn responses(frames: &[Value]) -> Naive {
    let mut naive = Naive::default();
    let deltas = |kind: &str| -> String {
        let of_kind = frames.iter().filter(|frame| frame["type"] == kind);
        of_kind.map(|frame| text(&frame["delta"])).collect()
    };
    naive.text = deltas("response.output_text.delta");
    naive.reasoning = deltas("response.reasoning_summary_text.delta");
    let response = &frames.last().unwrap()["response"];
    for item in response["output"].as_array().unwrap() {
        match item["type"].as_str().unwrap() {
            "function_call" => {
                let arguments = serde_json::from_str(item["arguments"].as_str().unwrap()).unwrap();
                naive
                    .calls
                    .push((text(&item["call_id"]), text(&item["name"]), arguments));
            }
            "reasoning" => naive.opaque.push(item.clone()),
            _ => {}
        }
    }
    let called = !naive.calls.is_empty();
    naive.finish = if called { "tool_calls" } else { "stop" }.to_owned();
    naive.input = response["usage"]["input_tokens"].as_u64();
    naive.output = response["usage"]["output_tokens"].as_u64();
    naive.id = text(&response["id"]);
    naive.model = text(&response["model"]);
    naive
}

/// What the crate made of it, in the same form.
fn ours(ended: &Ended) -> Naive {
    let done = ended.succeeded();
    assert_eq!(done.cut_tool_calls.len(), 0);
    let calls = done.tool_calls.iter();
    let unknown = |event: &&StreamEvent| matches!(event, StreamEvent::Unknown { .. });
    Naive {
        text: done.text.clone(),
        reasoning: done.reasoning.clone(),
        opaque: done.reasoning_opaque.clone(),
        calls: calls
            .map(|call| {
                (
                    call.id.clone(),
                    call.name.clone(),
                    call.parse_arguments().unwrap(),
                )
            })
            .collect(),
        finish: done.finish.as_ref().unwrap().as_str().to_owned(),
        input: done.usage.input_tokens,
        output: done.usage.output_tokens,
        id: done.id.clone().unwrap_or_default(),
        model: done.model.clone().unwrap_or_default(),
        unknown: ended.events.iter().filter(unknown).count(),
    }
}

/// Reads every recorded stream of both wires.
fn streams() -> Vec<(Wire, Recorded)> {
    let messages = recorded(&["anthropic"], |path| path.ends_with("/messages"));
    let responses = recorded(&["openai", "openrouter", "xai"], |path| {
        path.ends_with("/responses")
    });
    if data().is_some() {
        assert!(
            messages.len() >= 25 && responses.len() >= 8,
            "{} and {}",
            messages.len(),
            responses.len()
        );
    }
    let messages = messages.into_iter().map(|recorded| (Wire::Anthropic, recorded));
    let responses = responses
        .into_iter()
        .map(|recorded| (Wire::OpenAiResponses, recorded));
    messages
        .chain(responses)
        .filter(|(_, recorded)| recorded.status == 200)
        .collect()
}

#[test]
fn every_stream_decodes_without_loss() {
    for (wire, Recorded { name, body, .. }) in streams() {
        let ended = decode_of(wire, [body.as_bytes()]);
        let naive = if wire == Wire::Anthropic {
            messages
        } else {
            responses
        };
        assert_eq!(ours(&ended), naive(&frames(&body)), "{name}");
        crate::fuzzed::laws(&ended.events, false);
    }
}

#[test]
fn every_split_gives_the_same_events() {
    for (n, (wire, Recorded { name, body, .. })) in streams().iter().enumerate() {
        // The recordings lost their line ends; all three kinds must do.
        for body in [body.clone(), body.replace('\n', "\r\n"), body.replace('\n', "\r")] {
            let bytes = body.as_bytes();
            let whole = decode_of(*wire, [bytes]).trace();
            assert_eq!(
                whole,
                decode_of(*wire, bytes.chunks(1)).trace(),
                "{name} bytewise"
            );
            let two = if bytes.len() <= 1_300 { bytes.len() } else { 1 };
            for at in 1..two {
                assert_eq!(
                    whole,
                    decode_of(*wire, [&bytes[..at], &bytes[at..]]).trace(),
                    "{name} split at {at}"
                );
            }
            for case in 0..cases(4) {
                let mut state = (n as u32 * 1_000 + case).wrapping_mul(0x9e37_79b9) | 1;
                let mut rest = bytes;
                let mut pieces = Vec::new();
                while !rest.is_empty() {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    let (piece, after) = rest.split_at((state as usize % 400 + 1).min(rest.len()));
                    pieces.push(piece);
                    rest = after;
                }
                assert_eq!(
                    whole,
                    decode_of(*wire, pieces).trace(),
                    "{name} random split {case}"
                );
            }
        }
    }
}

#[test]
fn every_cut_of_a_recorded_stream_is_an_error_until_its_last_word() {
    for (wire, Recorded { name, body, .. }) in streams() {
        let mut finished = false;
        let mut cut = String::new();
        for frame in body.split_inclusive("\n\n") {
            let half: String = frame.chars().take(frame.chars().count() / 2).collect();
            let ended = decode_of(wire, [cut.as_bytes(), half.as_bytes()]);
            assert_eq!(ended.error.is_none(), finished, "{name}: {cut}{half}");
            cut += frame;
            let data = frame.lines().find_map(|line| line.strip_prefix("data: "));
            let value: Value = data
                .and_then(|data| serde_json::from_str(data).ok())
                .unwrap_or_default();
            finished |= value["delta"]["stop_reason"].is_string() || value["type"] == "response.completed";
            assert_eq!(
                decode_of(wire, [cut.as_bytes()]).error.is_none(),
                finished,
                "{name}: {cut}"
            );
        }
        assert!(finished, "{name} has no end");
    }
}

#[test]
fn an_answer_in_one_piece_says_what_the_recorded_stream_said() {
    for (wire, Recorded { name, body, .. }) in streams() {
        if wire != Wire::OpenAiResponses {
            continue;
        }
        let whole = frames(&body).last().unwrap()["response"].to_string();
        let streamed = decode_of(wire, [body.as_bytes()]).succeeded();
        assert_eq!(
            streamed,
            decode_of(wire, [whole.as_bytes()]).succeeded(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn recorded_errors_are_typed() {
    let mut kinds = Vec::new();
    for Recorded {
        name, status, body, ..
    } in recorded(&["anthropic"], |path| path.ends_with("/messages"))
    {
        if status == 200 {
            continue;
        }
        let server = Server::answering(answer(status, &["content-type: application/json"], &body)).await;
        let error = call(&server.builder_of(Wire::Anthropic).build().unwrap())
            .await
            .failed();
        assert_eq!(
            (error.status(), error.raw_body()),
            (Some(status), Some(&*body)),
            "{name}"
        );
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(Some(error.message()), body["error"]["message"].as_str(), "{name}");
        kinds.push(error.kind().clone());
    }
    if data().is_some() {
        assert_eq!(kinds, [ErrorKind::NotFound, ErrorKind::Auth]);
    }
}

/// Reads the frames of a file that has one in each line.
fn lines(name: &str) -> Option<(String, Vec<Value>)> {
    let path = data()?.join("provider_streams").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let frames: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let body = text.lines().map(|line| format!("data: {line}\n\n")).collect();
    Some((body, frames))
}

#[test]
fn a_stream_of_structured_output_is_text() {
    let Some((body, frames)) = lines("anthropic-json-output-format.1.chunks.txt") else {
        return;
    };
    let ended = decode_of(Wire::Anthropic, [body.as_bytes()]);
    let ours = ours(&ended);
    assert_eq!(ours, messages(&frames));
    assert!(serde_json::from_str::<Value>(&ours.text).is_ok_and(|value| value.is_object()));
    assert_eq!(
        ended.trace(),
        decode_of(Wire::Anthropic, body.as_bytes().chunks(1)).trace()
    );
}

#[test]
fn two_messages_spliced_into_one_stream_are_no_answer() {
    let Some((body, _)) = lines("spliced-message-start.chunks.txt") else {
        return;
    };
    let ended = decode_of(Wire::Anthropic, [body.as_bytes()]);
    let first = ended.completion();
    assert_eq!(
        (first.id.as_deref(), first.tool_calls.len()),
        (Some("msg_first"), 0)
    );
    assert_eq!(ended.failed().kind(), &ErrorKind::Protocol);
}
