//! What was last heard of a provider's rate limits, for whoever limits calls. Nothing here waits or retries.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::time::Instant;

use super::tap::{Observe, Tap};
use crate::{CallContext, EventStream, LlmClient, LlmError, RateLimit, RateLimits, Request, StreamEvent};

/// The rate limits of one key of one provider, as last heard. Clones share the state.
///
/// Answers that overtake each other can leave an older figure; the next answer replaces it.
#[derive(Clone, Debug, Default)]
pub struct RateState(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Requests, tokens, input tokens, output tokens.
    seen: [Option<(RateLimit, Instant)>; 4],
    /// Until when the server asked to be left alone.
    pause: Option<Instant>,
}

impl RateState {
    /// Makes a state that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the limits that came with an answer at `now`. Kinds of which nothing is said keep what was said before.
    pub fn observe(&self, limits: &RateLimits, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = [
            limits.requests,
            limits.tokens,
            limits.input_tokens,
            limits.output_tokens,
        ];
        for (seen, limit) in state.seen.iter_mut().zip(kinds) {
            if !limit.is_empty() {
                *seen = Some((limit, now));
            }
        }
    }

    /// Takes what an error at `now` says of limits and of when to come back. An earlier and longer wait stays.
    pub fn observe_error(&self, error: &LlmError, now: Instant) {
        self.observe(error.limits(), now);
        if let Some(until) = error.retry_after().and_then(|after| now.checked_add(after)) {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.pause = state.pause.max(Some(until));
        }
    }

    /// Returns the limits as they stand at `now`: a window whose time is over is full again, and what is left of the
    /// others is as last heard. Calls that were sent since are not subtracted.
    pub fn remaining(&self, now: Instant) -> RateLimits {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [requests, tokens, input_tokens, output_tokens] = state
            .seen
            .map(|seen| seen.map_or_else(RateLimit::default, |seen| at(seen, now)));
        RateLimits {
            requests,
            tokens,
            input_tokens,
            output_tokens,
        }
    }

    /// Returns how long to wait from `now` until the server's pause is over and no window is known to be used up;
    /// zero if there is no reason to wait.
    pub fn wait(&self, now: Instant) -> Duration {
        let pause = self.0.lock().unwrap_or_else(PoisonError::into_inner).pause;
        let pause = pause.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        pause.max(self.remaining(now).wait().unwrap_or_default())
    }
}

/// Returns a limit as it stands some time after it was seen.
fn at((limit, seen): (RateLimit, Instant), now: Instant) -> RateLimit {
    let Some(reset) = limit.reset else { return limit };
    let left = reset.saturating_sub(now.saturating_duration_since(seen));
    if left.is_zero() {
        RateLimit {
            remaining: limit.limit,
            reset: None,
            ..limit
        }
    } else {
        RateLimit {
            reset: Some(left),
            ..limit
        }
    }
}

/// Feeds a [`RateState`] from the answers and errors of a client. Answers from a cache say nothing of limits.
#[derive(Clone, Debug)]
pub struct RateWatch<C> {
    client: C,
    state: RateState,
}

impl<C> RateWatch<C> {
    /// Watches a client.
    pub fn new(client: C, state: RateState) -> Self {
        Self { client, state }
    }
}

impl<C: LlmClient> LlmClient for RateWatch<C> {
    fn provider(&self) -> &str {
        self.client.provider()
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let call = self.client.call(request, cx);
        let mut watcher = Watcher(self.state.clone());
        Box::pin(async move {
            match call.await {
                Ok(events) => Ok(Tap::stream(events, watcher)),
                Err(error) => {
                    watcher.error(&error);
                    Err(error)
                }
            }
        })
    }
}

struct Watcher(RateState);

impl Observe for Watcher {
    fn event(&mut self, event: &StreamEvent) {
        if let StreamEvent::Started(started) = event
            && !started.cached
        {
            self.0.observe(&started.limits, Instant::now());
        }
    }

    fn error(&mut self, error: &LlmError) {
        self.0.observe_error(error, Instant::now());
    }
}
