//! OpenAI's Chat Completions, and every server that speaks like them.

mod body;
mod builder;
mod chat;

pub use builder::{MaxTokensField, OpenAiChatBuilder};
pub use chat::OpenAiChat;
