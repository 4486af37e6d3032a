//! Writes the replies of OpenAI's Chat Completions: whole, and as the events of a stream.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::call::{ApiError, Choice, Event, Finish, Reply};
use crate::hash::{Purpose, derive};
use crate::wire::openai_chat::error::{error, to_json};

/// Every reply says that it was made at this second, so that equal requests get equal bytes.
const CREATED: u64 = 1_700_000_000;
const FINGERPRINT: &str = "fp_throng_sim";

/// Writes a whole reply.
pub(in crate::wire) fn whole(reply: &Reply) -> Bytes {
    let choice = |(index, choice): (usize, &'_ Choice)| {
        let calls = choice.tools.iter().enumerate();
        let calls: Vec<_> = calls
            .map(|(tool, call)| {
                serde_json::json!({
                    "id": call_id(reply, index, tool), "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments}
                })
            })
            .collect();
        let mut message = serde_json::json!({"role": "assistant", "content": choice.text, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        WholeChoice {
            index,
            message,
            logprobs: None,
            finish_reason: finish_reason(choice.finish),
        }
    };
    to_json(&Whole {
        id: reply_id(reply),
        object: "chat.completion",
        created: CREATED,
        model: &reply.model,
        system_fingerprint: FINGERPRINT,
        choices: reply.choices.iter().enumerate().map(choice).collect(),
        usage: usage(reply),
    })
    .into()
}

#[derive(Serialize)]
struct Whole<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: Vec<WholeChoice>,
    usage: UsageBody,
}

#[derive(Serialize)]
struct WholeChoice {
    index: usize,
    message: Value,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Default, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Default, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

fn usage(reply: &Reply) -> UsageBody {
    UsageBody {
        prompt_tokens: reply.input_tokens,
        completion_tokens: reply.output_tokens,
        total_tokens: reply.input_tokens + reply.output_tokens,
        prompt_tokens_details: PromptDetails::default(),
        completion_tokens_details: CompletionDetails::default(),
    }
}

/// Writes one event of a stream, as a server-sent event.
pub(in crate::wire) fn event(reply: &Reply, event: &Event) -> Bytes {
    let text = |choice: usize| {
        reply
            .choices
            .get(choice)
            .and_then(|choice| choice.text.as_deref())
    };
    let tool = |choice: usize, tool: usize| {
        reply
            .choices
            .get(choice)
            .and_then(|choice| choice.tools.get(tool))
    };
    match event {
        Event::Start { choice } => {
            let delta = Delta {
                role: Some("assistant"),
                content: Some(Some("")),
                refusal: Some(()),
                ..Delta::default()
            };
            chunk(reply, *choice, delta, None)
        }
        Event::Text { choice, bytes } => {
            let piece = text(*choice).and_then(|text| text.get(bytes.clone()));
            chunk(
                reply,
                *choice,
                Delta {
                    content: Some(piece),
                    ..Delta::default()
                },
                None,
            )
        }
        Event::ToolStart { choice, tool: index } => {
            let function = tool(*choice, *index);
            let call = DeltaCall {
                index: *index,
                id: Some(call_id(reply, *choice, *index)),
                r#type: Some("function"),
                function: DeltaFunction {
                    name: function.map(|call| call.name.as_str()),
                    arguments: "",
                },
            };
            let first = *index == 0 && text(*choice).is_none();
            let delta = Delta {
                role: first.then_some("assistant"),
                content: first.then_some(None),
                refusal: first.then_some(()),
                tool_calls: Some([call]),
            };
            chunk(reply, *choice, delta, None)
        }
        Event::ToolArguments {
            choice,
            tool: index,
            bytes,
        } => {
            let piece = tool(*choice, *index).and_then(|call| call.arguments.get(bytes.clone()));
            let function = DeltaFunction {
                name: None,
                arguments: piece.unwrap_or_default(),
            };
            let call = DeltaCall {
                index: *index,
                id: None,
                r#type: None,
                function,
            };
            chunk(
                reply,
                *choice,
                Delta {
                    tool_calls: Some([call]),
                    ..Delta::default()
                },
                None,
            )
        }
        Event::Finish { choice } => {
            let finish = reply
                .choices
                .get(*choice)
                .map(|choice| finish_reason(choice.finish));
            chunk(reply, *choice, Delta::default(), finish)
        }
        Event::Usage => sse(&Chunk {
            usage: Some(Some(usage(reply))),
            ..Chunk::of(reply, &[])
        }),
        Event::Done => Bytes::from_static(b"data: [DONE]\n\n"),
        Event::Error { beside_choices } => {
            let mut bytes = b"data: ".to_vec();
            bytes.extend_from_slice(&error(&ApiError::Server, *beside_choices));
            bytes.extend_from_slice(b"\n\n");
            bytes.into()
        }
        Event::Garbage => {
            Bytes::from_static(b"data: {\"id\":\"chatcmpl-\",\"object\":\"chat.comp\xff\xfe\x00\x9d<<<\n\n")
        }
    }
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    system_fingerprint: &'static str,
    choices: &'a [ChunkChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsageBody>>,
}

impl<'a> Chunk<'a> {
    fn of(reply: &'a Reply, choices: &'a [ChunkChoice<'a>]) -> Self {
        Self {
            id: reply_id(reply),
            object: "chat.completion.chunk",
            created: CREATED,
            model: &reply.model,
            system_fingerprint: FINGERPRINT,
            choices,
            usage: reply.include_usage.then_some(None),
        }
    }
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

/// An absent field is `None`; one that is there and null is `Some(None)`, or `Some(())` where it is always null.
#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[DeltaCall<'a>; 1]>,
}

#[derive(Serialize)]
struct DeltaCall<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: DeltaFunction<'a>,
}

#[derive(Serialize)]
struct DeltaFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

fn chunk(reply: &Reply, index: usize, delta: Delta<'_>, finish_reason: Option<&'static str>) -> Bytes {
    sse(&Chunk::of(
        reply,
        &[ChunkChoice {
            index,
            delta,
            logprobs: None,
            finish_reason,
        }],
    ))
}

fn sse(chunk: &Chunk<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut bytes, chunk).expect("a chunk holds nothing that JSON cannot say");
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

fn reply_id(reply: &Reply) -> String {
    format!("chatcmpl-{:016x}", reply.id)
}

fn call_id(reply: &Reply, choice: usize, tool: usize) -> String {
    format!(
        "call_{:016x}",
        derive(reply.id, 0, Purpose::CallId, [choice as u64, tool as u64])
    )
}

const fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}
