//! An answer on its way: a body, its decoder and the clocks, as one stream of events.
//!
//! Keeps law 1: after the last event or the first error nothing follows. The body is dropped with the stream, which
//! closes the connection; nothing runs in the background.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::Span;

use crate::bell::Bell;
use crate::span::CallSpan;
use crate::wire::Decoder;
use crate::{CallContext, Clock, ErrorKind, LlmError, StreamEvent, Timeouts};

/// How many pieces of a body are taken in one poll that yields no event.
const PIECES_PER_POLL: usize = 64;

/// After how many pieces with content the clocks of the whole call are looked at, where the body never has to be waited for.
const PIECES_PER_LOOK: u32 = 32;

/// How long and how much to read after the last event, so that the connection can be used again.
const DRAIN: Duration = Duration::from_millis(50);
const DRAIN_BYTES: usize = 64 * 1024;

/// Turns an error of this crate into what the caller may see.
pub(crate) type Finish = Box<dyn Fn(LlmError) -> LlmError + Send>;

/// The events of one answer.
pub(crate) struct Reply<S> {
    /// `None` once the stream has ended.
    body: Option<S>,
    decoder: Decoder,
    events: VecDeque<StreamEvent>,
    error: Option<LlmError>,
    clocks: Clocks,
    cancelled: Option<Cancelled>,
    bell: Bell,
    finish: Option<Finish>,
    span: CallSpan,
    /// Bytes read after the last event; `None` before it.
    drained: Option<usize>,
}

struct Cancelled {
    token: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Reply<S> {
    /// Begins to read an answer to a call that was begun at `start`.
    pub(crate) fn new(
        body: S,
        decoder: Decoder,
        timeouts: Timeouts,
        cx: &CallContext,
        start: Instant,
    ) -> Self {
        let cancelled = cx.cancellation().map(|token| Cancelled {
            token: token.clone(),
            wait: Box::pin(token.clone().cancelled_owned()),
        });
        Self {
            body: Some(body),
            decoder,
            events: VecDeque::new(),
            error: None,
            clocks: Clocks::new(timeouts, cx.deadline(), start),
            cancelled,
            bell: Bell::new(),
            finish: None,
            span: CallSpan::of(Span::none(), start),
            drained: None,
        }
    }

    /// Sets what is done to an error before the caller sees it.
    #[cfg(feature = "http")]
    pub(crate) fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }

    /// Sets the span in which the outcome is recorded.
    #[cfg(feature = "http")]
    pub(crate) fn with_span(mut self, span: CallSpan) -> Self {
        self.span = span;
        self
    }

    /// Gives the next event that waits, or the error after them.
    fn next_waiting(&mut self) -> Option<Result<StreamEvent, LlmError>> {
        if let Some(event) = self.events.pop_front() {
            self.span.event(&event);
            if matches!(event, StreamEvent::Finished { .. }) {
                self.drained = Some(0);
            }
            return Some(Ok(event));
        }
        let error = self.error.take()?;
        self.body = None;
        let error = match &self.finish {
            Some(finish) => finish(error),
            None => error,
        };
        self.span.error(&error);
        Some(Err(error))
    }

    /// Ends the answer because its source has failed or fallen silent. If the model had said its last word, the
    /// answer is whole nevertheless.
    fn give_up(&mut self, error: LlmError) {
        if self.decoder.is_complete() {
            let ended = self.decoder.finish(&mut self.events);
            self.error = ended.err();
        } else {
            self.error = Some(self.decoder.locate(error));
        }
    }

    fn local_error(&self, kind: ErrorKind, message: &str) -> LlmError {
        LlmError::new(kind, self.decoder.provider().clone(), message)
    }

    fn fail_by_clock(&mut self, clock: Clock) {
        let message = timeout_message(clock, self.clocks.limit(clock));
        self.give_up(self.local_error(ErrorKind::Timeout(clock), &message));
    }
}

