//! The client: makes the request, sends it once, and gives the answer as events.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::body::Body;
use super::builder::{MaxTokensField, OpenAiChatBuilder};
use crate::http::{self, Peer};
use crate::reply::{Reply, record_failure};
use crate::wire::chat::ChatDecoder;
use crate::{CallContext, ErrorKind, EventStream, Limits, LlmClient, LlmError, Request, Timeouts};

/// Calls OpenAI's Chat Completions, or any server that speaks like them (llama.cpp, vLLM, Ollama, Groq, DeepSeek,
/// Mistral, OpenRouter and so on).
///
/// Cloning is cheap; clones share their connections.
#[derive(Clone)]
pub struct OpenAiChat(Arc<Inner>);

pub(super) struct Inner {
    pub(super) peer: Peer,
    pub(super) url: Url,
    pub(super) client: reqwest::Client,
    pub(super) headers: HeaderMap,
    pub(super) timeouts: Timeouts,
    pub(super) limits: Limits,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) max_tokens: MaxTokensField,
    /// Whether this is OpenAI's own server, which takes members that others refuse.
    pub(super) is_openai: bool,
}

impl OpenAiChat {
    /// Begins to set up a client. Without further settings it calls OpenAI's own server without a key.
    pub fn builder() -> OpenAiChatBuilder {
        OpenAiChatBuilder::default()
    }

    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for OpenAiChat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiChat")
            .field("provider", &self.0.peer.provider)
            .field("host", &self.0.peer.host)
            .field("stream", &self.0.stream)
            .finish_non_exhaustive()
    }
}

impl LlmClient for OpenAiChat {
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
    ) -> Result<Reply<http::Body>, LlmError> {
        let peer = &self.peer;
        let body = Body::new(request, self).map_err(|wrong| peer.error(ErrorKind::BadRequest, &wrong))?;
        let bytes = serde_json::to_vec(&body).map_err(|error| {
            peer.error(ErrorKind::BadRequest, "request cannot be written as JSON")
                .with_source(error)
        })?;
        let accept = if self.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        let sent = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ACCEPT, HeaderValue::from_static(accept))
            .body(bytes);
        let mut timeouts = self.timeouts;
        if !self.stream {
            timeouts = timeouts
                .with_first_content(Duration::MAX)
                .with_idle(Duration::MAX);
        }
        let (facts, body) = http::send(peer, sent, &timeouts, cx, start).await?;
        let decoder = ChatDecoder::new(Arc::clone(&peer.provider), self.limits)
            .with_headers(facts.request_id.clone(), facts.limits);
        Ok(Reply::new(body, decoder, timeouts, cx, start).with_span(span))
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
