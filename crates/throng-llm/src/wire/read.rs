//! Reading a frame's JSON object without trust: lone surrogate halves, members that come twice, other values than objects.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::draft::{Draft, Events};
use super::fault::{Fault, says_error};
use super::surrogate;
use crate::{ErrorKind, LlmError, StreamEvent};

/// A type that borrows from the JSON that it is read from.
pub(super) trait Form {
    type Of<'a>: Deserialize<'a>;
}

/// Why a frame could not be read.
#[derive(Debug)]
pub(super) enum Odd {
    /// It is JSON, but no object.
    NoObject(Value),
    /// It is no JSON.
    NoJson(serde_json::Error),
}

/// Reads an object. Texts that are read hold the marker in the place of lone surrogate halves, if there are any.
///
/// # Errors
///
/// What the frame is instead.
pub(super) fn read_object<F: Form, R>(
    json: &str,
    on: impl for<'a> FnOnce(F::Of<'a>, Option<char>) -> R,
) -> Result<R, Odd> {
    let (text, marker) = surrogate::readable(json);
    // A struct would also be read from a list, member by member.
    if text.starts_with('{')
        && let Ok(object) = serde_json::from_str::<F::Of<'_>>(&text)
    {
        return Ok(on(object, marker));
    }
    let value: Value = serde_json::from_str(&text).map_err(Odd::NoJson)?;
    if !value.is_object() {
        return Err(Odd::NoObject(value));
    }
    // Of members that come twice a value keeps the last; a struct refuses them.
    let text = value.to_string();
    let object = serde_json::from_str::<F::Of<'_>>(&text).map_err(Odd::NoJson)?;
    Ok(on(object, marker))
}

/// Returns true for the beginning of a list whose first item is an object.
pub(super) fn is_list_of_objects(json: &str) -> bool {
    let items = json.trim_start().strip_prefix('[');
    items.is_some_and(|items| items.trim_start().starts_with('{'))
}

/// The JSON values that follow each other in a text, or the items of the list that the text is.
pub(super) struct Values<'a> {
    rest: &'a str,
    in_list: bool,
    begun: bool,
    done: bool,
}

/// Why no further value can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// The text ends within this value, or before the end of the list.
    Early(&'a str),
    /// What comes next is no JSON.
    NoJson,
}

impl<'a> Values<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.trim_start();
        let items = text.strip_prefix('[');
        Self {
            rest: items.unwrap_or(text),
            in_list: items.is_some(),
            begun: false,
            done: false,
        }
    }

    fn read(&mut self) -> Option<Result<&'a str, Cut<'a>>> {
        self.rest = self.rest.trim_start();
        if self.in_list {
            if let Some(after) = self.rest.strip_prefix(']') {
                return (!after.trim_start().is_empty()).then_some(Err(Cut::NoJson));
            }
            if std::mem::replace(&mut self.begun, true) && !self.rest.is_empty() {
                let Some(after) = self.rest.strip_prefix(',') else {
                    return Some(Err(Cut::NoJson));
                };
                self.rest = after.trim_start();
            }
        } else if self.rest.is_empty() {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                let (value, rest) = self.rest.split_at(values.byte_offset());
                self.rest = rest;
                Some(Ok(value))
            }
            Some(Err(error)) if !error.is_eof() => Some(Err(Cut::NoJson)),
            _ => Some(Err(Cut::Early(self.rest))),
        }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Result<&'a str, Cut<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Odd {
    /// Says what a frame that is no object means for the answer.
    ///
    /// # Errors
    ///
    /// Unless it is just not known.
    pub(super) fn settle(self, draft: &Draft, json: &str, events: &mut Events) -> Result<(), LlmError> {
        match self {
            Self::NoJson(error) => {
                let fault = draft.error(ErrorKind::Protocol, "sent a frame that is not JSON");
                Err(fault.with_raw_body(json).with_source(error))
            }
            Self::NoObject(value) => {
                let first = value.get(0).and_then(|first| first.get("error"));
                if first.is_some_and(says_error) {
                    return Err(draft.fault(&Fault::from_value(&value), json));
                }
                events.push_back(StreamEvent::Unknown { raw: json.to_owned() });
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_out_of_lists_and_of_texts_that_lack_line_ends() {
        let check = |text: &'static str, values: &[&str], cut: Option<Cut<'_>>| {
            let read: Vec<_> = Values::new(text).collect();
            let expect = values.iter().copied().map(Ok).chain(cut.map(Err));
            assert_eq!(read, expect.collect::<Vec<_>>(), "{text}");
        };
        check("", &[], None);
        check("[]", &[], None);
        check(" [ {\"a\":[1]} , {} ] ", &["{\"a\":[1]}", "{}"], None);
        check("[{},", &["{}"], Some(Cut::Early("")));
        check("[{}", &["{}"], Some(Cut::Early("")));
        check("[{},{\"a", &["{}"], Some(Cut::Early("{\"a")));
        check("[{} {}]", &["{}"], Some(Cut::NoJson));
        check("[{}] x", &["{}"], Some(Cut::NoJson));
        check(
            "{} {\"a\":\"\\ud83e\"}null",
            &["{}", "{\"a\":\"\\ud83e\"}", "null"],
            None,
        );
        check("{}{\"a\":", &["{}"], Some(Cut::Early("{\"a\":")));
        check("{}oops", &["{}"], Some(Cut::NoJson));
    }
}
