//! An answer with an error status, as an error: the same for an answer off the network and for a recorded one.

use std::sync::Arc;

use super::headers::Facts;
use super::transport::Peer;
use crate::wire::Fault;
use crate::{ErrorKind, LlmError};

/// Makes the error of an answer; `location` is the host to which a redirect leads.
pub(super) fn status_error(peer: &Peer, facts: &Facts, body: &[u8], location: Option<String>) -> LlmError {
    let text = String::from_utf8_lossy(body);
    let fault = Fault::from_body(&text);
    // The raw text is scrubbed whole before it is cut: a key must not survive because the cut went through it.
    let raw = throng_core::scrub(&text, &peer.secrets).into_owned();
    let provider = Arc::clone(&peer.provider);
    let error = if (300..400).contains(&facts.status) {
        let to = location.unwrap_or_else(|| "an unnamed place".to_owned());
        let message =
            format!("a redirect to {to}, which is not followed; set the base URL to the right address");
        LlmError::from_status(ErrorKind::BadRequest, provider, facts.status, message)
    } else {
        let reason = ::http::StatusCode::from_u16(facts.status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let message = if fault.message.is_empty() {
            reason.unwrap_or_default()
        } else {
            &fault.message
        };
        let message = throng_core::scrub(message, &peer.secrets);
        LlmError::from_status(fault.kind(Some(facts.status)), provider, facts.status, message)
            .with_code(fault.code.clone())
            .with_overflow(fault.overflow())
    };
    error
        .with_raw_body(raw)
        .with_request_id(facts.request_id.clone())
        .with_limits(facts.limits)
        .with_retry_after(facts.retry_after.or(fault.retry_after))
        .with_should_retry(facts.should_retry)
}
