//! The wire of OpenAI's Chat Completions.

mod error;
mod read;
mod write;

pub(super) use error::{error, limit_headers};
pub(super) use read::read;
pub(super) use write::{event, whole};
