//! Ollama's `/api/chat`, streamed or in one piece.

mod chunk;
mod protocol;

pub(super) use protocol::Ollama;
