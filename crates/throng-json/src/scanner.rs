//! The parser without types: holds the bytes of what is open, and tells where elements begin and end.
//!
//! An element that is JSON is found by [`grammar::scan`] and leaves as a range of the buffer. The first byte against the
//! grammar hands the element, from its start, to the [`Lenient`] machine; so each byte is read at most twice. What
//! surrounds elements is read here, in `envelope` and `prose`.

use std::collections::VecDeque;

use serde_json::Value;

use crate::event::{Fix, Part, Path, Reason, Rejected, Repair, Span};
use crate::grammar::{self, Cursor, State, Stop, Watch};
use crate::lenient::{Around, Lenient, Out};
use crate::options::{Markers, Mode, Options, Split};
use crate::prose::Prose;
use crate::wrapped::Wrapped;

/// An event before its value has been built.
#[derive(Debug)]
pub(crate) enum Raw {
    /// A step: its bytes are in the buffer.
    Step(Path, usize, Span),
    /// A step that needed repair.
    BuiltStep(Path, usize, Value),
    /// An element: its bytes are in the buffer.
    Element(Path, Span),
    /// An element that needed repair.
    Built(Path, Span, Value, usize),
    Repair(Repair),
    Rejected(Rejected),
}

/// What an object of the envelope turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Undecided,
    Envelope,
}

/// An open container around elements.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) is_object: bool,
    pub(crate) role: Role,
    pub(crate) start: u64,
    /// Items so far.
    pub(crate) count: usize,
    pub(crate) key: Option<String>,
    /// One of its items was a container, so that words between items are prose and not items.
    pub(crate) has_containers: bool,
}

/// The element that is open.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) start: u64,
    pub(crate) depth: u32,
    pub(crate) path: Path,
}

/// Finds the end of an element whose value is not kept.
#[derive(Debug)]
pub(crate) struct Blind {
    depth: u64,
    in_string: bool,
    escaped: bool,
}

/// What became of a chunk on the short way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Smooth {
    /// It was not added.
    No,
    /// It was added and brings no event.
    Quiet,
    /// It was added, and something in it has to be looked at.
    Stopped,
}

#[derive(Debug)]
pub(crate) struct Scanner {
    pub(crate) options: Options,
    pub(crate) buf: Vec<u8>,
    /// Offset of the first byte of `buf`.
    pub(crate) base: u64,
    pub(crate) cursor: Cursor,
    pub(crate) frames: Vec<Frame>,
    pub(crate) document: usize,
    pub(crate) element: Option<Open>,
    /// Start of a key or scalar of the envelope.
    pub(crate) token: Option<u64>,
    watch: Option<Watch>,
    lenient: Option<Box<Lenient>>,
    blind: Option<Blind>,
    pub(crate) queue: VecDeque<Raw>,
    pub(crate) prose: Prose,
    pub(crate) wrapped: Option<Box<Wrapped>>,
    pub(crate) ended: bool,
    pub(crate) failed: bool,
    pub(crate) n_elements: usize,
    pub(crate) n_rejected: usize,
    pub(crate) closed_early: bool,
    in_element_at_end: bool,
    rescanned: u64,
    /// All bytes have been read and the open element is JSON so far: the next chunk goes on where the cursor is.
    smooth: bool,
    /// What stopped a chunk that went the short way.
    stopped: Option<Stop>,
    steps_sent: usize,
}

impl Scanner {
    pub(crate) fn new(options: Options) -> Self {
        let mut options = options;
        options.limits.depth = options.limits.depth.clamp(1, 127);
        let watch = options.steps.as_ref().map(|name| Watch {
            name: name.as_bytes().to_vec(),
            ..Watch::default()
        });
        Self {
            options,
            buf: Vec::new(),
            base: 0,
            cursor: Cursor::new(),
            frames: Vec::new(),
            document: 0,
            element: None,
            token: None,
            watch,
            lenient: None,
            blind: None,
            queue: VecDeque::new(),
            prose: Prose::default(),
            wrapped: None,
            ended: false,
            failed: false,
            n_elements: 0,
            n_rejected: 0,
            closed_early: false,
            in_element_at_end: false,
            rescanned: 0,
            smooth: false,
            stopped: None,
            steps_sent: 0,
        }
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.options.mode == Mode::Strict
    }

