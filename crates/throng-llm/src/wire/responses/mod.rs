//! OpenAI's Responses, streamed or in one piece.

mod items;
mod output;
mod protocol;
mod response;

pub(super) use protocol::Responses;
