//! OpenAI's Responses, streamed or in one piece.

mod protocol;

pub(super) use protocol::Responses;
