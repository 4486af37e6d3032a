//! Anthropic's Messages, streamed or in one piece.

mod blocks;
mod message;
mod protocol;

pub(super) use protocol::Anthropic;
