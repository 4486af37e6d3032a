//! Requests in the words of each wire. Pure.

#[cfg(feature = "anthropic")]
mod anthropic;
#[cfg(feature = "openai")]
mod chat;
#[cfg(feature = "gemini")]
mod gemini;
#[cfg(any(feature = "openai", feature = "anthropic"))]
mod members;
#[cfg(feature = "ollama")]
mod ollama;
mod options;
#[cfg(feature = "openai")]
mod responses;
#[cfg(any(feature = "gemini", feature = "ollama"))]
mod words;
mod write;

pub use options::MaxTokensField;
pub(crate) use options::Options;
pub(crate) use write::{is_supported, write};
