//! Recorded traffic of real providers: every chat-completions stream decodes without loss, whatever its split.

use serde_json::{Value, json};
use throng_llm::{ErrorKind, StreamEvent, Wire};

use crate::recorded::{Recorded, data};
use crate::support::{Ended, Server, answer, call, decode, every_split};

const PROVIDERS: [&str; 6] = ["openai", "deepseek", "groq", "llamacpp", "mistral", "openrouter"];

/// Reads every recorded answer to a chat completion.
fn recorded() -> Vec<Recorded> {
    let all = crate::recorded::recorded(&PROVIDERS, |path| path.ends_with("/chat/completions"));
    assert!(all.is_empty() || all.len() >= 90, "only {} recordings", all.len());
    all
}

/// What a body says, read line by line without this crate.
#[derive(Debug, Default, PartialEq)]
struct Naive {
    text: String,
    reasoning: String,
    refusal: String,
    /// Id, name and arguments by index.
    calls: Vec<(String, String, String)>,
    opaque: usize,
    finish: Option<String>,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    id: Option<String>,
    model: Option<String>,
    /// The text of further answers, where the request asked for several.
    others: String,
}

fn naive(body: &str) -> Naive {
    let mut naive = Naive::default();
    let whole: Option<Value> = serde_json::from_str(body).ok();
    let lines = body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]");
    let frames: Vec<Value> = match whole {
        Some(whole) => vec![whole],
        None => lines
            .map(|data| serde_json::from_str(data).expect(data))
            .collect(),
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for frame in frames {
        for (name, place) in [("id", &mut naive.id), ("model", &mut naive.model)] {
            place.get_or_insert_with(|| text(&frame[name]));
        }
        for (name, place) in [
            ("prompt_tokens", &mut naive.prompt_tokens),
            ("completion_tokens", &mut naive.completion_tokens),
        ] {
            *place = frame["usage"][name].as_u64().or(*place);
        }
        for choice in frame["choices"].as_array().unwrap() {
            let delta = if choice["delta"].is_object() {
                &choice["delta"]
            } else {
                &choice["message"]
            };
            if choice["index"].as_u64().unwrap_or(0) > 0 {
                naive.others += &text(&delta["content"]);
                continue;
            }
            naive.text += &text(&delta["content"]);
            naive.reasoning += &text(&delta["reasoning_content"]);
            naive.reasoning += &text(&delta["reasoning"]);
            naive.refusal += &text(&delta["refusal"]);
            for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
                naive.opaque += usize::from(detail["signature"].is_string() || detail["data"].is_string());
            }
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = call["index"].as_u64().unwrap_or(naive.calls.len() as u64) as usize;
                if naive.calls.len() <= index {
                    naive.calls.resize(index + 1, Default::default());
                }
                let (id, name, arguments) = &mut naive.calls[index];
                *id += &text(&call["id"]);
                *name += &text(&call["function"]["name"]);
                *arguments += &text(&call["function"]["arguments"]);
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                naive.finish.get_or_insert(reason.to_owned());
            }
        }
    }
    naive
}

/// What the crate made of it, in the same form.
fn ours(ended: &Ended) -> Naive {
    let done = ended.succeeded();
    let calls = done.tool_calls.iter().chain(&done.cut_tool_calls);
    // What belongs to another answer is not mixed into this one, and is not lost either.
    let others = ended.events.iter().map(|event| match event {
        StreamEvent::Unknown { raw } => naive(&format!("data: {raw}")).others,
        _ => String::new(),
    });
    Naive {
        text: done.text.clone(),
        reasoning: done.reasoning.clone(),
        refusal: done.refusal.clone(),
        calls: calls
            .map(|call| (call.id.clone(), call.name.clone(), call.arguments.clone()))
            .collect(),
        opaque: done.reasoning_opaque.len(),
        finish: done.finish.as_ref().map(|finish| finish.as_str().to_owned()),
        prompt_tokens: done.usage.input_tokens,
        completion_tokens: done.usage.output_tokens,
        id: done.id.clone(),
        model: done.model.clone(),
        others: others.collect(),
    }
}

