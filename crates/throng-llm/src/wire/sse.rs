//! Server-sent events as the WHATWG describes them, in linear time and bounded memory.
//!
//! Not the crate `sse-core`, against which the tests compare this: that one swallows comments, which are the sign of
//! life of several providers, and goes on after an event that was too large, where here the call has to fail.

use std::str;

use memchr::memchr2;

const BOM: &[u8; 3] = b"\xef\xbb\xbf";

/// One event of a stream of server-sent events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SseEvent<'a> {
    /// A message.
    Message {
        /// The event's name; `message` if none was given.
        event: &'a str,
        /// The data, several lines joined by line feeds.
        data: &'a str,
        /// The last id that the server gave.
        id: Option<&'a str>,
    },
    /// A comment line: the server shows that it is alive.
    Comment,
}

/// An event of the stream is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream has more than {limit} bytes")]
#[non_exhaustive]
pub struct EventTooLarge {
    /// How many bytes are allowed.
    pub limit: usize,
}

/// Decodes server-sent events from bytes that were split anywhere.
///
/// - Lines end with LF, CR or CRLF; a line that ends with CR is not kept back to see whether LF follows.
/// - Text is UTF-8; what is not becomes U+FFFD. One byte order mark at the start is dropped.
/// - An event that the end of the stream cuts off is dropped.
/// - `retry` is ignored: a client of a model must not reconnect, since a request is a new generation that is billed.
///
/// # Complexity
///
/// Linear in the bytes, however they are split. The memory is at most three times the limit.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    /// How much of a byte order mark was seen; 3 once the start of the stream is past.
    bom: usize,
    /// Whether the last byte was a CR, so that an LF belongs to it.
    after_cr: bool,
    /// A line of which the end has not arrived.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    event: String,
    /// The id as the current event sets it.
    id: String,
    /// Set after an event that was too large: nothing more is decoded.
    failed: bool,
}

impl SseDecoder {
    /// Makes a decoder for events of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bom: 0,
            after_cr: false,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            event: String::new(),
            id: String::new(),
            failed: false,
        }
    }

    /// Takes bytes and gives every event that they complete.
    ///
    /// # Errors
    ///
    /// [`EventTooLarge`] once, after the events before it; then nothing more is decoded.
    pub fn push(&mut self, mut bytes: &[u8], mut on: impl FnMut(SseEvent<'_>)) -> Result<(), EventTooLarge> {
        if self.failed {
            return Ok(());
        }
        while self.bom < BOM.len() {
            match bytes.split_first() {
                None => return Ok(()),
                Some((&byte, rest)) if byte == BOM[self.bom] => {
                    self.bom += 1;
                    bytes = rest;
                }
                Some(_) => {
                    self.line.extend_from_slice(&BOM[..self.bom]);
                    self.bom = BOM.len();
                }
            }
        }
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let line = &bytes[..end];
            let cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if cr {
                match bytes.split_first() {
                    None => self.after_cr = true,
                    Some((b'\n', rest)) => bytes = rest,
                    Some(_) => {}
                }
            }
            if self.line.is_empty() {
                // Most events are one line of data and the empty line after it: nothing needs to be kept.
                if !self.has_data
                    && bytes.first() == Some(&b'\n')
                    && let Some(value) = line.strip_prefix(b"data:")
                {
                    self.check(line.len())?;
                    bytes = &bytes[1..];
                    self.dispatch(value.strip_prefix(b" ").unwrap_or(value), &mut on);
                    self.event.clear();
                    continue;
                }
                self.take_line(line, &mut on)?;
            } else {
                self.keep(line)?;
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, &mut on)?;
                self.line = line;
                self.line.clear();
            }
        }
        self.keep(bytes)
    }

    /// Returns true if the bytes that come next begin an event, of which nothing has arrived, and it may have so many bytes.
    pub(super) fn begins_event(&self, bytes: usize) -> bool {
        self.bom == BOM.len()
            && !self.after_cr
            && !self.has_data
            && !self.failed
            && self.line.is_empty()
            && self.event.is_empty()
            && bytes <= self.limit
    }

    /// Keeps the beginning of a line. Of a comment only the colon is kept.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        if self.line.first() == Some(&b':') {
            return Ok(());
        }
        if self.line.is_empty() && bytes.first() == Some(&b':') {
            self.line.push(b':');
            return Ok(());
        }
        self.check(self.line.len() + bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn check(&mut self, more: usize) -> Result<(), EventTooLarge> {
        if self.data.len() + more <= self.limit {
            return Ok(());
        }
        self.failed = true;
        self.line = Vec::new();
        self.data = Vec::new();
        Err(EventTooLarge { limit: self.limit })
    }

    fn take_line(&mut self, line: &[u8], on: &mut impl FnMut(SseEvent<'_>)) -> Result<(), EventTooLarge> {
        if line.is_empty() {
            if self.has_data {
                let data = std::mem::take(&mut self.data);
                self.dispatch(&data, on);
                self.data = data;
            }
            self.data.clear();
            self.has_data = false;
            self.event.clear();
            return Ok(());
        }
        if line[0] == b':' {
            on(SseEvent::Comment);
            return Ok(());
        }
        self.check(line.len())?;
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => {
                self.event.clear();
                self.event.push_str(&String::from_utf8_lossy(value));
            }
            b"id" if !value.contains(&0) => self.id = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&self, data: &[u8], on: &mut impl FnMut(SseEvent<'_>)) {
        let event = if self.event.is_empty() {
            "message"
        } else {
            &self.event
        };
        let id = Some(self.id.as_str()).filter(|id| !id.is_empty());
        // Checking text that is right is much faster than the lossy reading, which goes character by character.
        let lossy;
        let data = match str::from_utf8(data) {
            Ok(data) => data,
            Err(_) => {
                lossy = String::from_utf8_lossy(data);
                &*lossy
            }
        };
        on(SseEvent::Message { event, data, id });
    }
}
