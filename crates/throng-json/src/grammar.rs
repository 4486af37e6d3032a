//! The fast scanner inside one element: follows the grammar token by token and finds where the element ends.
//!
//! It looks at structure only. Escapes, control characters, encoding, numbers and literals are left to whoever reads the
//! element's bytes; any other deviation from RFC 8259 stops the scan at the byte where it shows.

use memchr::memchr2;

/// What the grammar allows next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// A value.
    Value,
    /// A value, or the end of an empty array.
    ValueOrEnd,
    /// A key.
    Key,
    /// A key, or the end of an empty object.
    KeyOrEnd,
    /// The colon behind a key.
    Colon,
    /// A comma, or the end of the container.
    After,
    /// More of a string that is a value.
    InString,
    /// More of a string that is a key.
    InKey,
    /// More of a number or a literal.
    InScalar,
}

/// Where a scan stands. Offsets are indices of the buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    pub(crate) pos: usize,
    pub(crate) state: State,
    /// The byte before `pos` is a backslash that escapes the next one.
    pub(crate) escaped: bool,
    /// One bit for each open container, the innermost lowest: 1 for an object.
    kinds: u128,
    pub(crate) depth: u32,
}

/// The array of steps that a scan watches for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// The key of the array of steps.
    pub(crate) name: Vec<u8>,
    /// Depth at which the members of the element lie.
    pub(crate) members: u32,
    /// The last key was the name of the steps.
    pub(crate) armed: bool,
    /// The scan is inside the array of steps.
    pub(crate) inside: bool,
    /// Where the current key or step began.
    pub(crate) start: usize,
    /// How many steps have been seen.
    pub(crate) count: usize,
}

/// Why a scan stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The buffer ended.
    More,
    /// The element ended at `pos`.
    End,
    /// A step ended at `pos`; it began at `Watch::start`.
    Step,
    /// The byte at `pos` is against the grammar.
    Bad,
    /// The byte at `pos` opens one level too many.
    Deep,
}

impl Cursor {
    pub(crate) fn new() -> Self {
        Self {
            pos: 0,
            state: State::Value,
            escaped: false,
            kinds: 0,
            depth: 0,
        }
    }

    pub(crate) fn open(&mut self, byte: u8) {
        let is_object = byte == b'{';
        self.kinds = (self.kinds << 1) | u128::from(is_object);
        self.depth += 1;
        self.state = if is_object {
            State::KeyOrEnd
        } else {
            State::ValueOrEnd
        };
    }

    pub(crate) fn close(&mut self) {
        self.kinds >>= 1;
        self.depth = self.depth.saturating_sub(1);
        self.state = State::After;
    }

    /// Leaves all containers below a depth.
    pub(crate) fn depth_to(&mut self, depth: u32) {
        let n = self.depth.saturating_sub(depth);
        self.kinds = self.kinds.checked_shr(n).unwrap_or(0);
        self.depth = depth;
        self.escaped = false;
    }

    pub(crate) fn in_object(&self) -> bool {
        self.depth > 0 && self.kinds & 1 == 1
    }
}

/// Whether a byte can be part of a number or a literal.
pub(crate) fn is_scalar(byte: u8) -> bool {
    SCALAR[usize::from(byte)]
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

static SCALAR: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || b == b'-' || b == b'+' || b == b'.';
        byte += 1;
    }
    table
};

/// Scans on from `cursor` until the value that began at depth `end` is complete, or something else stops it.
#[inline]
pub(crate) fn scan(buf: &[u8], cursor: &mut Cursor, end: u32, limit: u32, watch: Option<&mut Watch>) -> Stop {
    match watch {
        Some(watch) => run::<true>(buf, cursor, end, limit, watch),
        None => run::<false>(buf, cursor, end, limit, &mut Watch::default()),
    }
}

