//! The wire of Gemini.

mod error;
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
use crate::wire::{Filter, Pen, Protocol, Route, key_header, query_value};

/// Gemini.
pub(super) struct Gemini;

impl Protocol for Gemini {
    fn read(&self, route: &Route, body: &[u8]) -> Result<Call, ApiError> {
        read::read(route, body)
    }

    fn whole(&self, reply: &Reply) -> Bytes {
        write::whole(reply)
    }

    fn event(&self, reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes {
        write::event(reply, event, pen)
    }

    fn error(&self, error: &ApiError, _: &str, masked: bool) -> Value {
        error::error(error, masked)
    }

    fn status(&self, error: &ApiError) -> u16 {
        error::code(error).0
    }

    fn stream_type(&self) -> &'static str {
        "text/event-stream"
    }

    fn request_id_header(&self) -> Option<HeaderName> {
        None
    }

    fn limit_headers(&self, _: &Standing) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    fn key<'a>(&self, headers: &'a HeaderMap, query: &'a str) -> Option<Cow<'a, str>> {
        key_header(headers, "x-goog-api-key").or_else(|| query_value(query, "key"))
    }

    fn filter(&self) -> Filter {
        Filter::NoAnswer
    }
}
