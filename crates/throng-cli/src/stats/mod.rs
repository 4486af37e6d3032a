//! `throng stats`: what the store tells of runs and tool calls, and what is kept there.

mod command;
mod last;
mod place;
mod record;
mod report;

pub(crate) use command::stats;
pub(crate) use record::Recorder;
