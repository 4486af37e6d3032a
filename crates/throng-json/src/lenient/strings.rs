//! Strings of the lenient machine: what belongs to one, and whether a quote ends it.

use serde_json::Value;

use super::machine::{Break, Delimiter, Flow, Frame, Lenient, Out, State};
use crate::event::Fix;

/// Longest name without quotes that counts as a key when the machine looks ahead.
const NAME: usize = 64;

enum Verdict {
    More,
    Ends,
    Belongs,
    Broken,
}

impl Lenient {
    pub(super) fn begin_string(&mut self, at: u64, delimiter: Delimiter, is_key: bool) -> Flow {
        if delimiter != Delimiter::Double {
            self.repair(at, Fix::QuotesReplaced);
        }
        self.text.clear();
        self.text_start = at;
        self.delimiter = delimiter;
        self.is_key = is_key;
        self.broken = None;
        self.high = None;
        self.enter(State::InString)
    }

    pub(super) fn on_smart(&mut self, byte: u8, at: u64, n: u8) -> Flow {
        self.text.push(byte);
        if n == 1 {
            return self.enter(State::Smart(2));
        }
        let delimiter = match self.text.as_slice() {
            [0xe2, 0x80, 0x9c..=0x9e] => Delimiter::SmartDouble,
            [0xe2, 0x80, 0x98..=0x9a] => Delimiter::SmartSingle,
            _ => {
                self.state = State::Bare;
                return Flow::Next;
            }
        };
        self.begin_string(at - 2, delimiter, self.is_key)
    }

    pub(super) fn in_string(&mut self, byte: u8, at: u64) -> Flow {
        if byte != b'\\' && self.high.is_some() {
            self.lone_surrogate(at);
        }
        let ends = match self.delimiter {
            Delimiter::Double => byte == b'"',
            Delimiter::Single => byte == b'\'',
            Delimiter::SmartDouble | Delimiter::SmartSingle => {
                let last = match self.delimiter {
                    Delimiter::SmartDouble => 0x9c..=0x9d,
                    _ => 0x98..=0x99,
                };
                let ends = last.contains(&byte) && self.text.ends_with(&[0xe2, 0x80]);
                if ends {
                    self.text.truncate(self.text.len() - 2);
                }
                ends || (self.delimiter == Delimiter::SmartDouble && byte == b'"')
            }
        };
        if ends {
            self.ahead.clear();
            self.ahead_start = at + 1;
            self.ahead.push(byte);
            return self.enter(State::Quote);
        }
        match byte {
            b'\\' => self.enter(State::Escape),
            0..=0x1f => {
                self.repair(at, Fix::ControlEscaped);
                self.text.push(byte);
                Flow::Next
            }
            _ => {
                self.text.push(byte);
                Flow::Next
            }
        }
    }

    pub(super) fn on_escape(&mut self, byte: u8, at: u64) -> Flow {
        if byte != b'u' && self.high.is_some() {
            self.lone_surrogate(at);
        }
        let char = match byte {
            b'u' => {
                self.n_hex = 0;
                return self.enter(State::Hex);
            }
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' | b'/' => byte,
            _ => {
                self.repair(at - 1, Fix::EscapeFixed);
                byte
            }
        };
        self.text.push(char);
        self.enter(State::InString)
    }

    pub(super) fn on_hex(&mut self, byte: u8, at: u64) -> Flow {
        if !byte.is_ascii_hexdigit() {
            self.repair(at, Fix::EscapeFixed);
            if self.high.is_some() {
                self.lone_surrogate(at);
            }
            self.text.push(b'u');
            let n = usize::from(self.n_hex);
            self.text.extend_from_slice(&self.hex[..n]);
            self.state = State::InString;
            return Flow::Again;
        }
        if let Some(slot) = self.hex.get_mut(usize::from(self.n_hex)) {
            *slot = byte;
        }
        self.n_hex += 1;
        if self.n_hex < 4 {
            return Flow::Next;
        }
        let digits = std::str::from_utf8(&self.hex).unwrap_or("fffd");
        let unit = u32::from_str_radix(digits, 16).unwrap_or(0xfffd);
        match (self.high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                self.high = None;
                self.push_char(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
            }
            (_, 0xd800..=0xdbff) => {
                if self.high.is_some() {
                    self.lone_surrogate(at);
                }
                self.high = Some(unit);
            }
            (_, 0xdc00..=0xdfff) => {
                self.repair(at, Fix::EscapeFixed);
                self.push_char(0xfffd);
            }
            _ => {
                if self.high.is_some() {
                    self.lone_surrogate(at);
                }
                self.push_char(unit);
            }
        }
        self.enter(State::InString)
    }

