//! A value that a text may mean.

use std::fmt;

use serde_json::{Map, Number, Value};

/// A reading of a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ish {
    Text(String),
    Number(Number),
    Bool(bool),
    Null,
    Object(Vec<(String, Ish)>),
    Array(Vec<Ish>),
    /// Came from a fenced block.
    Fenced(Box<Ish>),
    /// Needed repair.
    Fixed(Box<Ish>),
    /// Any of these, or the text itself.
    AnyOf(Vec<Ish>, String),
}

impl Ish {
    /// Returns the first reading as JSON.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Bool(value) => Value::Bool(*value),
            Self::Null => Value::Null,
            Self::Object(members) => {
                let mut map = Map::new();
                for (key, value) in members {
                    map.entry(key.as_str()).or_insert_with(|| value.to_value());
                }
                Value::Object(map)
            }
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Fenced(inner) | Self::Fixed(inner) => inner.to_value(),
            Self::AnyOf(readings, text) => match readings.first() {
                Some(first) => first.to_value(),
                None => Value::from(text.as_str()),
            },
        }
    }

    /// Sets the last number of each reading to null: it may not be complete.
    pub(crate) fn forget_last_number(&mut self) {
        match self {
            Self::Number(_) => *self = Self::Null,
            Self::Array(items) => {
                if let Some(last) = items.last_mut() {
                    last.forget_last_number();
                }
            }
            Self::Object(members) => {
                if let Some((_, last)) = members.last_mut() {
                    last.forget_last_number();
                }
            }
            Self::Fenced(inner) | Self::Fixed(inner) => inner.forget_last_number(),
            Self::AnyOf(readings, _) => readings.iter_mut().for_each(Self::forget_last_number),
            Self::Text(_) | Self::Bool(_) | Self::Null => {}
        }
    }
}

impl From<&Value> for Ish {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(
                map.iter()
                    .map(|(key, value)| (key.clone(), value.into()))
                    .collect(),
            ),
        }
    }
}

impl fmt::Display for Ish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Null => f.write_str("null"),
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at > 0 { ", " } else { "" };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Fenced(inner) | Self::Fixed(inner) => write!(f, "{inner}"),
            Self::AnyOf(readings, text) => {
                write!(f, "AnyOf[{text},")?;
                for reading in readings {
                    write!(f, "{reading},")?;
                }
                f.write_str("]")
            }
        }
    }
}
