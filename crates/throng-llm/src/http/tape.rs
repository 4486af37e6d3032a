//! A call while it is recorded. Whoever takes part in the call holds the tape; with the last of them it is written, so
//! that a call that is dropped anywhere is recorded as dropped.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::Stream;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde_json::Value;
use throng_core::scrub;
use tokio::time::Instant;

use super::cassette::{Cassette, Chunk, Ended, Failure, How, Piece, Response, Sent, VERSION, causes};
use super::recorder::{CallKey, Recorder};
use super::scrub::scrub_pieces;
use crate::middleware::Observe;
use crate::{ErrorKind, LlmError, Secret, StreamEvent, Wire};

/// Headers of answers that say something to this crate, or to people who look for a cause.
const KEPT: [&str; 12] = [
    "apim-request-id",
    "content-type",
    "date",
    "location",
    "mistral-correlation-id",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server",
    "x-request-id",
    "x-should-retry",
    "content-encoding",
];

/// Headers that begin so are kept as well.
const KEPT_PREFIXES: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

/// The recording of one call.
#[derive(Clone)]
pub(super) struct Tape(Arc<Shared>);

struct Shared {
    recorder: Recorder,
    secrets: Arc<[Secret]>,
    wire: Wire,
    model: String,
    key: CallKey,
    attempt: u32,
    start: Instant,
    at: SystemTime,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: Option<(Url, Vec<u8>)>,
    head: Option<Head>,
    chunks: Vec<(u64, Bytes)>,
    bytes: usize,
    /// How the body ended, when, and what the connection reported.
    body_end: Option<(How, u64, Option<String>)>,
    /// The error of the call, and when it came.
    failure: Option<(u64, LlmError)>,
    finished: bool,
}

/// The head of an answer.
struct Head {
    at_ms: u64,
    status: u16,
    headers: Vec<(String, String)>,
}

impl Tape {
    /// Begins to record a call.
    pub(super) fn new(
        recorder: &Recorder,
        secrets: &Arc<[Secret]>,
        wire: Wire,
        model: &str,
        key: CallKey,
    ) -> Self {
        Self(Arc::new(Shared {
            attempt: recorder.attempt(&key),
            recorder: recorder.clone(),
            secrets: Arc::clone(secrets),
            wire,
            model: model.to_owned(),
            key,
            start: Instant::now(),
            at: SystemTime::now(),
            state: Mutex::default(),
        }))
    }

    pub(super) fn sent(&self, url: &Url, body: &[u8]) {
        self.0
            .with(|state, _| state.sent = Some((url.clone(), body.to_vec())));
    }

    pub(super) fn head(&self, status: u16, headers: &HeaderMap) {
        let kept = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str();
            let keep = KEPT.contains(&name) || KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
            let value = value.to_str().ok().filter(|_| keep)?;
            Some((name.to_owned(), value.to_owned()))
        });
        let mut headers: Vec<_> = kept.collect();
        self.0.with(|state, at_ms| {
            let called = state.sent.as_ref().map(|(url, _)| url);
            for (_, value) in headers.iter_mut().filter(|(name, _)| name == "location") {
                *value = called.and_then(|url| place(url, value)).unwrap_or_default();
            }
            state.head = Some(Head {
                at_ms,
                status,
                headers,
            });
        });
    }

    fn chunk(&self, bytes: &Bytes) {
        let max = self.0.recorder.max_body();
        self.0.with(|state, now| {
            state.bytes = state.bytes.saturating_add(bytes.len());
            if state.bytes <= max {
                state.chunks.push((now, bytes.clone()));
            } else {
                state.chunks = Vec::new();
            }
        });
    }

    fn body_end(&self, how: How, cause: Option<String>) {
        self.0.with(|state, now| state.body_end = Some((how, now, cause)));
    }

    /// Takes the error of the call, without secrets.
    pub(super) fn failed(&self, error: &LlmError) {
        self.0
            .with(|state, now| state.failure = Some((now, error.clone())));
    }
}

/// Returns where a redirect leads, in full, without what may hold a key.
fn place(from: &Url, location: &str) -> Option<String> {
    let mut url = from.join(location).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    url.set_password(None).ok()?;
    url.set_username("").ok()?;
    Some(url.into())
}

