//! Text with holes, such as `{path}` or `{a.b}`, that a call's arguments fill.

#[cfg(any(feature = "process", feature = "http"))]
use std::borrow::Cow;

use serde_json::Value;

/// A part of a text with holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// The members that lead from the arguments to the value.
    Hole(Vec<String>),
}

/// Takes a text apart: `{name}` is a hole, `{{` and `}}` are braces. `None` if a brace has no partner or a hole no name.
pub(crate) fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        literal.push_str(before);
        if brace.starts_with("{{") || brace.starts_with("}}") {
            literal.push_str(brace.get(..1).unwrap_or_default());
            rest = brace.get(2..).unwrap_or_default();
            continue;
        }
        let (hole, after) = brace.strip_prefix('{')?.split_once('}')?;
        let path = path(hole)?;
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Hole(path));
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Some(pieces)
}

/// Reads what is between the braces of a hole.
pub(crate) fn path(hole: &str) -> Option<Vec<String>> {
    let path: Vec<_> = hole.split('.').map(|name| name.trim().to_owned()).collect();
    (path.iter().all(|name| !name.is_empty()) && !hole.contains('{')).then_some(path)
}

/// Returns the value that a hole names.
pub(crate) fn value<'a>(arguments: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(arguments, |value, name| value.get(name))
}

/// How a declared tool uses an argument of a call.
#[cfg(feature = "declare")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// The name of the argument.
    pub(crate) name: String,
    pub(crate) form: Form,
    /// Whether the tool does without it.
    pub(crate) optional: bool,
}

/// What an argument is used as.
#[cfg(feature = "declare")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One text.
    Text,
    /// One text for each element.
    Texts,
    /// True or not.
    Condition,
    /// Whatever it is.
    Any,
}

#[cfg(feature = "declare")]
impl Need {
    /// Makes the need of a hole.
    pub(crate) fn new(path: &[String], form: Form, optional: bool) -> Option<Self> {
        Some(Self {
            name: path.first()?.clone(),
            form: if path.len() > 1 { Form::Any } else { form },
            optional,
        })
    }
}

/// An argument that a hole names is not there, or is null.
#[cfg(any(feature = "process", feature = "http"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing(pub(crate) String);

/// A text with holes, to be filled with the texts of arguments.
#[cfg(any(feature = "process", feature = "http"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[cfg(any(feature = "process", feature = "http"))]
impl Template {
    /// Reads a template, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        pieces(text)
            .map(Self)
            .ok_or_else(|| format!("`{text}` has a brace without its partner, or a hole without a name"))
    }

    /// Returns the pieces.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Returns the hole if the whole text is one.
    #[cfg(feature = "http")]
    pub(crate) fn whole(&self) -> Option<&[String]> {
        match self.0.as_slice() {
            [Piece::Hole(path)] => Some(path),
            _ => None,
        }
    }

    /// Returns the paths of the holes.
    pub(crate) fn holes(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(path) => Some(path.as_slice()),
            Piece::Text(_) => None,
        })
    }

    /// Fills the holes.
    ///
    /// # Errors
    ///
    /// If an argument is missing.
    pub(crate) fn fill(&self, arguments: &Value) -> Result<String, Missing> {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Hole(path) => filled.push_str(&text(present(arguments, path)?)),
            }
        }
        Ok(filled)
    }
}

/// Returns the value that a hole names.
///
/// # Errors
///
/// If it is missing, or null.
#[cfg(any(feature = "process", feature = "http"))]
pub(crate) fn present<'a>(arguments: &'a Value, path: &[String]) -> Result<&'a Value, Missing> {
    value(arguments, path)
        .filter(|value| !value.is_null())
        .ok_or_else(|| Missing(path.join(".")))
}

/// Returns a value as text: strings as they are, all else as compact JSON.
#[cfg(any(feature = "process", feature = "http"))]
pub(crate) fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

#[cfg(any(feature = "process", feature = "http"))]
impl From<Missing> for crate::ToolError {
    fn from(Missing(name): Missing) -> Self {
        Self::permanent(format!("the argument `{name}` is missing"))
    }
}
