//! Objects (`parse_object.py`).

use serde_json::{Map, Value};

use super::cursor::{Context, Cursor, Failed, is_quote};
use crate::event::Fix;

/// An object whose members are being read, and the key that came last.
#[derive(Default)]
struct Members {
    map: Map<String, Value>,
    last: Option<String>,
}

impl Members {
    fn set(&mut self, key: String, value: Value) {
        if !self.map.contains_key(&key) {
            self.last = Some(key.clone());
        }
        self.map.insert(key, value);
    }
}

/// What text between braces without a member is.
enum Empty {
    Object,
    Escaped(String),
    Array,
}

impl Cursor {
    /// Reads an object whose brace has been read.
    pub(super) fn object(&mut self) -> Result<Value, Failed> {
        self.enter()?;
        let value = self.object_here();
        self.depth -= 1;
        value
    }

    fn object_here(&mut self) -> Result<Value, Failed> {
        let mut members = Members::default();
        let start = self.index;
        let is_value = self.current() == Some(Context::Value);
        while self.now().is_some_and(|char| char != '}') {
            self.skip_space();
            if self.now() == Some(':') {
                self.fix(Fix::ByteSkipped);
                self.index += 1;
            }
            let (key, rollback) = self.key(&mut members)?;
            if self.within(Context::Array)
                && members.map.contains_key(&key)
                && !is_value
                && self.splits_on_duplicate(rollback)
            {
                self.fix(Fix::CloserAdded);
                self.index = rollback - 1;
                let at = usize::try_from(rollback).unwrap_or(0).min(self.text.len());
                self.text.insert(at, '{');
                break;
            }
            self.skip_space();
            if self.now().is_none_or(|char| char == '}') {
                continue;
            }
            if self.now() != Some(':') {
                self.fix(Fix::ColonAdded);
            }
            self.index += 1;
            let value = self.member_value()?;
            members.set(key, value);
            if matches!(self.now(), Some(',' | '\'' | '"')) {
                self.index += 1;
            }
            if self.now() == Some(']') && self.within(Context::Array) {
                self.fix(Fix::CloserAdded);
                self.index -= 1;
                break;
            }
            self.skip_space();
        }
        self.index += 1;
        if let Some(value) = self.empty_object(&members, start)? {
            return Ok(value);
        }
        self.end_object(members)
    }

    fn key(&mut self, members: &mut Members) -> Result<(String, isize), Failed> {
        self.contexts.push(Context::Key);
        let mut key = String::new();
        let mut rollback = self.index;
        while self.now().is_some() {
            rollback = self.index;
            if self.now() == Some('[') && key.is_empty() && self.continues_array(members)? {
                continue;
            }
            key = match self.string()? {
                Value::String(key) => key,
                _ => String::new(),
            };
            if key.is_empty() {
                self.skip_space();
            }
            if !key.is_empty() || matches!(self.now(), Some(':' | '}')) {
                break;
            }
        }
        self.contexts.pop();
        Ok((key, rollback))
    }

    fn member_value(&mut self) -> Result<Value, Failed> {
        self.contexts.push(Context::Value);
        self.skip_space();
        let value = if matches!(self.now(), Some(',' | '}')) {
            self.fix(Fix::NullAdded);
            Ok(Value::from(""))
        } else {
            self.json()
        };
        self.contexts.pop();
        value
    }

    /// Reads an array that goes on where a key should be: it belongs to the last member.
    fn continues_array(&mut self, members: &mut Members) -> Result<bool, Failed> {
        let Some(last) = members.last.clone().filter(|key| !key.is_empty()) else {
            return Ok(false);
        };
        if !members.map.get(&last).is_some_and(Value::is_array) {
            return Ok(false);
        }
        self.fix(Fix::ByteSkipped);
        self.index += 1;
        let more = self.array(']')?;
        if let Some(Value::Array(rows)) = members.map.get_mut(&last) {
            join_rows(rows, more);
        }
        self.skip_space();
        if self.now() == Some(',') {
            self.index += 1;
        }
        self.skip_space();
        Ok(true)
    }

    /// Whether a key that comes again begins another object; one that is quoted, behind a comma, does not.
    fn splits_on_duplicate(&self, rollback: isize) -> bool {
        let mut count = rollback - self.index - 1;
        let mut before = self.get(count);
        while before.is_some_and(char::is_whitespace) {
            count -= 1;
            before = self.get(count);
        }
        let quoted = is_quote(self.get(rollback - self.index));
        let next = self.get(self.past_space(0));
        !(quoted && before == Some(',') && next == Some(':'))
    }

