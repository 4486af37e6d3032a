//! What the frames of OpenAI's Responses mean.

use crate::wire::draft::{Draft, Events};
use crate::wire::protocol::{Frame, Protocol};
use crate::{ErrorKind, LlmError};

/// The answers of OpenAI's Responses.
#[derive(Debug, Default)]
pub(in crate::wire) struct Responses;

impl Protocol for Responses {
    fn frame(&mut self, draft: &mut Draft, _: Frame<'_>, _: &mut Events) -> Result<(), LlmError> {
        Err(draft.error(ErrorKind::Protocol, "speaks a wire that is not built yet"))
    }

    fn whole(&mut self, draft: &mut Draft, _: &str, _: &mut Events) -> Result<(), LlmError> {
        Err(draft.error(ErrorKind::Protocol, "speaks a wire that is not built yet"))
    }

    fn cut_message(&self) -> &'static str {
        "ended the stream before `response.completed`"
    }
}
