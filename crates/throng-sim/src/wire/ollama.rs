//! The wire of Ollama's own API.

mod read;
mod write;

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::Call;
use crate::limit::Standing;
use crate::reply::{Event, Reply};
use crate::wire::{Filter, Pen, Protocol, Route, bearer};

/// Ollama's own API.
pub(super) struct Ollama;

impl Protocol for Ollama {
    fn read(&self, _: &Route, body: &[u8]) -> Result<Call, ApiError> {
        read::read(body)
    }

    fn whole(&self, reply: &Reply) -> Bytes {
        write::whole(reply)
    }

    fn event(&self, reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes {
        write::event(reply, event, pen)
    }

    fn error(&self, error: &ApiError, _: &str, masked: bool) -> Value {
        write::error(error, masked)
    }

    fn status(&self, error: &ApiError) -> u16 {
        match error {
            ApiError::QuotaExhausted { .. } => 402,
            ApiError::Overloaded => 503,
            _ => error.status(),
        }
    }

    fn stream_type(&self) -> &'static str {
        "application/x-ndjson"
    }

    fn request_id_header(&self) -> Option<HeaderName> {
        None
    }

    fn limit_headers(&self, _: &Standing) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    fn key<'a>(&self, headers: &'a HeaderMap, _: &'a str) -> Option<Cow<'a, str>> {
        bearer(headers)
    }

    fn filter(&self) -> Filter {
        Filter::Error
    }
}