impl<S, E> Reply<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn take_bytes(&mut self, bytes: &[u8]) {
        let before = self.events.len();
        let was_complete = self.decoder.is_complete();
        self.error = self.decoder.push(bytes, &mut self.events).err();
        let content = self.events.iter().skip(before).any(StreamEvent::is_content);
        let fed = content || self.decoder.is_complete() != was_complete;
        if fed {
            self.clocks.content(self.decoder.is_complete());
        }
        if !self.decoder.is_done()
            && let Some(clock) = self.clocks.expired(fed)
        {
            self.fail_by_clock(clock);
        }
    }

    /// Reads what follows the last event, so that the connection can be used again.
    fn poll_drain(&mut self, cx: &mut Context<'_>, mut drained: usize) -> Poll<()> {
        if drained == 0 {
            self.clocks.sleep.as_mut().reset(Instant::now() + DRAIN);
        }
        while let Some(body) = &mut self.body
            && drained < DRAIN_BYTES
        {
            match Pin::new(body).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => drained += bytes.len().max(1),
                Poll::Ready(_) => break,
                Poll::Pending => {
                    self.drained = Some(drained.max(1));
                    if self.clocks.sleep.as_mut().poll(cx).is_ready() {
                        break;
                    }
                    return Poll::Pending;
                }
            }
        }
        self.body = None;
        Poll::Ready(())
    }
}

impl<S, E> Stream for Reply<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Item = Result<StreamEvent, LlmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(item) = this.next_waiting() {
            return Poll::Ready(Some(item));
        }
        if let Some(drained) = this.drained {
            return this.poll_drain(cx, drained).map(|()| None);
        }
        for _ in 0..PIECES_PER_POLL {
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            if this
                .cancelled
                .as_ref()
                .is_some_and(|cancelled| cancelled.token.is_cancelled())
            {
                this.error = Some(this.cancelled_error());
            } else {
                match Pin::new(body).poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) => this.take_bytes(&bytes),
                    Poll::Ready(Some(Err(error))) => {
                        this.body = None;
                        // A source that knows better what happened says so itself.
                        let error = match error.into().downcast::<LlmError>() {
                            Ok(own) => *own,
                            Err(error) => this
                                .local_error(ErrorKind::Transport, "broke the connection")
                                .with_source(error),
                        };
                        this.give_up(error);
                    }
                    Poll::Ready(None) => {
                        this.body = None;
                        this.error = this.decoder.finish(&mut this.events).err();
                    }
                    Poll::Pending => std::task::ready!(this.poll_end_of_wait(cx)),
                }
            }
            if let Some(item) = this.next_waiting() {
                this.clocks.hand_over();
                return Poll::Ready(Some(item));
            }
        }
        // The caller still waits: only other tasks are let in.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Reply<S> {
    /// Waits, while the body has nothing to give, for what ends the answer nevertheless.
    fn poll_end_of_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let rung = self.bell.wakes(cx.waker());
        let mut cx = Context::from_waker(self.bell.rope());
        if rung
            && let Some(cancelled) = &mut self.cancelled
            && cancelled.wait.as_mut().poll(&mut cx).is_ready()
        {
            self.error = Some(self.cancelled_error());
        } else {
            let clock = std::task::ready!(self.clocks.poll_expired(&mut cx, rung));
            self.fail_by_clock(clock);
        }
        Poll::Ready(())
    }

    fn cancelled_error(&self) -> LlmError {
        self.local_error(ErrorKind::Cancelled, "call was cancelled")
            .with_received(self.decoder.received())
    }
}

/// Says that a clock ran out.
pub(crate) fn timeout_message(clock: Clock, limit: Option<Duration>) -> String {
    let limit = limit.unwrap_or_default();
    match clock {
        Clock::Connect => format!("let no connection be made within {limit:?} (connect clock)"),
        Clock::FirstContent => format!("sent no content within {limit:?} (first content clock)"),
        Clock::Idle => format!("sent no further content for {limit:?} (idle clock)"),
        Clock::Total => format!("did not complete its answer within {limit:?} (total clock)"),
        Clock::Deadline => "did not complete its answer by the caller's deadline (deadline clock)".to_owned(),
    }
}

