//! What lies around elements inside a document: arrays of elements, envelopes, and objects keyed by id.

use crate::event::{Fix, Reason};
use crate::grammar::{self, State};
use crate::options::Split;
use crate::prose::Comment;
use crate::scanner::{Frame, Raw, Role, Scanner};

/// Envelopes inside envelopes are looked for down to this depth.
const DEEPEST: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Element,
    Frame,
    Skipped,
}

impl Scanner {
    /// Reads on outside of elements.
    pub(crate) fn envelope(&mut self) -> Option<Raw> {
        if self.frames.is_empty() {
            return if self.is_strict() {
                self.strict_document()
            } else {
                self.run_prose()
            };
        }
        if self.prose.comment != Comment::None {
            self.run_comment();
            return None;
        }
        let too_long = self
            .token
            .is_some_and(|token| self.at() - token > self.options.limits.element_bytes as u64);
        if too_long {
            return self.fail(Reason::TooLong(self.options.limits.element_bytes));
        }
        match self.cursor.state {
            State::InKey => self.in_key(),
            State::InString => {
                match grammar::string_end(&self.buf, self.cursor.pos, &mut self.cursor.escaped) {
                    Some(end) => {
                        self.cursor.pos = end;
                        return self.skipped_value();
                    }
                    None => self.cursor.pos = self.buf.len(),
                }
                None
            }
            State::InScalar => {
                while self
                    .buf
                    .get(self.cursor.pos)
                    .is_some_and(|&byte| grammar::is_scalar(byte))
                {
                    self.cursor.pos += 1;
                }
                if self.cursor.pos < self.buf.len() {
                    return self.skipped_value();
                }
                None
            }
            state => {
                let &byte = self.buf.get(self.cursor.pos)?;
                if grammar::is_space(byte) {
                    self.cursor.pos += 1;
                    return None;
                }
                if self.is_strict() {
                    self.strict_token(state, byte)
                } else if self.cursor.in_object() {
                    self.loose_member(state, byte)
                } else {
                    self.loose_item(state, byte)
                }
            }
        }
    }

    fn strict_document(&mut self) -> Option<Raw> {
        let &byte = self.buf.get(self.cursor.pos)?;
        if grammar::is_space(byte) {
            self.cursor.pos += 1;
            return None;
        }
        if self.document > 0 {
            return self.fail(Reason::Syntax("text behind the document".to_owned()));
        }
        self.begin_value(byte)
    }

    fn strict_token(&mut self, state: State, byte: u8) -> Option<Raw> {
        let in_object = self.cursor.in_object();
        match (state, byte) {
            (State::After, b',') => {
                self.cursor.pos += 1;
                self.cursor.state = if in_object { State::Key } else { State::Value };
                None
            }
            (State::After | State::KeyOrEnd, b'}') if in_object => self.close_frame(),
            (State::After | State::ValueOrEnd, b']') if !in_object => self.close_frame(),
            (State::Colon, b':') => {
                self.cursor.pos += 1;
                self.cursor.state = State::Value;
                None
            }
            (State::Key | State::KeyOrEnd, b'"') => self.begin_key(None),
            (State::Value | State::ValueOrEnd, _) => self.begin_value(byte),
            _ => self.fail(Reason::Syntax("unexpected byte".to_owned())),
        }
    }

    fn begin_key(&mut self, odd: Option<u8>) -> Option<Raw> {
        self.token = Some(self.at());
        self.prose.odd_key = odd;
        if odd != Some(0) {
            self.cursor.pos += 1;
        }
        self.cursor.state = State::InKey;
        None
    }

