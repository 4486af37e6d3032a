//! The faults and in which proportion they come.

use std::fmt;

use fastrand::Rng;

/// A way in which a reply goes wrong.
///
/// What a fault looks like depends on whether the client asked for a stream. Each is described for a stream first. On
/// every [`Wire`](crate::Wire) it takes that wire's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Status 500 with the provider's JSON error body.
    ServerError,
    /// Status 500 with a body that is not JSON.
    ServerErrorText,
    /// Status 503 with the provider's JSON error body.
    Unavailable,
    /// Status 529 with the provider's JSON error body; 503 on the wires that do not have 529 (Gemini, Ollama).
    Overloaded,
    /// The connection is closed after some tokens. Without a stream: in the middle of the promised length.
    Cut,
    /// The stream has an error event after some tokens, and ends. Without a stream: the error with status 200.
    /// Responses has two such events, `response.failed` and `error`; which one comes follows from the plan.
    StreamError,
    /// As [`Fault::StreamError`], with an empty `choices` beside the error, and the usual end mark after it. On other
    /// wires the empty field is `output` (Responses, with `[DONE]` as its end mark), `content` (Anthropic),
    /// `candidates` (Gemini) or `message` (Ollama).
    StreamErrorBesideChoices,
    /// One event is replaced by bytes that are not JSON. Without a stream: the body is not JSON.
    Garbage,
    /// Status 200 with an HTML page.
    HtmlPage,
    /// The stream makes long pauses, and ends well. Without a stream: the body comes in parts.
    Slow,
    /// The connection is closed before any byte of a response.
    Dropped,
    /// The stream ends cleanly after some tokens, without a finish reason or end mark. Without a stream: half of
    /// the JSON, as if it were whole.
    MissingTerminal,
    /// Status 200 with an empty body.
    EmptyBody,
    /// The stream begins with a UTF-8 byte order mark, and is whole. Without a stream: the usual answer.
    Bom,
    /// An emoji is cut into its two surrogates, each escaped in a delta of its own, and the stream is whole. It is the
    /// first character of the text beyond U+FFFF; a text without one gets `🦀` at its end. Without a stream: the two
    /// escapes side by side. An answer without text, or of JSON without such a character, is the usual one.
    SplitSurrogates,
    /// The reason for which the answer ended is an empty text, and never another; the rest is as usual. Where the end
    /// is told by more than a reason (Responses, Ollama), that is missing too: a response without a status in an event
    /// without a name, a last line that is not `done`. Without a stream: the same in the body.
    EmptyFinish,
    /// The stream ends cleanly within the arguments of the last tool call; a wire that writes calls whole ends within the
    /// call's event. For answers without tool calls, and without a stream: as [`Fault::MissingTerminal`].
    CutToolArguments,
    /// Between the events are such as only say that the server is alive (comments, pings, `data: null`, empty lines), and
    /// the stream is whole. Without a stream: white space before the JSON.
    KeepAlives,
    /// The whole answer as `application/json`, although a stream was asked for. Without a stream: the usual answer.
    JsonInsteadOfStream,
    /// Between the events are such as a client of today cannot know: new types, new parts, new fields; the stream is
    /// whole. Without a stream: a field that is not known.
    UnknownEvents,
    /// The error that says that what was paid for is used up: status 429 with `insufficient_quota` (OpenAI) or with a
    /// failed daily quota (Gemini), 402 with `billing_error` (Anthropic) or with a text (Ollama).
    QuotaExhausted,
    /// Status 400 with the error that says that the prompt is too long, and how long it may be.
    ContextOverflow,
    /// The content filter steps in: about half of the text with the finish reason `content_filter` (Chat Completions,
    /// Responses as an incomplete response) or the stop reason `refusal` (Anthropic), no candidates and a
    /// `blockReason` (Gemini), status 400 (Ollama).
    ContentFilter,
    /// The usage comes several times, always of all so far, and some numbers are 0 at first; the stream is whole. Wires
    /// that send usage only if asked send it all the same. Without a stream: the usual answer.
    UsageTwice,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 24] = [
        Self::ServerError,
        Self::ServerErrorText,
        Self::Unavailable,
        Self::Overloaded,
        Self::Cut,
        Self::StreamError,
        Self::StreamErrorBesideChoices,
        Self::Garbage,
        Self::HtmlPage,
        Self::Slow,
        Self::Dropped,
        Self::MissingTerminal,
        Self::EmptyBody,
        Self::Bom,
        Self::SplitSurrogates,
        Self::EmptyFinish,
        Self::CutToolArguments,
        Self::KeepAlives,
        Self::JsonInsteadOfStream,
        Self::UnknownEvents,
        Self::QuotaExhausted,
        Self::ContextOverflow,
        Self::ContentFilter,
        Self::UsageTwice,
    ];

    /// Returns the name as it stands in logs: `server_error`, `cut` and so on.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServerError => "server_error",
            Self::ServerErrorText => "server_error_text",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Cut => "cut",
            Self::StreamError => "stream_error",
            Self::StreamErrorBesideChoices => "stream_error_beside_choices",
            Self::Garbage => "garbage",
            Self::HtmlPage => "html_page",
            Self::Slow => "slow",
            Self::Dropped => "dropped",
            Self::MissingTerminal => "missing_terminal",
            Self::EmptyBody => "empty_body",
            Self::Bom => "bom",
            Self::SplitSurrogates => "split_surrogates",
            Self::EmptyFinish => "empty_finish",
            Self::CutToolArguments => "cut_tool_arguments",
            Self::KeepAlives => "keep_alives",
            Self::JsonInsteadOfStream => "json_instead_of_stream",
            Self::UnknownEvents => "unknown_events",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ContextOverflow => "context_overflow",
            Self::ContentFilter => "content_filter",
            Self::UsageTwice => "usage_twice",
        }
    }

    /// Returns the fault with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == name)
    }

    /// Returns true if the client still gets the whole answer, and has to take it.
    pub const fn still_succeeds(self) -> bool {
        matches!(
            self,
            Self::Slow
                | Self::Bom
                | Self::SplitSurrogates
                | Self::KeepAlives
                | Self::JsonInsteadOfStream
                | Self::UnknownEvents
                | Self::UsageTwice
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How often each fault comes among those that come at all: weights, which need not add up to anything.
///
/// The default is what clients meet in life, of 100 faults: 30 `server_error`, 8 `server_error_text`,
/// 12 `unavailable`, 8 `overloaded`, 18 `cut`, 10 `slow`, 6 `dropped`, 4 `stream_error`,
/// 2 `stream_error_beside_choices`, 2 `missing_terminal`, and none of the others. A client that retries what can be
/// retried therefore gets every answer in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultMix {
    weights: Vec<(Fault, u32)>,
}

impl FaultMix {
    /// Makes a mix without any fault, to be filled by [`FaultMix::with`].
    pub const fn none() -> Self {
        Self { weights: Vec::new() }
    }

    /// Makes a mix of one fault.
    pub fn only(fault: Fault) -> Self {
        Self::none().with(fault, 1)
    }

    /// Sets the weight of one fault; 0 takes it out.
    #[must_use]
    pub fn with(mut self, fault: Fault, weight: u32) -> Self {
        self.weights.retain(|(known, _)| *known != fault);
        if weight > 0 {
            self.weights.push((fault, weight));
            self.weights.sort_unstable();
        }
        self
    }

    /// Returns the faults with their weights.
    pub fn weights(&self) -> impl Iterator<Item = (Fault, u32)> + '_ {
        self.weights.iter().copied()
    }

    /// Draws a fault; none if the mix is empty.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Option<Fault> {
        let total: u64 = self.weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return None;
        }
        let mut left = rng.u64(0..total);
        for (fault, weight) in &self.weights {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return Some(*fault),
            }
        }
        None
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }
}

