//! What the writing of a stream has to remember between its events, and the choice of a wire's framing.

use bytes::Bytes;
use hyper::header::HeaderValue;
use serde_json::Value;

use crate::api_error::ApiError;
use crate::reply::{Event, HALVES, Reply};
use crate::text::count_tokens;
use crate::wire::{Protocol, Wire, to_json};

/// A wire and how it frames a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) wire: Wire,
    /// Whether a stream is a JSON array, as Gemini's is unless server-sent events are asked for.
    pub(crate) array: bool,
}

impl Dialect {
    pub(crate) fn protocol(self) -> &'static dyn Protocol {
        self.wire.protocol()
    }

    /// Writes a whole reply.
    pub(crate) fn whole(self, reply: &Reply) -> Bytes {
        put_surrogates(reply, self.protocol().whole(reply))
    }

    /// Writes an error.
    pub(crate) fn error(self, error: &ApiError, request_id: &str, masked: bool) -> Bytes {
        let error = self.protocol().error(error, request_id, masked);
        if self.array {
            to_json(&Value::Array(vec![error])).into()
        } else {
            to_json(&error).into()
        }
    }

    /// Returns the content type of a streamed reply.
    pub(crate) fn stream_type(self) -> HeaderValue {
        if self.array {
            HeaderValue::from_static("application/json; charset=UTF-8")
        } else {
            HeaderValue::from_static(self.protocol().stream_type())
        }
    }
}

/// Writes the events of one stream.
#[derive(Debug)]
pub(crate) struct Pen {
    dialect: Dialect,
    /// How many events were numbered.
    sequence: u64,
    /// How many tokens were written.
    tokens: u64,
    reasoning_tokens: u64,
    /// How many elements of an array were written.
    elements: u64,
    /// Whether an error was written.
    failed: bool,
}

impl Pen {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sequence: 0,
            tokens: 0,
            reasoning_tokens: 0,
            elements: 0,
            failed: false,
        }
    }

    /// Writes one event; no bytes if the wire has nothing to say.
    pub(crate) fn write(&mut self, reply: &Reply, event: &Event) -> Bytes {
        self.tokens += u64::from(event.is_token());
        if let Event::ToolStart { choice, tool } = event {
            self.tokens += reply
                .tool(*choice, *tool)
                .map_or(0, |call| count_tokens(&call.name));
        }
        // A piece that was split for the sake of a fault is no second token.
        self.tokens = self.tokens.min(reply.output_tokens);
        self.failed |= matches!(event, Event::Error { .. });
        self.reasoning_tokens += u64::from(matches!(event, Event::Reasoning { .. }));
        let bytes = self.dialect.protocol().event(reply, event, self);
        put_surrogates(reply, bytes)
    }

    pub(super) fn is_array(&self) -> bool {
        self.dialect.array
    }

    /// Returns the number of the next event, from 0.
    pub(super) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence - 1
    }

    /// Returns the number of the next element, from 0.
    pub(super) fn next_element(&mut self) -> u64 {
        self.elements += 1;
        self.elements - 1
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn reasoning_tokens(&self) -> u64 {
        self.reasoning_tokens
    }
}

/// Writes the escapes of surrogates where the reply has characters that stand for them.
fn put_surrogates(reply: &Reply, bytes: Bytes) -> Bytes {
    let Some(surrogates) = reply.surrogates else {
        return bytes;
    };
    let mut out = bytes.to_vec();
    for (half, surrogate) in HALVES.into_iter().zip(surrogates) {
        let mut buffer = [0; 4];
        let half = half.encode_utf8(&mut buffer).as_bytes();
        while let Some(at) = out.windows(half.len()).position(|window| window == half) {
            out.splice(at..at + half.len(), format!("\\u{surrogate:04x}").into_bytes());
        }
    }
    out.into()
}
