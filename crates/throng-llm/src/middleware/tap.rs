//! A stream of events with somebody who watches it.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use crate::{EventStream, LlmError, StreamEvent};

/// Watches a stream of events. It is dropped when the stream has ended or is dropped.
pub(crate) trait Observe: Unpin + Send + 'static {
    /// Sees an event before the caller does.
    fn event(&mut self, event: &StreamEvent);

    /// Sees the error with which the stream ends.
    fn error(&mut self, _error: &LlmError) {}
}

/// Passes events on and shows them to an observer.
pub(crate) struct Tap<O> {
    events: EventStream,
    observer: Option<O>,
}

impl<O: Observe> Tap<O> {
    pub(crate) fn stream(events: EventStream, observer: O) -> EventStream {
        Box::pin(Self {
            events,
            observer: Some(observer),
        })
    }
}

impl<O: Observe> Stream for Tap<O> {
    type Item = Result<StreamEvent, LlmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = std::task::ready!(self.events.as_mut().poll_next(cx));
        match (&item, &mut self.observer) {
            (Some(Ok(event)), Some(observer)) => observer.event(event),
            (Some(Err(error)), Some(observer)) => {
                observer.error(error);
                self.observer = None;
            }
            (None, _) => self.observer = None,
            (_, None) => {}
        }
        Poll::Ready(item)
    }
}
