//! Strings (`parse_string.py`): where they begin, which of their characters belong to them, and where they end.

use serde_json::Value;

use super::cursor::{Context, Cursor, Failed, QUOTES, is_quote};
use super::lookahead::{Cache, Comma, closer, is_one};
use crate::event::Fix;

/// Marks a span that a low quote opened.
const LOW_QUOTE: char = '\0';

/// A string that is being read.
struct Reading {
    missing_quotes: bool,
    doubled: bool,
    left: char,
    /// The quote that ends the string, and the ends of the spans inside it that are open.
    right: Vec<char>,
    text: Vec<char>,
    unmatched: bool,
    container_pending: bool,
    containers: Vec<char>,
    no_more_quotes: bool,
    cache: Cache,
    open_braces: usize,
    class_start: Option<usize>,
}

impl Reading {
    fn new() -> Self {
        Self {
            missing_quotes: false,
            doubled: false,
            left: '"',
            right: vec!['"'],
            text: Vec::new(),
            unmatched: false,
            container_pending: false,
            containers: Vec::new(),
            no_more_quotes: false,
            cache: Cache::default(),
            open_braces: 0,
            class_start: None,
        }
    }

    fn outer(&self) -> char {
        self.right.first().copied().unwrap_or('"')
    }

    fn active(&self) -> char {
        self.right.last().copied().unwrap_or('"')
    }

    fn in_low_quotes(&self) -> bool {
        self.active() == LOW_QUOTE
    }

    fn last(&self) -> Option<char> {
        self.text.last().copied()
    }

    fn push(&mut self, char: char) {
        self.text.push(char);
        match char {
            '{' => self.open_braces += 1,
            '}' => self.open_braces = self.open_braces.saturating_sub(1),
            '[' => self.class_start = Some(self.text.len()),
            ']' => self.class_start = None,
            _ => {}
        }
    }

    /// Puts a character in the place of the backslash before it.
    fn replace_backslash(&mut self, char: char) {
        self.text.pop();
        self.push(char);
    }

    /// Keeps a container that belongs to the text. Tells whether its closer was just read.
    fn container(&mut self, char: char) -> bool {
        if matches!(char, '{' | '[') {
            if self.container_pending {
                self.containers.push(char);
                self.container_pending = false;
                return false;
            }
            if !self.containers.is_empty() {
                self.containers.push(char);
            }
        }
        let closes = self
            .containers
            .last()
            .is_some_and(|open| matches!((open, char), ('{', '}') | ('[', ']')));
        if closes {
            self.containers.pop();
        }
        closes
    }
}

/// What became of a quote.
enum Judged {
    Handled(Option<char>),
    Ends(Option<char>),
    Unhandled,
}

impl Cursor {
    /// Reads a string, or what stands where one should.
    pub(super) fn string(&mut self) -> Result<Value, Failed> {
        let mut reading = match self.begin_string()? {
            Ok(reading) => reading,
            Err(value) => return Ok(value),
        };
        let char = self.body(&mut reading);
        Ok(self.end_string(reading, char))
    }

    fn simple_string(&mut self) -> Option<String> {
        if self.now() != Some('"') {
            return None;
        }
        let start = usize::try_from(self.index + 1).ok()?;
        let rest = self.text.get(start..)?;
        let length = rest
            .iter()
            .position(|char| matches!(char, '"' | '\\' | '\n' | '\r'))
            .filter(|end| rest.get(*end) == Some(&'"'))?;
        let next = rest.get(length + 1..)?.iter().find(|char| !char.is_whitespace());
        let fits = match (self.current(), next) {
            (Some(Context::Key), next) => next == Some(&':'),
            (_, None) => true,
            (Some(Context::Value), Some(next)) => matches!(next, ',' | '}'),
            (Some(Context::Array), Some(next)) => matches!(next, ',' | ']'),
            (None, Some(_)) => false,
        };
        if !fits {
            return None;
        }
        let text = rest.get(..length)?.iter().collect();
        self.index += isize::try_from(length + 2).ok()?;
        Some(text)
    }

