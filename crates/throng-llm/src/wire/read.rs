//! Reading a frame's JSON object without trust: lone surrogate halves, members that come twice, other values than objects.

use serde::Deserialize;
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
    let marked = surrogate::mark(json);
    let (text, marker) = match &marked {
        Some(marked) => (&*marked.json, Some(marked.marker)),
        None => (json, None),
    };
    // A struct would also be read from a list, member by member.
    if text.starts_with('{')
        && let Ok(object) = serde_json::from_str::<F::Of<'_>>(text)
    {
        return Ok(on(object, marker));
    }
    let value: Value = serde_json::from_str(text).map_err(Odd::NoJson)?;
    if !value.is_object() {
        return Err(Odd::NoObject(value));
    }
    // Of members that come twice a value keeps the last; a struct refuses them.
    let text = value.to_string();
    let object = serde_json::from_str::<F::Of<'_>>(&text).map_err(Odd::NoJson)?;
    Ok(on(object, marker))
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
