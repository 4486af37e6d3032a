//! The tool calls of one answer: which call a fragment belongs to, and when a call is whole.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::chat::chunk::{Fragment, Function};
use super::surrogate::{self, Joiner};
use crate::{Limited, Limits, StreamEvent, ToolCall};

/// The tool calls of one answer as far as they have arrived.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// How many calls were announced.
    slots: u32,
    /// Bytes of all arguments.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    /// The id that the provider gave.
    given_id: Option<String>,
    name: String,
    arguments: String,
    nesting: Nesting,
    joiner: Joiner,
    /// Number and id under which its start was given. The start waits for the name.
    announced: Option<(u32, String)>,
    /// Its end was given.
    ended: bool,
    /// That its arguments are a whole object is no sign that it is whole.
    doubtful: bool,
}

impl Calls {
    /// Takes a piece of a call. Returns false if it says nothing that is known. `touched` are the calls to which the
    /// other pieces of the same delta belong.
    ///
    /// # Errors
    ///
    /// Which limit the calls went over.
    pub(super) fn fragment(
        &mut self,
        fragment: Fragment<'_>,
        touched: &mut Vec<usize>,
        marker: Option<char>,
        limits: &Limits,
        give: &mut dyn FnMut(StreamEvent),
    ) -> Result<bool, Limited> {
        let id = fragment
            .id
            .0
            .map(|id| surrogate::whole(id, marker))
            .filter(|id| !id.is_empty());
        let Function { name, arguments } = match fragment.function.0 {
            Some(function) => function,
            None if id.is_some() => Function::default(),
            None => return Ok(false),
        };
        let name = name
            .0
            .map(|name| surrogate::whole(name, marker))
            .filter(|name| !name.is_empty());
        let index = fragment.index.0;
        let at = match self.find(index, id.as_deref(), name.as_deref(), touched) {
            Some(at) => at,
            None if self.calls.len() >= limits.tool_calls => return Err(Limited::ToolCalls),
            None => {
                self.calls.push(Call {
                    index,
                    ..Call::default()
                });
                self.calls.len() - 1
            }
        };
        touched.push(at);
        let call = &mut self.calls[at];
        if call.given_id.is_none() {
            call.given_id = id;
        }
        if let Some(name) = name
            && call.announced.is_none()
        {
            call.name = name;
            self.announce(at, give);
        }
        if let Some(arguments) = arguments.0 {
            let fragment = self.calls[at].joiner.join(arguments, marker);
            self.bytes += fragment.len();
            if self.bytes > limits.tool_args_bytes {
                return Err(Limited::ToolArguments);
            }
            self.calls[at].append(fragment, give);
        }
        Ok(true)
    }

