//! Values one behind the other, and which rule reads the next one (`json_parser.py`, `parse_comment.py`).

use serde_json::Value;

use super::cursor::{Context, Cursor, Failed, is_quote};
use crate::event::{Fix, Repair};
use crate::profile::run::Refused;

/// Repairs a text.
pub(crate) fn parse(text: &str, limit: u32) -> Result<(Value, Vec<Repair>), Refused> {
    let mut cursor = Cursor {
        text: text.chars().collect(),
        index: 0,
        contexts: Vec::new(),
        deferred: Vec::new(),
        tried_suffix: false,
        depth: 0,
        limit,
        fixes: Vec::new(),
    };
    let starts: Vec<u64> = text.char_indices().map(|(at, _)| at as u64).collect();
    let offset = |at: usize| starts.get(at).copied().unwrap_or(text.len() as u64);
    let value = cursor.top().map_err(|(at, message)| Refused {
        offset: offset(at),
        message,
    })?;
    let mut repairs: Vec<Repair> = cursor
        .fixes
        .iter()
        .map(|&(at, what)| Repair {
            offset: offset(at),
            what,
        })
        .collect();
    if repairs.is_empty() {
        repairs.push(Repair {
            offset: 0,
            what: Fix::TextSkipped,
        });
    }
    repairs.sort_by_key(|repair| repair.offset);
    repairs.dedup();
    Ok((value, repairs))
}

/// Whether Python takes a value for false.
pub(super) fn is_falsy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => is_empty(value),
    }
}

pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// Whether two values have the same types and keys throughout.
fn same_shape(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same_shape(value, other)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a.is_f64() == b.is_f64(),
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

impl Cursor {
    fn top(&mut self) -> Result<Value, Failed> {
        let first = self.json()?;
        if self.index >= self.len() {
            return Ok(first);
        }
        let mut values = vec![first];
        while self.index < self.len() {
            self.contexts.clear();
            self.deferred.clear();
            let comma = self.comma_separates();
            let value = self.json()?;
            if is_falsy(&value) {
                self.index += 1;
                continue;
            }
            // An object that repeats the one before is its update.
            let repeats = !comma && values.last().is_some_and(|last| same_shape(last, &value));
            if repeats || values.last().is_some_and(is_falsy) {
                values.pop();
            }
            values.push(value);
        }
        if values.len() == 1 {
            return Ok(values.remove(0));
        }
        self.fix(Fix::DocumentsJoined);
        Ok(Value::Array(values))
    }

    fn comma_separates(&self) -> bool {
        if self.get(self.past_space(0)) == Some(',') {
            return true;
        }
        let before = usize::try_from(self.index).unwrap_or(0).min(self.text.len());
        let before = self.text.get(..before).unwrap_or_default();
        before.iter().rev().find(|char| !char.is_whitespace()) == Some(&',')
    }

    /// Reads the rest as JSON, once, where a value begins behind some text.
    fn valid_suffix(&mut self) -> Option<Value> {
        if self.tried_suffix || !self.contexts.is_empty() || self.index == 0 {
            return None;
        }
        self.tried_suffix = true;
        let rest = self.slice(self.index, self.len());
        let mut values = serde_json::Deserializer::from_str(&rest).into_iter::<Value>();
        let value = values.next()?.ok()?;
        let read = rest
            .get(..values.byte_offset())
            .unwrap_or_default()
            .chars()
            .count();
        self.index += isize::try_from(read).unwrap_or(0);
        Some(value)
    }

    /// Reads the next value; an empty string if there is none.
    pub(super) fn json(&mut self) -> Result<Value, Failed> {
        self.enter()?;
        let deferred = std::mem::take(&mut self.deferred);
        let n = deferred.len();
        self.contexts.extend(deferred);
        let value = self.json_here();
        self.contexts.truncate(self.contexts.len().saturating_sub(n));
        self.depth -= 1;
        value
    }

    fn json_here(&mut self) -> Result<Value, Failed> {
        loop {
            let Some(char) = self.now() else {
                return Ok(Value::from(""));
            };
            if matches!(char, '{' | '[')
                && let Some(value) = self.valid_suffix()
            {
                return Ok(value);
            }
            let nested = !self.contexts.is_empty();
            match char {
                '{' => {
                    self.index += 1;
                    return self.object();
                }
                '[' => {
                    self.index += 1;
                    return Ok(Value::Array(self.array(']')?));
                }
                '(' if nested || self.paren_starts_value() => return self.parenthesized(),
                _ if nested && (is_quote(Some(char)) || char.is_alphabetic()) => return self.string(),
                _ if nested && (char.is_numeric() || char == '-' || char == '.') => return self.number(),
                '#' | '/' => return self.comment(),
                _ => {}
            }
            self.index += 1;
        }
    }

    /// Skips comments. Outside of all values the next value follows, inside of one an empty string stands for it.
    pub(super) fn comment(&mut self) -> Result<Value, Failed> {
        loop {
            self.fix(Fix::CommentSkipped);
            match (self.now(), self.get(1)) {
                (Some('#'), _) => {
                    let (array, value, key) = (
                        self.within(Context::Array),
                        self.within(Context::Value),
                        self.within(Context::Key),
                    );
                    while let Some(char) = self.now() {
                        let ends = match char {
                            '\n' | '\r' => true,
                            ']' => array,
                            '}' => value,
                            ':' => key,
                            _ => false,
                        };
                        if ends {
                            break;
                        }
                        self.index += 1;
                    }
                }
                (Some('/'), Some('/')) => {
                    while self.now().is_some_and(|char| !matches!(char, '\n' | '\r')) {
                        self.index += 1;
                    }
                }
                (Some('/'), Some('*')) => {
                    self.index += 2;
                    let mut before = '*';
                    while let Some(char) = self.now() {
                        self.index += 1;
                        if before == '*' && char == '/' {
                            break;
                        }
                        before = char;
                    }
                }
                _ => self.index += 1,
            }
            if !self.contexts.is_empty() {
                return Ok(Value::from(""));
            }
            self.skip_space();
            if !matches!(self.now(), Some('#' | '/')) {
                return self.json();
            }
        }
    }
}
