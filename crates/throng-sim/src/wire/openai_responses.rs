//! The wire of OpenAI's Responses.

mod read;
mod stream;
mod write;

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::api_error::ApiError;
use crate::call::Call;
use crate::limit::Standing;
use crate::reply::{Event, Reply};
use crate::wire::{Pen, Protocol, Route, bearer, openai_error};

/// OpenAI's Responses.
pub(super) struct OpenAiResponses;

impl Protocol for OpenAiResponses {
    fn read(&self, _: &Route, body: &[u8]) -> Result<Call, ApiError> {
        read::read(body)
    }

    fn whole(&self, reply: &Reply) -> Bytes {
        write::whole(reply)
    }

    fn event(&self, reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes {
        stream::event(reply, event, pen)
    }

    fn error(&self, error: &ApiError, _: &str, masked: bool) -> Value {
        openai_error::error(error, "input", masked.then_some("output"))
    }

    fn request_id_header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("x-request-id"))
    }

    fn limit_headers(&self, standing: &Standing) -> Vec<(HeaderName, HeaderValue)> {
        openai_error::limit_headers(standing).into()
    }

    fn sends_retry_millis(&self) -> bool {
        true
    }

    fn key<'a>(&self, headers: &'a HeaderMap, _: &'a str) -> Option<Cow<'a, str>> {
        bearer(headers)
    }
}
