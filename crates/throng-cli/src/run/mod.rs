//! `throng run`: a campaign from its inputs to its summary.

mod answerer;
mod call;
mod command;
mod drive;
mod ending;
mod errors;
mod files;
mod going;
mod health;
mod intake;
mod keys;
mod limits;
mod progress;
mod rehearse;
mod same;
mod summary;
mod written;

pub(crate) use answerer::{Answerer, runtime};
pub(crate) use call::{Caller, Shape};
pub(crate) use command::run;

pub(crate) use health::Health;
pub(crate) use limits::Limits;
pub(crate) use rehearse::Model;
