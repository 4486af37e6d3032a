//! The client: makes the request, sends it once, and gives the answer as events.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::address::Address;
use super::builder::HttpClientBuilder;
use super::transport::{Body, Peer, send};
use crate::encode::{self, Options};
use crate::reply::{Reply, record_failure};
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
        let span = inner.span(&request, &cx);
        Box::pin(async move { inner.call(&request, &cx).await }.instrument(span))
    }
}

impl Inner {
    async fn call(self: Arc<Self>, request: &Request, cx: &CallContext) -> Result<EventStream, LlmError> {
        let start = Instant::now();
        let span = Span::current();
        let secrets = Arc::clone(&self.peer.secrets);
        let reply = self
            .reply(request, cx, start, span.clone())
            .await
            .map_err(|error| {
                let error = error.without_secrets(&secrets);
                record_failure(&span, &error);
                error
            })?;
        let finish = Box::new(move |error: LlmError| error.without_secrets(&secrets));
        Ok(Box::pin(reply.with_finish(finish)))
    }

    async fn reply(
        &self,
        request: &Request,
        cx: &CallContext,
        start: Instant,
        span: Span,
    ) -> Result<Reply<Body>, LlmError> {
        let (peer, stream) = (&self.peer, self.options.stream);
        let body = encode::write(self.wire, request, &self.options)
            .map_err(|wrong| peer.error(ErrorKind::BadRequest, &wrong))?;
        let accept = match self.wire {
            _ if !stream => "application/json",
            Wire::Ollama => "application/x-ndjson",
            _ => "text/event-stream",
        };
        let sent = self
            .client
            .post(self.address.of_call(&request.model, stream))
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .body(body);
        let (facts, body) = send(peer, sent, &self.timeouts, cx, start).await?;
        let decoder = Decoder::new(self.wire, Arc::clone(&peer.provider), self.limits)
            .with_headers(facts.request_id.clone(), facts.limits);
        Ok(Reply::new(body, decoder, self.timeouts, cx, start).with_span(span))
    }

    /// Makes the span of a call, with the names of OpenTelemetry. Neither prompts nor answers are in it.
    fn span(&self, request: &Request, cx: &CallContext) -> Span {
        macro_rules! span {
            ($($parent:tt)*) => {
                tracing::debug_span!(
                    $($parent)*
                    "chat",
                    gen_ai.operation.name = "chat",
                    gen_ai.provider.name = &*self.peer.provider,
                    gen_ai.request.model = request.model.as_str(),
                    throng.repeat = cx.repeat(),
                    server.address = self.peer.host.as_str(),
                    gen_ai.response.id = Empty,
                    gen_ai.response.model = Empty,
                    gen_ai.response.finish_reasons = Empty,
                    gen_ai.usage.input_tokens = Empty,
                    gen_ai.usage.output_tokens = Empty,
                    error.type = Empty,
                )
            };
        }
        match cx.span() {
            Some(parent) => span!(parent: parent,),
            None => span!(),
        }
    }
}
