//! What a request asks for and what a reply holds, whatever the wire. A wire turns bytes into a [`Call`] and
//! a [`Reply`] into bytes; everything between the two knows no wire.

use std::ops::Range;

use serde_json::Value;

use crate::text::{CHARS_PER_TOKEN, count_tokens};

/// A tool call that a reply makes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// The function.
    pub name: String,
    /// The arguments, as the JSON text that the model wrote.
    pub arguments: String,
}

impl ToolCall {
    /// Makes a call. `arguments` is sent as it is, whether or not it is JSON.
    pub fn new(name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arguments: arguments.into(),
        }
    }
}

/// A request, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) model: String,
    /// The texts of the messages, joined as `prompt_text` says.
    pub(crate) prompt: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) n: u32,
    pub(crate) seed: Option<i64>,
    pub(crate) form: Form,
    pub(crate) tag: Option<String>,
}

/// What the answer has to be.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Text,
    /// Any JSON object.
    JsonObject,
    /// A value of this schema.
    Json(Value),
    /// A call of this function with arguments of this schema.
    Tool {
        name: String,
        parameters: Value,
    },
}

/// What a reply says.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) id: u64,
    pub(crate) model: String,
    pub(crate) include_usage: bool,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) choices: Vec<Choice>,
}

/// One of the alternative answers of a reply.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) text: Option<String>,
    pub(crate) tools: Vec<ToolCall>,
    pub(crate) finish: Finish,
}

/// Why a choice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

impl Choice {
    /// Makes a choice of text, cut where the call's stop sequences and its limit say.
    pub(crate) fn text(mut text: String, call: &Call) -> Self {
        let stops = call.stop.iter().filter(|stop| !stop.is_empty());
        if let Some(at) = stops.filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(at);
        }
        let finish = if cut_to(&mut text, call.max_tokens) {
            Finish::Length
        } else {
            Finish::Stop
        };
        Self {
            text: Some(text),
            tools: Vec::new(),
            finish,
        }
    }

    /// Makes a choice of tool calls. The call's limit cuts the arguments of each.
    pub(crate) fn tools(mut tools: Vec<ToolCall>, call: &Call) -> Self {
        let mut finish = Finish::ToolCalls;
        for tool in &mut tools {
            if cut_to(&mut tool.arguments, call.max_tokens) {
                finish = Finish::Length;
            }
        }
        Self {
            text: None,
            tools,
            finish,
        }
    }

    pub(crate) fn tokens(&self) -> u64 {
        let tools = self
            .tools
            .iter()
            .map(|tool| count_tokens(&tool.name) + count_tokens(&tool.arguments));
        self.text.as_deref().map_or(0, count_tokens) + tools.sum::<u64>()
    }
}

/// Cuts a text to a number of tokens and says whether anything was cut off.
fn cut_to(text: &mut String, max_tokens: Option<u64>) -> bool {
    let Some(max) = max_tokens.and_then(|max| usize::try_from(max).ok()) else {
        return false;
    };
    match text.char_indices().nth(max.saturating_mul(CHARS_PER_TOKEN)) {
        Some((at, _)) => {
            text.truncate(at);
            true
        }
        None => false,
    }
}

/// One step of a streamed reply, in words that every wire can say in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A choice of text begins.
    Start { choice: usize },
    /// A piece of a choice's text: these bytes of it.
    Text { choice: usize, bytes: Range<usize> },
    /// A tool call begins.
    ToolStart { choice: usize, tool: usize },
    /// A piece of a tool call's arguments.
    ToolArguments {
        choice: usize,
        tool: usize,
        bytes: Range<usize>,
    },
    /// A choice ends.
    Finish { choice: usize },
    /// The tokens of the whole reply.
    Usage,
    /// The end mark.
    Done,
    /// The server failed in mid-stream.
    Error { beside_choices: bool },
    /// An event that cannot be decoded.
    Garbage,
}

impl Event {
    /// Returns true for the events that carry a token.
    pub(crate) const fn is_token(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::ToolArguments { .. })
    }
}

/// Splits a text into its tokens: the byte ranges of every four characters.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = &text[from..];
        if rest.is_empty() {
            return None;
        }
        let len = rest
            .char_indices()
            .nth(CHARS_PER_TOKEN)
            .map_or(rest.len(), |(at, _)| at);
        let piece = from..from + len;
        from += len;
        Some(piece)
    })
}

/// A request that is refused, or an error that a fault makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    BadRequest {
        message: String,
        param: Option<&'static str>,
    },
    Unauthorized,
    UnknownModel(String),
    UnknownPath,
    WrongMethod,
    TooLarge {
        limit: usize,
    },
    BodyTimeout,
    RateLimited {
        message: String,
        kind: &'static str,
    },
    Busy {
        status: u16,
    },
    Server,
    Unavailable,
    Overloaded,
}

impl ApiError {
    pub(crate) fn bad(message: impl Into<String>, param: &'static str) -> Self {
        Self::BadRequest {
            message: message.into(),
            param: Some(param),
        }
    }

    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::BadRequest { .. } => 400,
            Self::Unauthorized => 401,
            Self::UnknownModel(_) | Self::UnknownPath => 404,
            Self::WrongMethod => 405,
            Self::BodyTimeout => 408,
            Self::TooLarge { .. } => 413,
            Self::RateLimited { .. } => 429,
            Self::Busy { status } => *status,
            Self::Server => 500,
            Self::Unavailable => 503,
            Self::Overloaded => 529,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            model: "m".into(),
            prompt: "p".into(),
            stream: false,
            include_usage: false,
            max_tokens: None,
            stop: Vec::new(),
            n: 1,
            seed: None,
            form: Form::Text,
            tag: None,
        }
    }

    #[test]
    fn pieces_are_tokens_and_join_to_the_text() {
        for text in ["", "a", "abcd", "abcde", "🦀東京é🦀🦀a", "ααααββββγ"] {
            let pieces: Vec<&str> = pieces(text).map(|range| &text[range]).collect();
            assert_eq!(pieces.concat(), text);
            assert_eq!(pieces.len() as u64, count_tokens(text), "{text:?}");
        }
    }

    #[test]
    fn the_earliest_stop_sequence_cuts_and_the_limit_comes_after_it() {
        let stops = Call {
            stop: vec![String::new(), "dog".into(), "fox".into()],
            ..call()
        };
        let choice = Choice::text("the quick fox and the dog".into(), &stops);
        assert_eq!(
            (choice.text.as_deref(), choice.finish),
            (Some("the quick "), Finish::Stop)
        );
        let both = Call {
            max_tokens: Some(2),
            ..stops
        };
        let choice = Choice::text("the quick fox and the dog".into(), &both);
        assert_eq!(
            (choice.text.as_deref(), choice.finish),
            (Some("the quic"), Finish::Length)
        );
        assert_eq!(choice.tokens(), 2);
    }

    #[test]
    fn a_limit_that_is_just_met_cuts_nothing() {
        let limited = Call {
            max_tokens: Some(2),
            ..call()
        };
        assert_eq!(Choice::text("αβγδεζηθ".into(), &limited).finish, Finish::Stop);
        let tools = Choice::tools(vec![ToolCall::new("f", r#"{"a":12345}"#)], &limited);
        assert_eq!(
            (tools.finish, tools.tools[0].arguments.as_str()),
            (Finish::Length, r#"{"a":123"#)
        );
    }
}
