//! Outputs: the result lines, the file that they are kept in, and how a later run takes it up again.

mod existing;
mod line;
mod sink;

pub(crate) use existing::Existing;
pub(crate) use line::{ErrorLine, FinishedTask, LineAbout, ResultLine, ms};
pub(crate) use sink::{OnExisting, Opened, Sink, WriteFailed};
