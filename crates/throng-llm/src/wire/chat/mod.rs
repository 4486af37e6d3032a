//! OpenAI's Chat Completions, streamed or in one piece.

pub(super) mod chunk;
mod protocol;

pub(super) use protocol::Chat;