    /// Begins the call of this index, unless it has begun.
    ///
    /// # Errors
    ///
    /// If there are more calls than allowed.
    pub(super) fn open(
        &mut self,
        index: u64,
        id: Option<String>,
        name: String,
        limits: &Limits,
        give: &mut dyn FnMut(StreamEvent),
    ) -> Result<(), Limited> {
        let at = match self.at(index) {
            Some(at) => at,
            None if self.calls.len() >= limits.tool_calls => return Err(Limited::ToolCalls),
            None => {
                self.calls.push(Call {
                    index: Some(index),
                    ..Call::default()
                });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        if call.given_id.is_none() {
            call.given_id = id.filter(|id| !id.is_empty());
        }
        if call.announced.is_none() {
            call.name = name;
            self.announce(at, give);
        }
        Ok(())
    }

    /// Adds a piece to the arguments of the call of this index. Returns false if there is no such call.
    ///
    /// # Errors
    ///
    /// If the arguments are larger than allowed.
    pub(super) fn append(
        &mut self,
        index: u64,
        piece: Cow<'_, str>,
        marker: Option<char>,
        limits: &Limits,
        give: &mut dyn FnMut(StreamEvent),
    ) -> Result<bool, Limited> {
        let Some(at) = self.at(index) else {
            return Ok(false);
        };
        let fragment = self.calls[at].joiner.join(piece, marker);
        self.bytes += fragment.len();
        if self.bytes > limits.tool_args_bytes {
            return Err(Limited::ToolArguments);
        }
        self.calls[at].append(fragment, give);
        Ok(true)
    }

    /// Returns the arguments of the call of this index so far.
    pub(super) fn arguments(&self, index: u64) -> Option<&str> {
        self.at(index).map(|at| &*self.calls[at].arguments)
    }

    /// Ends the call of this index if its arguments are a whole object. Where they are not, why the model stopped
    /// decides at the end of the answer whether the call was cut.
    pub(super) fn close(&mut self, index: u64, give: &mut dyn FnMut(StreamEvent)) {
        if let Some(at) = self.at(index) {
            self.calls[at].end_if_whole(give);
        }
    }

    /// Ends the call of this index, whatever its arguments are.
    pub(super) fn finish(&mut self, index: u64, give: &mut dyn FnMut(StreamEvent)) {
        if let Some(at) = self.at(index) {
            self.calls[at].end(give);
        }
    }

    /// Notes that the call of this index may be cut even if its arguments look whole: it ends only if the model
    /// stopped of itself.
    pub(super) fn doubt(&mut self, index: u64) {
        if let Some(at) = self.at(index) {
            self.calls[at].doubtful = true;
        }
    }

    /// Returns how many calls have begun.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    fn at(&self, index: u64) -> Option<usize> {
        self.calls.iter().rposition(|call| call.index == Some(index))
    }

    /// Ends the calls that are open, in the order in which they were announced, and returns whether there were any. If the answer
    /// was cut, only a call whose arguments are a whole object ends.
    pub(super) fn end(mut self, cut: bool, give: &mut dyn FnMut(StreamEvent)) -> bool {
        for at in 0..self.calls.len() {
            if let Some(half) = self.calls[at].joiner.finish() {
                self.calls[at].append(half.to_string(), give);
            }
            self.announce(at, give);
        }
        self.calls
            .sort_by_key(|call| call.announced.as_ref().map(|(slot, _)| *slot));
        let called = !self.calls.is_empty();
        for mut call in self.calls {
            if cut {
                call.end_if_whole(give);
            } else {
                call.end(give);
            }
        }
        called
    }

    /// Finds the call that a fragment continues. By the wire's rule that is the call of its index; servers that leave
    /// the index out, or send 0 for every call, are told by their ids and names.
    fn find(
        &self,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        touched: &[usize],
    ) -> Option<usize> {
        match (index, id) {
            (Some(index), id) => {
                let at = self.calls.iter().rposition(|call| call.index == Some(index))?;
                let given = self.calls[at].given_id.as_deref();
                (name.is_none() || id.is_none() || given.is_none() || given == id).then_some(at)
            }
            (None, Some(id)) => self
                .calls
                .iter()
                .position(|call| call.given_id.as_deref() == Some(id)),
            (None, None) => {
                let last = self.calls.len().checked_sub(1)?;
                let call = &self.calls[last];
                // Two items of one delta are two calls, and a call that is whole is not continued.
                let continues =
                    |name| !touched.contains(&last) && call.name == name && !call.nesting.is_closed();
                name.is_none_or(continues).then_some(last)
            }
        }
    }

    fn announce(&mut self, at: usize, give: &mut dyn FnMut(StreamEvent)) {
        let call = &mut self.calls[at];
        if call.announced.is_some() {
            return;
        }
        let slot = self.slots;
        self.slots += 1;
        let id = call.given_id.clone().unwrap_or_else(|| format!("call_{slot}"));
        call.announced = Some((slot, id.clone()));
        give(StreamEvent::ToolCallStart {
            slot,
            id,
            name: call.name.clone(),
        });
        if !call.arguments.is_empty() {
            give(StreamEvent::ToolArgsDelta {
                slot,
                fragment: call.arguments.clone(),
            });
        }
    }
}

impl Call {
    fn end_if_whole(&mut self, give: &mut dyn FnMut(StreamEvent)) {
        if !self.doubtful && is_json_object(&self.arguments) {
            self.end(give);
        }
    }

    fn end(&mut self, give: &mut dyn FnMut(StreamEvent)) {
        if let Some((slot, id)) = &self.announced
            && !self.ended
        {
            self.ended = true;
            let call = ToolCall::new(id.clone(), self.name.clone(), self.arguments.clone());
            give(StreamEvent::ToolCallEnd { slot: *slot, call });
        }
    }

    fn append(&mut self, fragment: String, give: &mut dyn FnMut(StreamEvent)) {
        if fragment.is_empty() {
            return;
        }
        if self.ended {
            return;
        }
        self.nesting.feed(&fragment);
        self.arguments.push_str(&fragment);
        if let Some((slot, _)) = self.announced {
            give(StreamEvent::ToolArgsDelta { slot, fragment });
        }
    }
}

/// Follows the brackets of a JSON text, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    depth: u64,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Nesting {
    pub(super) fn feed(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.depth += 1;
                    self.begun = true;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Returns whether an object or a list was begun and is at its end.
    pub(super) fn is_closed(&self) -> bool {
        self.begun && self.depth == 0
    }

    /// Returns whether a string was begun and is not at its end.
    pub(super) fn is_in_string(&self) -> bool {
        self.in_string
    }
}

fn is_json_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}
