//! Scripts: a test says which request meets what.

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use tokio::sync::watch;

use crate::batch::BatchFault;
use crate::fault::Fault;
use crate::latency::LONGEST;
use crate::reply::ToolCall;

/// Which requests a scripted behaviour is for. All conditions must hold; a match without any holds for every
/// request.
#[derive(Clone, Debug, Default)]
pub struct Match {
    contains: Option<String>,
    nth: Option<u64>,
    attempt: Option<u32>,
    times: Option<u32>,
    tool_round: Option<u32>,
}

impl Match {
    /// Matches every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Matches one request, whichever comes first. Several such rules make a queue.
    pub fn once() -> Self {
        Self::any().times(1)
    }

    /// Matches the prompts that contain `text`.
    pub fn prompt_contains(text: impl Into<String>) -> Self {
        Self {
            contains: Some(text.into()),
            ..Self::default()
        }
    }

    /// Matches the `n`-th request only, from 1, counting all that were well formed, whatever was answered.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = Some(n);
        self
    }

    /// Matches the attempts with this number only, from 1, of whichever prompt.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// Matches conversations in which tools were called so often since the user last said something: 0 matches those
    /// that begin, 1 those that bring the results of the first calls, and so on.
    #[must_use]
    pub fn tool_round(mut self, round: u32) -> Self {
        self.tool_round = Some(round);
        self
    }

    /// Matches at most so many requests, the first ones for which the other conditions hold.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// What a scripted request meets. Scripted requests are subject to no limit, and count as attempts of their prompt.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Behaviour {
    /// The usual answer, without a fault.
    Answer,
    /// This text in place of the usual answer.
    Text(String),
    /// These tool calls in place of the usual answer.
    ToolCalls(Vec<ToolCall>),
    /// The usual answer with reasoning before it, of the configured length or of 6 to 24 tokens:
    /// [`expected_reasoning`](crate::expected_reasoning).
    Reasoning,
    /// This reasoning, text and tool calls in place of the usual answer.
    Reply(ScriptedReply),
    /// A fault, placed in the stream as for an unscripted request.
    Fault(Fault),
    /// The usual plans for the agents of a prompt, with something wrong in what they say.
    Batch(BatchFault),
    /// A response given byte by byte.
    Raw(RawReply),
    /// The usual answer, which stops at a place until the gate is opened.
    Hold {
        /// Where it stops.
        at: HoldAt,
        /// What lets it go on.
        gate: Gate,
    },
}

/// What a reply says, by its parts. A wire sends them in this order: reasoning, text, tool calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptedReply {
    pub(crate) reasoning: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) tools: Vec<ToolCall>,
}

impl ScriptedReply {
    /// Makes a reply that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the reasoning.
    #[must_use]
    pub fn reasoning(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// Sets the text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Adds a tool call.
    #[must_use]
    pub fn tool_call(mut self, call: ToolCall) -> Self {
        self.tools.push(call);
        self
    }
}

/// Where a held response stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldAt {
    /// Before the response's head.
    Head,
    /// After so many tokens of a stream. Without a stream this is the same as [`HoldAt::Head`].
    Tokens(u32),
}

/// Lets held responses go on. Clones are the same gate; once open, it stays open.
#[derive(Clone, Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
}

impl Gate {
    /// Makes a closed gate.
    pub fn new() -> Self {
        Self {
            open: watch::Sender::new(false),
        }
    }

    /// Opens the gate.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Returns how many responses stand before the gate.
    pub fn n_waiting(&self) -> usize {
        self.open.receiver_count()
    }