    fn begin_string(&mut self) -> Result<Result<Reading, Value>, Failed> {
        let empty = || Value::from("");
        if matches!(self.now(), Some('#' | '/')) {
            return self.comment().map(Err);
        }
        while self
            .now()
            .is_some_and(|char| !QUOTES.contains(&char) && !char.is_alphanumeric())
        {
            self.index += 1;
        }
        let Some(char) = self.now() else {
            return Ok(Err(empty()));
        };
        if let Some(text) = self.simple_string() {
            return Ok(Err(Value::from(text)));
        }
        let mut reading = Reading::new();
        if char == '\'' {
            reading.left = '\'';
            reading.right = vec!['\''];
            self.fix(Fix::QuotesReplaced);
        } else if char == '\u{201c}' {
            reading.left = '\u{201c}';
            reading.right = vec!['\u{201d}'];
            self.fix(Fix::QuotesReplaced);
        } else if char.is_alphanumeric() {
            if matches!(char.to_ascii_lowercase(), 't' | 'f' | 'n')
                && self.current() != Some(Context::Key)
                && let Some(value) = self.literal()
            {
                return Ok(Err(value));
            }
            self.fix(Fix::QuotesAdded);
            reading.missing_quotes = true;
        }
        if !reading.missing_quotes {
            self.index += 1;
        }
        if self.now() == Some('`') && self.slice(self.index, self.index + 7) == "```json" {
            let end = self.find(&['`'], 7);
            let end = self.index + end;
            if self.slice(end, end + 3) == "```" {
                self.index += 7;
                return self.json().map(Err);
            }
        }
        if self.now() == Some(reading.left) {
            let next = self.get(1);
            let is_empty = match self.current() {
                Some(Context::Key) => next == Some(':'),
                Some(Context::Value) => matches!(next, Some(',' | '}')),
                Some(Context::Array) => matches!(next, Some(',' | ']')),
                None => false,
            };
            if is_empty {
                self.index += 1;
                return Ok(Err(empty()));
            }
            self.fix(Fix::QuoteEscaped);
            if next == Some(reading.left) {
                return Ok(Err(empty()));
            }
            let quote = reading.outer();
            let at = self.find(&[quote], 1);
            if self.get(at + 1) == Some(quote) {
                reading.doubled = true;
                self.index += 1;
            } else {
                let next = self.get(self.past_space(1));
                if is_quote(next) || matches!(next, Some('{' | '[')) {
                    self.index += 1;
                    return Ok(Err(empty()));
                }
                if !matches!(next, Some(',' | ']' | '}')) {
                    self.index += 1;
                }
            }
        }
        Ok(Ok(reading))
    }

    fn literal(&mut self) -> Option<Value> {
        let (name, value) = match self.now()?.to_ascii_lowercase() {
            't' => ("true", Value::Bool(true)),
            'f' => ("false", Value::Bool(false)),
            _ => ("null", Value::Null),
        };
        let length = isize::try_from(name.len()).ok()?;
        let text = self.slice(self.index, self.index + length);
        if text.to_lowercase() != name {
            return None;
        }
        if text != name {
            self.fix(Fix::LiteralFixed);
        }
        self.index += length;
        Some(value)
    }

    fn append(&mut self, reading: &mut Reading, char: char) -> Option<char> {
        reading.push(char);
        self.index += 1;
        self.now()
    }

