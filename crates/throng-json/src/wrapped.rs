//! A text that is one string which holds JSON: the string is decoded as it comes, and its content parsed.

use crate::grammar::is_space;
use crate::scanner::{Raw, Scanner};

/// How far is looked into a string for the bracket that makes it JSON.
const AHEAD: usize = 256;

#[derive(Debug)]
pub(crate) struct Wrapped {
    /// The parser of the content. Offsets are those of the decoded text.
    pub(crate) inner: Scanner,
    closed: bool,
}

impl Wrapped {
    pub(crate) fn new(outer: &Scanner) -> Self {
        Self {
            inner: Scanner::new(outer.options.clone()),
            closed: false,
        }
    }

    /// Whether a text that begins with a quote is a string with JSON in it. `None`: more bytes are needed.
    pub(crate) fn begins(text: &[u8], ended: bool) -> Option<bool> {
        let mut at = 1;
        while at < AHEAD {
            match (text.get(at), text.get(at + 1)) {
                (None, _) => return ended.then_some(false),
                (Some(byte), _) if is_space(*byte) => at += 1,
                (Some(b'\\'), None) => return ended.then_some(false),
                (Some(b'\\'), Some(b'n' | b't' | b'r')) => at += 2,
                (Some(b'{' | b'['), None) => return ended.then_some(false),
                (Some(b'{' | b'['), Some(next)) => {
                    return Some(matches!(next, b'\\' | b'{' | b'[' | b'}' | b']') || is_space(*next));
                }
                _ => return Some(false),
            }
        }
        Some(false)
    }

    /// Returns the next event of the content; `None` when more bytes are needed or the string has ended.
    pub(crate) fn next(outer: &mut Scanner) -> Option<Raw> {
        let mut wrapped = outer.wrapped.take()?;
        loop {
            if let Some(raw) = wrapped.inner.next() {
                outer.wrapped = Some(wrapped);
                return Some(raw);
            }
            if wrapped.closed {
                if !wrapped.inner.ended {
                    wrapped.inner.end();
                    wrapped.inner.finish_document();
                    continue;
                }
                outer.n_elements += wrapped.inner.n_elements;
                outer.n_rejected += wrapped.inner.n_rejected;
                outer.closed_early |= wrapped.inner.closed_early || !wrapped.inner.frames.is_empty();
                if wrapped.inner.ends_in_element() {
                    // What is open in the string is what the text ends in.
                    outer.wrapped = Some(wrapped);
                    outer.failed = true;
                } else {
                    outer.end_document();
                }
                return None;
            }
            let (read, decoded) = wrapped.decode(outer);
            outer.cursor.pos += read;
            wrapped.inner.append(&decoded);
            if read == 0 {
                if outer.ended {
                    wrapped.closed = true;
                    outer.closed_early = true;
                    continue;
                }
                outer.wrapped = Some(wrapped);
                return None;
            }
        }
    }

    /// Decodes what has come: how many bytes were read, and what they mean.
    fn decode(&mut self, outer: &Scanner) -> (usize, Vec<u8>) {
        let bytes = outer.buf.get(outer.cursor.pos..).unwrap_or_default();
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    self.closed = true;
                    return (at + 1, out);
                }
                b'\\' => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let Some((read, char)) = escape(rest, outer.ended) else {
                        break;
                    };
                    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    at += read;
                }
                _ => {
                    out.push(byte);
                    at += 1;
                }
            }
        }
        (at, out)
    }
}

/// Decodes one escape: its length and its character. `None`: more bytes are needed.
fn escape(bytes: &[u8], ended: bool) -> Option<(usize, char)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(&kind) = bytes.get(1) else {
        return ended.then_some((1, '\\'));
    };
    Some(match kind {
        b'n' => (2, '\n'),
        b't' => (2, '\t'),
        b'r' => (2, '\r'),
        b'b' => (2, '\u{8}'),
        b'f' => (2, '\u{c}'),
        b'u' => {
            let Some(first) = unit(2) else {
                return (ended || bytes.len() >= 6).then_some((2, 'u'));
            };
            if !(0xd800..0xdc00).contains(&first) {
                return Some((6, char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            // The other half of a pair.
            let half = bytes.get(6..8);
            match (half, unit(8)) {
                (Some(br"\u"), Some(second @ 0xdc00..=0xdfff)) => {
                    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                    (12, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                }
                (Some(br"\u") | None, None) if !ended && bytes.len() < 12 => return None,
                _ => (6, char::REPLACEMENT_CHARACTER),
            }
        }
        b'"' | b'\\' | b'/' | b'\'' => (2, char::from(kind)),
        _ => (1, '\\'),
    })
}
