//! A client that asks for each answer once.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use tokio::time::Instant;

use super::store::{CacheStore, Key};
use super::tap::{Observe, Tap};
use crate::span::CallSpan;
use crate::{CallContext, EventStream, LlmClient, LlmError, Request, Started, StreamEvent};

/// Answers a call from a [`CacheStore`] if the same request was answered before, and stores what the client answers.
///
/// Calls are the same if their [`Fingerprint`](crate::Fingerprint), their [`repeat`](CallContext::repeat) and the
/// namespace are. Nothing else is looked at: clients that answer the same request differently (other address, other
/// account) need namespaces of their own.
///
/// Only whole answers are stored: those whose stream came to [`Finished`](StreamEvent::Finished), whatever the finish
/// reason. A call that fails or is dropped before that stores nothing. Once the caller has seen the last event the answer
/// is stored.
///
/// A hit gives the events of the answer as they came, at once, without [`KeepAlive`](StreamEvent::KeepAlive), in a span of
/// its own, with [`Started::cached`] set and without rate limits. Equal calls that are on their way at the same time are
/// not merged: each of them is sent.
#[derive(Clone)]
pub struct Cache<C> {
    client: C,
    store: CacheStore,
    namespace: Arc<str>,
}

impl<C: LlmClient> Cache<C> {
    /// Puts a store before a client. The namespace is the client's [`provider`](LlmClient::provider).
    pub fn new(client: C, store: CacheStore) -> Self {
        let namespace = client.provider().into();
        Self {
            client,
            store,
            namespace,
        }
    }

    /// Sets the namespace.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.namespace = namespace.into();
        self
    }
}

impl<C> fmt::Debug for Cache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("namespace", &self.namespace)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl<C: LlmClient + Clone + 'static> LlmClient for Cache<C> {
    fn provider(&self) -> &str {
        self.client.provider()
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let key = Key::new(&self.namespace, request.fingerprint(), cx.repeat());
        let (client, store) = (self.client.clone(), self.store.clone());
        let start = Instant::now();
        Box::pin(async move {
            if let Some(events) = store.get(&key).await {
                let span = CallSpan::open(client.provider(), &request.model, "", &cx);
                return Ok(replay(&events, CallSpan::of(span, start)));
            }
            let events = client.call(request, cx).await?;
            Ok(Box::pin(Storing {
                events,
                store: Some((store, key)),
                so_far: Vec::new(),
                bytes: 0,
                writing: None,
            }) as EventStream)
        })
    }
}

/// Gives the events of a stored answer.
fn replay(events: &[StreamEvent], span: CallSpan) -> EventStream {
    let mut events: VecDeque<_> = events.iter().cloned().collect();
    let started = events.iter_mut().find_map(|event| match event {
        StreamEvent::Started(started) => Some(started),
        _ => None,
    });
    match started {
        Some(started) => **started = std::mem::take(&mut **started).from_cache(),
        None => events.push_front(StreamEvent::Started(Box::new(Started::new().from_cache()))),
    }
    let events = futures_util::stream::iter(events.into_iter().map(Ok));
    Tap::stream(Box::pin(events), Spanned(span))
}

struct Spanned(CallSpan);

impl Observe for Spanned {
    fn event(&mut self, event: &StreamEvent) {
        self.0.event(event);
    }
}

/// Passes events on, keeps them, and stores them before it gives the last one.
struct Storing {
    events: EventStream,
    /// `None` once it is known that this answer is not stored, or is.
    store: Option<(CacheStore, Key)>,
    so_far: Vec<StreamEvent>,
    bytes: usize,
    /// The last event, which waits until the answer is stored.
    writing: Option<(BoxFuture<'static, ()>, StreamEvent)>,
}

impl Stream for Storing {
    type Item = Result<StreamEvent, LlmError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.writing.is_none() {
            let item = std::task::ready!(this.events.as_mut().poll_next(cx));
            match &item {
                Some(Ok(StreamEvent::KeepAlive)) => {}
                Some(Ok(event)) => {
                    if let Some((store, _)) = &this.store {
                        this.bytes += super::store::size(event);
                        if this.bytes > store.max_answer_bytes() {
                            this.store = None;
                            this.so_far = Vec::new();
                        } else {
                            this.so_far.push(event.clone());
                        }
                    }
                }
                _ => this.store = None,
            }
            match item {
                Some(Ok(last @ StreamEvent::Finished { .. })) => {
                    let Some((store, key)) = this.store.take() else {
                        return Poll::Ready(Some(Ok(last)));
                    };
                    let answer = std::mem::take(&mut this.so_far);
                    let bytes = this.bytes;
                    let put = async move { store.put(key, answer, bytes).await }.boxed();
                    this.writing = Some((put, last));
                }
                other => return Poll::Ready(other),
            }
        }
        if let Some((put, _)) = &mut this.writing {
            std::task::ready!(put.as_mut().poll(cx));
        }
        Poll::Ready(this.writing.take().map(|(_, last)| Ok(last)))
    }
}