fn run<const WATCH: bool>(buf: &[u8], cursor: &mut Cursor, end: u32, limit: u32, watch: &mut Watch) -> Stop {
    let mut at = *cursor;
    let stop = loop {
        match at.state {
            State::InString | State::InKey => {
                let Some(next) = string_end(buf, at.pos, &mut at.escaped) else {
                    at.pos = buf.len();
                    break Stop::More;
                };
                at.pos = next;
                if at.state == State::InKey {
                    if WATCH && at.depth == watch.members {
                        watch.armed = buf.get(watch.start..at.pos - 1) == Some(watch.name.as_slice());
                    }
                    if buf.get(at.pos) == Some(&b':') {
                        at.pos += 1;
                        at.state = State::Value;
                    } else {
                        at.state = State::Colon;
                    }
                    continue;
                }
                at.state = State::After;
                if at.depth == end {
                    break Stop::End;
                }
                if WATCH && watch.inside && at.depth == watch.members + 1 {
                    break Stop::Step;
                }
            }
            State::InScalar => {
                while buf.get(at.pos).is_some_and(|&byte| is_scalar(byte)) {
                    at.pos += 1;
                }
                if at.pos == buf.len() {
                    break Stop::More;
                }
                at.state = State::After;
                if at.depth == end {
                    break Stop::End;
                }
                if WATCH && watch.inside && at.depth == watch.members + 1 {
                    break Stop::Step;
                }
            }
            _ => {
                let Some(&byte) = buf.get(at.pos) else {
                    break Stop::More;
                };
                if is_space(byte) {
                    at.pos += 1;
                    continue;
                }
                match (at.state, byte) {
                    (State::After, b',') => {
                        at.pos += 1;
                        at.state = if at.in_object() { State::Key } else { State::Value };
                    }
                    (State::After, b'}') | (State::KeyOrEnd, b'}') if at.in_object() => {
                        at.pos += 1;
                        at.close();
                        if at.depth == end {
                            break Stop::End;
                        }
                        if WATCH && watch.inside && at.depth == watch.members + 1 {
                            break Stop::Step;
                        }
                    }
                    (State::After, b']') | (State::ValueOrEnd, b']') if !at.in_object() => {
                        at.pos += 1;
                        at.close();
                        if WATCH && watch.inside && at.depth == watch.members {
                            watch.inside = false;
                        }
                        if at.depth == end {
                            break Stop::End;
                        }
                        if WATCH && watch.inside && at.depth == watch.members + 1 {
                            break Stop::Step;
                        }
                    }
                    (State::Colon, b':') => {
                        at.pos += 1;
                        at.state = State::Value;
                    }
                    (State::Key | State::KeyOrEnd, b'"') => {
                        at.pos += 1;
                        at.state = State::InKey;
                        if WATCH && at.depth == watch.members {
                            watch.start = at.pos;
                        }
                    }
                    (State::Value | State::ValueOrEnd, _) => {
                        if WATCH && watch.inside && at.depth == watch.members + 1 {
                            watch.start = at.pos;
                        }
                        match byte {
                            b'"' => {
                                at.pos += 1;
                                at.state = State::InString;
                            }
                            b'{' | b'[' => {
                                if at.depth >= limit {
                                    break Stop::Deep;
                                }
                                if WATCH && watch.armed && at.depth == watch.members {
                                    watch.inside = byte == b'[';
                                    watch.armed = false;
                                }
                                at.pos += 1;
                                at.open(byte);
                            }
                            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                                at.pos += 1;
                                at.state = State::InScalar;
                            }
                            _ => break Stop::Bad,
                        }
                        if WATCH && at.depth == watch.members {
                            watch.armed = false;
                        }
                    }
                    _ => break Stop::Bad,
                }
            }
        }
    };
    *cursor = at;
    stop
}

/// Finds the end of a string whose content begins or goes on at `pos`: the index behind its closing quote.
#[inline]
pub(crate) fn string_end(buf: &[u8], mut pos: usize, escaped: &mut bool) -> Option<usize> {
    if *escaped {
        if pos >= buf.len() {
            return None;
        }
        pos += 1;
        *escaped = false;
    }
    // Most strings are short: a plain loop finds their end before memchr has been set up.
    let near = buf.len().min(pos + 16);
    loop {
        while pos < near {
            match buf[pos] {
                b'"' => return Some(pos + 1),
                b'\\' => {
                    if pos + 1 >= buf.len() {
                        *escaped = true;
                        return None;
                    }
                    pos += 2;
                }
                _ => pos += 1,
            }
        }
        let rest = buf.get(pos..)?;
        let found = pos + memchr2(b'"', b'\\', rest)?;
        if buf[found] == b'"' {
            return Some(found + 1);
        }
        if found + 1 >= buf.len() {
            *escaped = true;
            return None;
        }
        pos = found + 2;
    }
}