/// The clocks of one answer. The time is asked for only while the body has nothing to give, or nothing of the answer, so
/// that the clocks cost next to nothing per event. The time in which the caller does not poll, and in which the body has
/// something to give, does not count for the content clocks.
struct Clocks {
    timeouts: Timeouts,
    /// The first limit of the whole call.
    whole: Option<(Instant, Clock)>,
    /// Which content clock runs, and its limit.
    content: (Clock, Duration),
    /// How long the content clock has run already, not counting the current wait.
    waited: Duration,
    /// Since when the caller has been waiting in vain; `None` while it does not.
    waiting: Option<Instant>,
    /// How many pieces with content have come since the time was last asked for.
    unasked: u32,
    /// Never set later than the first limit. It is moved only when it fires or when a limit moves before it.
    sleep: Pin<Box<Sleep>>,
    /// Whether the timer runs and will ring, so that it need not be asked: asking costs more than all the rest here.
    is_set: bool,
}

impl Clocks {
    fn new(timeouts: Timeouts, deadline: Option<Instant>, start: Instant) -> Self {
        let total = start.checked_add(timeouts.total).map(|at| (at, Clock::Total));
        let deadline = deadline.map(|at| (at, Clock::Deadline));
        let whole = [total, deadline].into_iter().flatten().min_by_key(|(at, _)| *at);
        let first = [whole.map(|(at, _)| at), start.checked_add(timeouts.first_content)]
            .into_iter()
            .flatten()
            .min();
        Self {
            timeouts,
            whole,
            content: (Clock::FirstContent, timeouts.first_content),
            waited: start.elapsed(),
            waiting: None,
            unasked: 0,
            sleep: Box::pin(tokio::time::sleep_until(first.unwrap_or_else(far_future))),
            is_set: false,
        }
    }

    /// The caller was given something and may do other things.
    fn hand_over(&mut self) {
        if let Some(since) = self.waiting.take() {
            self.waited += since.elapsed();
        }
    }

    /// Content has arrived, or the model said its last word: the idle clock begins anew.
    fn content(&mut self, complete: bool) {
        let idle = self.timeouts.idle;
        self.content = (
            Clock::Idle,
            if complete { idle.min(Timeouts::TAIL) } else { idle },
        );
        self.waited = Duration::ZERO;
        self.waiting = None;
    }

    /// Returns when the next limit is reached, and which.
    fn next(&self) -> Option<(Instant, Clock)> {
        let (clock, limit) = self.content;
        let left = limit.saturating_sub(self.waited);
        let content = self
            .waiting
            .and_then(|since| since.checked_add(left))
            .map(|at| (at, clock));
        match (content, self.whole) {
            (Some(content), Some(whole)) if whole.0 < content.0 => Some(whole),
            (content, whole) => content.or(whole),
        }
    }

    /// Returns the clock that has run out after a piece of the body. While content comes piece upon piece, only the clocks
    /// of the whole call can, and they are looked at now and then.
    fn expired(&mut self, fed: bool) -> Option<Clock> {
        if fed {
            self.unasked += 1;
            if self.unasked < PIECES_PER_LOOK {
                return None;
            }
        }
        self.unasked = 0;
        let now = Instant::now();
        self.waiting.get_or_insert(now);
        self.next().filter(|(at, _)| *at <= now).map(|(_, clock)| clock)
    }

    /// Waits for a clock to run out; `rung` says that the timer may have fired since the last time.
    fn poll_expired(&mut self, cx: &mut Context<'_>, rung: bool) -> Poll<Clock> {
        self.is_set &= !rung;
        if self.waiting.is_none() {
            self.waiting = Some(Instant::now());
        }
        loop {
            let Some((at, clock)) = self.next() else {
                return Poll::Pending;
            };
            if at < self.sleep.deadline() {
                self.sleep.as_mut().reset(at);
                self.is_set = false;
            }
            if !self.is_set {
                self.is_set = self.sleep.as_mut().poll(cx).is_pending();
            }
            if self.is_set {
                return Poll::Pending;
            }
            if at <= self.sleep.deadline() {
                return Poll::Ready(clock);
            }
            self.sleep.as_mut().reset(at);
        }
    }

    fn limit(&self, clock: Clock) -> Option<Duration> {
        match clock {
            Clock::Connect => Some(self.timeouts.connect),
            Clock::FirstContent | Clock::Idle => Some(self.content.1),
            Clock::Total => Some(self.timeouts.total),
            Clock::Deadline => None,
        }
    }
}

/// An instant that is never reached.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365 * 30)
}
