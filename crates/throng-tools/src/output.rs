//! How the output of a command or the body of an answer becomes the result of a call.

use serde_json::Value;

/// How text becomes the result of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputKind {
    /// The text as it is.
    #[default]
    Text,
    /// The text is JSON.
    Json,
    /// An array of the lines of the text, without their ends.
    Lines,
}

impl OutputKind {
    /// Reads a result.
    ///
    /// # Errors
    ///
    /// If it is no JSON and has to be; the text says where.
    pub(crate) fn read(self, text: &str) -> Result<Value, serde_json::Error> {
        match self {
            Self::Text => Ok(Value::from(text)),
            Self::Json => serde_json::from_str(text),
            Self::Lines => Ok(text.lines().collect()),
        }
    }
}

/// A setting of a declared tool makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {message}")]
#[non_exhaustive]
pub struct InvalidSetting {
    /// The setting.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl InvalidSetting {
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}

/// Returns the beginning of a text, cut at a character, with a mark if something was cut off.
pub(crate) fn excerpt(text: &str, bytes: usize) -> String {
    let text = text.trim();
    let end = text.floor_char_boundary(bytes);
    match text.get(..end) {
        Some(start) if end < text.len() => format!("{start}…"),
        _ => text.to_owned(),
    }
}
