//! What can go wrong with a run itself. What goes wrong with a job is its outcome.

use std::fmt;

/// The executor's configuration does not make sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}, but {rule}")]
#[non_exhaustive]
pub struct InvalidConfig {
    /// The setting, as the builder's method is called.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// What holds for this setting.
    pub rule: &'static str,
}

impl InvalidConfig {
    /// Makes an error; for executors of one's own.
    pub fn new(setting: &'static str, value: impl fmt::Display, rule: &'static str) -> Self {
        Self {
            setting,
            value: value.to_string(),
            rule,
        }
    }
}

/// The run itself could not go on: running attempts went on to their end, and nothing more began. Every job that had
/// been admitted has its outcome all the same; those that had not begun are cancelled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The iterator or stream of jobs panicked. No further job was taken from it.
    #[error("the input of the run panicked: {message}")]
    InputPanicked {
        /// The panic's message, cut at 1 KiB.
        message: String,
    },
    /// The classifier of errors panicked. The job that it was asked about failed, and no further job began.
    #[error("the classifier of errors panicked: {message}")]
    ClassifierPanicked {
        /// The panic's message, cut at 1 KiB.
        message: String,
    },
    /// The event sink panicked. It got no further event, and no further job began.
    #[error("the event sink panicked: {message}")]
    SinkPanicked {
        /// The panic's message, cut at 1 KiB.
        message: String,
    },
}

/// Returns an error that names the setting and its value, unless what must hold for it holds.
pub(crate) fn check(
    holds: bool,
    setting: &'static str,
    value: &dyn fmt::Display,
    rule: &'static str,
) -> Result<(), InvalidConfig> {
    if holds {
        Ok(())
    } else {
        Err(InvalidConfig::new(setting, value, rule))
    }
}

/// Returns the message of a panic, cut at 1 KiB.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    const LIMIT: usize = 1024;
    let text = if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a value that is not text"
    };
    text[..text.floor_char_boundary(LIMIT)].to_owned()
}
