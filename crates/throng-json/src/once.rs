//! A whole text at once: its value and what it took to read it.

use serde_json::Value;

use crate::event::{Ending, Event, Fix, Reason, Repair};
use crate::options::{Mode, Options, Split};
use crate::parser::Parser;

/// What a text holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The value; an array if the text holds several documents.
    pub value: Value,
    /// What was changed or skipped, in the order of the text.
    pub repairs: Vec<Repair>,
    /// How the text ended. In tolerant mode, what was open is completed even so.
    pub ending: Ending,
}

/// A text that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is not JSON, or cannot be made JSON by the rules of the mode.
    #[error("{reason} at byte {offset}")]
    Rejected {
        /// Offset at which the text was given up.
        offset: u64,
        /// Why.
        reason: Reason,
    },
    /// Strict mode: the text ended inside the document.
    #[error("the text ends inside the document, at byte {0}")]
    Truncated(u64),
    /// The text holds no JSON.
    #[error("no JSON in the text")]
    Empty,
}

/// Parses a whole text.
///
/// In tolerant mode several documents become the items of an array, and what the end of the text leaves open is completed;
/// [`Parsed::ending`] tells so.
///
/// # Errors
///
/// Returns an error if the text holds no JSON, or none that the mode accepts.
///
/// # Examples
///
/// ```
/// use throng_json::{Options, parse};
///
/// let parsed = parse("Here: {name: 'Ann', age: 3,}", &Options::tolerant())?;
/// assert_eq!(parsed.value, serde_json::json!({"name": "Ann", "age": 3}));
/// assert_eq!(parsed.repairs[0].to_string(), "text that is not JSON skipped at byte 0");
/// # Ok::<(), throng_json::ParseError>(())
/// ```
pub fn parse(text: &str, options: &Options) -> Result<Parsed, ParseError> {
    parse_bytes(text.as_bytes(), options)
}

/// Parses a whole text that may not be UTF-8.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_bytes(text: &[u8], options: &Options) -> Result<Parsed, ParseError> {
    parse_chunks([text], options)
}

/// Parses a text that comes in chunks, as [`parse`] does with a whole one.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_chunks<'a>(
    chunks: impl IntoIterator<Item = &'a [u8]>,
    options: &Options,
) -> Result<Parsed, ParseError> {
    let mut options = options.clone();
    options.split = Split::Whole;
    options.steps = None;
    let is_strict = options.mode == Mode::Strict;
    // A parser of elements looks for JSON in a string; for a whole text, a string is a value like any other.
    let mut string = (options.mode == Mode::Tolerant).then(StringText::default);
    let parser_limit = options.limits.element_bytes;
    let mut parser = Parser::new(options);
    let mut found = Found::default();
    let mut length = 0;
    for chunk in chunks {
        length += chunk.len() as u64;
        string = string.and_then(|string| string.with(chunk, parser_limit));
        for event in parser.feed(chunk) {
            found.take(event);
        }
    }
    if let Some(value) = string.and_then(StringText::value) {
        return Ok(Parsed {
            value,
            repairs: Vec::new(),
            ending: Ending::Whole,
        });
    }
    let finish = parser.finish();
    for event in finish.events {
        found.take(event);
    }
    if let Ending::Truncated { .. } = finish.ending {
        if is_strict {
            return Err(ParseError::Truncated(length));
        }
        if let Some((path, _, value, repairs)) = parser.complete_open() {
            found.repairs.extend(repairs);
            found.values.push((path.document, value));
        }
    }
    if let Some((offset, reason)) = found.rejected
        && (is_strict || found.values.is_empty())
    {
        return Err(ParseError::Rejected { offset, reason });
    }
    let mut values: Vec<Value> = found.values.into_iter().map(|(_, value)| value).collect();
    let value = match values.len() {
        0 => return Err(ParseError::Empty),
        1 => values.remove(0),
        _ => {
            found.repairs.push(Repair {
                offset: found.second.unwrap_or(0),
                what: Fix::DocumentsJoined,
            });
            Value::Array(values)
        }
    };
    found.repairs.sort_by_key(|repair| repair.offset);
    Ok(Parsed {
        value,
        repairs: found.repairs,
        ending: finish.ending,
    })
}

/// A text that begins as a string, so far.
#[derive(Default)]
struct StringText(Vec<u8>);

impl StringText {
    /// Adds a chunk. `None`: the text does not begin as a string, or is too long.
    fn with(mut self, chunk: &[u8], limit: usize) -> Option<Self> {
        let chunk = if self.0.is_empty() {
            chunk.trim_ascii_start()
        } else {
            chunk
        };
        self.0.extend_from_slice(chunk);
        let fits = self.0.first().is_none_or(|first| *first == b'"') && self.0.len() <= limit;
        fits.then_some(self)
    }

    fn value(self) -> Option<Value> {
        serde_json::from_slice(&self.0).ok()
    }
}

#[derive(Default)]
struct Found {
    values: Vec<(usize, Value)>,
    second: Option<u64>,
    repairs: Vec<Repair>,
    rejected: Option<(u64, Reason)>,
}

impl Found {
    fn take(&mut self, event: Event) {
        match event {
            Event::ElementComplete(element) => {
                if !self.values.is_empty() && self.second.is_none() {
                    self.second = Some(element.span.start);
                }
                self.values.push((element.path.document, element.value));
            }
            Event::Repair(repair) => self.repairs.push(repair),
            Event::Rejected(rejected) => {
                self.rejected.get_or_insert((rejected.offset, rejected.reason));
            }
            Event::StepComplete(_) => {}
        }
    }
}
