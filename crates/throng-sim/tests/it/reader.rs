//! A strict client of every wire, written from the providers' documents: it takes what they allow and nothing else.

use serde_json::{Value, json};
use throng_sim::Wire;

use crate::client::Reply;

/// What a client makes of a reply that it takes for whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) reasoning: String,
    /// Names and arguments.
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) finish: String,
    pub(crate) input_tokens: Option<u64>,
    pub(crate) output_tokens: Option<u64>,
    pub(crate) reasoning_tokens: u64,
    pub(crate) signature: Option<String>,
}

type Read<T> = Result<T, String>;

/// Where the escapes of surrogates go while JSON is parsed, which may not hold a lone one.
const PARKED: u32 = 0xF_0000;

/// Parses JSON in which a string may hold half a character.
fn from_json(text: &str) -> Read<Value> {
    let mut parts = text.split("\\ud");
    let mut parked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let unit = part.get(..3).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let unit = unit
            .filter(|unit| *unit >= 0x800)
            .ok_or("this test knows only escapes of surrogates")?;
        parked.push(char::from_u32(PARKED + unit).unwrap());
        parked.push_str(&part[3..]);
    }
    serde_json::from_str(&parked).map_err(|err| format!("{err}: {text}"))
}

/// Joins the halves of characters.
fn join(text: &str) -> String {
    let units: Vec<u16> = text
        .chars()
        .flat_map(|char| match u32::from(char).checked_sub(PARKED) {
            Some(unit @ 0x800..=0xFFF) => vec![0xD000 | u16::try_from(unit).unwrap()],
            _ => char.encode_utf16(&mut [0; 2]).to_vec(),
        })
        .collect();
    String::from_utf16(&units).unwrap()
}

/// Reads a reply of any kind; an error says why it is no whole answer.
pub(crate) fn read(wire: Wire, reply: &Reply) -> Read<Answer> {
    if reply.status != 200 {
        return Err(format!("status {}", reply.status));
    }
    if !reply.ended {
        return Err("cut off".into());
    }
    let kind = reply.header("content-type").unwrap_or_default();
    let text = std::str::from_utf8(&reply.body).map_err(|err| err.to_string())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if kind.starts_with("application/json") {
        let body = from_json(text)?;
        if let Value::Array(elements) = body {
            return read_stream(wire, elements);
        }
        return read_whole(wire, &body);
    }
    match (wire, kind) {
        (Wire::Ollama, "application/x-ndjson") => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let lines = lines.map(from_json);
            read_stream(wire, lines.collect::<Read<_>>()?)
        }
        (_, kind) if kind.starts_with("text/event-stream") => read_stream(wire, sse(text)?),
        (_, other) => Err(format!("content type {other:?}")),
    }
}

/// Returns the data of server-sent events. A name has to be the one in `type`.
fn sse(text: &str) -> Read<Vec<Value>> {
    let text = text.replace("\r\n", "\n");
    let (whole, _) = text.rsplit_once("\n\n").unwrap_or_default();
    let mut events = Vec::new();
    for event in whole.split("\n\n") {
        let lines = event.lines().filter_map(|line| line.split_once(':'));
        let lines: Vec<_> = lines
            .map(|(key, value)| (key, value.strip_prefix(' ').unwrap_or(value)))
            .collect();
        let find = |wanted: &str| {
            lines
                .iter()
                .find(|(key, _)| *key == wanted)
                .map(|(_, value)| *value)
        };
        let Some(data) = find("data") else { continue };
        let data = match data {
            "[DONE]" => json!("[DONE]"),
            data => from_json(data)?,
        };
        if let Some(name) = find("event") {
            assert_eq!(data["type"], *name, "the name of an event is its type");
        }
        events.push(data);
    }
    Ok(events)
}

