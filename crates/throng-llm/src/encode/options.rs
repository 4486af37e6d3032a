//! What a client's settings mean for its requests.

/// What a client's settings mean for its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) stream: bool,
    /// Chat Completions: ask for the usage in a stream.
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: MaxTokensField,
    /// Whether the server is OpenAI's own, which takes members that others refuse.
    pub(crate) is_openai: bool,
    /// Chat Completions: under which name the seed is sent.
    pub(crate) seed_member: &'static str,
    /// Chat Completions: send opaque reasoning back as `reasoning_details`.
    pub(crate) reasoning_details: bool,
    /// What is sent where the request sets no limit of output tokens and the wire demands one.
    pub(crate) default_max_output_tokens: u32,
}

/// Under which name the limit of output tokens is sent over Chat Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaxTokensField {
    /// `max_completion_tokens`: OpenAI's newer models refuse the other one.
    MaxCompletionTokens,
    /// `max_tokens`: what most compatible servers know.
    MaxTokens,
}
