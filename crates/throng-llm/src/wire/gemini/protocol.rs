//! What the frames of Gemini's `generateContent` mean.

use crate::wire::draft::{Draft, Events};
use crate::wire::protocol::{Frame, Protocol};
use crate::{ErrorKind, LlmError};

/// The answers of Gemini's `generateContent`.
#[derive(Debug, Default)]
pub(in crate::wire) struct Gemini;

impl Protocol for Gemini {
    fn frame(&mut self, draft: &mut Draft, _: Frame<'_>, _: &mut Events) -> Result<(), LlmError> {
        Err(draft.error(ErrorKind::Protocol, "speaks a wire that is not built yet"))
    }

    fn whole(&mut self, draft: &mut Draft, _: &str, _: &mut Events) -> Result<(), LlmError> {
        Err(draft.error(ErrorKind::Protocol, "speaks a wire that is not built yet"))
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before a finish reason"
    }
}
