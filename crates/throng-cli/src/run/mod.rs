//! `throng run`: a campaign from its inputs to its summary.

mod call;
mod command;
mod drive;
mod ending;
mod errors;
mod files;
mod health;
mod intake;
mod limits;
mod progress;
mod summary;

pub(crate) use call::{Caller, Shape};
pub(crate) use command::run;
pub(crate) use drive::{Answerer, runtime};
pub(crate) use health::Health;
pub(crate) use limits::Limits;
