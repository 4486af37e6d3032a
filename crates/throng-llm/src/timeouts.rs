//! How long a call may take, and how much it may say.

use std::time::Duration;

/// The four clocks of a call. What is sent to keep a connection alive (comments, pings, empty deltas) feeds none of
/// the content clocks, and the time that the caller takes between two events does not count against them.
///
/// `Duration::MAX` switches a clock off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For making the connection, name lookup and TLS included. Default 10 s: a server that is up answers within one
    /// or two round trips, and a lost packet costs 1 s, then 2 s, then 4 s.
    pub connect: Duration,
    /// From the beginning of the call to the first content. Default 180 s: a reasoning model that does not show its
    /// reasoning is silent for minutes. Does not apply to an answer asked for in one piece.
    pub first_content: Duration,
    /// Between two pieces of content. Default 60 s: once a model writes, tokens come many times a second, and a gap
    /// of a minute means a dead connection or a dead worker behind a live proxy. Does not apply to an answer asked
    /// for in one piece.
    pub idle: Duration,
    /// For the whole call. Default 600 s, as in the official clients: the longest answers take minutes.
    pub total: Duration,
}

impl Timeouts {
    /// After the model's last word, how long to wait for the rest (usage, `[DONE]`, the end of the body) before the
    /// answer is taken as complete without it.
    pub const TAIL: Duration = Duration::from_secs(5);

    /// Sets the clock for making the connection.
    #[must_use]
    pub fn with_connect(mut self, timeout: Duration) -> Self {
        self.connect = timeout;
        self
    }

    /// Sets the clock from the beginning of the call to the first content.
    #[must_use]
    pub fn with_first_content(mut self, timeout: Duration) -> Self {
        self.first_content = timeout;
        self
    }

    /// Sets the clock between two pieces of content.
    #[must_use]
    pub fn with_idle(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// Sets the clock for the whole call.
    #[must_use]
    pub fn with_total(mut self, timeout: Duration) -> Self {
        self.total = timeout;
        self
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_content: Duration::from_secs(180),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

/// How much an answer may say. What goes over a limit ends the call with
/// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge); so a server cannot fill the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one event of the stream. Default 4 MiB.
    pub event_bytes: usize,
    /// Bytes of text, reasoning and refusal together. Default 16 MiB.
    pub text_bytes: usize,
    /// Bytes of the arguments of all tool calls together. Default 16 MiB.
    pub tool_args_bytes: usize,
    /// Number of tool calls. Default 512.
    pub tool_calls: usize,
    /// Bytes of an answer in one piece. Default 32 MiB.
    pub body_bytes: usize,
}

impl Limits {
    /// Sets how many bytes one event of the stream may have.
    #[must_use]
    pub fn with_event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = bytes;
        self
    }

    /// Sets how many bytes text, reasoning and refusal may have together.
    #[must_use]
    pub fn with_text_bytes(mut self, bytes: usize) -> Self {
        self.text_bytes = bytes;
        self
    }

    /// Sets how many bytes the arguments of all tool calls may have together.
    #[must_use]
    pub fn with_tool_args_bytes(mut self, bytes: usize) -> Self {
        self.tool_args_bytes = bytes;
        self
    }

    /// Sets how many tools may be called.
    #[must_use]
    pub fn with_tool_calls(mut self, calls: usize) -> Self {
        self.tool_calls = calls;
        self
    }

    /// Sets how many bytes an answer in one piece may have.
    #[must_use]
    pub fn with_body_bytes(mut self, bytes: usize) -> Self {
        self.body_bytes = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            event_bytes: 4 << 20,
            text_bytes: 16 << 20,
            tool_args_bytes: 16 << 20,
            tool_calls: 512,
            body_bytes: 32 << 20,
        }
    }
}