    fn in_key(&mut self) -> Option<Raw> {
        let end = match self.prose.odd_key {
            None => grammar::string_end(&self.buf, self.cursor.pos, &mut self.cursor.escaped),
            Some(quote) => {
                let rest = self.buf.get(self.cursor.pos..).unwrap_or_default();
                let ends = |&byte: &u8| match quote {
                    b'\'' => byte == b'\'',
                    _ => matches!(byte, b':' | b',' | b'}' | b'\n'),
                };
                let found = rest.iter().position(ends);
                found.map(|at| self.cursor.pos + at + usize::from(quote == b'\''))
            }
        };
        let Some(end) = end else {
            self.cursor.pos = self.buf.len();
            return None;
        };
        self.cursor.pos = end;
        let token = self.token.take()?;
        let bytes = self.buf.get(self.index(token)..end).unwrap_or_default();
        let key = match self.prose.odd_key.take() {
            None => match serde_json::from_slice::<String>(bytes) {
                Ok(key) => key,
                Err(error) if self.is_strict() => return self.fail(Reason::Syntax(error.to_string())),
                Err(_) => String::from_utf8_lossy(bytes).trim_matches('"').to_owned(),
            },
            Some(_) => {
                let key = String::from_utf8_lossy(bytes)
                    .trim_matches('\'')
                    .trim()
                    .to_owned();
                self.note(token, Fix::QuotesAdded);
                key
            }
        };
        self.cursor.state = State::Colon;
        let marks = self
            .markers()
            .is_some_and(|markers| markers.members.contains(&key))
            || self.options.steps.as_ref() == Some(&key);
        let frame = self.frames.last_mut()?;
        frame.key = Some(key);
        if marks && frame.role == Role::Undecided {
            self.frame_is_element();
        }
        None
    }

    /// Begins the value whose first byte the cursor is at.
    pub(crate) fn begin_value(&mut self, byte: u8) -> Option<Raw> {
        let kind = match (&self.options.split, self.frames.last()) {
            (Split::Items, None) if byte == b'[' => Kind::Frame,
            (Split::Whole | Split::Items, _) => Kind::Element,
            (Split::Batch(_), None) if matches!(byte, b'{' | b'[') => Kind::Frame,
            (Split::Batch(_), None) => Kind::Element,
            (Split::Batch(markers), Some(frame)) if frame.is_object => {
                let named = frame.key.as_ref().is_some_and(|key| markers.keys.contains(key));
                match byte {
                    _ if named => Kind::Element,
                    b'[' => Kind::Frame,
                    b'{' if frame.role == Role::Undecided && self.frames.len() < DEEPEST => Kind::Frame,
                    b'{' => Kind::Element,
                    _ => Kind::Skipped,
                }
            }
            (Split::Batch(_), Some(_)) => Kind::Element,
        };
        match kind {
            Kind::Element => {
                self.envelopes();
                self.begin_element();
            }
            Kind::Frame => {
                if byte == b'[' {
                    self.envelopes();
                }
                let start = self.at();
                if let Some(frame) = self.frames.last_mut() {
                    frame.has_containers = true;
                }
                self.frames.push(Frame {
                    is_object: byte == b'{',
                    role: if byte == b'{' {
                        Role::Undecided
                    } else {
                        Role::Envelope
                    },
                    start,
                    count: 0,
                    key: None,
                    has_containers: false,
                });
                self.cursor.pos += 1;
                self.cursor.open(byte);
            }
            Kind::Skipped => {
                let undecided = self
                    .frames
                    .last()
                    .is_some_and(|frame| frame.role == Role::Undecided);
                let unmarked = self
                    .markers()
                    .is_some_and(|markers| markers.members.is_empty() && markers.keys.is_empty());
                if undecided && unmarked {
                    self.frame_is_element();
                    return None;
                }
                self.token = Some(self.at());
                match byte {
                    b'"' => self.cursor.state = State::InString,
                    _ if grammar::is_scalar(byte) => self.cursor.state = State::InScalar,
                    _ if self.is_strict() => {
                        return self.fail(Reason::Syntax("unexpected byte".to_owned()));
                    }
                    _ => {
                        self.token = None;
                        self.skip();
                        return None;
                    }
                }
                self.cursor.pos += 1;
            }
        }
        None
    }

