//! Writes the replies of OpenAI's Chat Completions: whole, and as the events of a stream.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::hash::{Purpose, derive};
use crate::reply::{Choice, Event, Finish, Reply};
use crate::wire::{Pen, openai_error, to_json, unnamed};

/// Every reply says that it was made at this second, so that equal requests get equal bytes.
const CREATED: u64 = 1_700_000_000;
const FINGERPRINT: &str = "fp_throng_sim";

/// Writes a whole reply.
pub(super) fn whole(reply: &Reply) -> Bytes {
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
        if let Some(reasoning) = &choice.reasoning {
            message["reasoning_content"] = Value::String(reasoning.clone());
        }
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        WholeChoice {
            index,
            message,
            logprobs: None,
            finish_reason: finish_reason(&choice.finish),
        }
    };
    to_json(&Whole {
        id: reply_id(reply),
        object: "chat.completion",
        created: CREATED,
        model: &reply.model,
        system_fingerprint: FINGERPRINT,
        choices: reply.choices.iter().enumerate().map(choice).collect(),
        usage: usage(reply, reply.output_tokens, reply.reasoning_tokens),
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

fn usage(reply: &Reply, completion_tokens: u64, reasoning_tokens: u64) -> UsageBody {
    UsageBody {
        prompt_tokens: reply.input_tokens,
        completion_tokens,
        total_tokens: reply.input_tokens + completion_tokens,
        prompt_tokens_details: PromptDetails::default(),
        completion_tokens_details: CompletionDetails {
            reasoning_tokens,
            ..CompletionDetails::default()
        },
    }
}

/// Writes one event of a stream, as a server-sent event.
pub(super) fn event(reply: &Reply, event: &Event, pen: &Pen) -> Bytes {
    match event {
        Event::Open
        | Event::ReasoningStart { .. }
        | Event::ReasoningEnd { .. }
        | Event::TextStart { .. }
        | Event::TextEnd { .. }
        | Event::ToolEnd { .. }
        | Event::ToolTorn { .. } => Bytes::new(),
        Event::Start { choice } if only_calls(reply, *choice) => Bytes::new(),
        Event::Start { choice } => {
            let delta = Delta {
                role: Some("assistant"),
                content: Some(Some("")),
                refusal: Some(()),
                ..Delta::default()
            };
            chunk(reply, *choice, delta, None)
        }
        Event::Reasoning { choice, bytes } => {
            let delta = Delta {
                reasoning_content: Some(reply.reasoning(*choice, bytes)),
                ..Delta::default()
            };
            chunk(reply, *choice, delta, None)
        }
        Event::Text { choice, bytes } => {
            let delta = Delta {
                content: Some(Some(reply.text(*choice, bytes))),
                ..Delta::default()
            };
            chunk(reply, *choice, delta, None)
        }
        Event::ToolStart { choice, tool } => {
            let call = DeltaCall {
                index: *tool,
                id: Some(call_id(reply, *choice, *tool)),
                r#type: Some("function"),
                function: DeltaFunction {
                    name: reply.tool(*choice, *tool).map(|call| call.name.as_str()),
                    arguments: "",
                },
            };
            let first = *tool == 0 && only_calls(reply, *choice);
            let delta = Delta {
                role: first.then_some("assistant"),
                content: first.then_some(None),
                refusal: first.then_some(()),
                tool_calls: Some([call]),
                ..Delta::default()
            };
            chunk(reply, *choice, delta, None)
        }
        Event::ToolArguments { choice, tool, bytes } => {
            let call = DeltaCall {
                index: *tool,
                id: None,
                r#type: None,
                function: DeltaFunction {
                    name: None,
                    arguments: reply.arguments(*choice, *tool, bytes),
                },
            };
            let delta = Delta {
                tool_calls: Some([call]),
                ..Delta::default()
            };
            chunk(reply, *choice, delta, None)
        }
        Event::Finish { choice } => {
            let finish = reply.choice(*choice).map(|choice| finish_reason(&choice.finish));
            chunk(reply, *choice, Delta::default(), finish)
        }
        Event::Usage => unnamed(&Chunk {
            usage: Some(Some(usage(reply, reply.output_tokens, reply.reasoning_tokens))),
            ..Chunk::of(reply, &[])
        }),
        // Some providers send it beside a choice.
        Event::UsageSoFar => unnamed(&Chunk {
            usage: Some(Some(usage(reply, pen.tokens(), pen.reasoning_tokens()))),
            ..Chunk::of(reply, &[ChunkChoice::default()])
        }),
        Event::Done => Bytes::from_static(b"data: [DONE]\n\n"),
        Event::Error { masked } => unnamed(&openai_error::error(
            &ApiError::Server,
            "messages",
            masked.then_some("choices"),
        )),
        Event::Garbage => {
            Bytes::from_static(b"data: {\"id\":\"chatcmpl-\",\"object\":\"chat.comp\xff\xfe\x00\x9d<<<\n\n")
        }
        Event::KeepAlive { turn } => Bytes::from_static(match turn % 3 {
            0 => b": keep-alive\n\n",
            1 => b"data: null\n\n",
            _ => b": OPENROUTER PROCESSING\n\n",
        }),
        Event::Unknown { turn: 0 } => Bytes::from_static(b"data: {\"choices\":[],\"cost\":\"0\"}\n\n"),
        Event::Unknown { turn } => unnamed(&serde_json::json!({
            "id": reply_id(reply), "object": "chat.completion.chunk", "created": CREATED, "model": reply.model,
            "choices": [{"index": 0, "delta": {"future": {"turn": turn}}, "finish_reason": null, "future": [1, null]}],
            "future": {"a": "b"}
        })),
    }
}

/// Returns true if a choice has nothing but tool calls, the first of which then begins it.
fn only_calls(reply: &Reply, choice: usize) -> bool {
    reply
        .choice(choice)
        .is_some_and(|choice| choice.text.is_none() && choice.reasoning.is_none() && !choice.tools.is_empty())
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

#[derive(Default, Serialize)]
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
    reasoning_content: Option<&'a str>,
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
    unnamed(&Chunk::of(
        reply,
        &[ChunkChoice {
            index,
            delta,
            logprobs: None,
            finish_reason,
        }],
    ))
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

const fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence(_) => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
        Finish::Empty => "",
    }
}
