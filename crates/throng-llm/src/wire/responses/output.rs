//! What the items of a response mean, whether they come one by one or together at the end.

use std::borrow::Cow;

use serde_json::Value;

use super::items::Place;
use super::protocol::{Source, Taking};
use crate::LlmError;
use crate::wire::draft::Channel;
use crate::wire::surrogate::whole;

impl Taking<'_> {
    /// Takes the items of a whole response, of which most have come before as a rule.
    pub(super) fn output(&mut self, items: &[Value]) -> Result<(), LlmError> {
        let items_seen = self.response.items_seen;
        let ids: Vec<_> = items.iter().filter_map(|item| text(item, "call_id")).collect();
        // Where the ids are not those of the stream, there is no telling which calls are new.
        let same_ids = self.response.items.calls().iter().all(|call| {
            let id = call.call_id.as_deref();
            id.is_some_and(|id| ids.contains(&id))
        });
        for (at, item) in items.iter().enumerate() {
            let place = place(Some(at as u64), item);
            if is_call(item).is_some() && !same_ids && self.response.items.find(place).is_none() {
                continue;
            }
            if !self.item(Source::Response, Some(at as u64), item)? && !items_seen {
                self.unknown(&item.to_string());
            }
        }
        for at in 0..self.response.items.calls().len() {
            self.fill(at, None)?;
        }
        Ok(())
    }

    /// Takes the beginning of an item. Returns false if it is not known.
    pub(super) fn item_begins(&mut self, index: Option<u64>, item: &Value) -> Result<bool, LlmError> {
        let Some(custom) = is_call(item) else {
            let known = matches!(text(item, "type"), Some("message" | "reasoning"));
            if known {
                self.draft.start(self.events);
            }
            return Ok(known);
        };
        let place = place(index, item);
        let again = self.response.items.find(Place {
            output_index: None,
            ..place
        });
        let at = match again.filter(|_| place.call_id.or(place.item_id).is_some()) {
            Some(at) => at,
            None => self.open(place, custom, item)?,
        };
        let input = arguments(item, custom).filter(|input| !input.is_empty());
        if let Some(call) = self.response.items.get_mut(at)
            && input.is_some()
        {
            call.input = input;
        }
        Ok(true)
    }

    /// Takes a whole item. Returns false if it has something that is not known.
    pub(super) fn item(
        &mut self,
        source: Source,
        index: Option<u64>,
        item: &Value,
    ) -> Result<bool, LlmError> {
        let parts = |name| item.get(name).and_then(Value::as_array).into_iter().flatten();
        let mut known = true;
        match text(item, "type") {
            Some("message") => {
                for part in parts("content") {
                    match text(part, "type") {
                        Some("output_text") => {
                            self.say(source, Channel::Text, borrowed(part, "text"), None)?;
                            let cited = part.get("annotations").and_then(Value::as_array);
                            // In a stream each has come by itself.
                            known &= self.response.items_seen || cited.is_none_or(Vec::is_empty);
                        }
                        Some("refusal") => {
                            self.say(source, Channel::Refusal, borrowed(part, "refusal"), None)?;
                        }
                        _ => known = false,
                    }
                }
            }
            Some("reasoning") => {
                for part in parts("summary").chain(parts("content")) {
                    self.say(source, Channel::Reasoning, borrowed(part, "text"), None)?;
                }
                let echo = ["encrypted_content", "id"];
                if echo.iter().any(|name| text(item, name).is_some()) && self.takes(source, 3) {
                    self.draft.say_opaque(item.clone(), self.events)?;
                }
            }
            _ => match is_call(item) {
                Some(custom) => self.call(place(index, item), custom, item)?,
                None => known = false,
            },
        }
        Ok(known)
    }

    /// Takes a whole call.
    fn call(&mut self, place: Place<'_>, custom: bool, item: &Value) -> Result<(), LlmError> {
        let at = match self.response.items.find(place) {
            Some(at) => at,
            None => self.open(place, custom, item)?,
        };
        self.fill(at, arguments(item, custom))?;
        let Some(call) = self.response.items.get_mut(at) else {
            return Ok(());
        };
        let (key, status) = (call.key, text(item, "status"));
        self.draft.with_calls(self.events, |calls, _, give| {
            match status {
                _ if !custom => calls.close(key, give),
                Some("completed") => calls.finish(key, give),
                // A text shows nothing of its being whole.
                _ => calls.doubt(key),
            }
            Ok(())
        })
    }

    fn open(&mut self, place: Place<'_>, custom: bool, item: &Value) -> Result<usize, LlmError> {
        let id = place.call_id.or(place.item_id).map(str::to_owned);
        let name = text(item, "name").unwrap_or_default().to_owned();
        let key = self.response.items.calls().len() as u64;
        self.draft.with_calls(self.events, |calls, limits, give| {
            calls.open(key, id, name, limits, give)
        })?;
        Ok(self.response.items.add(place, custom))
    }

    /// Completes the arguments of a call by the whole text of them, as far as that continues what came in pieces.
    fn fill(&mut self, at: usize, arguments: Option<String>) -> Result<(), LlmError> {
        let Some(call) = self.response.items.get_mut(at) else {
            return Ok(());
        };
        let key = call.key;
        let Some(all) = arguments
            .filter(|all| !all.is_empty())
            .or_else(|| call.input.take())
        else {
            return Ok(());
        };
        self.draft.with_calls(self.events, |calls, limits, give| {
            let rest = calls.arguments(key).and_then(|so_far| all.strip_prefix(so_far));
            if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
                let rest = rest.to_owned();
                calls.append(key, rest.into(), None, limits, give)?;
            }
            Ok(())
        })
    }

    /// Takes a piece of a call's arguments. Returns false if there is no such call.
    pub(super) fn arguments(
        &mut self,
        place: Place<'_>,
        piece: Cow<'_, str>,
        marker: Option<char>,
    ) -> Result<bool, LlmError> {
        let Some(at) = self.response.items.find(place) else {
            return Ok(false);
        };
        let key = self
            .response
            .items
            .get_mut(at)
            .map(|call| call.key)
            .unwrap_or_default();
        self.draft.with_calls(self.events, |calls, limits, give| {
            calls.append(key, piece, marker, limits, give)
        })
    }

    /// Takes the whole arguments of a call. Returns false if there is no such call.
    pub(super) fn all_arguments(
        &mut self,
        place: Place<'_>,
        all: Option<Cow<'_, str>>,
        marker: Option<char>,
    ) -> Result<bool, LlmError> {
        let Some(at) = self.response.items.find(place) else {
            return Ok(false);
        };
        self.fill(at, all.map(|all| whole(all, marker)))?;
        let call = self
            .response
            .items
            .get_mut(at)
            .map(|call| (call.key, call.custom));
        if let Some((key, false)) = call {
            self.draft.with_calls(self.events, |calls, _, give| {
                calls.close(key, give);
                Ok(())
            })?;
        }
        Ok(true)
    }
}

/// Returns whether an item is a call of one of the caller's tools, and if so, whether its input is text.
fn is_call(item: &Value) -> Option<bool> {
    match text(item, "type") {
        Some("function_call") => Some(false),
        Some("custom_tool_call") => Some(true),
        _ => None,
    }
}

fn place(output_index: Option<u64>, item: &Value) -> Place<'_> {
    Place {
        output_index,
        item_id: text(item, "id"),
        call_id: text(item, "call_id"),
    }
}

fn arguments(item: &Value, custom: bool) -> Option<String> {
    match item.get(if custom { "input" } else { "arguments" })? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Returns a member that is a text and not empty.
fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn borrowed<'a>(value: &'a Value, name: &str) -> Option<Cow<'a, str>> {
    text(value, name).map(Cow::Borrowed)
}
