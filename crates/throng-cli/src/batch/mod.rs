//! `throng batch`: many agents, few calls.

mod command;
mod input;
mod report;

pub(crate) use command::batch;
