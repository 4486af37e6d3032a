//! The forms of bodies, and the lines of those that consist of lines.

use std::borrow::Cow;

use super::Wire;
use super::sse::EventTooLarge;

/// What a body looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing but white space so far.
    Unknown,
    Events,
    /// A JSON object on each line.
    Lines,
    Json,
    Html,
}

impl Shape {
    /// Tells the form from the first byte that is not white space.
    pub(super) fn of(first: u8, wire: Wire) -> Self {
        match first {
            b'{' if wire == Wire::Ollama => Self::Lines,
            b'{' | b'[' => Self::Json,
            b'<' => Self::Html,
            _ => Self::Events,
        }
    }
}

/// Cuts bytes that were split anywhere into lines that end with a line feed. Empty lines are passed over.
///
/// # Complexity
///
/// Linear in the bytes; the memory is at most the limit.
#[derive(Debug)]
pub(super) struct Lines {
    limit: usize,
    /// A line of which the end has not arrived.
    line: Vec<u8>,
    failed: bool,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            failed: false,
        }
    }

    /// Takes bytes and gives every line that they complete.
    ///
    /// # Errors
    ///
    /// If a line is larger than allowed, once; then nothing more is given.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut on: impl FnMut(&str)) -> Result<(), EventTooLarge> {
        if self.failed {
            return Ok(());
        }
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            self.check(line.len())?;
            if self.line.is_empty() {
                give(line, &mut on);
            } else {
                self.line.extend_from_slice(line);
                give(&self.line, &mut on);
                self.line.clear();
            }
        }
        self.check(bytes.len())?;
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes what came after the last line feed.
    pub(super) fn take_rest(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.line))
            .trim()
            .to_owned()
    }

    fn check(&mut self, more: usize) -> Result<(), EventTooLarge> {
        if self.line.len() + more <= self.limit {
            return Ok(());
        }
        self.failed = true;
        self.line = Vec::new();
        Err(EventTooLarge { limit: self.limit })
    }
}

fn give(line: &[u8], on: &mut impl FnMut(&str)) {
    let text: Cow<'_, str> = String::from_utf8_lossy(line);
    let text = text.trim();
    if !text.is_empty() {
        on(text);
    }
}
