//! Child processes that leave nothing behind; the modules below hold one subject each.
//!
#![doc = include_str!("../README.md")]

#[cfg(not(unix))]
compile_error!("throng-process needs process groups and signals: it works on Unix only");

mod capture;
mod child;
mod command;
mod end;
mod environment;
mod error;
mod exit;
mod group;
mod limits;
mod lookup;
mod process;
mod pump;
mod run;
mod signal;

pub use capture::{Captured, Keep};
pub use child::Child;
pub use command::Command;
pub use end::{End, Finished, Leak};
pub use environment::Environment;
pub use error::ProcessError;
pub use limits::{LimitKind, Limits};
pub use signal::Signal;