    pub(crate) async fn opened(self) {
        let mut opened = self.open.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = opened.wait_for(|open| *open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// A response given byte by byte.
///
/// It has status 200 and, unless a header says otherwise, the content type `text/event-stream`. It is sent at once,
/// whatever the configured latency.
#[derive(Clone, Debug)]
pub struct RawReply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) pause: Duration,
    pub(crate) ends: bool,
}

impl RawReply {
    /// Makes a response with this body, in one chunk.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            chunks: vec![body.into()],
            pause: Duration::ZERO,
            ends: true,
        }
    }

    /// Makes a response from chunks, each of which is written and flushed by itself.
    pub fn chunks(chunks: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        let chunks = chunks
            .into_iter()
            .map(Into::into)
            .filter(|chunk: &Bytes| !chunk.is_empty())
            .collect();
        Self {
            chunks,
            ..Self::new(Bytes::new())
        }
    }

    /// Makes a response with a status and a JSON body.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self {
            status,
            headers: vec![(hyper::header::CONTENT_TYPE, json)],
            ..Self::new(body)
        }
    }

    /// Splits the body into chunks of `size` bytes, wherever characters and lines end.
    #[must_use]
    pub fn split(mut self, size: NonZeroUsize) -> Self {
        let body: Bytes = self.chunks.concat().into();
        self.chunks = (0..body.len())
            .step_by(size.get())
            .map(|from| body.slice(from..(from + size.get()).min(body.len())))
            .collect();
        self
    }

    /// Sets the pause between two chunks. Without one, chunks are flushed one by one, but the client may still read
    /// several at once. At most an hour.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause.min(LONGEST);
        self
    }

    /// Sets the status. A number that is no final HTTP status (200 to 599) is sent as 500.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets a header. A name or a value that HTTP does not allow is left out, and so are `content-length` and
    /// `transfer-encoding`, which follow from the chunks: a single chunk that ends properly has a length, all else
    /// is sent in chunks.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            if name == hyper::header::CONTENT_LENGTH || name == hyper::header::TRANSFER_ENCODING {
                return self;
            }
            self.headers.retain(|(known, _)| known != name);
            self.headers.push((name, value));
        }
        self
    }

    /// Closes the connection after the last chunk, in place of ending the body.
    #[must_use]
    pub fn without_end(mut self) -> Self {
        self.ends = false;
        self
    }
}

/// The rules of a server with what is left of them.
#[derive(Debug, Default)]
pub(crate) struct Script {
    rules: Vec<Rule>,
    n_seen: u64,
}

#[derive(Debug)]
struct Rule {
    on: Match,
    behaviour: Behaviour,
    used: u32,
}

impl Script {
    pub(crate) fn new(rules: &[(Match, Behaviour)]) -> Self {
        let mut script = Self::default();
        rules
            .iter()
            .for_each(|(on, behaviour)| script.push(on.clone(), behaviour.clone()));
        script
    }

    pub(crate) fn push(&mut self, on: Match, behaviour: Behaviour) {
        self.rules.push(Rule {
            on,
            behaviour,
            used: 0,
        });
    }

    /// Counts a request and returns what the first rule that matches it says.
    pub(crate) fn next(&mut self, prompt: &str, tool_round: u32, attempt: u32) -> Option<Behaviour> {
        self.n_seen += 1;
        let n_seen = self.n_seen;
        let rule = self.rules.iter_mut().find(|Rule { on, used, .. }| {
            on.times.is_none_or(|times| *used < times)
                && on.nth.is_none_or(|nth| nth == n_seen)
                && on.attempt.is_none_or(|wanted| wanted == attempt)
                && on.tool_round.is_none_or(|wanted| wanted == tool_round)
                && on.contains.as_ref().is_none_or(|text| prompt.contains(text))
        })?;
        rule.used = rule.used.saturating_add(1);
        Some(rule.behaviour.clone())
    }

    /// Forgets which rules were used.
    pub(crate) fn rewind(&mut self) {
        self.n_seen = 0;
        self.rules.iter_mut().for_each(|rule| rule.used = 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(script: &mut Script, prompt: &str, attempt: u32) -> String {
        match script.next(prompt, 0, attempt) {
            Some(Behaviour::Text(text)) => text,
            _ => String::new(),
        }
    }

    fn text(text: &str) -> Behaviour {
        Behaviour::Text(text.to_owned())
    }

    #[test]
    fn the_first_rule_that_matches_and_is_not_used_up_wins() {
        let mut script = Script::new(&[
            (Match::prompt_contains("cat").attempt(2), text("second cat")),
            (Match::any().nth(2), text("second request")),
            (Match::once(), text("first of the queue")),
            (Match::prompt_contains("cat").times(2), text("cat")),
        ]);
        let all = |script: &mut Script| {
            [
                ("a cat", 1),
                ("a dog", 1),
                ("a cat", 2),
                ("a cat", 3),
                ("a cat", 4),
                ("a cat", 5),
            ]
            .map(|(prompt, attempt)| met(script, prompt, attempt))
        };
        let expected = [
            "first of the queue",
            "second request",
            "second cat",
            "cat",
            "cat",
            "",
        ];
        assert_eq!(all(&mut script), expected);
        assert_eq!(met(&mut script, "a cat", 6), "");
        script.rewind();
        assert_eq!(all(&mut script), expected);
    }

    #[test]
    fn splitting_keeps_the_bytes() {
        for size in 1..12 {
            let raw = RawReply::new("αβγδε").split(NonZeroUsize::new(size).unwrap());
            assert_eq!(raw.chunks.concat(), "αβγδε".as_bytes());
            assert!(
                raw.chunks
                    .iter()
                    .all(|chunk| chunk.len() <= size && !chunk.is_empty())
            );
        }
    }
}