    /// All open objects are envelopes, since one of them holds an array or an element.
    fn envelopes(&mut self) {
        for frame in &mut self.frames {
            frame.role = Role::Envelope;
        }
    }

    /// The innermost frame is an element: it is read again, as one.
    fn frame_is_element(&mut self) {
        let Some(frame) = self.frames.pop() else { return };
        self.envelopes();
        self.token = None;
        self.seek(frame.start);
        self.cursor
            .depth_to(u32::try_from(self.frames.len()).unwrap_or(u32::MAX));
        self.begin_element();
    }

    fn skipped_value(&mut self) -> Option<Raw> {
        let token = self.token.take()?;
        let bytes = self
            .buf
            .get(self.index(token)..self.cursor.pos)
            .unwrap_or_default();
        if self.is_strict()
            && let Err(error) = serde_json::from_slice::<serde_json::Value>(bytes)
        {
            return self.fail(Reason::Syntax(error.to_string()));
        }
        self.after_value();
        None
    }

    /// Closes the innermost frame with the bracket at the cursor.
    fn close_frame(&mut self) -> Option<Raw> {
        if self
            .frames
            .last()
            .is_some_and(|frame| frame.role == Role::Undecided)
        {
            self.frame_is_element();
            return None;
        }
        self.cursor.pos += 1;
        self.pop_frame();
        None
    }

    fn pop_frame(&mut self) {
        self.frames.pop();
        self.cursor.close();
        self.after_value();
    }

    /// Closes frames whose brackets are missing, until one of a kind is the innermost. Tells whether there is one.
    fn close_until(&mut self, is_object: bool) -> bool {
        if !self.frames.iter().any(|frame| frame.is_object == is_object) {
            self.note(self.at(), Fix::CloserRemoved);
            self.cursor.pos += 1;
            return false;
        }
        while self
            .frames
            .last()
            .is_some_and(|frame| frame.is_object != is_object)
        {
            self.note(self.at(), Fix::CloserAdded);
            self.pop_frame();
        }
        true
    }