    /// Reads braces with text but no member in another way.
    fn empty_object(&mut self, members: &Members, start: isize) -> Result<Option<Value>, Failed> {
        if !members.map.is_empty() || self.index - start <= 2 {
            return Ok(None);
        }
        match self.classify_empty(start) {
            Empty::Object => Ok(None),
            Empty::Escaped(text) => {
                self.fix(Fix::EscapeFixed);
                let from = usize::try_from(start - 1).unwrap_or(0);
                let to = usize::try_from(self.index + 1).unwrap_or(0).min(self.text.len());
                self.text.splice(from.min(to)..to, text.chars());
                self.index = start;
                self.contexts.push(Context::Key);
                let value = self.object();
                self.contexts.pop();
                self.deferred.push(Context::Key);
                value.map(Some)
            }
            Empty::Array => {
                self.fix(Fix::QuotesReplaced);
                self.index = start;
                self.contexts.push(Context::Key);
                let items = self.array(']');
                self.contexts.pop();
                self.deferred.push(Context::Key);
                items.map(|items| Some(Value::Array(items)))
            }
        }
    }

    fn classify_empty(&self, start: isize) -> Empty {
        let attempt = self.slice(start - 1, self.index + 1);
        let body: String = attempt.chars().skip(1).collect();
        let body = body.strip_suffix('}').unwrap_or(&body).trim_start();
        if body.is_empty() {
            return Empty::Object;
        }
        if (body.starts_with("\\\"") && body.contains("\\\":"))
            || (body.starts_with("\\'") && body.contains("\\':"))
        {
            return Empty::Escaped(attempt.replace("\\\"", "\"").replace("\\'", "'"));
        }
        let body = without_comments(body);
        let body = body.trim_start();
        if body.is_empty() {
            return Empty::Object;
        }
        let mut quote = None;
        let mut backslashes = 0;
        for char in body.chars() {
            if char == '\\' {
                backslashes += 1;
                continue;
            }
            let plain = backslashes % 2 == 0;
            if let Some(open) = quote {
                if char == open && plain {
                    quote = None;
                }
            } else if is_quote(Some(char)) && plain {
                quote = Some(char);
            } else if char == ':' && plain {
                return Empty::Object;
            }
            backslashes = 0;
        }
        Empty::Array
    }

    fn end_object(&mut self, members: Members) -> Result<Value, Failed> {
        let mut map = members.map;
        if !self.contexts.is_empty() {
            if self.now() == Some('}') && !matches!(self.current(), Some(Context::Key | Context::Value)) {
                self.fix(Fix::CloserRemoved);
                self.index += 1;
            }
            return Ok(Value::Object(map));
        }
        self.skip_space();
        if self.now() == Some(',') {
            self.index += 1;
            self.skip_space();
            if is_quote(self.now()) {
                self.fix(Fix::CloserRemoved);
                if let Value::Object(more) = self.object()? {
                    map.extend(more);
                }
            }
        }
        Ok(Value::Object(map))
    }
}

/// Adds the items of a continued array to rows of one length, or to a plain array.
fn join_rows(rows: &mut Vec<Value>, more: Vec<Value>) {
    let mut lengths = rows.iter().filter_map(Value::as_array).map(Vec::len);
    let length = lengths
        .next()
        .filter(|first| *first > 0 && lengths.all(|length| length == *first));
    let Some(length) = length else {
        match <[Value; 1]>::try_from(more) {
            Ok([Value::Array(items)]) => rows.extend(items),
            Ok(items) => rows.extend(items),
            Err(items) => rows.extend(items),
        }
        return;
    };
    let whole = rows.iter().rposition(Value::is_array).map_or(0, |at| at + 1);
    let tail = rows.split_off(whole);
    if tail.len().is_multiple_of(length) {
        rows.extend(tail.chunks(length).map(|row| Value::Array(row.to_vec())));
    } else {
        rows.extend(tail);
    }
    if more.is_empty() {
        return;
    }
    if more.iter().all(Value::is_array) {
        rows.extend(more);
    } else {
        rows.push(Value::Array(more));
    }
}

fn without_comments(body: &str) -> String {
    let chars: Vec<char> = body.chars().collect();
    let mut out = String::new();
    let mut quote = None;
    let mut backslashes = 0;
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        if char == '\\' {
            backslashes += 1;
            out.push(char);
            at += 1;
            continue;
        }
        let plain = backslashes % 2 == 0;
        backslashes = 0;
        if let Some(open) = quote {
            if char == open && plain {
                quote = None;
            }
        } else if is_quote(Some(char)) && plain {
            quote = Some(char);
        } else if char == '#' || (char == '/' && next == Some('/')) {
            while chars.get(at).is_some_and(|char| !matches!(char, '\n' | '\r')) {
                at += 1;
            }
            continue;
        } else if char == '/' && next == Some('*') {
            at += 2;
            while at + 1 < chars.len() && chars.get(at..at + 2) != Some(&['*', '/']) {
                at += 1;
            }
            at = (at + 2).min(chars.len());
            continue;
        }
        out.push(char);
        at += 1;
    }
    out
}
