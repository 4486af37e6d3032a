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
        // What stops the scan when a value has just ended; `None` goes on.
        let ended: Option<Stop>;
        match at.state {
            State::InKey => {
                let Some(next) = string_end(buf, at.pos, &mut at.escaped) else {
                    at.pos = buf.len();
                    break Stop::More;
                };
                at.pos = next;
                if WATCH && at.depth == watch.members {
                    watch.armed = buf.get(watch.start..at.pos - 1) == Some(watch.name.as_slice());
                }
                // The colon is nearly always right behind.
                at.state = State::Colon;
                if buf.get(next) == Some(&b':') {
                    at.pos = next + 1;
                    at.state = State::Value;
                }
                continue;
            }
            State::InString => {
                let Some(next) = string_end(buf, at.pos, &mut at.escaped) else {
                    at.pos = buf.len();
                    break Stop::More;
                };
                at.pos = next;
                at.state = State::After;
                ended = value_ended::<WATCH>(at.depth, end, watch);
            }
            State::InScalar => {
                while buf.get(at.pos).is_some_and(|&byte| is_scalar(byte)) {
                    at.pos += 1;
                }
                if at.pos == buf.len() {
                    break Stop::More;
                }
                at.state = State::After;
                ended = value_ended::<WATCH>(at.depth, end, watch);
            }
            State::After => {
                let Some(&byte) = buf.get(at.pos) else {
                    break Stop::More;
                };
                match byte {
                    b',' => {
                        at.pos += 1;
                        at.state = if at.in_object() { State::Key } else { State::Value };
                        continue;
                    }
                    b'}' | b']' if at.in_object() == (byte == b'}') => {
                        at.pos += 1;
                        at.close();
                        if WATCH && watch.inside && at.depth == watch.members {
                            watch.inside = false;
                        }
                        ended = value_ended::<WATCH>(at.depth, end, watch);
                    }
                    _ if is_space(byte) => {
                        at.pos += 1;
                        continue;
                    }
                    _ => break Stop::Bad,
                }
            }
            State::Key | State::KeyOrEnd => {
                let Some(&byte) = buf.get(at.pos) else {
                    break Stop::More;
                };
                match byte {
                    b'"' => {
                        at.pos += 1;
                        at.state = State::InKey;
                        if WATCH && at.depth == watch.members {
                            watch.start = at.pos;
                        }
                        continue;
                    }
                    b'}' if at.state == State::KeyOrEnd => {
                        at.pos += 1;
                        at.close();
                        ended = value_ended::<WATCH>(at.depth, end, watch);
                    }
                    _ if is_space(byte) => {
                        at.pos += 1;
                        continue;
                    }
                    _ => break Stop::Bad,
                }
            }
            State::Colon => {
                let Some(&byte) = buf.get(at.pos) else {
                    break Stop::More;
                };
                match byte {
                    b':' => at.state = State::Value,
                    _ if is_space(byte) => {}
                    _ => break Stop::Bad,
                }
                at.pos += 1;
                continue;
            }
            State::Value | State::ValueOrEnd => {
                let Some(&byte) = buf.get(at.pos) else {
                    break Stop::More;
                };
                if is_space(byte) {
                    at.pos += 1;
                    continue;
                }
                if byte == b']' && at.state == State::ValueOrEnd {
                    at.pos += 1;
                    at.close();
                    if WATCH && watch.inside && at.depth == watch.members {
                        watch.inside = false;
                    }
                    ended = value_ended::<WATCH>(at.depth, end, watch);
                } else {
                    if WATCH && watch.inside && at.depth == watch.members + 1 {
                        watch.start = at.pos;
                    }
                    match byte {
                        b'"' => at.state = State::InString,
                        b'{' | b'[' => {
                            if at.depth >= limit {
                                break Stop::Deep;
                            }
                            if WATCH && watch.armed && at.depth == watch.members {
                                watch.inside = byte == b'[';
                            }
                            if WATCH && at.depth == watch.members {
                                watch.armed = false;
                            }
                            at.open(byte);
                        }
                        b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => at.state = State::InScalar,
                        _ => break Stop::Bad,
                    }
                    if WATCH && at.depth == watch.members {
                        watch.armed = false;
                    }
                    at.pos += 1;
                    continue;
                }
            }
        }
        if let Some(stop) = ended {
            break stop;
        }
    };
    *cursor = at;
    stop
}

/// What a value that has just ended means for the scan.
#[inline(always)]
fn value_ended<const WATCH: bool>(depth: u32, end: u32, watch: &Watch) -> Option<Stop> {
    if depth == end {
        return Some(Stop::End);
    }
    (WATCH && watch.inside && depth == watch.members + 1).then_some(Stop::Step)
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
    loop {
        // Eight bytes at a time; after some, memchr is faster.
        let far = pos + 48;
        let mut at = pos;
        let found = loop {
            let word = buf.get(at..).and_then(|rest| rest.first_chunk::<8>());
            let Some(word) = word.map(|word| u64::from_le_bytes(*word)) else {
                let rest = buf.get(at..)?;
                break at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            };
            let hits = equal(word, b'"') | equal(word, b'\\');
            if hits != 0 {
                break at + (hits.trailing_zeros() / 8) as usize;
            }
            at += 8;
            if at >= far {
                break at + memchr2(b'"', b'\\', buf.get(at..)?)?;
            }
        };
        if buf.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        if found + 1 >= buf.len() {
            *escaped = true;
            return None;
        }
        pos = found + 2;
    }
}

/// Marks the bytes of a word that equal `byte`, by their highest bits. Bits above the lowest one may be wrong.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let zeros = word ^ (ONES * u64::from(byte));
    zeros.wrapping_sub(ONES) & !zeros & (ONES << 7)
}
