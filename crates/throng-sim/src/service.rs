//! Answers one HTTP request: finds its wire, asks the door, and hands the reaction to the connection.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use throng_core::Usage;
use tokio::time::Instant;

use crate::admit::{Asked, Verdict};
use crate::body::{Closed, ReplyBody};
use crate::call::{ApiError, Call, Reply};
use crate::compose::{compose, scripted_reply};
use crate::config::{ParallelStatus, SimConfig};
use crate::fault::Fault;
use crate::hash::prompt_hash;
use crate::limit::{Counted, Exceeded};
use crate::log::{Decision, LogEntry};
use crate::react::{Scene, whole_seconds};
use crate::read::{NoBody, read_body};
use crate::script::Behaviour;
use crate::server::{Shared, Ticket};
use crate::wire::Wire;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_TAG: HeaderName = HeaderName::from_static("x-request-tag");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const MAX_TAG_CHARS: usize = 200;
/// The most tokens that all choices of a reply may have together.
const MAX_REPLY_TOKENS: u64 = 131_072;

/// Answers a request. An error closes the connection without a response.
///
/// Dropping the future, as the connection does when the client goes away, closes the request's log entry.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Closed> {
    let path = request.uri().path();
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    let wire = Wire::of_path(path);
    let known = wire.is_some()
        || matches!(
            path,
            "/" | "/health" | "/v1/models" | "/_sim/log" | "/_sim/stats" | "/_sim/reset"
        );
    if get && matches!(path, "/" | "/health") {
        return Ok(json(&serde_json::json!({"status": "ok"})));
    }
    if let (Some(wire), &Method::POST) = (wire, request.method()) {
        return complete(shared, wire, request).await;
    }
    // What is left speaks of the server itself; its errors look as OpenAI's do.
    let error = |error: ApiError| plain_error(Wire::OpenAiChat, &error);
    if !authorized(&shared.config, request.headers()) {
        return Ok(error(ApiError::Unauthorized));
    }
    Ok(match path {
        "/v1/models" if get => json(&models(&shared.config)),
        "/_sim/stats" if get => json(&shared.stats()),
        "/_sim/log" if get => {
            let query = request.uri().query().unwrap_or_default();
            let number = |name: &str| parameter(query, name).and_then(|value| value.parse().ok());
            let limit = number("limit")
                .and_then(|limit| usize::try_from(limit).ok())
                .unwrap_or(usize::MAX);
            let entries = shared.entries(number("after").unwrap_or(0), limit);
            json(&serde_json::json!({ "entries": entries }))
        }
        "/_sim/reset" if request.method() == Method::POST => {
            shared.reset();
            json(&serde_json::json!({"status": "ok"}))
        }
        _ if known => {
            let mut response = error(ApiError::WrongMethod);
            let allow = if wire.is_some() || path == "/_sim/reset" {
                "POST"
            } else {
                "GET"
            };
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allow));
            response
        }
        _ => error(ApiError::UnknownPath),
    })
}

/// Answers a request for a completion.
async fn complete(
    shared: Arc<Shared>,
    wire: Wire,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Closed> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let config = &shared.config;
    let tag = head.headers.get(REQUEST_TAG).and_then(|tag| tag.to_str().ok());
    let tag: Option<String> = tag.map(|tag| tag.chars().take(MAX_TAG_CHARS).collect());
    let body = match read_body(body, config.max_body_bytes, config.read_timeout).await {
        Ok(body) => Ok(body),
        Err(NoBody::TooLarge) => Err(ApiError::TooLarge {
            limit: config.max_body_bytes,
        }),
        Err(NoBody::TooSlow) => Err(ApiError::BodyTimeout),
        Err(NoBody::Gone) => return Err(Closed),
    };
    let call = if authorized(config, &head.headers) {
        body.and_then(|body| wire.read(&body))
            .and_then(|call| checked(config, call))
    } else {
        Err(ApiError::Unauthorized)
    };
    let mut call = match call {
        Ok(call) => call,
        Err(error) => {
            let (ticket, entry) = shared.open(arrived, tag);
            let decision = match error {
                ApiError::Unauthorized => Decision::Unauthorized,
                ApiError::UnknownModel(_) => Decision::UnknownModel,
                _ => Decision::BadRequest,
            };
            return Ok(refuse(
                wire,
                &error,
                Vec::new(),
                ticket,
                LogEntry { decision, ..entry },
            ));
        }
    };
    let hash = prompt_hash(&call.prompt);
    let usual = compose(config, &call, hash);
    let asked = Asked {
        prompt: &call.prompt,
        hash,
        input_tokens: usual.input_tokens,
        output_tokens: usual.output_tokens,
    };
    let (mut ticket, entry, attempt, verdict) = shared.knock(arrived, tag.or(call.tag.take()), &asked);
    let entry = LogEntry {
        prompt_hash: hash,
        prompt: call.prompt.chars().take(config.log_prompt_chars).collect(),
        model: call.model.clone(),
        stream: call.stream,
        attempt,
        ..entry
    };
    let (behaviour, standings) = match verdict {
        Verdict::Admitted { behaviour, standings } => (behaviour, standings),
        Verdict::RateLimited { exceeded, standings } => {
            let mut headers = wire.limit_headers(&standings);
            headers.push((RETRY_AFTER, whole_seconds(exceeded.wait).into()));
            headers.push((RETRY_AFTER_MS, whole_millis(&exceeded).into()));
            let error = rate_error(&exceeded, &call.model);
            return Ok(refuse(
                wire,
                &error,
                headers,
                ticket,
                LogEntry {
                    decision: Decision::RateLimited,
                    ..entry
                },
            ));
        }
        Verdict::ParallelLimited(status) => {
            let status = match status {
                ParallelStatus::TooManyRequests => 429,
                ParallelStatus::Unavailable => 503,
            };
            let headers = vec![(RETRY_AFTER, HeaderValue::from_static("1"))];
            let decision = Decision::ParallelLimited;
            return Ok(refuse(
                wire,
                &ApiError::Busy { status },
                headers,
                ticket,
                LogEntry { decision, ..entry },
            ));
        }
    };
    let plan = config.plan_for(hash, attempt);
    let mut reply: Reply = behaviour
        .as_ref()
        .and_then(|on| scripted_reply(on, &call))
        .unwrap_or(usual);
    reply.id = plan.reply_id;
    let reply = Arc::new(reply);
    let scene = Scene {
        config,
        wire,
        stream: call.stream,
        reply: &reply,
        plan: &plan,
    };
    let reaction = scene.react(behaviour.as_ref());
    ticket.decide(LogEntry {
        decision: decision(behaviour.as_ref(), plan.fault),
        status: reaction.response.as_ref().map(|response| response.status),
        usage: Usage::of(reply.input_tokens, reply.output_tokens),
        ..entry
    });
    if !reaction.wait.is_zero() {
        tokio::time::sleep_until(arrived + reaction.wait).await;
    }
    if let Some(gate) = reaction.gate {
        gate.opened().await;
    }
    let Some(outgoing) = reaction.response else {
        ticket.close(crate::log::End::Cut);
        return Err(Closed);
    };
    let mut headers = outgoing.headers;
    headers.extend(wire.limit_headers(&standings));
    headers.push((REQUEST_ID, request_id(ticket.seq())));
    Ok(respond(
        outgoing.status,
        headers,
        ReplyBody::new(outgoing.body, wire, reply, ticket),
    ))
}

