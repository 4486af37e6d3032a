//! The one trait that all providers implement, and what a call is told besides its request.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{Completion, LlmError, Request, StreamEvent};

/// The events of an answer; see [`StreamEvent`] for the laws that they keep. Ends after the first error.
///
/// # Cancel safety
///
/// `next` is cancel safe: no event is lost. Dropping the stream ends the call and closes its connection.
pub type EventStream = BoxStream<'static, Result<StreamEvent, LlmError>>;

/// Calls a large language model.
///
/// A client makes one attempt per call: it never retries and never reconnects, since every request may be billed.
/// Whoever retries asks [`Classify`](throng_core::Classify) and
/// [`before_first_content`](LlmError::before_first_content).
pub trait LlmClient: Send + Sync {
    /// Returns the provider's name, for errors and reports.
    fn provider(&self) -> &str;

    /// Begins a call. The future ends when the answer begins; an answer that begins badly is its error.
    ///
    /// # Errors
    ///
    /// The future, and the stream as its last item, give an [`LlmError`]: see its kinds.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future or the stream ends the call and closes its connection. No task goes on in the background.
    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>>;
}

impl<T: LlmClient + ?Sized> LlmClient for Arc<T> {
    fn provider(&self) -> &str {
        (**self).provider()
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        (**self).call(request, cx)
    }
}

impl<T: LlmClient + ?Sized> LlmClient for Box<T> {
    fn provider(&self) -> &str {
        (**self).provider()
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        (**self).call(request, cx)
    }
}

/// Calls a model and waits for the whole answer.
///
/// # Errors
///
/// The error of the call. What had arrived of the answer is dropped; use [`LlmClient::call`] to keep it.
///
/// # Cancel safety
///
/// Dropping the future ends the call and closes its connection; what had arrived is lost.
pub async fn complete(
    client: &(impl LlmClient + ?Sized),
    request: Arc<Request>,
    cx: CallContext,
) -> Result<Completion, LlmError> {
    let start = Instant::now();
    let mut events = client.call(request, cx).await?;
    let mut completion = Completion::default();
    let mut finished = false;
    while let Some(event) = events.next().await {
        let event = event?;
        if event.is_content() && completion.first_content.is_none() {
            completion.first_content = Some(start.elapsed());
        }
        finished |= matches!(event, StreamEvent::Finished { .. });
        completion.push(event);
    }
    completion.elapsed = start.elapsed();
    if finished {
        Ok(completion)
    } else {
        let message = "ended its stream of events without a last event";
        Err(LlmError::new(
            crate::ErrorKind::Truncated,
            client.provider(),
            message,
        ))
    }
}

/// What a call is told besides its request.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CallContext {
    deadline: Option<Instant>,
    cancellation: Option<CancellationToken>,
    repeat: u32,
    span: Option<Span>,
}

impl CallContext {
    /// Makes a context with no deadline and no way to cancel but dropping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the instant by which the call must have ended.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets a token that cancels the call.
    #[must_use]
    pub fn with_cancellation(mut self, token: CancellationToken) -> Self {
        self.cancellation = Some(token);
        self
    }

    /// Says which repeat of the same request this is, from 0: a cache gives each repeat an answer of its own.
    #[must_use]
    pub fn with_repeat(mut self, repeat: u32) -> Self {
        self.repeat = repeat;
        self
    }

    /// Sets the parent of the call's span; without it, the span that is current when the call is made.
    #[must_use]
    pub fn with_span(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Returns the instant by which the call must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the token that cancels the call.
    pub fn cancellation(&self) -> Option<&CancellationToken> {
        self.cancellation.as_ref()
    }

    /// Returns which repeat of the same request this is, from 0.
    pub fn repeat(&self) -> u32 {
        self.repeat
    }

    /// Returns the parent of the call's span.
    pub fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }
}