impl Observe for Tape {
    fn event(&mut self, event: &StreamEvent) {
        if matches!(event, StreamEvent::Finished { .. }) {
            self.0.with(|state, _| state.finished = true);
        }
    }

    fn error(&mut self, error: &LlmError) {
        self.failed(error);
    }
}

impl Shared {
    fn with(&self, change: impl FnOnce(&mut State, u64)) {
        let now = self.now();
        change(
            &mut self.state.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        );
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
    }

    fn clean(&self, text: &str) -> String {
        scrub(text, &self.secrets).into_owned()
    }

    fn cassette(&self, state: State) -> Cassette {
        let ended = self.ended(&state);
        let (path, body) = match state.sent {
            Some((url, body)) => {
                let mut body = vec![body];
                scrub_pieces(&mut body, &self.secrets);
                (
                    self.clean(url.path()),
                    serde_json::from_slice(&body.concat()).unwrap_or(Value::Null),
                )
            }
            None => (String::new(), Value::Null),
        };
        let response = state.head.map(|head| {
            let Head {
                at_ms,
                status,
                headers,
            } = head;
            let (times, bytes): (Vec<_>, Vec<_>) = state.chunks.into_iter().unzip();
            let mut pieces: Vec<Vec<u8>> = bytes.into_iter().map(Into::into).collect();
            scrub_pieces(&mut pieces, &self.secrets);
            let chunks = times.into_iter().zip(pieces);
            Response {
                at_ms,
                status,
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name, self.clean(&value)))
                    .collect(),
                chunks: chunks
                    .map(|(at_ms, bytes)| Chunk {
                        at_ms,
                        bytes: Piece::new(bytes),
                    })
                    .collect(),
            }
        });
        let (provider, fingerprint, repeat) = &self.key;
        Cassette {
            v: VERSION,
            provider: provider.to_string(),
            wire: self.wire.as_str().to_owned(),
            model: self.model.clone(),
            fingerprint: *fingerprint,
            repeat: *repeat,
            attempt: self.attempt,
            recorded_at: httpdate::fmt_http_date(self.at),
            request: Sent {
                method: "POST".to_owned(),
                path,
                body,
            },
            response,
            ended,
        }
    }

    fn ended(&self, state: &State) -> Ended {
        // What the bytes of the server lead to, they lead to again; the rest has to be told.
        let local = state.failure.as_ref().filter(|(_, error)| {
            state.head.is_none() || matches!(error.kind(), ErrorKind::Timeout(_) | ErrorKind::Cancelled)
        });
        if let Some((at_ms, error)) = local {
            let source = std::error::Error::source(error);
            return Ended {
                how: How::Failed,
                at_ms: *at_ms,
                failure: Some(Failure::of(error)),
                cause: source.map(|source| self.clean(&causes(source))),
            };
        }
        match &state.body_end {
            Some((how, at_ms, cause)) => Ended {
                how: *how,
                at_ms: *at_ms,
                failure: None,
                cause: cause.as_deref().map(|cause| self.clean(cause)),
            },
            None => Ended {
                how: if state.finished || state.failure.is_some() {
                    How::Stopped
                } else {
                    How::Dropped
                },
                at_ms: self.now(),
                failure: None,
                cause: None,
            },
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = std::mem::take(self.state.get_mut().unwrap_or_else(PoisonError::into_inner));
        if state.bytes > self.recorder.max_body() {
            tracing::warn!(bytes = state.bytes, "An answer is too large to be recorded.");
            return;
        }
        self.recorder.write(self.cassette(state));
    }
}

/// The body of an answer, which may be recorded.
pub(super) struct Body {
    response: reqwest::Response,
    tape: Option<Tape>,
}

impl Body {
    pub(super) fn new(response: reqwest::Response, tape: Option<Tape>) -> Self {
        Self { response, tape }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, reqwest::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The future keeps nothing between two polls: all that is read stays in the response. The body as a stream of its
        // own would need a further feature of reqwest, and the body taken out is wrapped once more.
        let item = std::task::ready!(pin!(self.response.chunk()).poll(cx)).transpose();
        if let Some(tape) = &self.tape {
            match &item {
                Some(Ok(bytes)) => tape.chunk(bytes),
                Some(Err(error)) => tape.body_end(How::Broken, Some(causes(error))),
                None => tape.body_end(How::Whole, None),
            }
        }
        Poll::Ready(item)
    }
}
