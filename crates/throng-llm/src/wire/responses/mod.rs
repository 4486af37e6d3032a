//! OpenAI's Responses, streamed or in one piece.

mod items;
mod protocol;
mod response;

pub(super) use protocol::Responses;
