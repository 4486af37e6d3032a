//! The dispatcher and its policies as a pure state machine: no clock, no runtime, no locks, no job data. Every method
//! is handed `now`, and all randomness comes from one seeded generator, so that the same calls give the same run.
//!
//! A slot belongs to an admitted job from its admission until its outcome is taken; a permit belongs to an attempt.

mod adaptive;
mod dispatcher;
mod keys;
mod pace;
mod queue;
mod settings;
mod slot;
mod stats;

pub(crate) use adaptive::{Adaptive, Change, Signal};
pub(crate) use dispatcher::{Dispatcher, Start};
pub(crate) use queue::FairQueue;
pub(crate) use settings::Settings;
pub(crate) use slot::{AttemptEnd, Branch, Ended, Ending};
pub(crate) use stats::Stats;
