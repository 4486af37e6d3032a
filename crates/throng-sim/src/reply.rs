//! What a reply holds and in which events it is streamed, whatever the wire.

use std::ops::Range;

use crate::call::Call;
use crate::text::{CHARS_PER_TOKEN, count_tokens};

/// Two characters that stand for the halves of a surrogate pair until the bytes are written; see
/// [`Fault::SplitSurrogates`](crate::Fault::SplitSurrogates).
pub(crate) const HALVES: [char; 2] = ['\u{10FFFE}', '\u{10FFFF}'];

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

/// What a reply says.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) id: u64,
    pub(crate) model: String,
    pub(crate) include_usage: bool,
    pub(crate) input_tokens: u64,
    /// All tokens that were written, those of the reasoning included.
    pub(crate) output_tokens: u64,
    pub(crate) reasoning_tokens: u64,
    pub(crate) choices: Vec<Choice>,
    /// The surrogates that [`HALVES`] stand for, if the text holds these.
    pub(crate) surrogates: Option<[u16; 2]>,
}

impl Reply {
    pub(crate) fn choice(&self, choice: usize) -> Option<&Choice> {
        self.choices.get(choice)
    }

    pub(crate) fn tool(&self, choice: usize, tool: usize) -> Option<&ToolCall> {
        self.choice(choice).and_then(|choice| choice.tools.get(tool))
    }

    /// Returns these bytes of a choice's text.
    pub(crate) fn text(&self, choice: usize, bytes: &Range<usize>) -> &str {
        let text = self.choice(choice).and_then(|choice| choice.text.as_deref());
        text.and_then(|text| text.get(bytes.clone())).unwrap_or_default()
    }

    /// Returns these bytes of a choice's reasoning.
    pub(crate) fn reasoning(&self, choice: usize, bytes: &Range<usize>) -> &str {
        let text = self.choice(choice).and_then(|choice| choice.reasoning.as_deref());
        text.and_then(|text| text.get(bytes.clone())).unwrap_or_default()
    }

    /// Returns these bytes of the arguments of a tool call.
    pub(crate) fn arguments(&self, choice: usize, tool: usize, bytes: &Range<usize>) -> &str {
        let call = self.tool(choice, tool);
        call.and_then(|call| call.arguments.get(bytes.clone()))
            .unwrap_or_default()
    }

    /// Sets the counts to what the choices hold.
    pub(crate) fn count(&mut self) {
        self.output_tokens = self.choices.iter().map(Choice::tokens).sum();
        self.reasoning_tokens = self.choices.iter().map(Choice::reasoning_tokens).sum();
    }
}

/// One of the alternative answers of a reply.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) reasoning: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tools: Vec<ToolCall>,
    pub(crate) finish: Finish,
}

/// Why a choice ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    /// This stop sequence came.
    StopSequence(String),
    Length,
    ToolCalls,
    ContentFilter,
    /// An empty text where the reason should stand.
    Empty,
}

/// What a choice is made of, before it is cut to what the call allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) reasoning: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tools: Vec<ToolCall>,
}

impl Choice {
    /// Makes a choice. The call's stop sequences cut the text; its limit cuts first the reasoning, then the text with
    /// what is left, then the arguments of each tool call.
    pub(crate) fn new(parts: Parts, call: &Call) -> Self {
        let Parts {
            mut reasoning,
            mut text,
            mut tools,
        } = parts;
        let mut left = call.max_tokens;
        let mut cut = false;
        let mut take = |text: &mut String| {
            cut |= cut_to(text, left);
            left = left.map(|left| left.saturating_sub(count_tokens(text)));
        };
        let mut stopped = None;
        if let Some(reasoning) = &mut reasoning {
            take(reasoning);
        }
        if let Some(text) = &mut text {
            let stops = call.stop.iter().filter(|stop| !stop.is_empty());
            if let Some((at, stop)) = stops
                .filter_map(|stop| Some((text.find(stop.as_str())?, stop)))
                .min()
            {
                text.truncate(at);
                stopped = Some(stop.clone());
            }
            take(text);
        }
        for tool in &mut tools {
            cut |= cut_to(&mut tool.arguments, left);
        }
        let finish = match stopped {
            _ if cut => Finish::Length,
            _ if !tools.is_empty() => Finish::ToolCalls,
            Some(stop) => Finish::StopSequence(stop),
            None => Finish::Stop,
        };
        Self {
            reasoning,
            text,
            tools,
            finish,
        }
    }