    fn loose_item(&mut self, state: State, byte: u8) -> Option<Raw> {
        let has_containers = self.frames.last().is_some_and(|frame| frame.has_containers);
        match byte {
            b',' => {
                if state == State::After {
                    self.prose.comma = self.at();
                    self.cursor.state = State::Value;
                } else {
                    self.note(self.at(), Fix::CommaRemoved);
                }
                self.cursor.pos += 1;
                None
            }
            b']' => {
                if state == State::Value {
                    self.note(self.prose.comma, Fix::CommaRemoved);
                }
                self.close_frame()
            }
            b'}' => {
                if self.close_until(true) {
                    return self.close_frame();
                }
                None
            }
            b'/' | b'#' => {
                self.begin_comment(byte);
                None
            }
            b'`' => {
                self.tick();
                None
            }
            b'{' | b'[' => {
                if state == State::After {
                    self.note(self.at(), Fix::CommaAdded);
                }
                self.begin_value(byte)
            }
            b'.' | b':' | b';' | b')' | b'(' | b'*' | b'>' => {
                self.skip();
                None
            }
            // Between objects, words are prose; behind a comma, JSON is an item.
            _ if has_containers
                && (state == State::After
                    || !matches!(byte, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')) =>
            {
                self.skip();
                None
            }
            _ => {
                if state == State::After {
                    self.note(self.at(), Fix::CommaAdded);
                }
                self.begin_value(byte)
            }
        }
    }

    fn loose_member(&mut self, state: State, byte: u8) -> Option<Raw> {
        match (state, byte) {
            (_, b'/' | b'#') => {
                self.begin_comment(byte);
                None
            }
            (_, b'`') => {
                self.tick();
                None
            }
            (State::Colon, b':') => {
                self.cursor.pos += 1;
                self.cursor.state = State::Value;
                None
            }
            (State::Value, b',' | b'}') => {
                self.note(self.at(), Fix::NullAdded);
                self.cursor.state = State::After;
                None
            }
            (_, b'}') => {
                if state == State::Key {
                    self.note(self.prose.comma, Fix::CommaRemoved);
                }
                self.close_frame()
            }
            (_, b']') => {
                if self.close_until(false) {
                    return self.close_frame();
                }
                None
            }
            (State::After, b',') => {
                self.prose.comma = self.at();
                self.cursor.pos += 1;
                self.cursor.state = State::Key;
                None
            }
            (_, b',') => {
                self.note(self.at(), Fix::CommaRemoved);
                self.cursor.pos += 1;
                None
            }
            (State::After, b'"' | b'\'') => {
                self.note(self.at(), Fix::CommaAdded);
                self.cursor.state = State::Key;
                None
            }
            (State::Key | State::KeyOrEnd, b'"') => self.begin_key(None),
            (State::Key | State::KeyOrEnd, b'\'') => self.begin_key(Some(byte)),
            (State::Key | State::KeyOrEnd, _) if byte == b'_' || byte.is_ascii_alphanumeric() => {
                self.begin_key(Some(0))
            }
            (State::Key | State::KeyOrEnd | State::After, b'{' | b'[') => {
                // A value where a key should be: the brace that closes this object is missing.
                self.note(self.at(), Fix::CloserAdded);
                if self
                    .frames
                    .last()
                    .is_some_and(|frame| frame.role == Role::Undecided)
                {
                    self.frame_is_element();
                } else {
                    self.pop_frame();
                }
                None
            }
            (State::Colon, b'"' | b'{' | b'[' | b'-' | b'0'..=b'9') => {
                self.note(self.at(), Fix::ColonAdded);
                self.cursor.state = State::Value;
                None
            }
            (State::Value, _) => self.begin_value(byte),
            _ => {
                self.skip();
                None
            }
        }
    }

    /// Skips a byte that means nothing; a run of them is one repair.
    pub(crate) fn skip(&mut self) {
        let at = self.at();
        if self.prose.skipped != Some(at) {
            self.note(at, Fix::ByteSkipped);
        }
        self.cursor.pos += 1;
        self.prose.skipped = Some(at + 1);
        self.prose.ticks = 0;
    }

    /// Reads a backtick: three of them are a fence, which ends the document inside it.
    fn tick(&mut self) {
        let at = self.at();
        let follows = self.prose.skipped == Some(at);
        let ticks = if follows { self.prose.ticks + 1 } else { 1 };
        self.skip();
        self.prose.ticks = ticks;
        if ticks < 3 {
            return;
        }
        if let Some(frame) = self.frames.iter().find(|frame| frame.role == Role::Undecided) {
            // Nothing showed what the object is, so it is an element whose brace is missing.
            let start = frame.start;
            while self.frames.last().is_some_and(|frame| frame.start > start) {
                self.frames.pop();
            }
            self.frame_is_element();
            return;
        }
        self.note(at, Fix::CloserAdded);
        self.closed_early = true;
        while !self.frames.is_empty() {
            self.pop_frame();
        }
    }

    fn begin_comment(&mut self, byte: u8) {
        self.note(self.at(), Fix::CommentSkipped);
        self.cursor.pos += 1;
        self.prose.comment = if byte == b'#' {
            Comment::Line
        } else {
            Comment::Slash
        };
    }

    fn run_comment(&mut self) {
        while let Some(&byte) = self.buf.get(self.cursor.pos) {
            let next = match (self.prose.comment, byte) {
                (Comment::Slash, b'/') => Comment::Line,
                (Comment::Slash, b'*') => Comment::Block { star: false },
                (Comment::Slash, _) => {
                    self.prose.comment = Comment::None;
                    return;
                }
                (Comment::Line, b'\n') | (Comment::Block { star: true }, b'/') => Comment::None,
                (Comment::Block { .. }, _) => Comment::Block { star: byte == b'*' },
                (comment, _) => comment,
            };
            self.cursor.pos += 1;
            self.prose.comment = next;
            if next == Comment::None {
                return;
            }
        }
    }
}
