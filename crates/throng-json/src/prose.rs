//! What lies around documents in tolerant mode: prose, fences, blocks of thought, a byte order mark.
//!
//! Everything is prose until a bracket begins something that looks like JSON. That takes the next byte, or the next word
//! and a colon; a bracket that does not is prose, and the search goes on behind it.

use memchr::memchr3;

use crate::event::{Fix, Span};
use crate::grammar::is_space;
use crate::options::Split;
use crate::scanner::{Raw, Scanner};
use crate::wrapped::Wrapped;

/// Longest scalar that is recognized as a whole text without brackets.
const HEAD: u64 = 64 << 10;
/// Longest name behind a brace that is looked at.
const NAME: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Tags around text that the model wrote for itself, with the tags that end it.
const THOUGHTS: [(&[u8], &[u8]); 3] = [
    (b"<think>", b"</think>"),
    (b"<thinking>", b"</thinking>"),
    (b"<reasoning>", b"</reasoning>"),
];

/// A comment between elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Comment {
    #[default]
    None,
    Slash,
    Line,
    Block {
        star: bool,
    },
}

/// A bracket of which it is not known yet whether JSON begins with it.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    opener: u64,
    next: u64,
    name: Option<u64>,
    named: bool,
}

/// Where the search between documents stands, and small states of the envelope.
#[derive(Debug, Default)]
pub(crate) struct Prose {
    /// Something but space stands on the current line.
    line_dirty: bool,
    thought: Option<&'static [u8]>,
    candidate: Option<Candidate>,
    /// Where the first text began that has not been reported.
    text: Option<u64>,
    /// Start of a text that may be one scalar.
    head: Option<u64>,
    began: bool,
    waits: bool,
    pub(crate) comment: Comment,
    pub(crate) odd_key: Option<u8>,
    pub(crate) comma: u64,
    pub(crate) skipped: Option<u64>,
    pub(crate) ticks: u8,
}

impl Prose {
    /// Offset of the first byte that the search still needs.
    pub(crate) fn held(&self) -> Option<u64> {
        match (self.head, self.candidate) {
            (Some(head), _) => Some(head),
            (None, candidate) => candidate.map(|candidate| candidate.opener),
        }
    }

    /// Whether the search needs more bytes than it has.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    pub(crate) fn document_ended(&mut self) {
        self.line_dirty = false;
        self.head = None;
    }
}

impl Scanner {
    /// Reads on between documents.
    pub(crate) fn run_prose(&mut self) -> Option<Raw> {
        self.prose.waits = false;
        if self.at() == 0 && !self.prose.began {
            let rest = self.buf.as_slice();
            if rest.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(rest) && !self.ended {
                self.prose.waits = true;
                return None;
            }
            self.prose.began = true;
            if rest.starts_with(BYTE_ORDER_MARK) {
                self.note(0, Fix::ByteOrderMark);
                self.cursor.pos += BYTE_ORDER_MARK.len();
            }
            return None;
        }
        if let Some(tag) = self.prose.thought {
            self.run_thought(tag);
            return None;
        }
        if let Some(candidate) = self.prose.candidate {
            return self.run_candidate(candidate);
        }
        let rest = self.buf.get(self.cursor.pos..).unwrap_or_default();
        let first = *rest.first()?;
        // Nothing but space so far: the text may be one string or one scalar.
        if self.document == 0 && self.prose.head.is_none() && self.prose.text.is_none() {
            if is_space(first) {
                let n = rest.iter().take_while(|byte| is_space(**byte)).count();
                self.cursor.pos += n;
                return None;
            }
            if first == b'"' {
                match Wrapped::begins(rest, self.ended) {
                    None => {
                        self.prose.waits = true;
                        return None;
                    }
                    Some(true) => {
                        self.note(self.at(), Fix::StringUnwrapped);
                        self.wrapped = Some(Box::new(Wrapped::new(self)));
                        self.cursor.pos += 1;
                        return None;
                    }
                    Some(false) => {}
                }
            }
            if !matches!(first, b'{' | b'[' | b'<') {
                self.prose.head = Some(self.at());
            }
        }
        let found = memchr3(b'{', b'[', b'<', rest);
        let n = found.unwrap_or(rest.len());
        if n > 0 {
            self.text(n);
            return None;
        }
        if first == b'<' {
            for (open, close) in THOUGHTS {
                if rest.starts_with(open) {
                    self.text(open.len());
                    self.prose.thought = Some(close);
                    return None;
                }
                if open.starts_with(rest) && !self.ended {
                    self.prose.waits = true;
                    return None;
                }
            }
            self.text(1);
            return None;
        }
        let opener = self.at();
        self.prose.candidate = Some(Candidate {
            opener,
            next: opener + 1,
            name: None,
            named: false,
        });
        None
    }

