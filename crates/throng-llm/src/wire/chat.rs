//! The answers of OpenAI's Chat Completions and of the many servers that imitate them, streamed or in one piece.
//!
//! The decoder never takes a broken answer for a whole one: without a finish reason there is no
//! [`Finished`](StreamEvent::Finished). It looks at `error` before it looks at anything else.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::Instant;

use crate::reply::Reply;
use crate::wire::sse::{SseDecoder, SseEvent};
use crate::{
    CallContext, ErrorKind, EventStream, Limited, Limits, LlmError, Received, StreamEvent, Timeouts,
};

mod answer;
mod calls;
mod chunk;

use answer::Answer;

/// How many bytes of the beginning of a body are kept for errors.
const HEAD_BYTES: usize = 2 * 1024;

/// Decodes the body of a chat completion from bytes that were split anywhere.
///
/// Whether it is a stream of server-sent events, one JSON object or an HTML page is seen from its first character:
/// gateways answer with one where another was asked for, and under a wrong content type.
#[derive(Debug)]
pub struct ChatDecoder {
    provider: Arc<str>,
    limits: Limits,
    shape: Shape,
    sse: SseDecoder,
    answer: Answer,
    /// The beginning of the body, for errors; of an answer in one piece, all of it.
    body: Vec<u8>,
    bytes: u64,
    done: bool,
}

/// What a body looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Nothing but white space so far.
    Unknown,
    Events,
    Json,
    Html,
}

impl ChatDecoder {
    /// Makes a decoder; the provider's name is for errors.
    pub fn new(provider: impl Into<Arc<str>>, limits: Limits) -> Self {
        let provider = provider.into();
        Self {
            sse: SseDecoder::new(limits.event_bytes),
            answer: Answer::new(Arc::clone(&provider), limits),
            provider,
            limits,
            shape: Shape::Unknown,
            body: Vec::new(),
            bytes: 0,
            done: false,
        }
    }

    /// Sets what the headers said, to be given with the first event.
    #[must_use]
    pub fn with_headers(mut self, request_id: Option<String>, limits: crate::RateLimits) -> Self {
        self.answer.started.request_id = request_id;
        self.answer.started.limits = limits;
        self
    }

    /// Takes bytes and adds the events that they complete.
    ///
    /// # Errors
    ///
    /// The error with which the answer ends. The events added before it are valid. After it, and after the last
    /// event, further bytes are ignored.
    pub fn push(&mut self, bytes: &[u8], events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        if self.done {
            return Ok(());
        }
        self.bytes += bytes.len() as u64;
        let result = self.push_inner(bytes, events);
        self.settle(result)
    }

    /// Takes the end of the body and adds the last events.
    ///
    /// # Errors
    ///
    /// The error with which the answer ends, if it was not complete.
    pub fn finish(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        if self.done {
            return Ok(());
        }
        let result = self.finish_inner(events);
        self.done = true;
        self.settle(result)
    }

    /// Returns true once the last event or an error was given.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns true once the model said its last word: a finish reason came. What can still come is usage and the
    /// sign of the end.
    pub fn is_complete(&self) -> bool {
        self.answer.is_complete()
    }

    /// Returns how much has arrived.
    pub fn received(&self) -> Received {
        self.answer.received
    }

    /// Adds to an error what is known of the answer.
    pub(crate) fn locate(&self, error: LlmError) -> LlmError {
        error
            .with_received(self.answer.received)
            .with_started(&self.answer.started)
    }

    /// Returns the provider's name.
    pub(crate) fn provider(&self) -> &Arc<str> {
        &self.provider
    }

    fn settle(&mut self, result: Result<(), LlmError>) -> Result<(), LlmError> {
        self.done |= result.is_err() || self.answer.is_finished();
        result.map_err(|error| self.locate(error))
    }

