//! One turn of a model that asks for tools: its calls, and the message that answers them.
//!
//! Invariant: each call is answered once, in the order in which the model asked.

use std::collections::HashSet;

use serde_json::Value;

use super::read::{self, Read};
use super::{Shape, ShapeError, write};
use crate::{Call, Plan, PlanError};

/// What a model asked for in one answer.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_tools::{Answer, Turn};
///
/// let turn = Turn::read(&json!({"role": "assistant", "content": [
///     {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}},
/// ]}))?;
/// assert_eq!(turn.calls()[0].name, "add");
/// assert_eq!(
///     turn.answers(|_, call| Answer::ok(json!(call.arguments["a"].as_i64().unwrap_or(0) + 2))),
///     [json!({"role": "user", "content": [
///         {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"},
///     ]})]
/// );
/// # Ok::<(), throng_tools::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Turn {
    shape: Shape,
    message: Value,
    calls: Vec<Call>,
    asked: Vec<Asked>,
}

/// How a call is answered.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The id that the answer names, if the provider gave one or wants one.
    pub(super) wire_id: Option<String>,
    pub(super) name: String,
    /// Whether it is a call of OpenAI's custom tools, whose input is text.
    pub(super) custom: bool,
    /// Why the arguments are not JSON.
    malformed: Option<String>,
}

impl Turn {
    /// Reads a response, or the message in it, in whichever shape it is.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if it is in none, or if a call has no name.
    pub fn read(answer: &Value) -> Result<Self, ShapeError> {
        Self::read_as(Shape::detect(answer).ok_or(ShapeError::Unknown)?, answer)
    }

    /// Reads a response, or the message in it, in a shape that is known.
    ///
    /// An answer without calls has none; that is no error. A call whose id is missing or was given before gets one of
    /// its own, `call_` and its place; where the provider answers by id, [`Self::message`] has it too.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the message is not where it has to be, or if a call has no name.
    pub fn read_as(shape: Shape, answer: &Value) -> Result<Self, ShapeError> {
        let mut message = read::message(shape, answer)?;
        let found = read::calls(shape, &message)?;
        let mut taken: HashSet<String> = found.iter().filter_map(|read| read.id.clone()).collect();
        let mut seen = HashSet::new();
        let mut calls = Vec::with_capacity(found.len());
        let mut asked = Vec::with_capacity(found.len());
        for (place, read) in (1..).zip(found) {
            let Read {
                id,
                name,
                arguments,
                custom,
                malformed,
                at,
            } = read;
            let is_new = id.as_ref().is_some_and(|id| seen.insert(id.clone()));
            let own = match &id {
                Some(id) if is_new && fits(id) => id.clone(),
                _ => own_id(place, &mut taken),
            };
            let answers_by_name = matches!(shape, Shape::Gemini | Shape::Ollama);
            let wire_id = match id {
                Some(id) if is_new => Some(id),
                None if answers_by_name => None,
                _ => {
                    read::set_id(shape, &mut message, at, &own);
                    Some(own.clone())
                }
            };
            calls.push(Call::new(own, name.clone(), arguments));
            asked.push(Asked {
                wire_id,
                name,
                custom,
                malformed,
            });
        }
        Ok(Self {
            shape,
            message,
            calls,
            asked,
        })
    }

    /// Returns the shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the calls in the order in which the model asked for them. Ids are unique.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Returns the calls as a plan.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if there are none, or too many.
    pub fn plan(&self) -> Result<Plan, PlanError> {
        Plan::new(self.calls.iter().cloned())
    }

    /// Returns why the arguments of the call at this place are not JSON, if they are not. The call then has their text
    /// in the place of arguments.
    pub fn malformed(&self, index: usize) -> Option<&str> {
        self.asked.get(index)?.malformed.as_deref()
    }

    /// Returns what goes into the next request for the model's turn: the message, or the items of Responses as an array.
    /// It is as the model sent it, signatures included, but for ids that were missing or given twice.
    pub fn message(&self) -> &Value {
        &self.message
    }

    /// Writes the answers as what follows [`Self::message`] in the next request: one message for each call (Chat,
    /// Ollama), one item for each call (Responses), or one message for all (Anthropic, Gemini).
    ///
    /// `answer` is asked once for each call, in the order of the calls, with its index. Without calls there is nothing.
    pub fn answers(&self, mut answer: impl FnMut(usize, &Call) -> Answer) -> Vec<Value> {
        let answers = self.asked.iter().zip(&self.calls).enumerate();
        let answers = answers.map(|(index, (asked, call))| (asked, answer(index, call)));
        write::answers(self.shape, answers)
    }
}

/// What a call came to, for the model.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The result, or the text of the error.
    pub content: Value,
    /// Whether the call failed.
    pub is_error: bool,
}

impl Answer {
    /// Makes the answer of a call that succeeded.
    pub fn ok(result: Value) -> Self {
        Self {
            content: result,
            is_error: false,
        }
    }

    /// Makes the answer of a call that failed, was skipped or was cancelled.
    pub fn error(text: impl Into<String>) -> Self {
        Self {
            content: Value::String(text.into()),
            is_error: true,
        }
    }
}

/// Returns true if the text can be the id of a call of a plan.
fn fits(id: &str) -> bool {
    !id.is_empty() && id.len() <= 256 && !id.chars().any(char::is_control)
}

fn own_id(place: usize, taken: &mut HashSet<String>) -> String {
    let mut id = format!("call_{place}");
    while !taken.insert(id.clone()) {
        id.push('_');
    }
    id
}
