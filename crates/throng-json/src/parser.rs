//! The public parser: chunks in, typed events out.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::event::{Element, Ending, Event, Finish, Path, Reason, Rejected, Repair, Span, Step};
use crate::options::{Mode, Options, Profile};
use crate::profile;
use crate::scanner::{Raw, Scanner, Smooth};

/// Parses JSON that arrives in chunks, and emits each element in the call that brings its last byte.
///
/// The events depend on the bytes only, not on how they are split. A bare number or literal inside a document has no last
/// byte of its own: it is emitted with the byte behind it. With a [`Profile`] all events come from [`Parser::finish`].
///
/// # Complexity
///
/// Linear in the length of the text, whatever it holds. Memory: the open element, up to
/// [`Limits::element_bytes`](crate::Limits::element_bytes), and the newest chunk. A profile's rules look ahead without a
/// bound, as those of its model do: it holds the whole text, up to the same limit.
///
/// # Examples
///
/// ```
/// use throng_json::{Ending, Event, Options, Parser};
///
/// let mut parser = Parser::new(Options::tolerant().batch(["agent_id"]).steps("steps"));
/// let mut seen = Vec::new();
/// for chunk in ["Sure:\n```json\n[{\"agent_id\": 1, \"steps\": [{\"act\": \"wait\"}", "]}, {\"agent_id\": 2}]"] {
///     for event in parser.feed(chunk.as_bytes()) {
///         match event {
///             Event::StepComplete(step) => seen.push(step.value.to_string()),
///             Event::ElementComplete(element) => seen.push(element.path.to_string()),
///             _ => {}
///         }
///     }
/// }
/// assert_eq!(seen, [r#"{"act":"wait"}"#, "$0[0]", "$0[1]"]);
/// assert_eq!(parser.finish().ending, Ending::Whole);
/// ```
#[derive(Debug)]
pub struct Parser {
    scanner: Scanner,
    finished: Option<Ending>,
}

