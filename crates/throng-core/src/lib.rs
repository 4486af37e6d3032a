//! The words that every Throng crate shares; the crate's README says which.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod class;
mod event;
mod id;
mod journal;
mod outcome;
mod secret;
mod usage;

pub use class::{Classify, ErrorClass};
pub use event::{Event, EventKind, EventSink};
pub use id::{AttemptId, JobId, RunId};
pub use journal::{Journal, JournalEntry, JournalError, JournalFuture};
pub use outcome::{Outcome, OutcomeKind, TimeoutKind};
pub use secret::{Secret, scrub};
pub use usage::Usage;
