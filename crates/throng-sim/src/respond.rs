//! Puts responses together: errors with the headers of their wire, and what the server says of itself.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::api_error::ApiError;
use crate::body::ReplyBody;
use crate::limit::Standing;
use crate::log::LogEntry;
use crate::server::Ticket;
use crate::wire::{Dialect, Wire};

/// Returns the headers that say how the limits stand.
pub(crate) fn limit_headers(wire: Wire, standings: &[Standing]) -> Vec<(HeaderName, HeaderValue)> {
    let protocol = wire.protocol();
    standings
        .iter()
        .flat_map(|standing| protocol.limit_headers(standing))
        .collect()
}

/// Answers a logged request with an error.
pub(crate) fn refuse(
    dialect: Dialect,
    error: &ApiError,
    mut headers: Vec<(HeaderName, HeaderValue)>,
    mut ticket: Ticket,
    entry: LogEntry,
) -> Response<ReplyBody> {
    let status = dialect.protocol().status(error);
    ticket.decide(LogEntry {
        status: Some(status),
        ..entry
    });
    let request_id = request_id(ticket.seq());
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    headers.extend(request_id_header(dialect.wire, &request_id));
    let body = dialect.error(error, &request_id, false);
    respond(status, headers, ReplyBody::whole(body, ticket))
}

/// Makes an error of a request that is not logged.
pub(crate) fn plain_error(wire: Wire, error: &ApiError) -> Response<ReplyBody> {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let dialect = Dialect { wire, array: false };
    let body = dialect.error(error, "req_0", false);
    respond(wire.protocol().status(error), headers, ReplyBody::unlogged(body))
}

/// Makes a response.
pub(crate) fn respond(
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: ReplyBody,
) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(headers);
    response
}

/// Says something of the server itself.
pub(crate) fn json(value: &impl Serialize) -> Response<ReplyBody> {
    let bytes =
        serde_json::to_vec(value).expect("what the server says of itself holds nothing that JSON cannot say");
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    respond(200, headers, ReplyBody::unlogged(Bytes::from(bytes)))
}

/// Returns the name by which a reply knows its request.
pub(crate) fn request_id(seq: u64) -> String {
    format!("req_{seq}")
}

/// Returns the header that says so, if the wire has one.
pub(crate) fn request_id_header(wire: Wire, request_id: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = wire.protocol().request_id_header()?;
    Some((
        name,
        HeaderValue::try_from(request_id).expect("letters and digits"),
    ))
}
