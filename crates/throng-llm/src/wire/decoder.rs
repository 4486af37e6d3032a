//! The decoder that all wires share: it sees what form a body has, cuts it into frames, and ends with one last event or one
//! error.
//!
//! It never takes a broken answer for a whole one: a body that ends before the provider's own sign of completion is an
//! error, whatever its status and its content type said.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use tokio::time::Instant;

use super::Wire;
use super::body::{Lines, Shape};
use super::draft::Draft;
use super::protocol::{Frame, Protocol, protocol};
use super::sse::{EventTooLarge, SseDecoder, SseEvent};
use crate::reply::Reply;
use crate::{
    CallContext, ErrorKind, EventStream, Limited, Limits, LlmError, Received, StreamEvent, Timeouts,
};

/// How many bytes of the beginning of a body are kept for errors.
const HEAD_BYTES: usize = 2 * 1024;

/// Decodes the body of an answer from bytes that were split anywhere.
///
/// Whether it is a stream of server-sent events, lines of JSON, one JSON object or an HTML page is seen from its first
/// character: gateways answer with one where another was asked for, and under a wrong content type.
///
/// # Complexity
///
/// Linear in the bytes, however they are split; the memory is bounded by the [`Limits`].
#[derive(Debug)]
pub struct Decoder {
    wire: Wire,
    limits: Limits,
    shape: Shape,
    sse: SseDecoder,
    lines: Lines,
    protocol: Box<dyn Protocol>,
    draft: Draft,
    /// The beginning of the body, for errors; of an answer in one piece, all of it.
    body: Vec<u8>,
    done: bool,
}

impl Decoder {
    /// Makes a decoder; the provider's name is for errors.
    pub fn new(wire: Wire, provider: impl Into<Arc<str>>, limits: Limits) -> Self {
        Self {
            wire,
            sse: SseDecoder::new(limits.event_bytes),
            lines: Lines::new(limits.event_bytes),
            protocol: protocol(wire),
            draft: Draft::new(provider.into(), limits),
            limits,
            shape: Shape::Unknown,
            body: Vec::new(),
            done: false,
        }
    }