    fn push_char(&mut self, code: u32) {
        let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.text
            .extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn lone_surrogate(&mut self, at: u64) {
        self.high = None;
        self.repair(at, Fix::EscapeFixed);
        self.push_char(0xfffd);
    }

    /// Decides whether the quote that was seen ends its string. `ahead` holds the quote and what came behind it.
    pub(super) fn on_quote(&mut self, byte: u8, at: u64) -> Flow {
        match self.judge(byte) {
            Verdict::More => {
                self.ahead.push(byte);
                Flow::Next
            }
            Verdict::Ends => {
                let start = self.ahead_start;
                if let Some(out) = self.end_string(start) {
                    return Flow::Out(out);
                }
                // Spaces, a comma and a name, none of which can end the element.
                let ahead = std::mem::take(&mut self.ahead);
                for (n, &held) in ahead.iter().enumerate().skip(1) {
                    if let Some(out) = self.push(held, start + n as u64 - 1) {
                        return Flow::Out(out);
                    }
                }
                self.ahead = ahead;
                Flow::Again
            }
            Verdict::Broken => {
                let Some(place) = self.broken else {
                    return Flow::Next;
                };
                let start = self.text_start;
                self.repair(start, Fix::QuoteAdded);
                let key = self.text.split_off(place.key.min(self.text.len()));
                self.text.truncate(place.value);
                while self.text.last().is_some_and(u8::is_ascii_whitespace) {
                    self.text.pop();
                }
                let value = self.take_text(start);
                if let Some(element) = place.element {
                    if let Some(out) = self.finish_value(Value::String(value), at) {
                        return Flow::Out(out);
                    }
                    self.close_all(element);
                    return Flow::Out(Out::Resync(element));
                }
                if let Some(out) = self.finish_value(Value::String(value), at) {
                    return Flow::Out(out);
                }
                self.text = key;
                let key = self.take_text(start);
                if let Some(Frame::Object(_, slot)) = self.frames.last_mut() {
                    *slot = Some(key);
                }
                self.state = State::Colon;
                Flow::Again
            }
            Verdict::Belongs => {
                let quote_at = self.ahead_start - 1;
                self.repair(quote_at, Fix::QuoteEscaped);
                if self.ahead.first() == Some(&b'"') {
                    self.note_break(quote_at);
                }
                let ahead = std::mem::take(&mut self.ahead);
                match ahead.first() {
                    Some(&quote @ (b'"' | b'\'')) => self.text.push(quote),
                    Some(&last) => self.text.extend_from_slice(&[0xe2, 0x80, last]),
                    None => {}
                }
                self.text.extend_from_slice(ahead.get(1..).unwrap_or_default());
                if let Some(place) = &mut self.broken
                    && place.key == usize::MAX
                {
                    place.key = self.text.len() + 1 - ahead.len();
                }
                self.ahead = ahead;
                self.state = State::InString;
                Flow::Again
            }
        }
    }

    /// Notes that the end quote of this string may be missing before the quote that is about to be added to it.
    fn note_break(&mut self, quote_at: u64) {
        if self.is_key || !matches!(self.frames.last(), Some(Frame::Object(..))) {
            return;
        }
        let text = &self.text;
        let mut end = text.len();
        let mut newline = false;
        let spaces = |end: &mut usize, newline: &mut bool| {
            while let Some(byte) = end.checked_sub(1).and_then(|at| text.get(at)) {
                if !byte.is_ascii_whitespace() {
                    break;
                }
                *newline |= *byte == b'\n';
                *end -= 1;
            }
        };
        spaces(&mut end, &mut newline);
        let last = |end: usize| end.checked_sub(1).and_then(|at| text.get(at)).copied();
        let element = match last(end) {
            Some(b',') => {
                end -= 1;
                None
            }
            Some(b'{') if self.may_resync && self.around.array && self.frames.len() == 1 => {
                let brace_at = quote_at - (text.len() - (end - 1)) as u64;
                end -= 1;
                spaces(&mut end, &mut newline);
                if last(end) == Some(b',') {
                    end -= 1;
                    spaces(&mut end, &mut newline);
                }
                if last(end) != Some(b'}') {
                    return;
                }
                end -= 1;
                Some(brace_at)
            }
            _ if newline => None,
            _ => return,
        };
        self.broken = Some(Break {
            value: end,
            key: usize::MAX,
            element,
        });
    }

    fn judge(&self, byte: u8) -> Verdict {
        let ahead = self.ahead.get(1..).unwrap_or_default();
        let comma = ahead.iter().position(|&held| held == b',');
        let before = ahead.get(..comma.unwrap_or(ahead.len())).unwrap_or_default();
        let after = comma.and_then(|comma| ahead.get(comma + 1..));
        let is_space = byte.is_ascii_whitespace();
        let in_array_too =
            self.around.array || self.frames.iter().any(|frame| matches!(frame, Frame::Array(_)));
        let newline = |bytes: &[u8]| bytes.contains(&b'\n');

        if let Some(after) = after {
            // Behind the comma of an object's value.
            let name_starts = after.iter().position(|held| !held.is_ascii_whitespace());
            return match name_starts {
                None if is_space => Verdict::More,
                None if newline(after) => Verdict::Ends,
                None => match byte {
                    b'"' | b'\'' | b'}' | b']' | b',' | b'/' | b'#' | 0xe2 => Verdict::Ends,
                    b'{' | b'[' if in_array_too => Verdict::Ends,
                    _ if is_name(byte) => Verdict::More,
                    _ => Verdict::Belongs,
                },
                Some(start) => {
                    let name = after.get(start..).unwrap_or_default();
                    let closed = name.last().is_some_and(u8::is_ascii_whitespace);
                    match byte {
                        b':' => Verdict::Ends,
                        _ if is_space && name.len() < NAME => Verdict::More,
                        _ if is_name(byte) && !closed && name.len() < NAME => Verdict::More,
                        _ => Verdict::Belongs,
                    }
                }
            };
        }
        let name_starts = before.iter().position(|held| !held.is_ascii_whitespace());
        if let Some(start) = name_starts {
            // A name on a new line, behind which there may be a colon: then a comma is missing.
            let name = before.get(start..).unwrap_or_default();
            return match byte {
                b':' => Verdict::Ends,
                _ if is_name(byte) && name.len() < NAME => Verdict::More,
                _ => Verdict::Belongs,
            };
        }
        if is_space {
            return Verdict::More;
        }
        if self.is_key {
            return match byte {
                b':' | b',' | b'}' | b'=' => Verdict::Ends,
                b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' if !before.is_empty() => Verdict::Ends,
                b'/' => Verdict::Ends,
                _ => Verdict::Belongs,
            };
        }
        match self.frames.last() {
            Some(Frame::Object(..)) => match byte {
                b'}' => Verdict::Ends,
                b',' => Verdict::More,
                b']' if in_array_too => Verdict::Ends,
                b':' if self.broken.is_some() => Verdict::Broken,
                b'"' if !before.is_empty() => Verdict::Ends,
                b'`' if newline(before) => Verdict::Ends,
                b'/' | b'#' if !before.is_empty() => Verdict::Ends,
                _ if newline(before) && is_name(byte) => Verdict::More,
                _ => Verdict::Belongs,
            },
            Some(Frame::Array(_)) => match byte {
                b',' | b']' => Verdict::Ends,
                b'}' if self.frames.len() > 1 || self.around.object => Verdict::Ends,
                b'"' if !before.is_empty() => Verdict::Ends,
                b'`' if newline(before) => Verdict::Ends,
                b'/' | b'#' if !before.is_empty() => Verdict::Ends,
                _ => Verdict::Belongs,
            },
            None if self.around.array || self.around.object => match byte {
                b',' | b']' | b'}' => Verdict::Ends,
                b'"' if !before.is_empty() => Verdict::Ends,
                b'`' if newline(before) => Verdict::Ends,
                _ => Verdict::Belongs,
            },
            None => Verdict::Ends,
        }
    }

    pub(super) fn take_text(&mut self, at: u64) -> String {
        match String::from_utf8(std::mem::take(&mut self.text)) {
            Ok(text) => text,
            Err(error) => {
                self.repair(at, Fix::EncodingFixed);
                String::from_utf8_lossy(error.as_bytes()).into_owned()
            }
        }
    }

    /// Ends the string that is being read; the text behind it begins at `end`.
    pub(super) fn end_string(&mut self, end: u64) -> Option<Out> {
        if self.high.is_some() {
            self.lone_surrogate(end);
        }
        let text = self.take_text(self.text_start);
        if self.is_key {
            if let Some(Frame::Object(_, key)) = self.frames.last_mut() {
                *key = Some(text);
            }
            self.state = State::Colon;
            return None;
        }
        self.finish_value(Value::String(text), end.saturating_sub(1))
    }

    pub(super) fn end_open_string(&mut self, at: u64, partial: bool) {
        if !partial {
            self.repair(at, Fix::QuoteAdded);
            // "{"a": "b}": what looks like the end of all that is open is that, and not text.
            let mut end = self.text.trim_ascii_end().len();
            let mut closes = 0;
            for frame in self.frames.iter().rev() {
                let closer = if matches!(frame, Frame::Object(..)) {
                    b'}'
                } else {
                    b']'
                };
                let text = self.text.get(..end).unwrap_or_default().trim_ascii_end();
                if text.last() != Some(&closer) {
                    break;
                }
                end = text.len() - 1;
                closes += 1;
            }
            if closes > 0 && closes == self.frames.len() {
                self.text.truncate(end);
            }
        } else {
            // Half a character is no text yet.
            let valid = match std::str::from_utf8(&self.text) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => self.text.len(),
            };
            self.text.truncate(valid);
            self.high = None;
        }
        let _ = self.end_string(at);
    }
}

fn is_name(byte: u8) -> bool {
    byte == b'_' || byte == b'$' || byte == b'-' || byte.is_ascii_alphanumeric()
}
