//! The body of a response, played step by step. The connection polls it, so a slow client slows it down and a
//! client that goes away drops it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::log::End;
use crate::react::{Action, Payload, Step};
use crate::reply::Reply;
use crate::server::Ticket;
use crate::wire::{Dialect, Pen};

/// The connection was closed on purpose.
#[derive(Debug, thiserror::Error)]
#[error("the connection was closed on purpose")]
pub(crate) struct Closed;

/// A body. Once the last byte is handed over, the request counts as complete.
pub(crate) struct ReplyBody {
    source: Source,
    /// Present while the request is logged and not yet complete; dropping it tells the log how the reply ended.
    ticket: Option<Ticket>,
}

enum Source {
    Whole(Bytes),
    Steps(Box<Playback>),
}

struct Playback {
    pen: Pen,
    reply: Arc<Reply>,
    steps: VecDeque<Step>,
    length: Option<u64>,
    flush_each: bool,
    /// When the step before was due.
    due: Instant,
    /// Whether the delay of the first of `steps` is already in `due`.
    armed: bool,
    /// Whether the step before has had its chance to be flushed.
    flushed: bool,
    sleep: Option<Pin<Box<Sleep>>>,
    sleeping: bool,
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl ReplyBody {
    /// Makes the body of a reply that is not logged.
    pub(crate) fn unlogged(bytes: impl Into<Bytes>) -> Self {
        Self {
            source: Source::Whole(bytes.into()),
            ticket: None,
        }
    }

    /// Makes the body of a logged request.
    pub(crate) fn new(payload: Payload, dialect: Dialect, reply: Arc<Reply>, ticket: Ticket) -> Self {
        let source = match payload {
            Payload::Whole(bytes) => Source::Whole(bytes),
            Payload::Steps {
                steps,
                length,
                flush_each,
            } => Source::Steps(Box::new(Playback {
                pen: Pen::new(dialect),
                reply,
                steps,
                length,
                flush_each,
                due: Instant::now(),
                armed: false,
                flushed: true,
                sleep: None,
                sleeping: false,
                gate: None,
            })),
        };
        let mut body = Self {
            source,
            ticket: Some(ticket),
        };
        body.close_if_done();
        body
    }

    /// Makes the whole body of a logged request whose reply has no steps.
    pub(crate) fn whole(bytes: Bytes, ticket: Ticket) -> Self {
        let mut body = Self {
            source: Source::Whole(bytes),
            ticket: Some(ticket),
        };
        body.close_if_done();
        body
    }

    fn is_done(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Steps(playback) => playback.steps.is_empty(),
        }
    }

    fn close_if_done(&mut self) {
        if self.is_done()
            && let Some(ticket) = self.ticket.take()
        {
            ticket.close(End::Complete);
        }
    }
}

impl fmt::Debug for ReplyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyBody")
            .field("done", &self.is_done())
            .finish_non_exhaustive()
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if self.is_done() {
            return Poll::Ready(None);
        }
        let bytes = match &mut self.source {
            Source::Whole(bytes) => std::mem::take(bytes),
            Source::Steps(playback) => match ready!(playback.poll_next(cx)) {
                Played::Bytes(bytes) => bytes,
                Played::End => {
                    self.close_if_done();
                    return Poll::Ready(None);
                }
                Played::Cut => {
                    if let Some(ticket) = self.ticket.take() {
                        ticket.close(End::Cut);
                    }
                    return Poll::Ready(Some(Err(Closed)));
                }
            },
        };
        self.close_if_done();
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Steps(playback) => playback
                .length
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

/// What a playback comes to.
enum Played {
    Bytes(Bytes),
    /// There was nothing left to say.
    End,
    /// The connection has to be closed.
    Cut,
}

impl Playback {
    /// Returns what comes next, when it is due.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Played> {
        loop {
            let Some(step) = self.steps.front() else {
                return Poll::Ready(Played::End);
            };
            if !self.armed {
                self.armed = true;
                self.due += step.delay;
                self.sleeping = !step.delay.is_zero() && self.due > Instant::now();
                if self.sleeping {
                    match &mut self.sleep {
                        Some(sleep) => sleep.as_mut().reset(self.due),
                        None => self.sleep = Some(Box::pin(tokio::time::sleep_until(self.due))),
                    }
                }
            }
            if self.sleeping
                && let Some(sleep) = &mut self.sleep
            {
                ready!(sleep.as_mut().poll(cx));
                self.sleeping = false;
            }
            let must_flush = self.flush_each || matches!(step.action, Action::Cut);
            if must_flush && !self.flushed {
                // The connection writes out what it has whenever the body is pending; it would throw it away if
                // the body failed at once.
                self.flushed = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let bytes = match &step.action {
                Action::Event(event) => self.pen.write(&self.reply, event),
                Action::Bytes(bytes) => bytes.clone(),
                Action::Cut => return Poll::Ready(Played::Cut),
                Action::Wait(gate) => {
                    let gate = self.gate.get_or_insert_with(|| Box::pin(gate.clone().opened()));
                    ready!(gate.as_mut().poll(cx));
                    self.gate = None;
                    self.due = Instant::now();
                    self.steps.pop_front();
                    self.armed = false;
                    continue;
                }
            };
            self.steps.pop_front();
            self.armed = false;
            if bytes.is_empty() {
                // A wire that has nothing to say to a step; its time has passed all the same.
                continue;
            }
            self.flushed = false;
            return Poll::Ready(Played::Bytes(bytes));
        }
    }
}
