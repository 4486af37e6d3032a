//! One recorded call as a file: what was sent, what came back and when, and how it ended. JSON, for people to read and
//! to change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Clock, ErrorKind, Fingerprint, LlmError, Wire};

/// The version of the format.
pub(super) const VERSION: u32 = 1;

/// A recorded call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cassette {
    pub(super) v: u32,
    pub(super) provider: String,
    /// The name of the wire.
    pub(super) wire: String,
    pub(super) model: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) repeat: u32,
    /// Which call of this request and repeat it is, from 0.
    pub(super) attempt: u32,
    /// As in the header `date`.
    pub(super) recorded_at: String,
    pub(super) request: Sent,
    /// Absent if none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Response>,
    pub(super) ended: Ended,
}

/// What was sent, without its headers and without the query of its address: both carry keys.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) body: Value,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Response {
    /// Milliseconds from the beginning of the call to the head of the answer.
    pub(super) at_ms: u64,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// The body as it came, piece by piece.
    pub(super) chunks: Vec<Chunk>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Milliseconds from the beginning of the call.
    pub(super) at_ms: u64,
    #[serde(flatten)]
    pub(super) bytes: Piece,
}

/// A piece of a body.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Piece {
    Text(String),
    /// Of a piece that is not UTF-8, as when a character was split.
    Base64(String),
}

impl Piece {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(STANDARD.encode(error.as_bytes())),
        }
    }

    /// Returns the bytes; `None` if they are not base64.
    pub(super) fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
            Self::Base64(text) => STANDARD.decode(text).ok().map(Bytes::from),
        }
    }
}

/// How a call ended.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) how: How,
    /// Milliseconds from the beginning of the call.
    pub(super) at_ms: u64,
    /// What this side found, if it was this side that ended the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Failure>,
    /// What the connection reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// The body came to its end.
    Whole,
    /// The answer or its error was complete, and what followed was not read.
    Stopped,
    /// The connection broke.
    Broken,
    /// This side ended it: a clock, a cancellation, or no connection.
    Failed,
    /// The caller dropped it.
    Dropped,
}

/// An error that this side found.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    pub(super) kind: String,
    pub(super) message: String,
}

impl Failure {
    /// Takes an error that no bytes of the server can bring about again.
    pub(super) fn of(error: &LlmError) -> Self {
        Self {
            kind: error.kind().as_str().to_owned(),
            message: error.message().to_owned(),
        }
    }

    /// Returns the error; `None` if its kind is none that this side finds by itself.
    pub(super) fn error(&self, provider: &str) -> Option<LlmError> {
        let kind = [
            ErrorKind::Connect,
            ErrorKind::Transport,
            ErrorKind::BadRequest,
            ErrorKind::Cancelled,
            ErrorKind::Timeout(Clock::Connect),
            ErrorKind::Timeout(Clock::FirstContent),
            ErrorKind::Timeout(Clock::Idle),
            ErrorKind::Timeout(Clock::Total),
            ErrorKind::Timeout(Clock::Deadline),
        ]
        .into_iter()
        .find(|kind| kind.as_str() == self.kind)?;
        Some(LlmError::new(kind, provider, &self.message))
    }
}

/// What of a cassette says which call it is.
#[derive(Debug, Deserialize)]
pub(super) struct Label {
    pub(super) v: u32,
    pub(super) provider: String,
    pub(super) wire: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) repeat: u32,
    pub(super) attempt: u32,
}

impl Label {
    pub(super) fn wire(&self) -> Option<Wire> {
        Wire::from_name(&self.wire)
    }
}

/// Why a failed call failed, with all causes, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
