//! The rules of `jsonrepair` for JavaScript, version 3.14.1 (ISC, Jos de Jong): a text is rewritten to JSON from left to
//! right, and what was written is changed again where a later byte shows that something was missing.

use serde_json::Value;

use super::js_chars::{
    ends_with_comma_or_newline, inside_unclosed_bracket, is_delimiter, is_double_quote, is_name,
    is_name_start, is_quote, is_single_quote, is_space, is_special_space, is_start_of_value,
    is_unquoted_delimiter, is_url,
};
use super::run::Refused;
use crate::event::{Fix, Repair};

const URL_STARTS: [&str; 7] = [
    "http://",
    "https://",
    "ftp://",
    "mailto://",
    "file://",
    "data://",
    "irc://",
];

struct Rewriter {
    text: Vec<char>,
    i: usize,
    out: String,
    fixes: Vec<(usize, Fix)>,
    depth: u32,
    limit: u32,
}

type Done = Result<bool, (usize, String)>;

/// Repairs a text.
pub(crate) fn parse(text: &str, limit: u32) -> Result<(Value, Vec<Repair>), Refused> {
    let mut rewriter = Rewriter {
        text: text.chars().collect(),
        i: 0,
        out: String::with_capacity(text.len()),
        fixes: Vec::new(),
        depth: 0,
        limit,
    };
    let result = rewriter.document();
    let mut starts: Vec<u64> = text.char_indices().map(|(at, _)| at as u64).collect();
    starts.push(text.len() as u64);
    let offset = |at: usize| starts.get(at).copied().unwrap_or(text.len() as u64);
    if let Err((at, message)) = result {
        return Err(Refused {
            offset: offset(at),
            message,
        });
    }
    let value = serde_json::from_str(&rewriter.out)
        .or_else(|_| serde_json::from_str(&without_lone_surrogates(&rewriter.out)))
        .map_err(|error| Refused {
            offset: offset(rewriter.i),
            message: error.to_string(),
        })?;
    let mut repairs: Vec<Repair> = rewriter
        .fixes
        .iter()
        .map(|&(at, what)| Repair {
            offset: offset(at),
            what,
        })
        .collect();
    repairs.sort_by_key(|repair| repair.offset);
    Ok((value, repairs))
}

/// JavaScript keeps halves of surrogate pairs in strings; a string of Unicode cannot.
fn without_lone_surrogates(json: &str) -> String {
    let unit = |at: usize| -> Option<u32> {
        let escape = json.get(at..at + 6)?;
        u32::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let mut out = String::with_capacity(json.len());
    let mut at = 0;
    while let Some(char) = json.get(at..).and_then(|rest| rest.chars().next()) {
        if char != '\\' {
            out.push(char);
            at += char.len_utf8();
            continue;
        }
        let length = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                at += 6;
                continue;
            }
            _ => 2,
        };
        let end = (at + length).min(json.len());
        out.push_str(json.get(at..end).unwrap_or("\\"));
        at = end;
    }
    out
}

impl Rewriter {
    fn at(&self, index: usize) -> Option<char> {
        self.text.get(index).copied()
    }

    fn now(&self) -> Option<char> {
        self.at(self.i)
    }

    fn ended(&self) -> bool {
        self.i >= self.text.len()
    }

    fn slice(&self, from: usize, to: usize) -> String {
        let to = to.min(self.text.len());
        self.text
            .get(from.min(to)..to)
            .unwrap_or_default()
            .iter()
            .collect()
    }

    fn fix(&mut self, fix: Fix) {
        self.fixes.push((self.i, fix));
    }

    fn document(&mut self) -> Result<(), (usize, String)> {
        self.code_block(["```", "[```", "{```"]);
        if !self.value()? {
            return Err((self.text.len(), "unexpected end of the text".to_owned()));
        }
        self.code_block(["```", "```]", "```}"]);
        let comma = self.character(',');
        if comma {
            self.space(true);
        }
        if is_start_of_value(self.now()) && ends_with_comma_or_newline(&self.out) {
            if !comma {
                insert_before_space(&mut self.out, ",");
            }
            self.newline_delimited()?;
        } else if comma {
            self.fix(Fix::CommaRemoved);
            strip_last(&mut self.out, ',', false);
        }
        while matches!(self.now(), Some('}' | ']')) {
            self.fix(Fix::CloserRemoved);
            self.i += 1;
            self.space(true);
        }
        match self.now() {
            None => Ok(()),
            Some(char) => Err((self.i, format!("unexpected character {char:?}"))),
        }
    }

