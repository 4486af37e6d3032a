//! One record of an input: where it stands, its id, and how a field is found in it.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::suggest;

/// The fields in which a prompt is looked for when nothing names one, in this order.
pub(crate) const PROMPT_FIELDS: [&str; 5] = ["prompt", "question", "input", "text", "instruction"];

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the inputs, from 0.
    pub(crate) input: usize,
    /// The line on which it begins, from 1.
    pub(crate) line: u64,
    /// Its number in a JSON array, from 1.
    pub(crate) item: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.item {
            Some(item) => write!(f, "item {item} (line {})", self.line),
            None => write!(f, "line {}", self.line),
        }
    }
}

/// Names a record: its `id` field, or its line number.
///
/// A number and a text that reads the same name the same record, because a CSV file cannot tell them apart.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Id {
    /// A number, as it stood in the input.
    Number(serde_json::Number),
    /// A text.
    Text(String),
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// Named fields.
    Object(Map<String, Value>),
    /// Text without fields: a plain line, or a JSON string.
    Text(String),
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Where it stands.
    pub(crate) place: Place,
    /// What it holds.
    pub(crate) body: Body,
}

/// A record is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordError {
    /// Where.
    pub(crate) place: Place,
    /// What is wrong.
    pub(crate) message: String,
    /// What the user can do.
    pub(crate) hint: String,
    /// True if nothing after it can be read.
    pub(crate) fatal: bool,
}

impl RecordError {
    /// Makes an error of one record, after which the next can be read.
    pub(crate) fn new(place: Place, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            hint: hint.into(),
            fatal: false,
        }
    }

    /// Makes it an error after which nothing can be read.
    pub(crate) fn fatal(self) -> Self {
        Self { fatal: true, ..self }
    }
}

impl Record {
    /// Returns the record's own id, if it has one.
    ///
    /// # Errors
    ///
    /// If `id` is neither a text nor a number.
    pub(crate) fn own_id(&self) -> Result<Option<Id>, RecordError> {
        let Body::Object(fields) = &self.body else {
            return Ok(None);
        };
        match fields.get("id") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(Id::Text(text.clone()))),
            Some(Value::Number(number)) => Ok(Some(Id::Number(number.clone()))),
            Some(other) => Err(RecordError::new(
                self.place,
                format!("`id` is {}, not a text or a number", type_name(other)),
                "give each record a short text or a number as `id`, or none to use its line number",
            )),
        }
    }

    /// Returns a field; `a.b` reaches into a nested object unless a field has that very name. A record without
    /// fields gives its text under every usual name.
    pub(crate) fn field(&self, name: &str) -> Option<Field<'_>> {
        match &self.body {
            Body::Text(text) => {
                (name == "line" || PROMPT_FIELDS.contains(&name)).then_some(Field::Text(text))
            }
            Body::Object(fields) => lookup(fields, name).map(|value| match value {
                Value::String(text) => Field::Text(text),
                other => Field::Other(other),
            }),
        }
    }

    /// Returns the names of the fields, for messages.
    pub(crate) fn names(&self) -> Vec<&str> {
        match &self.body {
            Body::Object(fields) => fields.keys().map(String::as_str).collect(),
            Body::Text(_) => vec!["line"],
        }
    }

    /// Makes the error that a field is missing, with the nearest name that the record has.
    pub(crate) fn missing(&self, wanted: &str) -> RecordError {
        let names = self.names();
        if let Some(hint) = other_separator(names.iter().copied()) {
            return RecordError::new(self.place, format!("the record has no field `{wanted}`"), hint);
        }
        let hint = match suggest::nearest(wanted, names.iter().map(|name| (*name, *name))) {
            Some(nearest) => format!("did you mean `{nearest}`? {}", list(&names)),
            None => list(&names),
        };
        RecordError::new(self.place, format!("the record has no field `{wanted}`"), hint)
    }
}

/// Says what to do if the only column of a CSV file looks like several.
pub(crate) fn other_separator<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    let (Some(name), None) = (names.next(), names.next()) else {
        return None;
    };
    if name.contains('\t') {
        return Some("the columns seem to be separated by tabs: use --input-format tsv".to_owned());
    }
    let separator = [';', '|']
        .into_iter()
        .find(|separator| name.contains(*separator))?;
    Some(format!(
        "the columns seem to be separated by `{separator}`, but only commas and tabs are read: save the file with commas"
    ))
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    /// Text.
    Text(&'a str),
    /// Anything else.
    Other(&'a Value),
}

/// Names the JSON type of a value, with its article.
pub(crate) const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Lists the fields of a record as a sentence.
pub(crate) fn list(names: &[&str]) -> String {
    const MOST: usize = 12;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| format!("`{name}`")).collect();
    match names.len() {
        0 => "the record has no fields".to_owned(),
        n if n > MOST => format!("the record has {} and {} more", shown.join(", "), n - MOST),
        _ => format!("the record has {}", shown.join(", ")),
    }
}

fn lookup<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = fields.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    match fields.get(first)? {
        Value::Object(inner) => lookup(inner, rest),
        _ => None,
    }
}
