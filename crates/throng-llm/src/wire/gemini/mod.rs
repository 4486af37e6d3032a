//! Gemini's `generateContent`, streamed or in one piece.

mod protocol;

pub(super) use protocol::Gemini;
