//! The machine that reads an element which is not JSON: byte by byte, with a stack of the containers under construction.
//!
//! It looks ahead only through states, never back, so that its result does not depend on how the text is split and costs
//! linear time. One decision needs more than the next byte: whether a quote ends its string or belongs to it. The bytes
//! on which that depends are spaces, at most one comma and a name; they are held until the decision.

use serde_json::{Map, Value};

use crate::bare;
use crate::event::{Fix, Reason, Repair};
use crate::options::Limits;

/// What lies around the element.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around {
    pub(crate) array: bool,
    pub(crate) object: bool,
    pub(crate) depth: u32,
}

/// What a byte led to.
#[derive(Debug)]
pub(crate) enum Out {
    /// The element is complete, and the text behind it begins at the offset.
    Done(u64),
    /// The element ends here after all: an end quote was missing. The next one begins at the offset.
    Resync(u64),
    /// The element costs too much.
    Reject(Reason),
}

#[derive(Debug, Clone)]
pub(super) enum Frame {
    Array(Vec<Value>),
    Object(Map<String, Value>, Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Value { after_comma: bool },
    Key { after_comma: bool },
    Colon,
    After,
    InString,
    Escape,
    Hex,
    Quote,
    Bare,
    Slash,
    LineComment,
    BlockComment { star: bool },
    Dots(u8),
    Ticks(u8),
    Smart(u8),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delimiter {
    Double,
    Single,
    SmartDouble,
    SmartSingle,
}

/// A place in a string at which its missing end quote may have been.
#[derive(Debug, Clone, Copy)]
pub(super) struct Break {
    /// Length of the value before it.
    pub(super) value: usize,
    /// Where the key behind it begins.
    pub(super) key: usize,
    /// Offset of the brace of a next element, if that is what follows.
    pub(super) element: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Lenient {
    pub(super) frames: Vec<Frame>,
    pub(super) state: State,
    pub(super) back: State,
    pub(super) around: Around,
    pub(super) limits: Limits,
    pub(super) steps: Option<Box<str>>,
    pub(super) steps_done: Vec<Value>,
    pub(super) text: Vec<u8>,
    pub(super) text_start: u64,
    pub(super) delimiter: Delimiter,
    pub(super) is_key: bool,
    pub(super) hex: [u8; 4],
    pub(super) n_hex: u8,
    pub(super) high: Option<u32>,
    /// Bytes behind a quote of which it is not known yet whether it ends its string.
    pub(super) ahead: Vec<u8>,
    pub(super) ahead_start: u64,
    pub(super) broken: Option<Break>,
    pub(super) comma: Option<u64>,
    pub(super) value: Option<Value>,
    pub(super) repairs: Vec<Repair>,
    pub(super) skipped: Option<u64>,
    pub(super) may_resync: bool,
}

pub(super) enum Flow {
    Next,
    Again,
    Out(Out),
}

impl Lenient {
    pub(crate) fn new(around: Around, limits: Limits, steps: Option<&str>, may_resync: bool) -> Self {
        Self {
            frames: Vec::new(),
            state: State::Value { after_comma: false },
            back: State::After,
            around,
            limits,
            steps: steps.map(Into::into),
            steps_done: Vec::new(),
            text: Vec::new(),
            text_start: 0,
            delimiter: Delimiter::Double,
            is_key: false,
            hex: [0; 4],
            n_hex: 0,
            high: None,
            ahead: Vec::new(),
            ahead_start: 0,
            broken: None,
            comma: None,
            value: None,
            repairs: Vec::new(),
            skipped: None,
            may_resync,
        }
    }

    /// How deep the machine is inside the element.
    pub(crate) fn depth(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_in_string(&self) -> bool {
        matches!(self.state, State::InString | State::Escape | State::Hex)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns the steps that have become complete since the last call.
    pub(crate) fn take_steps(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.steps_done)
    }

    pub(crate) fn take(&mut self) -> (Value, Vec<Repair>) {
        (
            self.value.take().unwrap_or(Value::Null),
            std::mem::take(&mut self.repairs),
        )
    }

    /// Reads bytes that begin at `offset`; returns how many were read, and what stopped the machine before their end.
    pub(crate) fn feed(&mut self, bytes: &[u8], offset: u64) -> (usize, Option<Out>) {
        for (at, &byte) in bytes.iter().enumerate() {
            if let Some(out) = self.push(byte, offset + at as u64) {
                // A byte that costs too much has not been read.
                let read = if matches!(out, Out::Reject(_)) { at } else { at + 1 };
                return (read, Some(out));
            }
        }
        (bytes.len(), None)
    }

    pub(super) fn push(&mut self, byte: u8, at: u64) -> Option<Out> {
        loop {
            if self.repairs.len() > self.limits.repairs {
                return Some(Out::Reject(Reason::TooManyRepairs(self.limits.repairs)));
            }
            match self.step(byte, at) {
                Flow::Next => return None,
                Flow::Again => {}
                Flow::Out(out) => return Some(out),
            }
        }
    }

    fn step(&mut self, byte: u8, at: u64) -> Flow {
        match self.state {
            State::Value { after_comma } => self.on_value(byte, at, after_comma),
            State::Key { after_comma } => self.on_key(byte, at, after_comma),
            State::Colon => self.on_colon(byte, at),
            State::After => self.on_after(byte, at),
            State::InString => self.in_string(byte, at),
            State::Escape => self.on_escape(byte, at),
            State::Hex => self.on_hex(byte, at),
            State::Quote => self.on_quote(byte, at),
            State::Bare => self.on_bare(byte, at),
            State::Slash => match byte {
                b'/' => self.enter(State::LineComment),
                b'*' => self.enter(State::BlockComment { star: false }),
                _ => {
                    self.state = self.back;
                    self.skip(at.saturating_sub(1));
                    Flow::Again
                }
            },
            State::LineComment => match byte {
                b'\n' => self.enter(self.back),
                _ => Flow::Next,
            },
            State::BlockComment { star } => match byte {
                b'/' if star => self.enter(self.back),
                _ => self.enter(State::BlockComment { star: byte == b'*' }),
            },
            State::Dots(n) => match byte {
                b'.' => self.enter(State::Dots(n.saturating_add(1))),
                b'0'..=b'9' if n == 1 && matches!(self.back, State::Value { .. }) => {
                    self.begin_bare(at - 1, false);
                    self.text.push(b'.');
                    Flow::Again
                }
                _ => {
                    self.repair(at.saturating_sub(u64::from(n)), Fix::EllipsisSkipped);
                    // "1, ..., 9": the comma behind the dots stands for none of its own.
                    if byte == b',' && !matches!(self.back, State::After) {
                        return self.enter(self.back);
                    }
                    self.state = self.back;
                    Flow::Again
                }
            },
            State::Ticks(n) => match byte {
                b'`' if n == 2 => {
                    // A fence ends what lies inside it.
                    let end = at - 2;
                    self.close_all(end);
                    Flow::Out(Out::Done(end))
                }
                b'`' => self.enter(State::Ticks(n + 1)),
                _ => {
                    self.skip(at.saturating_sub(u64::from(n)));
                    self.state = self.back;
                    Flow::Again
                }
            },
            State::Smart(n) => self.on_smart(byte, at, n),
            State::Done => Flow::Out(Out::Done(at)),
        }
    }

    pub(super) fn enter(&mut self, state: State) -> Flow {
        self.state = state;
        Flow::Next
    }

    /// Skips a comment, dots, a fence, or a byte that means nothing; tells whether it was one of these.
    fn aside(&mut self, byte: u8, at: u64) -> Option<Flow> {
        self.back = self.state;
        Some(match byte {
            b' ' | b'\t' | b'\n' | b'\r' => Flow::Next,
            b'/' => {
                self.repair(at, Fix::CommentSkipped);
                self.enter(State::Slash)
            }
            b'#' => {
                self.repair(at, Fix::CommentSkipped);
                self.enter(State::LineComment)
            }
            b'.' => self.enter(State::Dots(1)),
            b'`' => self.enter(State::Ticks(1)),
            _ => return None,
        })
    }

    fn on_value(&mut self, byte: u8, at: u64, after_comma: bool) -> Flow {
        if let Some(flow) = self.aside(byte, at) {
            return flow;
        }
        match byte {
            b'{' | b'[' => {
                let depth = self.around.depth as usize + self.frames.len();
                if depth >= self.limits.depth as usize {
                    return Flow::Out(Out::Reject(Reason::TooDeep(self.limits.depth)));
                }
                if byte == b'{' {
                    self.frames.push(Frame::Object(Map::new(), None));
                    self.enter(State::Key { after_comma: false })
                } else {
                    self.frames.push(Frame::Array(Vec::new()));
                    self.enter(State::Value { after_comma: false })
                }
            }
            b'"' => self.begin_string(at, Delimiter::Double, false),
            b'\'' => self.begin_string(at, Delimiter::Single, false),
            0xe2 => {
                self.is_key = false;
                self.text.clear();
                self.text.push(byte);
                self.text_start = at;
                self.enter(State::Smart(1))
            }
            b',' | b'}' | b']' if matches!(self.frames.last(), Some(Frame::Object(..))) => {
                self.repair(at, Fix::NullAdded);
                match self.finish_value(Value::Null, at) {
                    Some(out) => Flow::Out(out),
                    None => Flow::Again,
                }
            }
            b',' => {
                self.repair(at, Fix::CommaRemoved);
                Flow::Next
            }
            b'}' | b']' => {
                if after_comma && let Some(comma) = self.comma {
                    self.repair(comma, Fix::CommaRemoved);
                }
                self.closer(byte, at)
            }
            b':' | b')' | b';' | b'(' => {
                self.skip(at);
                Flow::Next
            }
            _ => {
                self.begin_bare(at, false);
                Flow::Again
            }
        }
    }

    fn on_key(&mut self, byte: u8, at: u64, after_comma: bool) -> Flow {
        if let Some(flow) = self.aside(byte, at) {
            return flow;
        }
        match byte {
            b'"' => self.begin_string(at, Delimiter::Double, true),
            b'\'' => self.begin_string(at, Delimiter::Single, true),
            0xe2 => {
                self.is_key = true;
                self.text.clear();
                self.text.push(byte);
                self.text_start = at;
                self.enter(State::Smart(1))
            }
            b'}' | b']' => {
                if after_comma && let Some(comma) = self.comma {
                    self.repair(comma, Fix::CommaRemoved);
                }
                self.closer(byte, at)
            }
            b',' => {
                self.repair(at, Fix::CommaRemoved);
                Flow::Next
            }
            b'{' | b'[' if self.array_below() || (self.around.array && self.frames.len() == 1) => {
                // A value where a key should be: the brace that closes this object is missing.
                let end = self.comma.filter(|_| after_comma).unwrap_or(at);
                self.repair(end, Fix::CloserAdded);
                match self.pop(end) {
                    Some(out) => Flow::Out(out),
                    None => {
                        if matches!(self.frames.last(), Some(Frame::Array(_))) {
                            self.state = State::Value { after_comma: true };
                        } else {
                            self.state = State::Key { after_comma };
                        }
                        Flow::Again
                    }
                }
            }
            _ if byte == b'_'
                || byte == b'$'
                || byte.is_ascii_alphanumeric()
                || byte == b'-'
                || byte >= 0x80 =>
            {
                self.begin_bare(at, true);
                Flow::Again
            }
            _ => {
                self.skip(at);
                Flow::Next
            }
        }
    }

    fn on_colon(&mut self, byte: u8, at: u64) -> Flow {
        match byte {
            b':' => self.enter(State::Value { after_comma: false }),
            b' ' | b'\t' | b'\n' | b'\r' => Flow::Next,
            b'=' | b'>' => {
                self.skip(at);
                Flow::Next
            }
            b'/' | b'#' | b'`' => self.aside(byte, at).unwrap_or(Flow::Next),
            b',' | b'}' | b']' => {
                self.state = State::Value { after_comma: false };
                Flow::Again
            }
            _ => {
                self.repair(at, Fix::ColonAdded);
                self.state = State::Value { after_comma: false };
                Flow::Again
            }
        }
    }

    fn on_after(&mut self, byte: u8, at: u64) -> Flow {
        if let Some(flow) = self.aside(byte, at) {
            return flow;
        }
        match byte {
            b',' => {
                self.comma = Some(at);
                self.enter(self.next_item(true))
            }
            b'}' | b']' => self.closer(byte, at),
            b':' | b')' | b';' | b'+' => {
                self.skip(at);
                Flow::Next
            }
            _ => {
                let opens =
                    matches!(byte, b'{' | b'[') && matches!(self.frames.last(), Some(Frame::Object(..)));
                if !opens {
                    self.repair(at, Fix::CommaAdded);
                }
                self.state = self.next_item(false);
                Flow::Again
            }
        }
    }

    fn next_item(&self, after_comma: bool) -> State {
        match self.frames.last() {
            Some(Frame::Object(..)) => State::Key { after_comma },
            _ => State::Value { after_comma },
        }
    }

    fn array_below(&self) -> bool {
        self.frames
            .iter()
            .rev()
            .skip(1)
            .any(|frame| matches!(frame, Frame::Array(_)))
    }

    fn begin_bare(&mut self, at: u64, is_key: bool) {
        self.text.clear();
        self.text_start = at;
        self.is_key = is_key;
        self.state = State::Bare;
    }

    fn on_bare(&mut self, byte: u8, at: u64) -> Flow {
        let ends = if self.is_key {
            matches!(
                byte,
                b':' | b',' | b'}' | b'{' | b'[' | b']' | b'\n' | b'"' | b'='
            )
        } else {
            matches!(byte, b',' | b'}' | b']' | b'\n' | b'"')
        };
        if !ends {
            self.text.push(byte);
            return Flow::Next;
        }
        let spaced = self.text.last().is_some_and(u8::is_ascii_whitespace);
        let n_repairs = self.repairs.len();
        if let Some(out) = self.end_bare(at) {
            return Flow::Out(out);
        }
        let quoted = self.repairs.get(n_repairs).map(|repair| repair.what) == Some(Fix::QuotesAdded);
        if byte == b'"' && !self.is_key && quoted && !spaced {
            // The start quote was missing: this is the end quote.
            return Flow::Next;
        }
        Flow::Again
    }

    fn end_bare(&mut self, at: u64) -> Option<Out> {
        while self.text.last().is_some_and(u8::is_ascii_whitespace) {
            self.text.pop();
        }
        let start = self.text_start;
        let text = self.take_text(start);
        if self.is_key {
            self.repair(start, Fix::QuotesAdded);
            if let Some(Frame::Object(_, key)) = self.frames.last_mut() {
                *key = Some(text);
            }
            self.state = State::Colon;
            return None;
        }
        let (value, fix) = bare::read(&text);
        if let Some(fix) = fix {
            self.repair(start, fix);
        }
        // The byte at `at` belongs to what follows.
        let outcome = self.finish_value(value, at);
        match outcome {
            Some(Out::Done(_)) => Some(Out::Done(at)),
            other => other,
        }
    }

    fn closer(&mut self, byte: u8, at: u64) -> Flow {
        let matches = |frame: &Frame| matches!(frame, Frame::Object(..)) == (byte == b'}');
        if !self.frames.iter().any(matches) {
            let outside = if byte == b'}' {
                self.around.object
            } else {
                self.around.array
            };
            if outside {
                self.repair(at, Fix::CloserAdded);
                self.close_frames(at);
                self.state = State::Done;
                return Flow::Out(Out::Done(at));
            }
            self.repair(at, Fix::CloserRemoved);
            return Flow::Next;
        }
        while let Some(frame) = self.frames.last() {
            if matches(frame) {
                break;
            }
            self.repair(at, Fix::CloserAdded);
            if let Some(out) = self.pop(at) {
                return Flow::Out(out);
            }
        }
        match self.pop(at + 1) {
            Some(out) => Flow::Out(out),
            None => Flow::Next,
        }
    }

    /// Closes the innermost container; the text behind it begins at `end`.
    fn pop(&mut self, end: u64) -> Option<Out> {
        let value = match self.frames.pop()? {
            Frame::Array(items) => Value::Array(items),
            Frame::Object(map, _) => Value::Object(map),
        };
        self.finish_value(value, end.saturating_sub(1))
    }

    /// Adds a complete value, whose last byte is at `last`, to what it is part of.
    pub(super) fn finish_value(&mut self, value: Value, last: u64) -> Option<Out> {
        self.state = State::After;
        let depth = self.frames.len();
        let in_steps = depth == 2
            && matches!((self.frames.first(), &self.steps),
                (Some(Frame::Object(_, Some(key))), Some(name)) if **key == **name);
        match self.frames.last_mut() {
            None => {
                self.value = Some(value);
                self.state = State::Done;
                Some(Out::Done(last + 1))
            }
            Some(Frame::Object(map, key)) => {
                map.insert(key.take().unwrap_or_default(), value);
                None
            }
            Some(Frame::Array(items)) => {
                let step = in_steps.then(|| value.clone());
                items.push(value);
                self.steps_done.extend(step);
                None
            }
        }
    }

    fn close_frames(&mut self, end: u64) {
        while !self.frames.is_empty() {
            if let Some(Out::Done(_)) = self.pop(end) {
                break;
            }
        }
    }

    pub(super) fn close_all(&mut self, end: u64) {
        if !self.frames.is_empty() {
            self.repair(end, Fix::CloserAdded);
        }
        self.close_frames(end);
        self.state = State::Done;
    }

    /// Ends the element because the text ends. A key without a value and text without an end are left out of a
    /// `partial` value; otherwise they are completed.
    pub(crate) fn end(&mut self, at: u64, partial: bool) {
        match self.state {
            State::Quote => {
                if self.end_string(self.ahead_start).is_some() {
                    return;
                }
                if self.state == State::After
                    && self.ahead.get(1..).is_some_and(|ahead| ahead.contains(&b','))
                {
                    self.repair(at, Fix::CommaRemoved);
                }
            }
            State::InString | State::Escape | State::Hex if !(self.is_key && partial) => {
                self.end_open_string(at, partial);
            }
            State::Bare if partial => {}
            State::Bare => {
                let _ = self.end_bare(at);
            }
            State::Smart(_) if !partial => {
                let _ = self.end_bare(at);
            }
            _ => {}
        }
        if self.is_done() {
            return;
        }
        if !partial
            && let Some(Frame::Object(map, key)) = self.frames.last_mut()
            && let Some(key) = key.take()
        {
            map.insert(key, Value::Null);
            self.repair(at, Fix::NullAdded);
        }
        if !self.frames.is_empty() {
            self.repair(at, Fix::EndAdded);
        }
        self.close_frames(at);
        self.state = State::Done;
    }

    pub(crate) fn repair(&mut self, offset: u64, what: Fix) {
        self.repairs.push(Repair { offset, what });
    }

    /// Notes a byte that is skipped, once for a run of them.
    pub(super) fn skip(&mut self, at: u64) {
        if self.skipped.is_none_or(|last| last + 1 != at) {
            self.repair(at, Fix::ByteSkipped);
        }
        self.skipped = Some(at);
    }
}