    fn value(&mut self) -> Done {
        self.space(true);
        let done = self.object()?
            || self.array()?
            || self.string(false, None)?
            || self.number()
            || self.keywords()
            || self.unquoted(false)?
            || self.regex();
        self.space(true);
        Ok(done)
    }

    /// Skips space and comments.
    fn space(&mut self, newlines: bool) {
        self.blank(newlines);
        while self.comment() {
            self.blank(newlines);
        }
    }

    fn blank(&mut self, newlines: bool) {
        while let Some(char) = self.now() {
            match char {
                '\n' if !newlines => break,
                ' ' | '\n' | '\t' | '\r' => self.out.push(char),
                _ if is_special_space(char) => self.out.push(' '),
                _ => break,
            }
            self.i += 1;
        }
    }

    fn comment(&mut self) -> bool {
        match (self.now(), self.at(self.i + 1)) {
            (Some('/'), Some('*')) => {
                self.fix(Fix::CommentSkipped);
                while !self.ended() && (self.now() != Some('*') || self.at(self.i + 1) != Some('/')) {
                    self.i += 1;
                }
                self.i += 2;
                true
            }
            (Some('/'), Some('/')) => {
                self.fix(Fix::CommentSkipped);
                while !self.ended() && self.now() != Some('\n') {
                    self.i += 1;
                }
                true
            }
            _ => false,
        }
    }

    fn code_block(&mut self, fences: [&str; 3]) {
        self.blank(true);
        for fence in fences {
            let n = fence.chars().count();
            if self.slice(self.i, self.i + n) == fence {
                self.fix(Fix::TextSkipped);
                self.i += n;
                if self.now().is_some_and(is_name_start) {
                    while self.now().is_some_and(is_name) {
                        self.i += 1;
                    }
                }
                self.space(true);
                return;
            }
        }
    }

    fn character(&mut self, char: char) -> bool {
        let found = self.now() == Some(char);
        if found {
            self.out.push(char);
            self.i += 1;
        }
        found
    }

    fn skip(&mut self, char: char) -> bool {
        let found = self.now() == Some(char);
        if found {
            self.i += 1;
        }
        found
    }

    fn ellipsis(&mut self) {
        self.space(true);
        if self.slice(self.i, self.i + 3) == "..." {
            self.fix(Fix::EllipsisSkipped);
            self.i += 3;
            self.space(true);
            self.skip(',');
        }
    }

    fn enter(&mut self) -> Result<(), (usize, String)> {
        self.depth += 1;
        if self.depth > self.limit {
            return Err((self.i, format!("nested deeper than {} levels", self.limit)));
        }
        Ok(())
    }

    /// Takes a bracket, and the comma that may stand behind it.
    fn open(&mut self, bracket: char) -> Done {
        if self.now() != Some(bracket) {
            return Ok(false);
        }
        self.enter()?;
        self.out.push(bracket);
        self.i += 1;
        self.space(true);
        if self.skip(',') {
            self.fix(Fix::CommaRemoved);
            self.space(true);
        }
        Ok(true)
    }

    fn object(&mut self) -> Done {
        if !self.open('{')? {
            return Ok(false);
        }
        let mut initial = true;
        while !self.ended() && self.now() != Some('}') {
            if !initial {
                if !self.character(',') {
                    self.fix(Fix::CommaAdded);
                    insert_before_space(&mut self.out, ",");
                }
                self.space(true);
            }
            self.ellipsis();
            if !(self.string(false, None)? || self.unquoted(true)?) {
                if matches!(self.now(), Some('}' | '{' | ']' | '[') | None) {
                    if !initial {
                        self.fix(Fix::CommaRemoved);
                        strip_last(&mut self.out, ',', false);
                    }
                } else {
                    return Err((self.i, "object key expected".to_owned()));
                }
                break;
            }
            self.space(true);
            let colon = self.character(':');
            let truncated = self.ended();
            if !colon {
                if is_start_of_value(self.now()) || truncated {
                    self.fix(Fix::ColonAdded);
                    insert_before_space(&mut self.out, ":");
                } else {
                    return Err((self.i, "colon expected".to_owned()));
                }
            }
            if !self.value()? {
                if colon || truncated {
                    self.fix(Fix::NullAdded);
                    self.out.push_str("null");
                } else {
                    return Err((self.i, "colon expected".to_owned()));
                }
            }
            initial = false;
        }
        self.close('}');
        Ok(true)
    }

