//! Ollama's `/api/chat`, streamed or in one piece.

mod protocol;

pub(super) use protocol::Ollama;