impl Default for FaultMix {
    fn default() -> Self {
        [
            (Fault::ServerError, 30),
            (Fault::ServerErrorText, 8),
            (Fault::Unavailable, 12),
            (Fault::Overloaded, 8),
            (Fault::Cut, 18),
            (Fault::Slow, 10),
            (Fault::Dropped, 6),
            (Fault::StreamError, 4),
            (Fault::StreamErrorBesideChoices, 2),
            (Fault::MissingTerminal, 2),
        ]
        .into_iter()
        .fold(Self::none(), |mix, (fault, weight)| mix.with(fault, weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn names_are_distinct_and_lead_back() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_name(fault.as_str()), Some(fault));
        }
        assert_eq!(Fault::from_name("no such fault"), None);
    }

    #[test]
    fn the_default_weights_add_up_to_a_hundred_and_are_met() {
        let mix = FaultMix::default();
        assert_eq!(mix.weights().map(|(_, weight)| weight).sum::<u32>(), 100);
        let mut rng = Rng::with_seed(5);
        let mut met = BTreeMap::<Fault, u32>::new();
        for _ in 0..100_000 {
            *met.entry(mix.pick(&mut rng).unwrap()).or_default() += 1;
        }
        for (fault, weight) in mix.weights() {
            let share = f64::from(met[&fault]) / 1000.0;
            assert!(
                (share - f64::from(weight)).abs() < 0.6,
                "{fault}: {share} instead of {weight}"
            );
        }
        assert_eq!(met.len(), mix.weights().count());
    }

    #[test]
    fn a_weight_of_zero_takes_a_fault_out() {
        let mix = FaultMix::only(Fault::Cut)
            .with(Fault::Slow, 3)
            .with(Fault::Cut, 0);
        assert_eq!(mix, FaultMix::none().with(Fault::Slow, 3));
        assert_eq!(FaultMix::none().pick(&mut Rng::with_seed(1)), None);
    }
}