    fn close(&mut self, closer: char) {
        self.depth -= 1;
        if self.now() == Some(closer) {
            self.out.push(closer);
            self.i += 1;
        } else {
            self.fix(Fix::CloserAdded);
            insert_before_space(&mut self.out, closer.encode_utf8(&mut [0; 4]));
        }
    }

    fn array(&mut self) -> Done {
        if !self.open('[')? {
            return Ok(false);
        }
        let mut initial = true;
        while !self.ended() && self.now() != Some(']') {
            if !initial && !self.character(',') {
                self.fix(Fix::CommaAdded);
                insert_before_space(&mut self.out, ",");
            }
            self.ellipsis();
            if !self.value()? {
                if !initial {
                    self.fix(Fix::CommaRemoved);
                    strip_last(&mut self.out, ',', false);
                }
                break;
            }
            initial = false;
        }
        self.close(']');
        Ok(true)
    }

    fn newline_delimited(&mut self) -> Result<(), (usize, String)> {
        self.fix(Fix::DocumentsJoined);
        let mut initial = true;
        loop {
            if initial {
                initial = false;
            } else if !self.character(',') {
                insert_before_space(&mut self.out, ",");
            }
            if !self.value()? {
                break;
            }
        }
        strip_last(&mut self.out, ',', false);
        self.out = format!("[\n{}\n]", self.out);
        Ok(())
    }