    /// Handles a character behind a backslash. `None`: it means nothing special.
    fn escape(&mut self, reading: &mut Reading, char: char) -> Option<Option<char>> {
        let active = reading.active();
        if reading.in_low_quotes() && char == '"' {
            reading.replace_backslash(char);
            reading.right.pop();
            self.index += 1;
            return Some(self.now());
        }
        if char == '\\' {
            let mut run = 2;
            while self.get(run - 1) == Some('\\') {
                run += 1;
            }
            let next = self.get(run - 1);
            if run % 2 == 0 && next != Some(active) {
                reading.text.pop();
                for _ in 0..run / 2 {
                    reading.push('\\');
                }
                self.index += run - 1;
                return Some(self.now());
            }
        }
        if char == active || matches!(char, 't' | 'n' | 'r' | 'b' | '\\') {
            reading.replace_backslash(match char {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'b' => '\u{8}',
                other => other,
            });
            self.index += 1;
            let mut next = self.now();
            while reading.last() == Some('\\')
                && let Some(char) = next.filter(|char| *char == active || *char == '\\')
            {
                reading.replace_backslash(char);
                self.index += 1;
                next = self.now();
            }
            return Some(next);
        }
        if matches!(char, 'u' | 'x') {
            let n = if char == 'u' { 4 } else { 2 };
            let digits = self.slice(self.index + 1, self.index + 1 + n);
            let whole = digits.len() == usize::try_from(n).unwrap_or(0);
            if whole && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let code = u32::from_str_radix(&digits, 16).unwrap_or(0xfffd);
                self.unicode(reading, code, n);
                return Some(self.now());
            }
            return None;
        }
        if char == '\u{201e}' || (is_quote(Some(char)) && char != active) {
            self.fix(Fix::EscapeFixed);
            reading.replace_backslash(char);
            self.index += 1;
            return Some(self.now());
        }
        None
    }

    /// Adds a character by its code. Python keeps halves of surrogate pairs apart and joins them when it writes JSON;
    /// here they are joined at once, and half a pair becomes a replacement character.
    fn unicode(&mut self, reading: &mut Reading, code: u32, n: isize) {
        let mut length = 1 + n;
        let mut char = char::from_u32(code);
        if (0xd800..0xdc00).contains(&code) && self.slice(self.index + 5, self.index + 7) == "\\u" {
            let digits = self.slice(self.index + 7, self.index + 11);
            if let Ok(low @ 0xdc00..=0xdfff) = u32::from_str_radix(&digits, 16) {
                char = char::from_u32(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
                length += 6;
            }
        }
        reading.replace_backslash(char.unwrap_or(char::REPLACEMENT_CHARACTER));
        self.index += length;
    }

    fn only_space_until(&self, end: isize) -> bool {
        (1..end).all(|count| self.get(count).is_none_or(char::is_whitespace))
    }

    fn in_class(&self, reading: &Reading) -> bool {
        let Some(start) = reading.class_start else {
            return false;
        };
        let class = reading.text.get(start..).unwrap_or_default();
        !class.iter().any(|char| char.is_whitespace()) && self.get(self.find(&[']'], 1)) == Some(']')
    }

    /// Whether a brace before a fence is part of the string, since the string goes on behind it.
    fn brace_before_fence_is_text(&self, reading: &mut Reading, fence: isize) -> bool {
        let mut from = fence + 3;
        let next = self.past_comments(from);
        let mut keep = false;
        if self.get(next).and_then(closer).is_some()
            && let Some(end) = self.past_container(next)
        {
            if self.member_follows(end) {
                return false;
            }
            keep = true;
            from = end;
        }
        let quote = reading.outer();
        let mut at = self.find(&[quote], from);
        while self.get(at) == Some(quote) {
            if matches!(self.get(self.past_space(at + 1)), Some(',' | '}' | ']') | None) {
                reading.container_pending |= keep;
                return true;
            }
            at = self.find(&[quote], at + 1);
        }
        false
    }

    /// Decides whether a quote ends the string.
    fn judge_quote(&mut self, reading: &mut Reading, char: char) -> Judged {
        let quote = reading.outer();
        if reading.doubled && self.get(1) == Some(quote) {
            self.index += 1;
            return Judged::Handled(Some(char));
        }
        let is_end = |next: char| next == quote || next == reading.left;
        if reading.missing_quotes && self.current() == Some(Context::Value) {
            let mut at = 1;
            while self.get(at).is_some_and(|next| !is_end(next)) {
                at += 1;
            }
            if self.get(at).is_some() && self.get(self.past_space(at + 1)) == Some(':') {
                self.index -= 1;
                return Judged::Ends(self.now());
            }
            return Judged::Unhandled;
        }
        if reading.unmatched {
            reading.unmatched = false;
            return Judged::Handled(self.append(reading, char));
        }
        let mut at = 1;
        let mut check_comma = true;
        let (key, value, array) = (
            self.within(Context::Key),
            self.within(Context::Value),
            self.within(Context::Array),
        );
        let current = self.current();
        while let Some(next) = self.get(at).filter(|next| !is_end(*next)) {
            if check_comma && next.is_alphabetic() {
                check_comma = false;
            }
            if (key && matches!(next, ':' | '}'))
                || (value && next == '}')
                || (array && matches!(next, ']' | ','))
                || (check_comma && current == Some(Context::Value) && next == ',')
            {
                break;
            }
            at += 1;
        }
        let next = self.get(at);
        if next == Some(',') && current == Some(Context::Value) {
            let end = self.find(&[quote], at + 1);
            if matches!(self.get(self.past_space(end + 1)), Some('}' | ',')) {
                self.fix(Fix::QuoteEscaped);
                return Judged::Handled(self.append(reading, char));
            }
        } else if next == Some(quote) && self.get(at - 1) != Some('\\') {
            let member = current == Some(Context::Value) && self.quoted_member_follows(at);
            if self.only_space_until(at) && !member {
                return Judged::Ends(Some(char));
            }
            return self.judge_pair(reading, char, at, member);
        }
        Judged::Unhandled
    }

    /// Decides about a quote behind which another one comes at a distance of `at`.
    fn judge_pair(&mut self, reading: &mut Reading, char: char, mut at: isize, member: bool) -> Judged {
        let quote = reading.outer();
        match self.current() {
            Some(Context::Value) => {
                if member {
                    self.fix(Fix::QuoteEscaped);
                    return Judged::Handled(self.append(reading, char));
                }
                at = self.find(&[quote], at + 1) + 1;
                while let Some(next) = self.get(at).filter(|next| *next != ':') {
                    if matches!(next, ',' | ']' | '}') || (next == quote && self.get(at - 1) != Some('\\')) {
                        break;
                    }
                    at += 1;
                }
                if self.get(at) == Some(':') {
                    return Judged::Unhandled;
                }
                self.fix(Fix::QuoteEscaped);
                reading.unmatched = !reading.unmatched;
                Judged::Handled(self.append(reading, char))
            }
            Some(Context::Array) => {
                let targets = [quote, ']'];
                let mut next = Some(quote);
                let mut even = true;
                while next == Some(quote) {
                    at = self.find(&targets, at + 1);
                    next = self.get(at);
                    if next != Some(quote) {
                        even = false;
                        break;
                    }
                    at = self.find(&targets, at + 1);
                    next = self.get(at);
                }
                if even {
                    self.fix(Fix::QuoteEscaped);
                    reading.unmatched = !reading.unmatched;
                    return Judged::Handled(self.append(reading, char));
                }
                Judged::Ends(Some(char))
            }
            Some(Context::Key) => {
                self.fix(Fix::QuoteEscaped);
                Judged::Handled(self.append(reading, char))
            }
            None => Judged::Unhandled,
        }
    }

    /// Whether a brace in a value's string, whose end quote seems to be missing, ends the object.
    fn brace_ends(&mut self, reading: &mut Reading) -> bool {
        let quote = reading.outer();
        let mut missing = true;
        self.skip_space();
        if self.get(1) == Some('\\') {
            missing = false;
        }
        let at = self.find_cached(&mut reading.cache, &[quote], 1);
        if self.get(at).is_some() {
            let at = self.past_space(at + 1);
            match self.get(at) {
                None | Some(',' | '}') => missing = false,
                Some(_) => {
                    let at = self.find(&[reading.left], at);
                    let colon = self.get(self.past_space(at + 1));
                    if self.get(at).is_none() || colon.is_some_and(|next| next != ':') {
                        missing = false;
                    }
                }
            }
        } else {
            if self.get(self.find(&[':'], 1)).is_some() {
                return true;
            }
            let from = self.past_space(1);
            if self.find(&['}'], from) - from > 1 {
                missing = false;
            }
        }
        missing
    }

    /// Whether a colon in a key ends the key, whose end quote is missing.
    fn colon_ends(&self, reading: &Reading) -> bool {
        let at = self.find(&[reading.left], 1);
        if self.get(at).is_none() {
            return true;
        }
        let at = self.find(&[reading.outer()], at + 1);
        self.get(at).is_some() && matches!(self.get(self.past_space(at + 1)), Some(',' | '}'))
    }

    /// Reads the characters of a string; returns the one that ended it.
    fn body(&mut self, reading: &mut Reading) -> Option<char> {
        let quote = reading.outer();
        let context = self.current();
        let is_value = context == Some(Context::Value);
        let mut next = self.now();
        while let Some(char) = next.filter(|char| *char != quote || reading.in_low_quotes()) {
            if reading.missing_quotes
                && match context {
                    Some(Context::Key) => char == ':' || char.is_whitespace(),
                    Some(Context::Array) => matches!(char, ']' | ','),
                    _ => false,
                }
            {
                break;
            }
            let escaped = reading.last() == Some('\\');
            if char == '\u{201e}' && !escaped {
                reading.right.push(LOW_QUOTE);
                next = self.append(reading, char);
                continue;
            }
            if reading.in_low_quotes() && char == '\u{201d}' {
                reading.right.pop();
                next = self.append(reading, char);
                continue;
            }
            let object_in_text = || {
                is_value && char == '{' && self.get(-1) != Some('\\') && self.bare_key_at(self.past_space(1))
            };
            if closer(char).is_some()
                && !escaped
                && (reading.container_pending || object_in_text())
                && let Some(end) = self.past_container(0)
            {
                reading.container_pending = false;
                reading.containers.clear();
                for char in self.slice(self.index, self.index + end).chars() {
                    reading.push(char);
                }
                self.index += end;
                next = self.now();
                continue;
            }
            if is_value && char == ',' && !reading.container_pending && reading.containers.is_empty() {
                let comma = if reading.no_more_quotes {
                    Comma::Text
                } else {
                    self.classify_comma(&mut reading.cache)
                };
                match comma {
                    Comma::Member => break,
                    Comma::TextToTheEnd => reading.no_more_quotes = true,
                    Comma::Container => reading.container_pending = true,
                    Comma::Text => {}
                }
                next = self.append(reading, char);
                continue;
            }
            if reading.container(char) {
                next = self.append(reading, char);
                continue;
            }
            if is_value && char == '}' && reading.last() != Some(quote) {
                if reading.open_braces > 0 {
                    next = self.append(reading, char);
                    continue;
                }
                if self.brace_ends(reading) {
                    break;
                }
            }
            if char == ']'
                && self.within(Context::Array)
                && reading.last() != Some(quote)
                && self.get(self.find(&[quote], 0)).is_none()
            {
                break;
            }
            if is_value && char == '}' {
                let at = self.past_space(1);
                match self.get(at) {
                    Some('`') if self.get(at + 1) == Some('`') && self.get(at + 2) == Some('`') => {
                        if self.brace_before_fence_is_text(reading, at) {
                            next = self.append(reading, char);
                            continue;
                        }
                        break;
                    }
                    None => break,
                    _ => {}
                }
            }
            next = match self.plain(reading, char) {
                Ok(next) => next,
                Err(ended) => return ended,
            };
        }
        next
    }

    /// Takes a character as text, and handles the one behind it when it is an escape, a colon or a quote. `Err`: the
    /// string ends there.
    fn plain(&mut self, reading: &mut Reading, char: char) -> Result<Option<char>, Option<char>> {
        let quote = reading.outer();
        let Some(char) = self.append(reading, char) else {
            return Err(None);
        };
        if reading.last() == Some('\\')
            && let Some(next) = self.escape(reading, char)
        {
            return Ok(next);
        }
        if char == ':'
            && !reading.missing_quotes
            && self.current() == Some(Context::Key)
            && self.colon_ends(reading)
        {
            return Err(Some(char));
        }
        if reading.in_low_quotes() && char == '"' {
            reading.right.pop();
            return Ok(self.append(reading, char));
        }
        if char == quote && self.current() == Some(Context::Value) && self.in_class(reading) {
            return Ok(self.append(reading, char));
        }
        if char == quote && reading.last().is_some_and(|last| last != '\\') {
            match self.judge_quote(reading, char) {
                Judged::Handled(next) => return Ok(next),
                Judged::Ends(next) => return Err(next),
                Judged::Unhandled => {}
            }
        }
        Ok(Some(char))
    }

    fn end_string(&mut self, mut reading: Reading, char: Option<char>) -> Value {
        let quote = reading.outer();
        if reading.missing_quotes
            && self.current() == Some(Context::Key)
            && char.is_some_and(char::is_whitespace)
        {
            self.skip_space();
            if !is_one(self.now(), &[':', ',']) {
                return Value::from("");
            }
        }
        let mut trims = reading.missing_quotes;
        if char == Some(quote) {
            self.index += 1;
        } else {
            self.fix(Fix::QuoteAdded);
            trims = true;
        }
        trims |= reading.last() == Some('\n');
        let mut text: String = std::mem::take(&mut reading.text).into_iter().collect();
        if trims {
            text.truncate(text.trim_end().len());
        }
        Value::from(text)
    }
}