fn read_stream(wire: Wire, events: Vec<Value>) -> Read<Answer> {
    let events: Vec<Value> = events.into_iter().filter(|event| !event.is_null()).collect();
    if let Some(event) = events
        .iter()
        .find(|event| event.get("error").is_some_and(|error| !error.is_null()))
    {
        return Err(event["error"].to_string());
    }
    match wire {
        Wire::OpenAiChat => chat_stream(&events),
        Wire::OpenAiResponses => responses_stream(&events),
        Wire::Anthropic => anthropic_stream(&events),
        Wire::Gemini => gemini(&events),
        Wire::Ollama => ollama(&events),
        _ => Err("no such wire".into()),
    }
}

fn read_whole(wire: Wire, body: &Value) -> Read<Answer> {
    if body.get("error").is_some_and(|error| !error.is_null()) {
        return Err(body["error"].to_string());
    }
    match wire {
        Wire::OpenAiChat => chat_whole(body),
        Wire::OpenAiResponses => responses_whole(body),
        Wire::Anthropic => anthropic_whole(body),
        Wire::Gemini => gemini(std::slice::from_ref(body)),
        Wire::Ollama => ollama(std::slice::from_ref(body)),
        _ => Err("no such wire".into()),
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn parsed(arguments: &str) -> Read<Value> {
    serde_json::from_str(arguments).map_err(|err| format!("{err}: {arguments}"))
}

/// Checks a finish reason against those that mean a whole answer.
fn finished(mut answer: Answer, whole: &[&str]) -> Read<Answer> {
    answer.text = join(&answer.text);
    if whole.contains(&answer.finish.as_str()) {
        Ok(answer)
    } else {
        Err(format!("finish {:?}", answer.finish))
    }
}

const CHAT: &[&str] = &["stop", "length", "tool_calls"];

fn chat_usage(answer: &mut Answer, usage: &Value) {
    if usage.is_object() {
        answer.input_tokens = usage["prompt_tokens"].as_u64();
        answer.output_tokens = usage["completion_tokens"].as_u64();
        answer.reasoning_tokens = usage["completion_tokens_details"]["reasoning_tokens"]
            .as_u64()
            .unwrap_or(0);
        assert_eq!(
            usage["total_tokens"].as_u64(),
            answer.input_tokens.zip(answer.output_tokens).map(|(a, b)| a + b)
        );
    }
}

fn chat_whole(body: &Value) -> Read<Answer> {
    let choice = &body["choices"][0];
    let message = &choice["message"];
    let mut answer = Answer {
        text: string(&message["content"]),
        reasoning: string(&message["reasoning_content"]),
        finish: string(&choice["finish_reason"]),
        ..Answer::default()
    };
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let arguments = parsed(&string(&call["function"]["arguments"]))?;
        answer.calls.push((string(&call["function"]["name"]), arguments));
    }
    chat_usage(&mut answer, &body["usage"]);
    finished(answer, CHAT)
}

fn chat_stream(events: &[Value]) -> Read<Answer> {
    let mut answer = Answer::default();
    let mut calls: Vec<(String, String)> = Vec::new();
    if events.last() != Some(&json!("[DONE]")) {
        return Err("no end mark".into());
    }
    for event in events {
        chat_usage(&mut answer, &event["usage"]);
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        answer
            .text
            .push_str(delta["content"].as_str().unwrap_or_default());
        answer
            .reasoning
            .push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        for part in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(part["index"].as_u64().unwrap()).unwrap();
            if index == calls.len() {
                assert!(part["id"].is_string() && part["type"] == "function");
                calls.push((string(&part["function"]["name"]), String::new()));
            }
            calls[index]
                .1
                .push_str(part["function"]["arguments"].as_str().unwrap());
        }
        if let Some(finish) = choice["finish_reason"].as_str() {
            finish.clone_into(&mut answer.finish);
        }
    }
    for (name, arguments) in calls {
        answer.calls.push((name, parsed(&arguments)?));
    }
    finished(answer, CHAT)
}