    fn push_inner(&mut self, mut bytes: &[u8], events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        if self.shape == Shape::Unknown {
            // Some servers send white space as a sign of life while they work on an answer in one piece. The SSE
            // decoder sees it too, since in a stream of events a leading space is part of a line.
            let blank = |byte: &u8| byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(byte);
            let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
            let (head, rest) = bytes.split_at(start);
            self.push_sse(head, events)?;
            bytes = rest;
            self.shape = match bytes.first() {
                None => return Ok(()),
                Some(b'{' | b'[') => Shape::Json,
                Some(b'<') => Shape::Html,
                Some(_) => Shape::Events,
            };
        }
        match self.shape {
            Shape::Unknown => Ok(()),
            Shape::Events => {
                let room = HEAD_BYTES.saturating_sub(self.body.len());
                self.body.extend_from_slice(&bytes[..room.min(bytes.len())]);
                self.push_sse(bytes, events)
            }
            Shape::Html => {
                let room = crate::error::RAW_BODY_BYTES.saturating_sub(self.body.len());
                self.body.extend_from_slice(&bytes[..room.min(bytes.len())]);
                if self.body.len() < crate::error::RAW_BODY_BYTES {
                    Ok(())
                } else {
                    Err(self.html())
                }
            }
            Shape::Json if self.body.len() + bytes.len() > self.limits.body_bytes => {
                let max = self.limits.body_bytes;
                let message = format!("sent an answer of more than {max} bytes");
                Err(self.error(ErrorKind::TooLarge(Limited::Body), &message))
            }
            Shape::Json => {
                self.body.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn push_sse(&mut self, bytes: &[u8], events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        let answer = &mut self.answer;
        let mut result = Ok(());
        let size = self.sse.push(bytes, |event| {
            if result.is_err() || answer.is_finished() {
                return;
            }
            match event {
                SseEvent::Comment => events.push_back(StreamEvent::KeepAlive),
                SseEvent::Message { event, data, .. } => result = answer.frame(event, data, events),
            }
        });
        result?;
        match size {
            Err(_) if self.answer.is_finished() => Ok(()),
            Err(error) => {
                let message = format!("sent an event of more than {} bytes", error.limit);
                Err(self.error(ErrorKind::TooLarge(Limited::Event), &message))
            }
            Ok(()) => Ok(()),
        }
    }

    fn finish_inner(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        match self.shape {
            Shape::Unknown => Err(self.error(ErrorKind::Truncated, "sent an answer without a body")),
            Shape::Html => Err(self.html()),
            Shape::Json => {
                let body = std::mem::take(&mut self.body);
                let text = String::from_utf8_lossy(&body);
                self.answer.whole(&text, events)
            }
            Shape::Events if self.answer.is_complete() => {
                self.answer.end(events);
                Ok(())
            }
            Shape::Events if self.answer.received.frames == 0 => {
                let error = self.error(
                    ErrorKind::Protocol,
                    "sent a body that is neither a stream of events nor JSON",
                );
                Err(error.with_raw_body(self.head()))
            }
            Shape::Events => Err(self.error(ErrorKind::Truncated, "ended the stream before a finish reason")),
        }
    }

    fn html(&self) -> LlmError {
        let message = "sent an HTML page, as login pages and proxies do, in the place of an answer";
        self.error(ErrorKind::Protocol, message)
            .with_raw_body(self.head())
    }

    fn head(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn error(&self, kind: ErrorKind, message: &str) -> LlmError {
        LlmError::new(kind, Arc::clone(&self.provider), message)
    }
}

/// Turns the body of a chat completion, from whatever source, into a stream of events under the content clocks.
///
/// The first content clock and the total clock begin now; `timeouts.connect` has no meaning here.
///
/// # Cancel safety
///
/// As for every [`EventStream`]; dropping it drops the body.
pub fn events<S, E>(body: S, decoder: ChatDecoder, timeouts: Timeouts, cx: &CallContext) -> EventStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    Box::pin(Reply::new(Box::pin(body), decoder, timeouts, cx, Instant::now()))
}
