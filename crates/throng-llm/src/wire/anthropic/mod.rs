//! Anthropic's Messages, streamed or in one piece.

mod blocks;
mod content;
mod message;
mod protocol;

pub(super) use protocol::Anthropic;