fn responses_whole(body: &Value) -> Read<Answer> {
    let mut answer = Answer {
        finish: string(&body["status"]),
        input_tokens: body["usage"]["input_tokens"].as_u64(),
        output_tokens: body["usage"]["output_tokens"].as_u64(),
        reasoning_tokens: body["usage"]["output_tokens_details"]["reasoning_tokens"]
            .as_u64()
            .unwrap_or(0),
        ..Answer::default()
    };
    if answer.finish == "incomplete" {
        answer.finish = string(&body["incomplete_details"]["reason"]);
    }
    for item in body["output"].as_array().into_iter().flatten() {
        match item["type"].as_str().unwrap() {
            "message" => answer.text.push_str(item["content"][0]["text"].as_str().unwrap()),
            "reasoning" => answer
                .reasoning
                .push_str(item["summary"][0]["text"].as_str().unwrap()),
            "function_call" => {
                assert!(item["call_id"].is_string());
                let arguments = parsed(&string(&item["arguments"]))?;
                answer.calls.push((string(&item["name"]), arguments));
            }
            other => panic!("{other}"),
        }
    }
    finished(answer, &["completed", "max_output_tokens"])
}

/// The deltas have to say what the last event says.
fn responses_stream(events: &[Value]) -> Read<Answer> {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut arguments: Vec<String> = Vec::new();
    let mut number = 0;
    for event in events {
        let kind = event["type"].as_str().unwrap_or_default();
        if let Some(sequence) = event["sequence_number"].as_u64() {
            assert_eq!(sequence, number, "events are numbered");
            number += 1;
        }
        let delta = event["delta"].as_str().unwrap_or_default();
        match kind {
            "response.output_text.delta" => text.push_str(delta),
            "response.reasoning_summary_text.delta" => reasoning.push_str(delta),
            "response.output_item.added" if event["item"]["type"] == "function_call" => {
                arguments.push(String::new());
            }
            "response.function_call_arguments.delta" => arguments.last_mut().unwrap().push_str(delta),
            "response.failed" | "error" => return Err(event.to_string()),
            "response.completed" | "response.incomplete" => {
                let answer = responses_whole(&event["response"])?;
                assert_eq!(answer.text, join(&text));
                assert_eq!(answer.reasoning, reasoning);
                for (call, arguments) in answer.calls.iter().zip(&arguments) {
                    assert_eq!(call.1, parsed(arguments).unwrap());
                }
                return Ok(answer);
            }
            _ => {}
        }
    }
    Err("no terminal event".into())
}

const ANTHROPIC: &[&str] = &["end_turn", "max_tokens", "stop_sequence", "tool_use"];

fn anthropic_whole(body: &Value) -> Read<Answer> {
    let mut answer = Answer {
        finish: string(&body["stop_reason"]),
        input_tokens: body["usage"]["input_tokens"].as_u64(),
        output_tokens: body["usage"]["output_tokens"].as_u64(),
        reasoning_tokens: body["usage"]["output_tokens_details"]["thinking_tokens"]
            .as_u64()
            .unwrap_or(0),
        ..Answer::default()
    };
    for block in body["content"].as_array().into_iter().flatten() {
        match block["type"].as_str().unwrap() {
            "text" => answer.text.push_str(block["text"].as_str().unwrap()),
            "thinking" => {
                answer.reasoning.push_str(block["thinking"].as_str().unwrap());
                answer.signature = block["signature"].as_str().map(str::to_owned);
            }
            "tool_use" => {
                assert!(block["id"].as_str().unwrap().starts_with("toolu_"));
                answer
                    .calls
                    .push((string(&block["name"]), block["input"].clone()));
            }
            other => panic!("{other}"),
        }
    }
    finished(answer, ANTHROPIC)
}

