//! `throng tools`: a plan of tool calls, shown or run.

mod command;
mod record;
mod show;
mod toolbox;

pub(crate) use command::tools;
pub(crate) use record::batch;
pub(crate) use toolbox::{Toolbox, executor};