#[test]
fn every_stream_decodes_without_loss() {
    let mut streams = 0;
    for Recorded { name, body, .. } in recorded().iter().filter(|recorded| recorded.status == 200) {
        let ended = decode([body.as_bytes()]);
        let mut expect = naive(body);
        // OpenRouter sends the reason `stop` after the calls of some models.
        if expect.finish.as_deref() == Some("stop") && !expect.calls.is_empty() {
            expect.finish = Some("tool_calls".to_owned());
        }
        assert_eq!(ours(&ended), expect, "{name}");
        let odd = ended
            .events
            .iter()
            .filter(|event| matches!(event, StreamEvent::Unknown { .. }))
            .count();
        let of_others = body
            .lines()
            .filter(|line| line.contains("\"index\":1}],\"created\""))
            .count();
        assert_eq!(odd, of_others, "{name}: {:?}", ended.events);
        crate::fuzzed::laws(&ended.events, false);
        for call in &ended.succeeded().tool_calls {
            assert!(
                call.parse_arguments()
                    .is_ok_and(|arguments| arguments.is_object()),
                "{name}: {call:?}"
            );
        }
        streams += 1;
    }
    assert!(streams == 0 || streams >= 90, "{streams} streams");
}

#[test]
fn every_split_gives_the_same_events() {
    for recorded in recorded().iter().filter(|recorded| recorded.status == 200) {
        // The recordings lost their line ends; all three kinds must do.
        every_split(Wire::OpenAiChat, &recorded.body);
        for ends in ["\r\n", "\r"] {
            let body = recorded.body.replace('\n', ends);
            let bytes = body.as_bytes();
            assert_eq!(
                decode([bytes]).trace(),
                decode(bytes.chunks(1)).trace(),
                "{} bytewise",
                recorded.name
            );
        }
    }
}

#[test]
fn every_cut_of_a_recorded_stream_is_an_error_until_its_finish_reason() {
    for Recorded {
        name, body, status, ..
    } in recorded()
    {
        if status != 200 || body.len() > 4_096 || !body.contains("data: ") {
            continue;
        }
        let lines: Vec<_> = body.split_inclusive("\n\n").collect();
        let mut finished = false;
        let mut cut = String::new();
        for line in lines {
            let half: String = line.chars().take(line.len() / 2).collect();
            assert_eq!(
                decode([cut.as_bytes(), half.as_bytes()]).error.is_none(),
                finished,
                "{name}: {cut}{half}"
            );
            cut += line;
            let frame: Option<Value> = line
                .trim()
                .strip_prefix("data: ")
                .and_then(|data| serde_json::from_str(data).ok());
            finished |= frame.is_some_and(|frame| frame["choices"][0]["finish_reason"].is_string());
            assert_eq!(
                decode([cut.as_bytes()]).error.is_none(),
                finished,
                "{name}: {cut}"
            );
        }
        assert!(finished, "{name} has no finish reason");
    }
}

#[tokio::test]
async fn recorded_errors_are_typed() {
    let mut kinds = Vec::new();
    for Recorded {
        name, status, body, ..
    } in recorded().into_iter().filter(|recorded| recorded.status != 200)
    {
        let server = Server::answering(answer(status, &["content-type: application/json"], &body)).await;
        let error = call(&server.client()).await.failed();
        assert_eq!(
            (error.status(), error.raw_body()),
            (Some(status), Some(&*body)),
            "{name}"
        );
        let message = serde_json::from_str::<Value>(&body).unwrap();
        let message = message
            .pointer("/error/message")
            .or(message.get("message"))
            .unwrap_or(&json!(null))
            .clone();
        assert_eq!(Some(error.message()), message.as_str(), "{name}");
        kinds.push(error.kind().clone());
    }
    if data().is_some() {
        assert_eq!(
            kinds,
            [ErrorKind::ContextOverflow, ErrorKind::BadRequest],
            "llama.cpp and Mistral"
        );
    }
}