impl Parser {
    /// Creates a parser.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            scanner: Scanner::new(options),
            finished: None,
        }
    }

    /// Adds a chunk and returns the events that it brings, as JSON values.
    ///
    /// Events are built while the iterator is advanced. Those that are not taken are kept and come first next time.
    pub fn feed(&mut self, chunk: &[u8]) -> Events<'_, Value> {
        self.feed_typed(chunk)
    }

    /// Adds a chunk and returns the events that it brings, with elements of type `T`.
    ///
    /// An element that is JSON, but not a `T`, is rejected with [`Reason::Type`] and its value; the parse goes on.
    pub fn feed_typed<T: DeserializeOwned>(&mut self, chunk: &[u8]) -> Events<'_, T> {
        let smooth = self.scanner.append_smoothly(chunk);
        if smooth == Smooth::No && self.finished.is_none() {
            if self.profile().is_some() {
                self.hold(chunk);
            } else {
                self.scanner.append(chunk);
            }
        }
        Events {
            parser: self,
            quiet: smooth == Smooth::Quiet,
            elements: PhantomData,
        }
    }

    /// Returns the element that is open, as far as it has come; for a display that shows values while they grow.
    ///
    /// Strings are shown as far as they have come; numbers, literals and keys only when they are complete. To see a whole
    /// document grow, use [`Options::whole`].
    ///
    /// # Complexity
    ///
    /// Linear in what has come of the open element.
    #[must_use]
    pub fn partial(&self) -> Option<(Path, Value)> {
        if self.profile().is_some() {
            return None;
        }
        self.scanner.partial()
    }

    /// Ends the text: returns the events that only its end brings, and how it ended.
    ///
    /// The part of an open element is no event, since what is missing was never sent; take [`Parser::partial`] before, or
    /// use [`parse`](crate::parse), to have it completed.
    pub fn finish(&mut self) -> Finish<Value> {
        self.finish_typed()
    }

    /// Ends the text as [`Parser::finish`] does, with elements of type `T`.
    pub fn finish_typed<T: DeserializeOwned>(&mut self) -> Finish<T> {
        let mut events = Vec::new();
        if self.finished.is_none() {
            match self.profile() {
                Some(profile) => events = self.finish_profile(profile),
                None => {
                    events.extend(self.feed_typed(&[]));
                    self.scanner.end();
                    events.extend(self.feed_typed(&[]));
                    self.scanner.finish_document();
                    events.extend(self.feed_typed(&[]));
                }
            }
            self.finished = Some(self.judge());
        }
        Finish {
            events,
            ending: self.finished.unwrap_or(Ending::Empty),
        }
    }

    fn judge(&self) -> Ending {
        let scanner = &self.scanner;
        let in_element = scanner.ends_in_element()
            || scanner
                .wrapped
                .as_ref()
                .is_some_and(|wrapped| wrapped.inner.ends_in_element());
        let cut = in_element || scanner.closed_early || !scanner.frames.is_empty() || scanner.token.is_some();
        if scanner.is_strict() && scanner.n_rejected > 0 {
            Ending::Malformed
        } else if cut {
            Ending::Truncated { in_element }
        } else if scanner.n_rejected > 0 {
            Ending::Malformed
        } else if scanner.document == 0 {
            Ending::Empty
        } else {
            Ending::Whole
        }
    }

    /// Completes the element in which the text ended, with the repairs that takes.
    pub(crate) fn complete_open(&mut self) -> Option<(Path, Span, Value, Vec<Repair>)> {
        self.scanner.complete_open()
    }

    fn profile(&self) -> Option<Profile> {
        match self.scanner.options.mode {
            Mode::Profile(profile) => Some(profile),
            _ => None,
        }
    }

    fn hold(&mut self, chunk: &[u8]) {
        let limit = self.scanner.options.limits.element_bytes;
        if self.scanner.failed {
            return;
        }
        if self.scanner.buf.len() + chunk.len() > limit {
            // What would come of the first part alone is not what the text says.
            self.scanner.buf = Vec::new();
            self.scanner.failed = true;
            return;
        }
        self.scanner.buf.extend_from_slice(chunk);
    }

    fn finish_profile<T: DeserializeOwned>(&mut self, profile: Profile) -> Vec<Event<T>> {
        let path = Path::default();
        let rejected = |scanner: &mut Scanner, offset, reason| {
            scanner.n_rejected += 1;
            vec![Event::Rejected(Rejected {
                path: Path::default(),
                offset,
                reason,
                value: None,
            })]
        };
        let limit = self.scanner.options.limits.element_bytes;
        if self.scanner.failed {
            return rejected(&mut self.scanner, limit as u64, Reason::TooLong(limit));
        }
        let bytes = std::mem::take(&mut self.scanner.buf);
        let span = Span {
            start: 0,
            end: bytes.len() as u64,
        };
        let text = String::from_utf8_lossy(&bytes);
        match profile::parse(profile, &text, &self.scanner.options.limits) {
            Ok((value, repairs)) => {
                self.scanner.document = 1;
                let n_repairs = repairs.len();
                let mut events: Vec<Event<T>> = repairs.into_iter().map(Event::Repair).collect();
                events.push(self.typed(path, span, value, n_repairs));
                events
            }
            Err(error) => rejected(&mut self.scanner, error.offset, Reason::Syntax(error.message)),
        }
    }

    fn typed<T: DeserializeOwned>(
        &mut self,
        path: Path,
        span: Span,
        value: Value,
        repairs: usize,
    ) -> Event<T> {
        match T::deserialize(&value) {
            Ok(value) => Event::ElementComplete(Element {
                path,
                value,
                span,
                repairs,
            }),
            Err(error) => {
                self.scanner.n_rejected += 1;
                Event::Rejected(Rejected {
                    path,
                    offset: span.start,
                    reason: Reason::Type(error.to_string()),
                    value: Some(value),
                })
            }
        }
    }

    fn leaf(&mut self) -> &mut Scanner {
        // The content of a string begins with a bracket, so there is never a string in the string.
        if self.scanner.wrapped.is_none() {
            return &mut self.scanner;
        }
        let wrapped = self.scanner.wrapped.as_mut();
        &mut wrapped.expect("it was there a line ago").inner
    }

    /// Builds an event; `None` when others have to come first, which then are in the queue.
    fn build<T: DeserializeOwned>(&mut self, raw: Raw) -> Option<Event<T>> {
        Some(match raw {
            Raw::Repair(repair) => Event::Repair(repair),
            Raw::Rejected(rejected) => Event::Rejected(rejected),
            Raw::BuiltStep(path, index, value) => Event::StepComplete(Step { path, index, value }),
            Raw::Built(path, span, value, repairs) => self.typed(path, span, value, repairs),
            Raw::Step(path, index, span) => {
                let scanner = self.leaf();
                match serde_json::from_slice(scanner.bytes(span)) {
                    Ok(value) => Event::StepComplete(Step { path, index, value }),
                    Err(error) if scanner.is_strict() => {
                        let offset = offset_of(scanner.bytes(span), &error) + span.start;
                        let reason = Reason::Syntax(plain(&error));
                        return Some(Event::Rejected(scanner.fail_at(path, reason, offset)));
                    }
                    Err(_) => Event::StepComplete(Step {
                        path,
                        index,
                        // Its repairs come with those of the element.
                        value: scanner.repair_complete(span).0,
                    }),
                }
            }
            Raw::Element(path, span) => {
                let scanner = self.leaf();
                let bytes = scanner.bytes(span);
                let error = match serde_json::from_slice::<T>(bytes) {
                    Ok(value) => {
                        return Some(Event::ElementComplete(Element {
                            path,
                            value,
                            span,
                            repairs: 0,
                        }));
                    }
                    Err(error) => error,
                };
                if error.is_data() {
                    // Only if it is JSON at all: the type may fail before the syntax does.
                    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
                        scanner.n_rejected += usize::from(!scanner.is_strict());
                        return Some(Event::Rejected(Rejected {
                            path,
                            offset: span.start,
                            reason: Reason::Type(error.to_string()),
                            value: Some(value),
                        }));
                    }
                }
                if scanner.is_strict() {
                    let offset = offset_of(bytes, &error) + span.start;
                    let reason = Reason::Syntax(plain(&error));
                    return Some(Event::Rejected(scanner.fail_at(path, reason, offset)));
                }
                let (value, repairs) = scanner.repair_complete(span);
                let built = Raw::Built(path, span, value, repairs.len());
                scanner.queue.push_front(built);
                for repair in repairs.into_iter().rev() {
                    scanner.queue.push_front(Raw::Repair(repair));
                }
                return None;
            }
        })
    }
}

/// The events of one chunk.
///
/// Made by [`Parser::feed`] and [`Parser::feed_typed`].
#[derive(Debug)]
#[must_use = "events are built while the iterator is advanced"]
pub struct Events<'a, T> {
    parser: &'a mut Parser,
    /// The chunk brings nothing.
    quiet: bool,
    elements: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Iterator for Events<'_, T> {
    type Item = Event<T>;

    fn next(&mut self) -> Option<Event<T>> {
        if self.quiet || self.parser.finished.is_some() || self.parser.profile().is_some() {
            return None;
        }
        loop {
            let raw = self.parser.scanner.next()?;
            if let Some(event) = self.parser.build(raw) {
                return Some(event);
            }
        }
    }
}

/// Converts an error's line and column to an offset.
fn offset_of(bytes: &[u8], error: &serde_json::Error) -> u64 {
    let before: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + error.column().saturating_sub(1)) as u64
}

/// An error's text without the line and column, which count from the element.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text.get(..end).unwrap_or_default().to_owned(),
        None => text,
    }
}