    /// Makes a choice of text.
    #[cfg(test)]
    pub(crate) fn text(text: String, call: &Call) -> Self {
        let parts = Parts {
            text: Some(text),
            ..Parts::default()
        };
        Self::new(parts, call)
    }

    /// Returns the place of the text among the parts of the choice: reasoning, text, tool calls.
    pub(crate) fn text_place(&self) -> usize {
        usize::from(self.reasoning.is_some())
    }

    /// Returns the place of a tool call among the parts of the choice.
    pub(crate) fn tool_place(&self, tool: usize) -> usize {
        self.text_place() + usize::from(self.text.is_some()) + tool
    }

    pub(crate) fn reasoning_tokens(&self) -> u64 {
        self.reasoning.as_deref().map_or(0, count_tokens)
    }

    pub(crate) fn tokens(&self) -> u64 {
        let tools = self
            .tools
            .iter()
            .map(|tool| count_tokens(&tool.name) + count_tokens(&tool.arguments));
        self.reasoning_tokens() + self.text.as_deref().map_or(0, count_tokens) + tools.sum::<u64>()
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

/// One step of a streamed reply, in words that every wire says in its own way, be it with no byte at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The reply begins.
    Open,
    /// A choice begins.
    Start {
        choice: usize,
    },
    ReasoningStart {
        choice: usize,
    },
    /// A piece of a choice's reasoning: these bytes of it.
    Reasoning {
        choice: usize,
        bytes: Range<usize>,
    },
    ReasoningEnd {
        choice: usize,
    },
    TextStart {
        choice: usize,
    },
    /// A piece of a choice's text: these bytes of it.
    Text {
        choice: usize,
        bytes: Range<usize>,
    },
    TextEnd {
        choice: usize,
    },
    ToolStart {
        choice: usize,
        tool: usize,
    },
    /// A piece of a tool call's arguments.
    ToolArguments {
        choice: usize,
        tool: usize,
        bytes: Range<usize>,
    },
    ToolEnd {
        choice: usize,
        tool: usize,
    },
    /// The beginning of a tool call that will not end, from the wires that write calls whole.
    ToolTorn {
        choice: usize,
        tool: usize,
    },
    /// A choice ends.
    Finish {
        choice: usize,
    },
    /// The tokens of the whole reply, where a wire has an event for them.
    Usage,
    /// The tokens written so far, where a wire has a place for them.
    UsageSoFar,
    /// The end mark.
    Done,
    /// The server failed in mid-stream; what `masked` says is in [`Protocol::error`](crate::wire::Protocol::error).
    Error {
        masked: bool,
    },
    /// An event that cannot be decoded.
    Garbage,
    /// Something that means nothing but that the server is alive; forms that a wire has several of take turns.
    KeepAlive {
        turn: usize,
    },
    /// Something that a client of today cannot know; forms take turns.
    Unknown {
        turn: usize,
    },
}

impl Event {
    /// Returns true for the events that carry a token.
    pub(crate) const fn is_token(&self) -> bool {
        matches!(
            self,
            Self::Reasoning { .. } | Self::Text { .. } | Self::ToolArguments { .. }
        )
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Form;

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
            rounds: 0,
            tools: Vec::new(),
            no_reasoning: false,
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
            (choice.text.as_deref(), choice.finish.clone()),
            (Some("the quick "), Finish::StopSequence("fox".into()))
        );
        let both = Call {
            max_tokens: Some(2),
            ..stops
        };
        let choice = Choice::text("the quick fox and the dog".into(), &both);
        assert_eq!(
            (choice.text.as_deref(), choice.finish.clone()),
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
        let tools = Choice::new(
            Parts {
                tools: vec![ToolCall::new("f", r#"{"a":12345}"#)],
                ..Parts::default()
            },
            &limited,
        );
        assert_eq!(
            (tools.finish, tools.tools[0].arguments.as_str()),
            (Finish::Length, r#"{"a":123"#)
        );
    }
}
