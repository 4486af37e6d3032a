//! Answers one HTTP request: finds its wire, asks the door, and hands the reaction to the connection.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use throng_core::Usage;
use tokio::time::Instant;

use crate::admit::{Asked, Verdict};
use crate::api_error::ApiError;
use crate::body::{Closed, ReplyBody};
use crate::call::Call;
use crate::compose::{compose, scripted_reply};
use crate::config::{ParallelStatus, SimConfig};
use crate::fault::Fault;
use crate::hash::prompt_hash;
use crate::log::{Decision, LogEntry};
use crate::models::models;
use crate::react::{Scene, whole_seconds};
use crate::read::{NoBody, read_body};
use crate::reply::Reply;
use crate::respond::{json, limit_headers, plain_error, refuse, request_id, request_id_header, respond};
use crate::script::Behaviour;
use crate::server::Shared;
use crate::spoil::spoil;
use crate::wire::{Route, Wire, cut_tag, query_value};

const REQUEST_TAG: HeaderName = HeaderName::from_static("x-request-tag");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
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
    let query = request.uri().query().unwrap_or_default();
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    let route = Route::of(path, query);
    if get && matches!(path, "/" | "/health") {
        return Ok(json(&serde_json::json!({"status": "ok"})));
    }
    if let (Some(route), &Method::POST) = (&route, request.method()) {
        let route = route.clone();
        return complete(shared, route, request).await;
    }
    // What is left speaks of the server itself, in the words of the wire whose path it is.
    let wire = route.as_ref().map_or_else(
        || wire_of_list(path, request.headers()),
        |route| route.dialect.wire,
    );
    let error = |error: ApiError| plain_error(wire, &error);
    if !authorized(&shared.config, wire, request.headers(), query) {
        return Ok(error(ApiError::Unauthorized));
    }
    Ok(match path {
        "/v1/models" | "/v1beta/models" | "/api/tags" if get => json(&models(&shared.config, wire)),
        "/_sim/stats" if get => json(&shared.stats()),
        "/_sim/log" if get => {
            let number = |name: &str| query_value(query, name).and_then(|value| value.parse().ok());
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
        _ if route.is_some() || path == "/_sim/reset" => wrong_method(error(ApiError::WrongMethod), "POST"),
        "/" | "/health" | "/v1/models" | "/v1beta/models" | "/api/tags" | "/_sim/log" | "/_sim/stats" => {
            wrong_method(error(ApiError::WrongMethod), "GET")
        }
        _ => error(ApiError::UnknownPath),
    })
}

/// Returns the wire in whose words a path is answered that is none for completions. Two providers have a list of
/// models at the same path; Anthropic's clients are known by their headers.
fn wire_of_list(path: &str, headers: &HeaderMap) -> Wire {
    match path {
        _ if path.starts_with("/v1beta/") => Wire::Gemini,
        _ if path.starts_with("/api/") => Wire::Ollama,
        "/v1/models" if headers.contains_key("anthropic-version") || headers.contains_key("x-api-key") => {
            Wire::Anthropic
        }
        _ => Wire::OpenAiChat,
    }
}

fn wrong_method(mut response: Response<ReplyBody>, allow: &'static str) -> Response<ReplyBody> {
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Answers a request for a completion.
async fn complete(
    shared: Arc<Shared>,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Closed> {
    let arrived = Instant::now();
    let dialect = route.dialect;
    let wire = dialect.wire;
    let (head, body) = request.into_parts();
    let config = &shared.config;
    let tag = head.headers.get(REQUEST_TAG).and_then(|tag| tag.to_str().ok());
    let tag: Option<String> = tag.map(cut_tag);
    let body = match read_body(body, config.max_body_bytes, config.read_timeout).await {
        Ok(body) => Ok(body),
        Err(NoBody::TooLarge) => Err(ApiError::TooLarge {
            limit: config.max_body_bytes,
        }),
        Err(NoBody::TooSlow) => Err(ApiError::BodyTimeout),
        Err(NoBody::Gone) => return Err(Closed),
    };
    let query = head.uri.query().unwrap_or_default();
    let call = if authorized(config, wire, &head.headers, query) {
        body.and_then(|body| wire.protocol().read(&route, &body))
            .and_then(|call| checked(config, call))
    } else {
        Err(ApiError::Unauthorized)
    };
    let mut call = match call {
        Ok(call) => call,
        Err(error) => {
            let (ticket, entry) = shared.open(arrived, wire, tag);
            let decision = match error {
                ApiError::Unauthorized => Decision::Unauthorized,
                ApiError::UnknownModel(_) => Decision::UnknownModel,
                _ => Decision::BadRequest,
            };
            return Ok(refuse(
                dialect,
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
        tool_rounds: call.rounds,
        input_tokens: usual.input_tokens,
        output_tokens: usual.output_tokens,
    };
    let (mut ticket, entry, attempt, verdict) = shared.knock(arrived, wire, tag.or(call.tag.take()), &asked);
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
            let mut headers = limit_headers(wire, &standings);
            // Gemini says it in the body.
            if wire != Wire::Gemini {
                headers.push((RETRY_AFTER, whole_seconds(exceeded.wait).into()));
            }
            if wire.protocol().sends_retry_millis() {
                headers.push((RETRY_AFTER_MS, exceeded.wait_millis().into()));
            }
            let model = call.model.clone();
            let error = ApiError::RateLimited { model, exceeded };
            return Ok(refuse(
                dialect,
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
                dialect,
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
        .and_then(|on| scripted_reply(config, &call, hash, on))
        .unwrap_or(usual);
    reply.id = plan.reply_id;
    let decision = decision(behaviour.as_ref(), plan.fault);
    if let Decision::Fault(fault) = decision {
        spoil(&mut reply, fault, wire);
    }
    let reply = Arc::new(reply);
    let request_id = request_id(ticket.seq());
    let scene = Scene {
        config,
        dialect,
        request_id: &request_id,
        stream: call.stream,
        reply: &reply,
        plan: &plan,
    };
    let reaction = scene.react(behaviour.as_ref());
    ticket.decide(LogEntry {
        decision,
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
    headers.extend(limit_headers(wire, &standings));
    headers.extend(request_id_header(wire, &request_id));
    Ok(respond(
        outgoing.status,
        headers,
        ReplyBody::new(outgoing.body, dialect, reply, ticket),
    ))
}

/// Refuses a call that the server does not serve.
fn checked(config: &SimConfig, call: Call) -> Result<Call, ApiError> {
    if !config.models.is_empty() && !config.models.contains(&call.model) {
        return Err(ApiError::UnknownModel(call.model));
    }
    let reasoning = config.reasoning_tokens.as_ref().map_or(0, |length| *length.end());
    let longest = u64::from(*config.output_tokens.end()) + u64::from(reasoning);
    let longest = longest.min(call.max_tokens.unwrap_or(u64::MAX));
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

fn authorized(config: &SimConfig, wire: Wire, headers: &HeaderMap, query: &str) -> bool {
    let Some(key) = &config.api_key else { return true };
    wire.protocol()
        .key(headers, query)
        .is_some_and(|sent| sent == key.0.as_str())
}
