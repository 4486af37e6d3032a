//! Gemini's `generateContent`, streamed or in one piece.

mod chunk;
mod partial;
mod protocol;
mod signed;

pub(super) use protocol::Gemini;
#[cfg(feature = "gemini")]
pub(crate) use signed::{Of, Signed};
