//! `throng stats`: what the store tells of runs and tool calls, and what is kept there.

mod command;
mod last;
mod place;
mod record;
mod report;

pub(crate) use command::stats;
pub(crate) use place::{now_ms, open_or_make};
pub(crate) use record::Recorder;
