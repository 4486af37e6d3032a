//! The wires: how a request is read and a reply is framed. What is replied, when, and with which fault is decided
//! elsewhere and does not depend on the wire.

mod anthropic;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_error;
mod openai_responses;
mod pen;
mod route;

use std::fmt;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::Call;
use crate::limit::Standing;
use crate::reply::{Event, Reply};

pub(crate) use pen::{Dialect, Pen};
pub(crate) use route::{Route, query_value};

/// A provider's way of putting a call and its reply into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// OpenAI's Chat Completions: `POST /v1/chat/completions`.
    OpenAiChat,
    /// OpenAI's Responses: `POST /v1/responses`.
    OpenAiResponses,
    /// Anthropic's Messages: `POST /v1/messages`.
    Anthropic,
    /// Gemini: `POST /v1beta/models/MODEL:generateContent` and `:streamGenerateContent`.
    Gemini,
    /// Ollama's own: `POST /api/chat`.
    Ollama,
}

impl Wire {
    /// Every wire.
    pub const ALL: [Self; 5] = [
        Self::OpenAiChat,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
    ];

    /// Returns the name as it stands in the log: `openai_chat`, `anthropic` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::OpenAiResponses => "openai_responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }

    /// Returns the path that clients take as the end of their base URL.
    pub(crate) const fn base_path(self) -> &'static str {
        match self {
            Self::OpenAiChat | Self::OpenAiResponses | Self::Anthropic => "/v1",
            Self::Gemini => "/v1beta",
            Self::Ollama => "",
        }
    }

    pub(crate) fn protocol(self) -> &'static dyn Protocol {
        match self {
            Self::OpenAiChat => &openai_chat::OpenAiChat,
            Self::OpenAiResponses => &openai_responses::OpenAiResponses,
            Self::Anthropic => &anthropic::Anthropic,
            Self::Gemini => &gemini::Gemini,
            Self::Ollama => &ollama::Ollama,
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Wire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How one wire reads and writes.
pub(crate) trait Protocol: Sync {
    /// Reads a request.
    fn read(&self, route: &Route, body: &[u8]) -> Result<Call, ApiError>;

    /// Writes a whole reply.
    fn whole(&self, reply: &Reply) -> Bytes;

    /// Writes one event of a streamed reply. No bytes mean that the wire has nothing to say there.
    fn event(&self, reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes;

    /// Writes an error. A masked one has beside it what makes a careless client take it for an answer: an empty list
    /// of choices, or what the wire has in their place.
    fn error(&self, error: &ApiError, request_id: &str, masked: bool) -> Value;

    /// Returns the HTTP status of an error.
    fn status(&self, error: &ApiError) -> u16 {
        error.status()
    }

    /// Returns the content type of a streamed reply.
    fn stream_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    /// Returns the header in which the request's id is sent, if the wire has one.
    fn request_id_header(&self) -> Option<HeaderName>;

    /// Returns the headers that say how a limit stands.
    fn limit_headers(&self, standing: &Standing) -> Vec<(HeaderName, HeaderValue)>;

    /// Returns true if the wire says in `retry-after-ms` how long to wait, beside `retry-after`.
    fn sends_retry_millis(&self) -> bool {
        false
    }

    /// Returns the key that a request sends, where the wire has it.
    fn key<'a>(&self, headers: &'a HeaderMap, query: &'a str) -> Option<std::borrow::Cow<'a, str>>;

    /// Returns how the wire says that the content filter stepped in.
    fn filter(&self) -> Filter {
        Filter::Finish
    }
}

/// How a wire says that the content filter stepped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// By the reason for which an answer ended.
    Finish,
    /// By a reply without an answer.
    NoAnswer,
    /// By an error.
    Error,
}

/// Returns the key of `authorization: Bearer KEY`.
fn bearer(headers: &HeaderMap) -> Option<std::borrow::Cow<'_, str>> {
    let sent = headers.get(hyper::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = sent.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().into())
}

/// Returns the key of a header that holds nothing else.
fn key_header<'a>(headers: &'a HeaderMap, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    let sent = headers.get(name)?.to_str().ok()?;
    Some(sent.trim().into())
}

/// Cuts a caller's name for a request to the length that the log keeps.
pub(crate) fn cut_tag(tag: &str) -> String {
    const MAX_TAG_CHARS: usize = 200;
    tag.chars().take(MAX_TAG_CHARS).collect()
}

/// Writes a value that JSON can always say.
fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is written holds nothing that JSON cannot say")
}

/// Writes a server-sent event without a name.
fn unnamed(value: &impl Serialize) -> Bytes {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut bytes, value).expect("what is written holds nothing that JSON cannot say");
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

/// Writes a server-sent event with the name that stands in its `type`.
fn named(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(b"event: ");
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b"\n");
    bytes.extend_from_slice(&unnamed(value));
    bytes.into()
}

/// Returns the arguments of a tool call as the object that they are, or as a text if they are none.
fn object_or_text(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(object @ Value::Object(_)) => object,
        _ => Value::String(arguments.to_owned()),
    }
}

/// Returns the first half of a call: its name and half of its arguments, which are called `key`.
fn begun_call(reply: &Reply, choice: usize, tool: usize, key: &str) -> String {
    let call = reply.tool(choice, tool);
    let name = Value::from(call.map_or("", |call| &call.name));
    let arguments = call.map_or("", |call| &call.arguments);
    let half: String = arguments.chars().take(arguments.chars().count() / 2).collect();
    format!("{{\"name\":{name},\"{key}\":{half}")
}

/// Returns what stands before a mark, and then this.
fn begun_at(whole: &str, mark: &str, begun: &str) -> String {
    let before = whole.split_once(mark).map_or("", |(before, _)| before);
    format!("{before}{begun}")
}

/// Returns the opaque text by which a provider knows its reasoning again: letters that look like base64.
fn signature(reply: &Reply, choice: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut rng = crate::hash::rng(reply.id, 0, crate::hash::Purpose::Signature, [choice as u64, 0]);
    let letters = (0..86).map(|_| char::from(LETTERS[rng.usize(0..64)]));
    letters.chain(['=', '=']).collect()
}