/// Refuses a call that the server does not serve.
fn checked(config: &SimConfig, call: Call) -> Result<Call, ApiError> {
    if !config.models.is_empty() && !config.models.contains(&call.model) {
        return Err(ApiError::UnknownModel(call.model));
    }
    let longest = u64::from(*config.output_tokens.end()).min(call.max_tokens.unwrap_or(u64::MAX));
    if u64::from(call.n).saturating_mul(longest) > MAX_REPLY_TOKENS {
        let message = format!(
            "{} choices could have more than {MAX_REPLY_TOKENS} tokens together",
            call.n
        );
        return Err(ApiError::bad(message, "n"));
    }
    Ok(call)
}

fn decision(behaviour: Option<&Behaviour>, planned: Option<Fault>) -> Decision {
    match (behaviour, planned) {
        (Some(Behaviour::Fault(fault)), _) => Decision::Fault(*fault),
        (None, Some(fault)) => Decision::Fault(fault),
        (Some(_), _) => Decision::Scripted,
        (None, None) => Decision::Answered,
    }
}

fn authorized(config: &SimConfig, headers: &HeaderMap) -> bool {
    let Some(key) = &config.api_key else { return true };
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    sent.and_then(|sent| sent.split_once(' '))
        .is_some_and(|(scheme, sent)| scheme.eq_ignore_ascii_case("bearer") && sent.trim() == key.0)
}

fn rate_error(exceeded: &Exceeded, model: &str) -> ApiError {
    let (what, short, kind) = match exceeded.counted {
        Counted::Requests => ("requests", "RPM", "requests"),
        Counted::Tokens => ("tokens", "TPM", "tokens"),
        Counted::InputTokens => ("input tokens", "ITPM", "input_tokens"),
        Counted::OutputTokens => ("output tokens", "OTPM", "output_tokens"),
    };
    let millis = whole_millis(exceeded);
    let message = format!(
        "Rate limit reached for {model} on {what} per min ({short}): Limit {}. Please try again in {millis}ms.",
        exceeded.limit
    );
    ApiError::RateLimited { message, kind }
}

fn whole_millis(exceeded: &Exceeded) -> u64 {
    u64::try_from(exceeded.wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn refuse(
    wire: Wire,
    error: &ApiError,
    mut headers: Vec<(HeaderName, HeaderValue)>,
    mut ticket: Ticket,
    entry: LogEntry,
) -> Response<ReplyBody> {
    ticket.decide(LogEntry {
        status: Some(error.status()),
        ..entry
    });
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    headers.push((REQUEST_ID, request_id(ticket.seq())));
    respond(
        error.status(),
        headers,
        ReplyBody::whole(wire.error(error), ticket),
    )
}

fn plain_error(wire: Wire, error: &ApiError) -> Response<ReplyBody> {
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    respond(error.status(), headers, ReplyBody::unlogged(wire.error(error)))
}

fn respond(status: u16, headers: Vec<(HeaderName, HeaderValue)>, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(headers);
    response
}

fn json(value: &impl Serialize) -> Response<ReplyBody> {
    let bytes =
        serde_json::to_vec(value).expect("what the server says of itself holds nothing that JSON cannot say");
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    respond(200, headers, ReplyBody::unlogged(Bytes::from(bytes)))
}

fn models(config: &SimConfig) -> serde_json::Value {
    let fallback = ["throng-sim".to_owned()];
    let names = if config.models.is_empty() {
        fallback.as_slice()
    } else {
        config.models.as_slice()
    };
    let model = |name: &String| serde_json::json!({"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "throng-sim"});
    serde_json::json!({"object": "list", "data": names.iter().map(model).collect::<Vec<_>>()})
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

fn request_id(seq: u64) -> HeaderValue {
    HeaderValue::try_from(format!("req_{seq}")).expect("letters and digits")
}