    /// Reads a string. When its end quote turns out to be missing it is read again: up to the next delimiter, or up to
    /// the index that the first reading found.
    fn string(&mut self, stop_at_delimiter: bool, stop_at: Option<usize>) -> Done {
        let skips_escapes = self.now() == Some('\\');
        if skips_escapes {
            self.fix(Fix::EscapeFixed);
            self.i += 1;
        }
        let Some(quote) = self.now().filter(|char| is_quote(*char)) else {
            return Ok(false);
        };
        let is_end_quote: fn(char) -> bool = if quote == '"' {
            |char| char == '"'
        } else if quote == '\'' {
            |char| char == '\''
        } else if is_single_quote(quote) {
            is_single_quote
        } else {
            is_double_quote
        };
        let before = self.i;
        let out_before = self.out.len();
        if quote != '"' {
            self.fix(Fix::QuotesReplaced);
        }
        let fixes_before = self.fixes.len();
        let mut text = String::from("\"");
        self.i += 1;
        loop {
            let Some(char) = self.now() else {
                // Behind an escape that the end of the text cuts there is nothing, which counts as a delimiter.
                let last = self.previous(self.i.saturating_sub(1));
                if !stop_at_delimiter && self.at(last).is_none_or(is_delimiter) {
                    self.reset(before, out_before, fixes_before);
                    return self.string(true, None);
                }
                self.fix(Fix::QuoteAdded);
                insert_before_space(&mut text, "\"");
                self.out.push_str(&text);
                return Ok(true);
            };
            if Some(self.i) == stop_at {
                self.fix(Fix::QuoteAdded);
                insert_before_space(&mut text, "\"");
                self.out.push_str(&text);
                return Ok(true);
            }
            if is_end_quote(char) {
                let quote_at = self.i;
                let text_length = text.len();
                text.push('"');
                self.i += 1;
                self.out.push_str(&text);
                self.space(false);
                let ends = stop_at_delimiter
                    || match self.now() {
                        None => true,
                        Some(next) => {
                            (is_delimiter(next) && !inside_unclosed_bracket(&text, next))
                                || (is_quote(next) && !self.next_quote_is_end(self.i))
                                || next.is_ascii_digit()
                        }
                    };
                if ends {
                    self.concatenated()?;
                    return Ok(true);
                }
                let previous = self.previous(quote_at.saturating_sub(1));
                match self.at(previous) {
                    // The model reads such a string again for ever, when its stop lies inside an escape.
                    Some(',') if stop_at == Some(previous) => {
                        return Err((quote_at, "no end of the string".to_owned()));
                    }
                    Some(',') => {
                        self.reset(before, out_before, fixes_before);
                        return self.string(false, Some(previous));
                    }
                    Some(char) if is_delimiter(char) => {
                        self.reset(before, out_before, fixes_before);
                        return self.string(true, None);
                    }
                    _ => {}
                }
                self.out.truncate(out_before);
                self.i = quote_at;
                self.fix(Fix::QuoteEscaped);
                self.i += 1;
                text.insert(text_length, '\\');
            } else if stop_at_delimiter && is_unquoted_delimiter(char) {
                if self.i > 0 && self.at(self.i - 1) == Some(':') && self.is_url_start(before + 1) {
                    while let Some(char) = self.now().filter(|char| is_url(*char)) {
                        text.push(char);
                        self.i += 1;
                    }
                }
                self.fix(Fix::QuoteAdded);
                insert_before_space(&mut text, "\"");
                self.out.push_str(&text);
                self.concatenated()?;
                return Ok(true);
            } else if char == '\\' {
                self.escape(&mut text)?;
            } else {
                match char {
                    '"' if self.i == 0 || self.at(self.i - 1) != Some('\\') => {
                        self.fix(Fix::QuoteEscaped);
                        text.push_str("\\\"");
                    }
                    '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => {
                        self.fix(Fix::ControlEscaped);
                        text.push_str(match char {
                            '\n' => "\\n",
                            '\r' => "\\r",
                            '\t' => "\\t",
                            '\u{8}' => "\\b",
                            _ => "\\f",
                        });
                    }
                    '\0'..='\u{1f}' => return Err((self.i, format!("invalid character {char:?}"))),
                    _ => text.push(char),
                }
                self.i += 1;
            }
            if skips_escapes {
                self.skip('\\');
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), (usize, String)> {
        match self.at(self.i + 1) {
            Some(char @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
                text.push('\\');
                text.push(char);
                self.i += 2;
            }
            Some('u') => {
                let mut j = 2;
                while j < 6 && self.at(self.i + j).is_some_and(|char| char.is_ascii_hexdigit()) {
                    j += 1;
                }
                if j == 6 {
                    text.push_str(&self.slice(self.i, self.i + 6));
                    self.i += 6;
                } else if self.i + j >= self.text.len() {
                    self.fix(Fix::EscapeFixed);
                    self.i = self.text.len();
                } else {
                    let escape = self.slice(self.i, self.i + 6);
                    return Err((self.i, format!("invalid unicode character {escape:?}")));
                }
            }
            Some('\n') => {
                self.fix(Fix::EscapeFixed);
                text.push_str("\\n");
                self.i += 2;
            }
            other => {
                self.fix(Fix::EscapeFixed);
                text.extend(other);
                self.i += 2;
            }
        }
        Ok(())
    }

    fn reset(&mut self, i: usize, out: usize, fixes: usize) {
        self.i = i;
        self.out.truncate(out);
        self.fixes.truncate(fixes);
    }

    /// Joins strings that `+` connects.
    fn concatenated(&mut self) -> Result<(), (usize, String)> {
        self.space(true);
        while self.now() == Some('+') {
            self.fix(Fix::ByteSkipped);
            self.i += 1;
            self.space(true);
            strip_last(&mut self.out, '"', true);
            let start = self.out.len();
            if self.string(false, None)? {
                if start < self.out.len() {
                    self.out.remove(start);
                }
            } else {
                insert_before_space(&mut self.out, "\"");
            }
        }
        Ok(())
    }

    fn number(&mut self) -> bool {
        let start = self.i;
        let mut number = String::new();
        let mut invalid = false;
        if self.now() == Some('-') {
            number.push('-');
            self.i += 1;
            if !self.digit() && self.at_end_of_number() {
                number.push('0');
            }
        }
        if self.now() == Some('0') && self.at(self.i + 1).is_some_and(|char| char.is_ascii_digit()) {
            invalid = true;
        }
        self.digits(&mut number);
        if self.now() == Some('.') {
            if number.is_empty() || number == "-" {
                number.push('0');
            }
            number.push('.');
            self.i += 1;
            if !self.digit() {
                number.push('0');
            }
            self.digits(&mut number);
        }
        if self.i <= start {
            return false;
        }
        if let Some(char @ ('e' | 'E')) = self.now() {
            invalid |= number == "-";
            number.push(char);
            self.i += 1;
            if let Some(sign @ ('-' | '+')) = self.now() {
                number.push(sign);
                self.i += 1;
            }
            if !self.digit() {
                number.push('0');
            }
            self.digits(&mut number);
        }
        if !self.at_end_of_number() {
            self.i = start;
            return false;
        }
        let original = self.slice(start, self.i);
        if invalid {
            self.fixes.push((start, Fix::QuotesAdded));
            self.out.push('"');
            self.out.push_str(&original);
            self.out.push('"');
        } else {
            if number != original {
                self.fixes.push((start, Fix::NumberFixed));
            }
            self.out.push_str(&number);
        }
        true
    }

    fn digit(&self) -> bool {
        self.now().is_some_and(|char| char.is_ascii_digit())
    }

    fn digits(&mut self, number: &mut String) {
        while let Some(char) = self.now().filter(char::is_ascii_digit) {
            number.push(char);
            self.i += 1;
        }
    }

    fn keywords(&mut self) -> bool {
        for (name, value) in [
            ("true", "true"),
            ("false", "false"),
            ("null", "null"),
            ("True", "true"),
            ("False", "false"),
            ("None", "null"),
        ] {
            if self.slice(self.i, self.i + name.len()) == name
                && !self.at(self.i + name.len()).is_some_and(is_name)
            {
                if name != value {
                    self.fix(Fix::LiteralFixed);
                }
                self.out.push_str(value);
                self.i += name.len();
                return true;
            }
        }
        false
    }

    fn unquoted(&mut self, is_key: bool) -> Done {
        let start = self.i;
        if self.now().is_some_and(is_name_start) {
            while self.now().is_some_and(is_name) {
                self.i += 1;
            }
            let mut j = self.i;
            while self.at(j).is_some_and(is_space) {
                j += 1;
            }
            if self.at(j) == Some('(') {
                self.fixes.push((start, Fix::ByteSkipped));
                self.i = j + 1;
                self.enter()?;
                self.value()?;
                self.depth -= 1;
                if self.skip(')') {
                    self.skip(';');
                }
                return Ok(true);
            }
        }
        while let Some(char) = self.now() {
            if is_unquoted_delimiter(char) || is_quote(char) || (is_key && char == ':') {
                break;
            }
            self.i += 1;
        }
        if self.i > 0 && self.at(self.i - 1) == Some(':') && self.is_url_start(start) {
            while self.now().is_some_and(is_url) {
                self.i += 1;
            }
        }
        if self.i <= start {
            return Ok(false);
        }
        while self.i > 0 && self.at(self.i - 1).is_some_and(is_space) {
            self.i -= 1;
        }
        let symbol = self.slice(start, self.i);
        if symbol == "undefined" {
            self.fixes.push((start, Fix::LiteralFixed));
            self.out.push_str("null");
        } else {
            self.fixes.push((start, Fix::QuotesAdded));
            self.out.push_str(&Value::from(symbol).to_string());
        }
        if self.now() == Some('"') {
            self.i += 1;
        }
        Ok(true)
    }

    fn regex(&mut self) -> bool {
        if self.now() != Some('/') {
            return false;
        }
        let start = self.i;
        self.i += 1;
        while !self.ended() && (self.now() != Some('/') || self.at(self.i - 1) == Some('\\')) {
            self.i += 1;
        }
        self.i += 1;
        self.fixes.push((start, Fix::QuotesAdded));
        let symbol = self.slice(start, self.i);
        self.out.push_str(&Value::from(symbol).to_string());
        true
    }

    fn previous(&self, start: usize) -> usize {
        let mut previous = start;
        while previous > 0 && self.at(previous).is_some_and(is_space) {
            previous -= 1;
        }
        previous
    }

    fn next_quote_is_end(&self, index: usize) -> bool {
        let mut next = index + 1;
        while self.at(next).is_some_and(is_space) {
            next += 1;
        }
        self.at(next).is_none_or(is_delimiter)
    }

    fn at_end_of_number(&self) -> bool {
        self.now().is_none_or(|char| is_delimiter(char) || is_space(char))
    }

    fn is_url_start(&self, from: usize) -> bool {
        let end = self.i + 2;
        end.saturating_sub(from) <= 10 && URL_STARTS.contains(&self.slice(from, end).as_str())
    }
}

/// Removes the last `char`, and what comes behind it if `rest`.
fn strip_last(out: &mut String, char: char, rest: bool) {
    if let Some(at) = out.rfind(char) {
        if rest {
            out.truncate(at);
        } else {
            out.remove(at);
        }
    }
}

fn insert_before_space(out: &mut String, insert: &str) {
    let end = out.trim_end_matches(is_space).len();
    out.insert_str(end, insert);
}
