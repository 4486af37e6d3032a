//! What each wire adds to the common decoder.

use std::fmt;

use serde::de::IgnoredAny;

use super::draft::{Draft, Events};
use super::{Wire, anthropic, chat, gemini, ollama, responses};
use crate::LlmError;

/// One wire: what its frames mean. The body's form, the limits and the laws are the common decoder's.
pub(super) trait Protocol: fmt::Debug + Send {
    /// Takes one message of a stream.
    ///
    /// # Errors
    ///
    /// The error with which the answer ends.
    fn frame(&mut self, draft: &mut Draft, frame: Frame<'_>, events: &mut Events) -> Result<(), LlmError>;

    /// Takes an answer in one piece. An answer that is not complete after that is an error.
    ///
    /// # Errors
    ///
    /// The error with which the answer ends.
    fn whole(&mut self, draft: &mut Draft, body: &str, events: &mut Events) -> Result<(), LlmError>;

    /// Says what a stream that just ends lacks; completes a sentence that begins with the provider's name.
    fn cut_message(&self) -> &'static str;
}

/// One message of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The name of a server-sent event; `message` if none was given.
    pub(super) name: &'a str,
    /// What it carries, without white space around it.
    pub(super) data: &'a str,
}

/// Makes the protocol of a wire.
pub(super) fn protocol(wire: Wire) -> Box<dyn Protocol> {
    match wire {
        Wire::OpenAiChat => Box::new(chat::Chat),
        Wire::OpenAiResponses => Box::new(responses::Responses::default()),
        Wire::Anthropic => Box::new(anthropic::Anthropic::default()),
        Wire::Gemini => Box::new(gemini::Gemini::default()),
        Wire::Ollama => Box::new(ollama::Ollama::default()),
    }
}

/// Returns true for a frame that only shows that the server is alive. One that begins as JSON and is none is broken.
pub(super) fn is_sign_of_life(frame: &Frame<'_>) -> bool {
    let named = matches!(frame.name, "keepalive" | "keep-alive" | "ping" | "heartbeat");
    let broken = || frame.data.starts_with('{') && serde_json::from_str::<IgnoredAny>(frame.data).is_err();
    frame.data.is_empty() || frame.data == "null" || named && !broken()
}
