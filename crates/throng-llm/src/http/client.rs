//! The client: makes the request, sends it once, and gives the answer as events.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use throng_core::scrub;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::address::Address;
use super::builder::HttpClientBuilder;
use super::recorder::Recorder;
use super::tape::{Body, Tape};
use super::transport::{Peer, send};
use crate::encode::{self, Options};
use crate::middleware::Tap;
use crate::reply::Reply;
use crate::span::{CallSpan, record_failure};
use crate::wire::Decoder;
use crate::{CallContext, ErrorKind, EventStream, Limits, LlmClient, LlmError, Request, Timeouts, Wire};

/// Calls a model over HTTP, on any [`Wire`].
///
/// Cloning is cheap; clones share their connections.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

pub(super) struct Inner {
    pub(super) wire: Wire,
    pub(super) peer: Peer,
    pub(super) address: Address,
    pub(super) client: reqwest::Client,
    pub(super) headers: HeaderMap,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) options: Options,
    pub(super) recorder: Option<Recorder>,
}

impl HttpClient {
    /// Begins to set up a client. Without further settings it calls the server of the wire's inventor without a key.
    pub fn builder(wire: Wire) -> HttpClientBuilder {
        HttpClientBuilder::new(wire)
    }

    /// Returns the wire that is spoken.
    pub fn wire(&self) -> Wire {
        self.0.wire
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient")
            .field("wire", &self.0.wire)
            .field("provider", &self.0.peer.provider)
            .field("host", &self.0.peer.host)
            .field("stream", &self.0.options.stream)
            .finish_non_exhaustive()
    }
}

impl LlmClient for HttpClient {
    fn provider(&self) -> &str {
        &self.0.peer.provider
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let inner = Arc::clone(&self.0);
        let span = CallSpan::open(&inner.peer.provider, &request.model, &inner.peer.host, &cx);
        Box::pin(async move { inner.call(&request, &cx).await }.instrument(span))
    }
}

impl Inner {
    async fn call(self: Arc<Self>, request: &Request, cx: &CallContext) -> Result<EventStream, LlmError> {
        let start = Instant::now();
        let span = Span::current();
        let secrets = Arc::clone(&self.peer.secrets);
        let tape = self.tape(request, cx);
        let reply = self
            .reply(request, cx, start, span.clone(), tape.as_ref())
            .await
            .map_err(|error| {
                let error = error.without_secrets(&secrets);
                record_failure(&span, &error);
                if let Some(tape) = &tape {
                    tape.failed(&error);
                }
                error
            })?;
        let finish = Box::new(move |error: LlmError| error.without_secrets(&secrets));
        let events: EventStream = Box::pin(reply.with_finish(finish));
        Ok(match tape {
            Some(tape) => Tap::stream(events, tape),
            None => events,
        })
    }

    /// Begins to record a call, if there is a recorder.
    fn tape(&self, request: &Request, cx: &CallContext) -> Option<Tape> {
        let recorder = self.recorder.as_ref()?;
        let key = (
            Arc::clone(&self.peer.provider),
            request.fingerprint(),
            cx.repeat(),
        );
        Some(Tape::new(
            recorder,
            &self.peer.secrets,
            self.wire,
            &request.model,
            key,
        ))
    }

    async fn reply(
        &self,
        request: &Request,
        cx: &CallContext,
        start: Instant,
        span: Span,
        tape: Option<&Tape>,
    ) -> Result<Reply<Body>, LlmError> {
        let (peer, stream) = (&self.peer, self.options.stream);
        let body = encode::write(self.wire, request, &self.options)
            .map_err(|wrong| peer.error(ErrorKind::BadRequest, &wrong))?;
        let accept = match self.wire {
            _ if !stream => "application/json",
            Wire::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        };
        let url = self.address.of_call(&request.model, stream);
        if let Some(tape) = tape {
            tape.sent(&url, &body);
        }
        let sent = self
            .client
            .post(url)
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .body(body);
        let (facts, body) = send(peer, sent, &self.timeouts, cx, start, tape).await?;
        let request_id = facts.request_id.map(|id| scrub(&id, &peer.secrets).into_owned());
        let decoder = Decoder::new(self.wire, Arc::clone(&peer.provider), self.limits)
            .with_headers(request_id, facts.limits);
        Ok(Reply::new(body, decoder, self.timeouts, cx, start).with_span(CallSpan::of(span, start)))
    }
}
