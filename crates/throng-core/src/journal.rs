//! What outlives the process: which steps with effects began, and how they ended.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;

/// What the methods of a [`Journal`] give back.
pub type JournalFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, JournalError>> + Send + 'a>>;

/// Remembers which steps of a run began and how they ended, so that a run which was killed can go on.
///
/// A step that began and has no end may or may not have had its effect: its outcome is unknown.
pub trait Journal: Send + Sync {
    /// Writes that an attempt of a step is about to begin. Once the future is ready this is on disk.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if it could not be written; the step must not begin then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it was written.
    fn begin<'a>(&'a self, run: &'a str, step: &'a str, input: &'a str) -> JournalFuture<'a, ()>;

    /// Writes how a step ended, as text that [`Journal::load`] gives back. Once the future is ready this is on disk.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if it could not be written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves open whether it was written.
    fn end<'a>(&'a self, run: &'a str, step: &'a str, ending: &'a str) -> JournalFuture<'a, ()>;

    /// Reads what is known of a run, one entry a step, in the order in which the steps first began.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if it could not be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only reads.
    fn load<'a>(&'a self, run: &'a str) -> JournalFuture<'a, Vec<JournalEntry>>;
}

/// What a journal knows of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// The step, as its caller named it.
    pub step: String,
    /// The input that the last attempt began with.
    pub input: String,
    /// How many attempts began.
    pub attempts: u32,
    /// How it ended. `None`: it began, and nothing is known of its end.
    pub ending: Option<String>,
}

impl JournalEntry {
    /// Makes an entry of a step that began once and has not ended.
    pub fn new(step: impl Into<String>, input: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            input: input.into(),
            attempts: 1,
            ending: None,
        }
    }
}

/// A journal could not be written or read.
#[derive(Debug)]
#[non_exhaustive]
pub struct JournalError {
    /// What was being done, such as `write to the journal`.
    pub doing: &'static str,
    /// What went wrong below.
    pub source: Box<dyn Error + Send + Sync>,
}

impl JournalError {
    /// Makes an error.
    pub fn new(doing: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            doing,
            source: source.into(),
        }
    }
}

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not {}", self.doing)
    }
}

impl Error for JournalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}
