//! Puts results in the place of references.
//!
//! Invariant: a result is never searched for references, whatever its text.

use std::fmt::{self, Write};

use serde_json::Value;

use super::find::{push_index, push_key};
use super::names::Names;
use super::path::{Path, Segment};
use super::scan::{self, Found, Piece};

/// Puts results in the place of the references in the arguments of the call at `own`, and `$` in the place of `$$`.
///
/// An argument that is nothing but a reference takes the JSON type of what it means. In a longer text, strings are put
/// in as they are, anything else as compact JSON. `result` gives the result of a call that has one.
///
/// # Errors
///
/// [`ReferenceError`] for the first reference that means nothing. The arguments are then partly filled.
///
/// # Examples
///
/// ```
/// use serde_json::{Value, json};
/// use throng_tools::{Names, resolve};
///
/// let names = Names::new(["a", "b"]);
/// let result = json!({ "price": "$1.50", "tags": ["x"] });
/// let mut arguments = json!({ "tags": "$a.tags", "text": "${a.output.price} or $$2: $a.tags" });
/// resolve(&mut arguments, &names, 1, |call| (call == 0).then_some(&result))?;
/// assert_eq!(arguments, json!({ "tags": ["x"], "text": r#"$1.50 or $2: ["x"]"# }));
///
/// let mut arguments = json!({ "x": "$a.name" });
/// let error = resolve(&mut arguments, &names, 1, |_| Some(&result)).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "`$a.name` in argument `x`: the result of `a` has no `name`; it has `price`, `tags`"
/// );
/// # Ok::<(), throng_tools::ReferenceError>(())
/// ```
pub fn resolve<'r>(
    arguments: &mut Value,
    names: &Names,
    own: u32,
    result: impl Fn(u32) -> Option<&'r Value>,
) -> Result<(), ReferenceError> {
    let mut filling = Filling {
        names,
        own,
        result: &result,
        place: String::new(),
    };
    filling.value(arguments)
}

/// A reference means nothing in the result that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReferenceError {
    /// The reference as it is written.
    pub text: String,
    /// Where it stands in the arguments.
    pub argument: String,
    /// The id of the call that it refers to.
    pub call: String,
    /// The part of the path that is there.
    pub reached: String,
    /// What is wrong.
    pub problem: Box<ReferenceProblem>,
}

/// Why a reference means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReferenceProblem {
    /// The call has no result.
    NoResult,
    /// What was reached has no such member.
    NoMember {
        /// The member.
        key: String,
        /// The first members that there are.
        has: Vec<String>,
        /// How many more there are.
        more: usize,
    },
    /// What was reached has no such element.
    NoElement {
        /// The element.
        index: usize,
        /// How many there are.
        length: usize,
    },
    /// What was reached has no parts.
    NoParts {
        /// What it is, such as `a string`.
        kind: &'static str,
        /// The part that was asked for.
        part: String,
    },
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)?;
        if !self.argument.is_empty() {
            write!(f, " in argument `{}`", self.argument)?;
        }
        write!(f, ": ")?;
        if !self.reached.is_empty() {
            write!(f, "`{}` in ", self.reached)?;
        }
        write!(f, "the result of `{}` ", self.call)?;
        match self.problem.as_ref() {
            ReferenceProblem::NoResult => f.write_str("is not there"),
            ReferenceProblem::NoMember { key, has, more } => {
                write!(f, "has no `{key}`; it has ")?;
                if has.is_empty() {
                    return f.write_str("no members");
                }
                for (index, name) in has.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}`{name}`")?;
                }
                if *more > 0 {
                    write!(f, " and {more} more")?;
                }
                Ok(())
            }
            ReferenceProblem::NoElement { index, length } => {
                write!(f, "has no element {index}; it has {length}, counted from 0")
            }
            ReferenceProblem::NoParts { kind, part } => write!(f, "is {kind}, which has no `{part}`"),
        }
    }
}

impl std::error::Error for ReferenceError {}

struct Filling<'a, 'r> {
    names: &'a Names,
    own: u32,
    result: &'a dyn Fn(u32) -> Option<&'r Value>,
    place: String,
}

impl<'r> Filling<'_, 'r> {
    fn value(&mut self, value: &mut Value) -> Result<(), ReferenceError> {
        let length = self.place.len();
        match value {
            Value::String(text) => {
                if !scan::is_plain(text)
                    && let Some(filled) = self.text(text)?
                {
                    *value = filled;
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter_mut().enumerate() {
                    push_index(&mut self.place, index);
                    self.value(element)?;
                    self.place.truncate(length);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    push_key(&mut self.place, key);
                    self.value(member)?;
                    self.place.truncate(length);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns what the text becomes, or `None` if it stays as it is.
    fn text(&self, text: &str) -> Result<Option<Value>, ReferenceError> {
        let mut pieces = Vec::new();
        scan::scan(text, self.names, self.own, |piece| pieces.push(piece));
        match pieces.as_slice() {
            [Piece::Text(only)] if *only == text => return Ok(None),
            [Piece::Reference(only)] => return Ok(Some(self.look_up(only)?.clone())),
            _ => {}
        }
        let mut filled = String::with_capacity(text.len());
        for piece in &pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Reference(reference) => match self.look_up(reference)? {
                    Value::String(text) => filled.push_str(text),
                    other => write!(filled, "{other}").expect("writing to a string does not fail"),
                },
            }
        }
        Ok(Some(Value::String(filled)))
    }

    fn look_up(&self, reference: &Found<'_>) -> Result<&'r Value, ReferenceError> {
        let segments = reference.path.segments();
        let error = |reached: &[Segment], problem| ReferenceError {
            text: reference.text.to_owned(),
            argument: self.place.clone(),
            call: self
                .names
                .id(reference.call)
                .map(ToString::to_string)
                .unwrap_or_default(),
            reached: Path::text(reached),
            problem: Box::new(problem),
        };
        let mut value =
            (self.result)(reference.call).ok_or_else(|| error(&[], ReferenceProblem::NoResult))?;
        let first = usize::from(means_itself(value, segments.first()));
        for (index, segment) in segments.iter().enumerate().skip(first) {
            value = step(value, segment)
                .map_err(|problem| error(segments.get(first..index).unwrap_or_default(), problem))?;
        }
        Ok(value)
    }
}

/// Returns true if the first step is one of the words for the result itself, and no member of it.
fn means_itself(result: &Value, first: Option<&Segment>) -> bool {
    match first {
        Some(Segment::Key(key)) => (key == "output" || key == "result") && result.get(key).is_none(),
        _ => false,
    }
}

fn step<'r>(value: &'r Value, segment: &Segment) -> Result<&'r Value, ReferenceProblem> {
    const SHOWN: usize = 8;
    let (key, index) = match segment {
        Segment::Key(key) => (key.clone(), key.parse().ok()),
        Segment::Index(index) => (index.to_string(), Some(*index)),
    };
    match (value, index) {
        (Value::Object(members), _) => members.get(&key).ok_or_else(|| ReferenceProblem::NoMember {
            has: members.keys().take(SHOWN).cloned().collect(),
            more: members.len().saturating_sub(SHOWN),
            key,
        }),
        (Value::Array(elements), Some(index)) => elements.get(index).ok_or(ReferenceProblem::NoElement {
            index,
            length: elements.len(),
        }),
        (other, _) => Err(ReferenceProblem::NoParts {
            kind: kind(other),
            part: key,
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