    /// Sets what the headers said, to be given with the first event.
    #[must_use]
    pub fn with_headers(mut self, request_id: Option<String>, limits: crate::RateLimits) -> Self {
        self.draft.started.request_id = request_id;
        self.draft.started.limits = limits;
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

    /// Returns true once the model said its last word: why it stopped. What can still come is usage and the sign of
    /// the end.
    pub fn is_complete(&self) -> bool {
        self.draft.is_complete()
    }

    /// Returns how much has arrived.
    pub fn received(&self) -> Received {
        self.draft.received
    }

    /// Adds to an error what is known of the answer.
    pub(crate) fn locate(&self, error: LlmError) -> LlmError {
        error
            .with_received(self.draft.received)
            .with_started(&self.draft.started)
    }

    /// Returns the provider's name.
    pub(crate) fn provider(&self) -> &Arc<str> {
        self.draft.provider()
    }

    fn settle(&mut self, result: Result<(), LlmError>) -> Result<(), LlmError> {
        self.done |= result.is_err() || self.draft.is_finished();
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
                Some(&first) => Shape::of(first, self.wire),
            };
        }
        match self.shape {
            Shape::Unknown => Ok(()),
            Shape::Events => {
                self.keep_head(bytes);
                self.push_sse(bytes, events)
            }
            Shape::Lines => {
                self.keep_head(bytes);
                self.push_lines(bytes, events)
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

    fn keep_head(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES.saturating_sub(self.body.len());
        if room > 0 {
            self.body.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    fn push_sse(&mut self, bytes: &[u8], events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        let bytes = self.take_repeated(bytes, events)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let Self {
            draft, protocol, sse, ..
        } = self;
        let mut result = Ok(());
        let size = sse.push(bytes, |event| {
            if result.is_err() || draft.is_finished() {
                return;
            }
            match event {
                SseEvent::Comment => events.push_back(StreamEvent::KeepAlive),
                SseEvent::Message { event, data, .. } => {
                    result = take_frame(&mut **protocol, draft, event, data, events);
                }
            }
        });
        result?;
        self.check_size(size)
    }

    /// Takes the events at the beginning of the bytes that differ from one before in their text only, and returns the other
    /// bytes. It saves what the usual way costs, and gives what that would.
    fn take_repeated<'b>(
        &mut self,
        mut bytes: &'b [u8],
        events: &mut VecDeque<StreamEvent>,
    ) -> Result<&'b [u8], LlmError> {
        while let Some((channel, text, rest)) = self.draft.pattern.text_of_event(bytes) {
            if !self.sse.begins_event(bytes.len() - rest.len()) {
                break;
            }
            self.draft.received.frames += 1;
            let before = events.len();
            self.draft.say(channel, Some(text.into()), None, events)?;
            if events.len() == before {
                events.push_back(StreamEvent::KeepAlive);
            }
            bytes = rest;
        }
        Ok(bytes)
    }

    fn push_lines(&mut self, bytes: &[u8], events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        let Self {
            draft,
            protocol,
            lines,
            ..
        } = self;
        let mut result = Ok(());
        let size = lines.push(bytes, |line| {
            if result.is_ok() && !draft.is_finished() {
                result = take_frame(&mut **protocol, draft, "message", line, events);
            }
        });
        result?;
        self.check_size(size)
    }

    fn check_size(&self, size: Result<(), EventTooLarge>) -> Result<(), LlmError> {
        match size {
            Err(error) if !self.draft.is_finished() => {
                let message = format!("sent an event of more than {} bytes", error.limit);
                Err(self.error(ErrorKind::TooLarge(Limited::Event), &message))
            }
            _ => Ok(()),
        }
    }

    fn finish_inner(&mut self, events: &mut VecDeque<StreamEvent>) -> Result<(), LlmError> {
        match self.shape {
            Shape::Unknown => return Err(self.error(ErrorKind::Truncated, "sent an answer without a body")),
            Shape::Html => return Err(self.html()),
            Shape::Json => {
                let body = std::mem::take(&mut self.body);
                let text = String::from_utf8_lossy(&body);
                self.draft.received.frames += 1;
                self.protocol.whole(&mut self.draft, &text, events)?;
                if !self.draft.is_complete() {
                    let error = self.error(ErrorKind::Protocol, "sent JSON that is not a complete answer");
                    return Err(error.with_raw_body(text));
                }
            }
            Shape::Lines => {
                // The last line may lack its line feed.
                let line = self.lines.take_rest();
                if !line.is_empty() {
                    let Self { draft, protocol, .. } = self;
                    take_frame(&mut **protocol, draft, "message", &line, events)?;
                }
            }
            Shape::Events => {}
        }
        if self.draft.is_finished() {
            return Ok(());
        }
        if self.draft.is_complete() {
            self.draft.end(events);
            return Ok(());
        }
        if self.draft.received.frames == 0 && self.shape == Shape::Events {
            let message = "sent a body that is neither a stream of events nor JSON";
            return Err(self
                .error(ErrorKind::Protocol, message)
                .with_raw_body(self.head()));
        }
        Err(self.error(ErrorKind::Truncated, self.protocol.cut_message()))
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
        self.draft.error(kind, message)
    }
}

/// Hands a frame to the wire, and gives a sign of life for a frame of which nothing else came.
fn take_frame(
    protocol: &mut dyn Protocol,
    draft: &mut Draft,
    name: &str,
    data: &str,
    events: &mut VecDeque<StreamEvent>,
) -> Result<(), LlmError> {
    draft.received.frames += 1;
    let data = data.trim();
    let (before, complete) = (events.len(), draft.is_complete());
    protocol.frame(draft, Frame { name, data }, events)?;
    if events.len() == before && complete == draft.is_complete() {
        events.push_back(StreamEvent::KeepAlive);
    }
    Ok(())
}

/// Turns the body of an answer, from whatever source, into a stream of events under the content clocks.
///
/// The first content clock and the total clock begin now; `timeouts.connect` has no meaning here.
///
/// # Cancel safety
///
/// As for every [`EventStream`]; dropping it drops the body.
pub fn events<S, E>(body: S, decoder: Decoder, timeouts: Timeouts, cx: &CallContext) -> EventStream
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    Box::pin(Reply::new(Box::pin(body), decoder, timeouts, cx, Instant::now()))
}
