//! Anthropic's Messages, streamed or in one piece.

mod protocol;

pub(super) use protocol::Anthropic;
