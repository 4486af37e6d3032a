//! Why a message holds no calls.

use super::Shape;

/// A message is not in the shape in which a provider asks for tool calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// No provider writes such a message.
    #[error(
        "this is no message of a model: expected `choices` or `tool_calls` (OpenAI Chat, Ollama), `output` (OpenAI \
         Responses), `content` (Anthropic), `candidates` or `parts` (Gemini)"
    )]
    Unknown,
    /// What has to be there is not.
    #[error("{place} of an answer of {shape} is {what}")]
    Malformed {
        /// Whose shape it is read as.
        shape: Shape,
        /// Where it is wrong, such as `tool_calls[1].function.name`.
        place: String,
        /// What is wrong, such as `not there`.
        what: &'static str,
    },
}
