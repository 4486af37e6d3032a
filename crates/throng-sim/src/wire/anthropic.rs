//! The wire of Anthropic's Messages.

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
use crate::wire::{Pen, Protocol, Route, bearer, key_header};

/// Anthropic's Messages.
pub(super) struct Anthropic;

impl Protocol for Anthropic {
    fn read(&self, _: &Route, body: &[u8]) -> Result<Call, ApiError> {
        read::read(body)
    }

    fn whole(&self, reply: &Reply) -> Bytes {
        write::whole(reply)
    }

    fn event(&self, reply: &Reply, event: &Event, pen: &mut Pen) -> Bytes {
        write::event(reply, event, pen)
    }

    fn error(&self, error: &ApiError, request_id: &str, masked: bool) -> Value {
        error::error(error, Some(request_id), masked)
    }

    fn status(&self, error: &ApiError) -> u16 {
        match error {
            ApiError::QuotaExhausted { .. } => 402,
            _ => error.status(),
        }
    }

    fn request_id_header(&self) -> Option<HeaderName> {
        Some(HeaderName::from_static("request-id"))
    }

    fn limit_headers(&self, standing: &Standing) -> Vec<(HeaderName, HeaderValue)> {
        error::limit_headers(standing, std::time::SystemTime::now()).into()
    }

    fn key<'a>(&self, headers: &'a HeaderMap, _: &'a str) -> Option<Cow<'a, str>> {
        key_header(headers, "x-api-key").or_else(|| bearer(headers))
    }
}
