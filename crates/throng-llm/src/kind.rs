//! What kinds of failure there are, and how much had arrived before one.

use std::fmt;

/// What kind of failure it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key is missing, wrong, or not allowed to do this. Permanent.
    Auth,
    /// The request is wrong, or is sent to the wrong place. Permanent.
    BadRequest,
    /// There is no such model or no such address. Permanent.
    NotFound,
    /// The prompt does not fit into the model's context; see [`LlmError::overflow`](crate::LlmError::overflow).
    /// Permanent.
    ContextOverflow,
    /// The account has no credit left; the provider says so with status 429 or 402. Permanent.
    QuotaExhausted,
    /// The provider's filter refused the prompt or the answer. Permanent.
    ContentFilter,
    /// The caller went over a limit (status 429).
    RateLimited,
    /// The server has too much to do for everybody (status 503 or 529).
    Overloaded,
    /// The server failed.
    Server,
    /// A clock ran out.
    Timeout(Clock),
    /// No connection could be made.
    Connect,
    /// The connection broke.
    Transport,
    /// The answer is not what this wire looks like.
    Protocol,
    /// The answer ended, without an error of the connection, before the provider's sign of completion.
    Truncated,
    /// The answer went over a limit of [`Limits`](crate::Limits). Permanent.
    TooLarge(Limited),
    /// The caller cancelled the call. Permanent.
    Cancelled,
    /// A [`Metered`](crate::Metered) client had reached its limit, so nothing was sent. Permanent.
    CostLimit,
    /// A [`Metered`](crate::Metered) client with a limit knows no price of the model, so nothing was sent. Permanent.
    UnknownPrice,
    /// A replay has no recording of the call. Permanent.
    NotRecorded,
}

impl ErrorKind {
    /// Returns the kind's name: `auth`, `bad_request`, `timeout_first_content`, `too_large` and so on. The names are
    /// stable within a major version.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::ContextOverflow => "context_overflow",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ContentFilter => "content_filter",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Timeout(Clock::Connect) => "timeout_connect",
            Self::Timeout(Clock::FirstContent) => "timeout_first_content",
            Self::Timeout(Clock::Idle) => "timeout_idle",
            Self::Timeout(Clock::Total) => "timeout_total",
            Self::Timeout(Clock::Deadline) => "timeout_deadline",
            Self::Connect => "connect",
            Self::Transport => "transport",
            Self::Protocol => "protocol",
            Self::Truncated => "truncated",
            Self::TooLarge(_) => "too_large",
            Self::Cancelled => "cancelled",
            Self::CostLimit => "cost_limit",
            Self::UnknownPrice => "unknown_price",
            Self::NotRecorded => "not_recorded",
        }
    }
}

/// How large a prompt is that does not fit, and what fits: in tokens, as far as the provider said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Overflow {
    /// How many tokens fit.
    pub limit: Option<u64>,
    /// How many there are.
    pub requested: Option<u64>,
}

/// The clocks that bound a call; see [`Timeouts`](crate::Timeouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Making the connection.
    Connect,
    /// Waiting for the first content.
    FirstContent,
    /// Waiting for further content.
    Idle,
    /// The whole call.
    Total,
    /// The instant that the caller gave in the [`CallContext`](crate::CallContext).
    Deadline,
}

impl Clock {
    /// Returns the clock's name: `connect`, `first content` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstContent => "first content",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Deadline => "deadline",
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What was larger than [`Limits`](crate::Limits) allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limited {
    /// One event of the stream.
    Event,
    /// The text, reasoning and refusal together.
    Text,
    /// The arguments of all tool calls together.
    ToolArguments,
    /// The number of tool calls.
    ToolCalls,
    /// An answer in one piece.
    Body,
}

/// How much of an answer had arrived when it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Received {
    /// Frames of the stream.
    pub frames: u64,
    /// Bytes of text, reasoning, refusal and tool arguments.
    pub text_bytes: u64,
    /// Whether any content had arrived.
    pub content: bool,
}