    /// Offset of the next byte to be read.
    pub(crate) fn at(&self) -> u64 {
        self.base + self.cursor.pos as u64
    }

    pub(crate) fn seek(&mut self, offset: u64) {
        self.cursor.pos = self.index(offset);
    }

    pub(crate) fn index(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.base))
            .unwrap_or(usize::MAX)
            .min(self.buf.len())
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.buf
            .get(self.index(span.start)..self.index(span.end))
            .unwrap_or_default()
    }

    /// Adds a chunk and scans it, if that is all there is to do.
    ///
    /// The short way for the many chunks that lie inside an element: a chunk may be one byte.
    #[inline]
    pub(crate) fn append_smoothly(&mut self, chunk: &[u8]) -> Smooth {
        if !self.smooth {
            return Smooth::No;
        }
        let Some(open) = &self.element else {
            return Smooth::No;
        };
        let held = self.buf.len() - self.index(open.start);
        if held + chunk.len() > self.options.limits.element_bytes {
            return Smooth::No;
        }
        if let [byte] = *chunk {
            self.buf.push(byte);
            let in_text = matches!(self.cursor.state, State::InString | State::InKey);
            if in_text && !self.cursor.escaped && byte != b'"' && byte != b'\\' {
                self.cursor.pos += 1;
                return Smooth::Quiet;
            }
        } else {
            self.buf.extend_from_slice(chunk);
        }
        let limit = self.options.limits.depth;
        let stop = grammar::scan(
            &self.buf,
            &mut self.cursor,
            open.depth,
            limit,
            self.watch.as_mut(),
        );
        if stop == Stop::More {
            return Smooth::Quiet;
        }
        self.stopped = Some(stop);
        self.smooth = false;
        Smooth::Stopped
    }

    /// No more bytes will come.
    pub(crate) fn end(&mut self) {
        self.smooth = false;
        self.ended = true;
    }

    /// Adds a chunk behind the bytes that are held.
    pub(crate) fn append(&mut self, chunk: &[u8]) {
        self.smooth = false;
        if self.failed || self.ended {
            return;
        }
        if !self.queue.is_empty() {
            // Events that nobody has taken yet still name bytes of the buffer.
            self.buf.extend_from_slice(chunk);
            return;
        }
        let hold = self.hold();
        if hold == self.buf.len() {
            self.base += hold as u64;
            self.cursor.pos -= hold;
            self.shift(hold);
            self.buf.clear();
        } else if hold > self.buf.len() / 2 {
            self.base += hold as u64;
            self.cursor.pos -= hold;
            self.shift(hold);
            self.buf.drain(..hold);
        }
        self.buf.extend_from_slice(chunk);
    }

    fn shift(&mut self, n: usize) {
        if let Some(watch) = &mut self.watch {
            watch.start = watch.start.saturating_sub(n);
        }
    }

    /// Index of the first byte that is still needed.
    fn hold(&self) -> usize {
        let undecided = self
            .frames
            .iter()
            .find(|frame| frame.role == Role::Undecided)
            .map(|frame| frame.start);
        let element = self
            .element
            .as_ref()
            .filter(|_| self.blind.is_none())
            .map(|open| open.start);
        let first = [undecided, element, self.token, self.prose.held()]
            .into_iter()
            .flatten()
            .min();
        first.map_or(self.cursor.pos, |first| self.index(first).min(self.cursor.pos))
    }

    /// Returns the next event that the held bytes bring.
    pub(crate) fn next(&mut self) -> Option<Raw> {
        loop {
            if let Some(raw) = self.queue.pop_front() {
                return Some(raw);
            }
            if self.failed {
                return None;
            }
            if self.wrapped.is_some() {
                if let Some(raw) = Wrapped::next(self) {
                    return Some(raw);
                }
                if self.wrapped.is_some() {
                    return None;
                }
                continue;
            }
            let before = (
                self.cursor.pos,
                self.cursor.state,
                self.frames.len(),
                self.queue.len(),
            );
            let raw = if self.blind.is_some() {
                self.run_blind()
            } else if self.lenient.is_some() {
                self.run_lenient()
            } else if self.element.is_some() {
                self.run_element()
            } else {
                self.envelope()
            };
            if let Some(raw) = raw {
                // What was noted on the way comes first.
                self.queue.push_back(raw);
                continue;
            }
            let after = (
                self.cursor.pos,
                self.cursor.state,
                self.frames.len(),
                self.queue.len(),
            );
            if before == after && self.idle() {
                self.smooth = self.element.is_some()
                    && self.lenient.is_none()
                    && self.blind.is_none()
                    && self.cursor.pos == self.buf.len()
                    && !self.failed
                    && !self.ended;
                return None;
            }
        }
    }

    /// Whether nothing can be done before more bytes come.
    fn idle(&self) -> bool {
        self.cursor.pos >= self.buf.len() || self.prose.waits()
    }

    fn run_element(&mut self) -> Option<Raw> {
        let open = self.element.as_ref()?;
        let (depth, start) = (open.depth, open.start);
        let limit = self.options.limits.depth;
        let end = self.readable(start);
        let stop = match self.stopped.take() {
            Some(stop) => stop,
            None => {
                let bytes = self.buf.get(..end).unwrap_or_default();
                grammar::scan(bytes, &mut self.cursor, depth, limit, self.watch.as_mut())
            }
        };
        match stop {
            Stop::End => self.end_element(),
            Stop::Step => {
                let watch = self.watch.as_mut()?;
                let index = watch.count;
                watch.count += 1;
                self.steps_sent = watch.count;
                let span = Span {
                    start: self.base + watch.start as u64,
                    end: self.at(),
                };
                let path = self.element.as_ref()?.path.clone();
                Some(Raw::Step(path, index, span))
            }
            Stop::More => {
                if end < self.buf.len() {
                    return self.too_long();
                }
                if self.ended {
                    return self.element_at_end();
                }
                None
            }
            Stop::Bad => self.bad("unexpected byte in an element"),
            Stop::Deep => self.give_up(Reason::TooDeep(limit)),
        }
    }

    fn end_element(&mut self) -> Option<Raw> {
        let open = self.element.take()?;
        let span = Span {
            start: open.start,
            end: self.at(),
        };
        self.leave_element();
        Some(Raw::Element(open.path, span))
    }

    /// Sets the state behind an element that has just ended.
    pub(crate) fn leave_element(&mut self) {
        self.element = None;
        self.n_elements += 1;
        self.after_value();
    }

    pub(crate) fn after_value(&mut self) {
        self.cursor.state = State::After;
        if let Some(frame) = self.frames.last_mut() {
            frame.count += 1;
        } else {
            self.end_document();
        }
    }

    pub(crate) fn end_document(&mut self) {
        self.document += 1;
        self.cursor.state = State::Value;
        self.prose.document_ended();
    }

    /// The grammar is broken at the cursor: ends a strict parse, else has the element repaired.
    fn bad(&mut self, what: &str) -> Option<Raw> {
        if self.is_strict() {
            return self.fail(Reason::Syntax(what.to_owned()));
        }
        let open = self.element.as_ref()?;
        let start = open.start;
        let around = Around {
            array: self.frames.iter().any(|frame| !frame.is_object),
            object: self.frames.iter().any(|frame| frame.is_object),
            depth: open.depth,
        };
        // Going back costs time: all of it together at most as much as reading the text once.
        let may_resync = self.rescanned <= self.at();
        let machine = Lenient::new(
            around,
            self.options.limits,
            self.options.steps.as_deref(),
            may_resync,
        );
        self.lenient = Some(Box::new(machine));
        self.seek(start);
        None
    }

    fn run_lenient(&mut self) -> Option<Raw> {
        let mut machine = self.lenient.take()?;
        let end = self.readable(self.element.as_ref()?.start);
        let bytes = self.buf.get(self.cursor.pos..end).unwrap_or_default();
        let (read, out) = machine.feed(bytes, self.at());
        self.cursor.pos += read;
        self.send_steps(&mut machine);
        match out {
            Some(Out::Done(end)) => self.built(machine, end),
            Some(Out::Resync(end)) => {
                self.rescanned += self.at() - end;
                self.built(machine, end)
            }
            Some(Out::Reject(reason)) => {
                self.blind = Some(Blind {
                    depth: machine.depth() as u64,
                    in_string: false,
                    escaped: false,
                });
                self.reject(reason);
                None
            }
            None if end < self.buf.len() => {
                self.blind = Some(Blind {
                    depth: machine.depth() as u64,
                    in_string: machine.is_in_string(),
                    escaped: false,
                });
                self.reject(Reason::TooLong(self.options.limits.element_bytes));
                None
            }
            None => {
                self.lenient = Some(machine);
                if self.ended {
                    return self.element_at_end();
                }
                None
            }
        }
    }

    /// Index up to which an element may be read; what lies behind is too long, however the text is split.
    fn readable(&self, start: u64) -> usize {
        let most = self
            .index(start)
            .saturating_add(self.options.limits.element_bytes);
        self.buf.len().min(most)
    }

    fn send_steps(&mut self, machine: &mut Lenient) {
        let Some(open) = &self.element else { return };
        for step in machine.take_steps() {
            let watch = self.watch.get_or_insert_default();
            let index = watch.count;
            // The machine began anew: what it finds first has been sent.
            if self.steps_sent > 0 {
                self.steps_sent -= 1;
                continue;
            }
            watch.count += 1;
            self.queue
                .push_back(Raw::BuiltStep(open.path.clone(), index, step));
        }
    }

    fn built(&mut self, mut machine: Box<Lenient>, end: u64) -> Option<Raw> {
        let open = self.element.take()?;
        let (value, repairs) = machine.take();
        let n_repairs = repairs.len();
        self.queue.extend(repairs.into_iter().map(Raw::Repair));
        self.seek(end);
        self.cursor.depth_to(open.depth);
        let span = Span {
            start: open.start,
            end,
        };
        self.leave_element();
        self.queue
            .push_back(Raw::Built(open.path, span, value, n_repairs));
        None
    }

    fn give_up(&mut self, reason: Reason) -> Option<Raw> {
        if self.is_strict() {
            return self.fail(reason);
        }
        let open = self.element.as_ref()?;
        self.blind = Some(Blind {
            depth: u64::from(self.cursor.depth.saturating_sub(open.depth)),
            in_string: matches!(self.cursor.state, State::InString | State::InKey),
            escaped: self.cursor.escaped,
        });
        self.reject(reason);
        None
    }

    fn too_long(&mut self) -> Option<Raw> {
        self.give_up(Reason::TooLong(self.options.limits.element_bytes))
    }

    fn reject(&mut self, reason: Reason) {
        self.lenient = None;
        self.n_rejected += 1;
        let path = self
            .element
            .as_ref()
            .map(|open| open.path.clone())
            .unwrap_or_default();
        let offset = self.at();
        self.queue.push_back(Raw::Rejected(Rejected {
            path,
            offset,
            reason,
            value: None,
        }));
    }

    fn run_blind(&mut self) -> Option<Raw> {
        let blind = self.blind.as_mut()?;
        let rest = self.buf.get(self.cursor.pos..).unwrap_or_default();
        let mut read = 0;
        let mut done = false;
        while let Some(&byte) = rest.get(read) {
            if blind.in_string {
                match grammar::string_end(rest, read, &mut blind.escaped) {
                    Some(end) => {
                        read = end;
                        blind.in_string = false;
                    }
                    None => {
                        read = rest.len();
                        break;
                    }
                }
                continue;
            }
            match byte {
                b'"' => blind.in_string = true,
                b'{' | b'[' => blind.depth += 1,
                b'}' | b']' if blind.depth == 0 => {
                    done = true;
                    break;
                }
                b'}' | b']' => blind.depth -= 1,
                _ => {}
            }
            read += 1;
            if blind.depth == 0 {
                done = true;
                break;
            }
        }
        self.cursor.pos += read;
        if done {
            self.blind = None;
            let depth = self.element.as_ref().map_or(0, |open| open.depth);
            self.cursor.depth_to(depth);
            self.leave_element();
            self.n_elements -= 1;
        } else if self.ended {
            self.in_element_at_end = true;
            self.failed = true;
        }
        None
    }

    /// The text ended inside an element.
    fn element_at_end(&mut self) -> Option<Raw> {
        let open = self.element.as_ref()?;
        // A number or a literal that is a whole document ends with the text.
        if self.cursor.state == State::InScalar && self.cursor.depth == open.depth && self.frames.is_empty() {
            return self.end_element();
        }
        self.in_element_at_end = true;
        self.failed = true;
        None
    }

    pub(crate) fn ends_in_element(&self) -> bool {
        self.in_element_at_end || self.element.is_some()
    }

    /// Ends a strict parse at the cursor.
    pub(crate) fn fail(&mut self, reason: Reason) -> Option<Raw> {
        let path = match self.element.take() {
            Some(open) => open.path,
            None => self.path(),
        };
        let offset = self.at();
        Some(Raw::Rejected(self.fail_at(path, reason, offset)))
    }

    /// Ends a strict parse.
    pub(crate) fn fail_at(&mut self, path: Path, reason: Reason, offset: u64) -> Rejected {
        self.failed = true;
        self.n_rejected += 1;
        Rejected {
            path,
            offset,
            reason,
            value: None,
        }
    }

    /// Where the value at the cursor lies.
    pub(crate) fn path(&self) -> Path {
        let parts = self.frames.iter().map(|frame| match &frame.key {
            Some(key) if frame.is_object => Part::Key(key.clone()),
            _ => Part::Index(frame.count),
        });
        Path {
            document: self.document,
            parts: parts.collect(),
        }
    }

    pub(crate) fn markers(&self) -> Option<&Markers> {
        match &self.options.split {
            Split::Batch(markers) => Some(markers),
            _ => None,
        }
    }

    /// Begins an element at the cursor.
    pub(crate) fn begin_element(&mut self) {
        let start = self.at();
        self.element = Some(Open {
            start,
            depth: self.cursor.depth,
            path: self.path(),
        });
        self.cursor.state = State::Value;
        self.cursor.escaped = false;
        self.steps_sent = 0;
        if let Some(watch) = &mut self.watch {
            watch.members = self.cursor.depth + 1;
            watch.armed = false;
            watch.inside = false;
            watch.count = 0;
        }
        let is_container = matches!(self.buf.get(self.cursor.pos), Some(b'{' | b'['));
        if let Some(frame) = self.frames.last_mut() {
            frame.has_containers |= is_container;
        }
    }

    /// Repairs an element that is complete and turned out not to be JSON.
    pub(crate) fn repair_complete(&self, span: Span) -> (Value, Vec<Repair>) {
        let around = Around {
            array: true,
            object: true,
            depth: 0,
        };
        let mut machine = Lenient::new(around, self.options.limits, None, false);
        let _ = machine.feed(self.bytes(span), span.start);
        machine.end(span.end, false);
        machine.take()
    }

    /// Returns the open element as far as it has come.
    pub(crate) fn partial(&self) -> Option<(Path, Value)> {
        if let Some(wrapped) = &self.wrapped {
            return wrapped.inner.partial();
        }
        let open = self.element.as_ref().filter(|_| self.blind.is_none())?;
        let mut machine = match &self.lenient {
            Some(machine) => machine.as_ref().clone(),
            None => {
                let mut machine = Lenient::new(Around::default(), self.options.limits, None, false);
                let held = Span {
                    start: open.start,
                    end: self.at(),
                };
                let _ = machine.feed(self.bytes(held), open.start);
                machine
            }
        };
        machine.end(self.at(), true);
        Some((open.path.clone(), machine.take().0))
    }

    /// Returns the open element, completed as well as it can be, with its repairs. Used once the text has ended.
    pub(crate) fn complete_open(&mut self) -> Option<(Path, Span, Value, Vec<Repair>)> {
        if let Some(wrapped) = &mut self.wrapped {
            return wrapped.inner.complete_open();
        }
        let open = self.element.take().filter(|_| self.blind.is_none())?;
        let span = Span {
            start: open.start,
            end: self.at(),
        };
        let mut machine = match self.lenient.take() {
            Some(machine) => machine,
            None => {
                let mut machine = Box::new(Lenient::new(Around::default(), self.options.limits, None, false));
                let _ = machine.feed(self.bytes(span), open.start);
                machine
            }
        };
        machine.end(span.end, false);
        let (value, repairs) = machine.take();
        Some((open.path, span, value, repairs))
    }

    pub(crate) fn note(&mut self, offset: u64, what: Fix) {
        self.queue.push_back(Raw::Repair(Repair { offset, what }));
    }
}

impl Scanner {
    /// The text has ended: what only its end decides becomes events.
    pub(crate) fn finish_document(&mut self) {
        if self.is_strict() || self.failed || self.wrapped.is_some() {
            return;
        }
        if self.frames.is_empty() && self.element.is_none() {
            self.end_prose();
        }
    }
}
