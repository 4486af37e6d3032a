//! The words that every Throng crate shares.
//!
//! A *run* takes *jobs*; a job is tried in *attempts*; a job ends in exactly one [`Outcome`]. This crate holds
//! those words as types and nothing that acts on them: no runtime, no clock, no I/O.
//!
//! - [`RunId`], [`JobId`], [`AttemptId`]: who is meant, printed `run:job#attempt`.
//! - [`Outcome`]: how a job ended. A job that failed is data, not an error of the run.
//! - [`Classify`] and [`ErrorClass`]: what an error means for a retry.
//! - [`Event`] and [`EventSink`]: what happens during a run, one event for each transition.
//! - [`Usage`]: the tokens that a call consumed.
//!
//! # Features
//!
//! - `serde` (off by default): `Serialize` and `Deserialize` for the ids, [`Usage`] and the plain enums.
#![forbid(unsafe_code)]

mod class;
mod event;
mod id;
mod outcome;
mod usage;

pub use class::{Classify, ErrorClass};
pub use event::{Event, EventKind, EventSink};
pub use id::{AttemptId, JobId, RunId};
pub use outcome::{Outcome, OutcomeKind, TimeoutKind};
pub use usage::Usage;