    /// Reads `n` bytes that are not JSON.
    fn text(&mut self, n: usize) {
        let at = self.at();
        let bytes = self
            .buf
            .get(self.cursor.pos..self.cursor.pos + n)
            .unwrap_or_default();
        if self.prose.text.is_none() {
            let first = bytes.iter().position(|byte| !is_space(*byte) && *byte != b',');
            self.prose.text = first.map(|first| at + first as u64);
        }
        let line = memchr::memrchr(b'\n', bytes);
        let tail = bytes.get(line.map_or(0, |line| line + 1)..).unwrap_or_default();
        let dirty = tail.iter().any(|byte| !is_space(*byte));
        self.prose.line_dirty = dirty || (line.is_none() && self.prose.line_dirty);
        self.cursor.pos += n;
        if self.prose.head.is_some_and(|head| self.at() - head > HEAD) {
            self.prose.head = None;
        }
    }

    fn run_thought(&mut self, tag: &'static [u8]) {
        let rest = self.buf.get(self.cursor.pos..).unwrap_or_default();
        match memchr::memmem::find(rest, tag) {
            Some(found) => {
                self.text(found + tag.len());
                self.prose.thought = None;
                self.prose.line_dirty = false;
            }
            // The tag may have begun at the end of what is here.
            None if !self.ended && rest.len() < tag.len() => self.prose.waits = true,
            None if !self.ended => self.text(rest.len() + 1 - tag.len()),
            None => self.text(rest.len()),
        }
    }

    fn run_candidate(&mut self, mut candidate: Candidate) -> Option<Raw> {
        let opener = self.buf.get(self.cursor.pos).copied()?;
        let mut at = self.index(candidate.next);
        let verdict = loop {
            let Some(&byte) = self.buf.get(at) else { break None };
            if let Some(name) = candidate.name {
                let name_at = self.index(name);
                let is_name = byte == b'_' || byte == b'-' || byte == b'$' || byte.is_ascii_alphanumeric();
                if is_name && !candidate.named {
                    if at - name_at > NAME {
                        break Some(false);
                    }
                } else if opener == b'[' {
                    let word = self.buf.get(name_at..at).unwrap_or_default();
                    break Some(matches!(
                        word,
                        b"true" | b"false" | b"null" | b"True" | b"False" | b"None"
                    ));
                } else if is_space(byte) {
                    candidate.named = true;
                } else {
                    break Some(byte == b':');
                }
            } else if !is_space(byte) {
                match self.opens(opener, byte) {
                    Some(verdict) => break Some(verdict),
                    None => candidate.name = Some(self.base + at as u64),
                }
            }
            at += 1;
        };
        candidate.next = self.base + at as u64;
        self.prose.candidate = Some(candidate);
        let accepted = match verdict {
            Some(verdict) => verdict,
            None if self.ended => !self.prose.line_dirty && candidate.name.is_none(),
            None => {
                self.prose.waits = true;
                return None;
            }
        };
        self.prose.candidate = None;
        if accepted {
            self.prose.head = None;
            self.report_text();
            return self.begin_value(opener);
        }
        self.text(1);
        None
    }

    /// Whether JSON begins with these two bytes. `None`: that depends on the word that begins with the second.
    fn opens(&self, opener: u8, byte: u8) -> Option<bool> {
        let clean = !self.prose.line_dirty;
        // Where elements are objects, an array of something else is one only if nothing comes before it.
        let first = self.document == 0 && self.prose.text.is_none();
        let items = first || !matches!(self.options.split, Split::Batch(_));
        if opener == b'{' {
            return match byte {
                b'"' | b'\'' | b'}' => Some(true),
                0xe2 | b'/' | b'#' => Some(clean),
                _ if byte == b'_' || byte == b'$' || byte.is_ascii_alphabetic() => None,
                _ => Some(false),
            };
        }
        match byte {
            b'{' | b'[' | b'"' => Some(true),
            b']' => Some(clean),
            b'\'' | b'-' | b'0'..=b'9' | b'/' | b'#' => Some(clean && items),
            _ if clean && items && byte.is_ascii_alphabetic() => None,
            _ => Some(false),
        }
    }

    fn report_text(&mut self) {
        if let Some(at) = self.prose.text.take() {
            self.note(at, Fix::TextSkipped);
        }
    }

    /// The text has ended between documents: a text that is one scalar is an element after all.
    pub(crate) fn end_prose(&mut self) {
        if self.document == 0
            && let Some(head) = self.prose.head.take()
        {
            let end = self.base + self.buf.len() as u64;
            let span = Span { start: head, end };
            let text = std::str::from_utf8(self.bytes(span)).unwrap_or_default().trim();
            let end = head + text.len() as u64;
            let read = match serde_json::from_str(text) {
                Ok(value) => Some((value, None)),
                Err(_) => match crate::bare::read(text) {
                    (serde_json::Value::String(_), _) => None,
                    read => Some(read),
                },
            };
            if let Some((value, fix)) = read {
                if let Some(fix) = fix {
                    self.note(head, fix);
                }
                let n_repairs = usize::from(fix.is_some());
                let span = Span { start: head, end };
                let path = self.path();
                self.queue.push_back(Raw::Built(path, span, value, n_repairs));
                self.document += 1;
                self.n_elements += 1;
                return;
            }
        }
        self.report_text();
    }
}
