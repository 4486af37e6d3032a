//! Inputs: JSON Lines, a JSON array, CSV or plain lines, read lazily into tasks.

mod array;
mod csv_rows;
mod feed;
mod format;
mod ids;
mod lines;
mod messages;
mod prompt;
mod purse;
mod question;
mod reader;
mod record;
mod scan;
mod terms;

pub(crate) use feed::{Feed, Task, Tasks};
pub(crate) use format::Format;
pub(crate) use ids::{Fingerprint, Fingerprints, SeenIds};
pub(crate) use lines::{Line, Lines};
pub(crate) use messages::message;
pub(crate) use prompt::{Prompt, PromptSource};
pub(crate) use purse::{Bill, Purse};
pub(crate) use question::question;
pub(crate) use reader::Source;
pub(crate) use record::{Id, RecordError};
pub(crate) use scan::{Scan, ScanOptions, key, repeated};
pub(crate) use terms::TermFields;
