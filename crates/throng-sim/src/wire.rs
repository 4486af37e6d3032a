//! The wires: how a request is read and a reply is framed. What is replied, when, and with which fault is decided
//! elsewhere and does not depend on the wire.

mod openai_chat;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use crate::call::{ApiError, Call, Event, Reply};
use crate::limit::Standing;

/// A provider's way of putting a call and its reply into bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    OpenAiChat,
}

impl Wire {
    /// Returns the wire that is spoken on a path, for POST requests.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/chat/completions" => Some(Self::OpenAiChat),
            _ => None,
        }
    }

    /// Reads a request.
    pub(crate) fn read(self, body: &[u8]) -> Result<Call, ApiError> {
        match self {
            Self::OpenAiChat => openai_chat::read(body),
        }
    }

    /// Writes a whole reply.
    pub(crate) fn whole(self, reply: &Reply) -> Bytes {
        match self {
            Self::OpenAiChat => openai_chat::whole(reply),
        }
    }

    /// Writes one event of a streamed reply.
    pub(crate) fn event(self, reply: &Reply, event: &Event) -> Bytes {
        match self {
            Self::OpenAiChat => openai_chat::event(reply, event),
        }
    }

    /// Writes an error.
    pub(crate) fn error(self, error: &ApiError) -> Bytes {
        match self {
            Self::OpenAiChat => openai_chat::error(error, false),
        }
    }

    /// Writes an error as the body of a reply with status 200, as some gateways do.
    pub(crate) fn error_as_reply(self, beside_choices: bool) -> Bytes {
        match self {
            Self::OpenAiChat => openai_chat::error(&ApiError::Server, beside_choices),
        }
    }

    /// Returns the content type of a streamed reply.
    pub(crate) fn stream_type(self) -> HeaderValue {
        match self {
            Self::OpenAiChat => HeaderValue::from_static("text/event-stream; charset=utf-8"),
        }
    }

    /// Returns the headers that say how the limits stand.
    pub(crate) fn limit_headers(self, standings: &[Standing]) -> Vec<(HeaderName, HeaderValue)> {
        match self {
            Self::OpenAiChat => standings.iter().flat_map(openai_chat::limit_headers).collect(),
        }
    }
}
