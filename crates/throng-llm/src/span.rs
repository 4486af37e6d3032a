//! The span of a call, with the names of OpenTelemetry's conventions for generative AI. Neither prompts, nor answers,
//! nor keys are in it.

use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use crate::{CallContext, LlmError, StreamEvent};

/// The span of one call, and what is recorded in it as the answer comes.
pub(crate) struct CallSpan {
    span: Span,
    start: Instant,
    has_content: bool,
}

impl CallSpan {
    /// Makes a span below that of the context, or else below the current one. `host` may be empty.
    pub(crate) fn open(provider: &str, model: &str, host: &str, cx: &CallContext) -> Span {
        macro_rules! span {
            ($($parent:tt)*) => {
                tracing::debug_span!(
                    $($parent)*
                    "chat",
                    gen_ai.operation.name = "chat",
                    gen_ai.provider.name = provider,
                    gen_ai.request.model = model,
                    throng.repeat = cx.repeat(),
                    throng.cached = Empty,
                    server.address = (!host.is_empty()).then_some(host),
                    gen_ai.response.id = Empty,
                    gen_ai.response.model = Empty,
                    gen_ai.response.finish_reasons = Empty,
                    gen_ai.response.time_to_first_chunk = Empty,
                    gen_ai.usage.input_tokens = Empty,
                    gen_ai.usage.cache_read.input_tokens = Empty,
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

    /// Begins to record in a span what becomes of a call that began at `start`.
    pub(crate) fn of(span: Span, start: Instant) -> Self {
        Self {
            span,
            start,
            has_content: false,
        }
    }

    /// Records what an event says.
    pub(crate) fn event(&mut self, event: &StreamEvent) {
        if !self.has_content && event.is_content() {
            self.has_content = true;
            let seconds = self.start.elapsed().as_secs_f64();
            self.span.record("gen_ai.response.time_to_first_chunk", seconds);
        }
        match event {
            StreamEvent::Started(started) => {
                if let Some(id) = &started.id {
                    self.span.record("gen_ai.response.id", id.as_str());
                }
                if let Some(model) = &started.model {
                    self.span.record("gen_ai.response.model", model.as_str());
                }
                if started.cached {
                    self.span.record("throng.cached", true);
                }
            }
            StreamEvent::Finished { finish, usage } => {
                let fields = [
                    ("gen_ai.usage.input_tokens", usage.input_tokens),
                    ("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens),
                    ("gen_ai.usage.output_tokens", usage.output_tokens),
                ];
                self.span
                    .record("gen_ai.response.finish_reasons", finish.as_str());
                for (name, tokens) in fields {
                    if let Some(tokens) = tokens {
                        self.span.record(name, tokens);
                    }
                }
            }
            _ => {}
        }
    }

    /// Records a failure. The server's message is left out: it may repeat the prompt.
    pub(crate) fn error(&self, error: &LlmError) {
        record_failure(&self.span, error);
    }
}

/// Records in a call's span how it failed.
pub(crate) fn record_failure(span: &Span, error: &LlmError) {
    span.record("error.type", error.kind().as_str());
    tracing::debug!(parent: span, kind = ?error.kind(), status = error.status(), code = error.code(), "A call failed.");
}