fn anthropic_stream(events: &[Value]) -> Read<Answer> {
    let mut answer = Answer::default();
    let mut blocks: Vec<Value> = Vec::new();
    let mut open = None;
    let mut fragments = String::new();
    for event in events {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap_or_default() {
            "message_start" => {
                assert!(blocks.is_empty());
                answer.input_tokens = event["message"]["usage"]["input_tokens"].as_u64();
            }
            "content_block_start" => {
                assert_eq!((index, open), (Some(blocks.len() as u64), None));
                open = index;
                fragments.clear();
                blocks.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                assert_eq!(index, open);
                let delta = &event["delta"];
                let field = |key: &str| delta[key].as_str().unwrap_or_default();
                match delta["type"].as_str().unwrap() {
                    "text_delta" => answer.text.push_str(field("text")),
                    "thinking_delta" => answer.reasoning.push_str(field("thinking")),
                    "signature_delta" => answer.signature = Some(field("signature").to_owned()),
                    "input_json_delta" => fragments.push_str(field("partial_json")),
                    _ => {}
                }
            }
            "content_block_stop" => {
                assert_eq!(index, open);
                open = None;
                let block = blocks.last().unwrap();
                if block["type"] == "tool_use" {
                    let input = if fragments.is_empty() {
                        block["input"].clone()
                    } else {
                        parsed(&fragments)?
                    };
                    answer.calls.push((string(&block["name"]), input));
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                answer.finish = string(&event["delta"]["stop_reason"]);
                let usage = &event["usage"];
                answer.output_tokens = usage["output_tokens"].as_u64();
                answer.input_tokens = usage["input_tokens"]
                    .as_u64()
                    .filter(|n| *n > 0)
                    .or(answer.input_tokens);
                answer.reasoning_tokens = usage["output_tokens_details"]["thinking_tokens"]
                    .as_u64()
                    .unwrap_or(0);
            }
            "message_stop" => return finished(answer, ANTHROPIC),
            _ => {}
        }
    }
    Err("no message_stop".into())
}

/// A whole reply and the pieces of a stream have the same form.
fn gemini(events: &[Value]) -> Read<Answer> {
    let mut answer = Answer::default();
    for event in events {
        let candidate = &event["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let text = part["text"].as_str().unwrap_or_default();
            if part["thought"] == true {
                answer.reasoning.push_str(text);
            } else {
                answer.text.push_str(text);
            }
            if let Some(call) = part.get("functionCall") {
                assert!(call["args"].is_object());
                answer.calls.push((string(&call["name"]), call["args"].clone()));
            }
            if let Some(signature) = part["thoughtSignature"].as_str() {
                answer.signature = Some(signature.to_owned());
            }
        }
        if let Some(finish) = candidate["finishReason"].as_str() {
            finish.clone_into(&mut answer.finish);
        }
        if event["usageMetadata"].is_object() {
            let count = |key: &str| event["usageMetadata"][key].as_u64();
            answer.input_tokens = count("promptTokenCount");
            answer.reasoning_tokens = count("thoughtsTokenCount").unwrap_or(0);
            answer.output_tokens = Some(count("candidatesTokenCount").unwrap_or(0) + answer.reasoning_tokens);
            assert_eq!(
                count("totalTokenCount"),
                answer.input_tokens.zip(answer.output_tokens).map(|(a, b)| a + b)
            );
        }
    }
    finished(answer, &["STOP", "MAX_TOKENS"])
}

/// A whole reply and the lines of a stream have the same form.
fn ollama(lines: &[Value]) -> Read<Answer> {
    let mut answer = Answer::default();
    for line in lines {
        let message = &line["message"];
        answer
            .text
            .push_str(message["content"].as_str().unwrap_or_default());
        answer
            .reasoning
            .push_str(message["thinking"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            answer
                .calls
                .push((string(&function["name"]), function["arguments"].clone()));
        }
        if line["done"] == true {
            answer.finish = string(&line["done_reason"]);
            answer.input_tokens = line["prompt_eval_count"].as_u64();
            answer.output_tokens = line["eval_count"].as_u64();
            return finished(answer, &["stop", "length"]);
        }
    }
    Err("never done".into())
}
