//! The arguments of a call in Python's syntax, as far as they are literals.

use serde_json::{Map, Number, Value};

/// How deep lists and dictionaries may be nested.
const DEPTH: usize = 64;

/// Arguments as a call gives them.
#[derive(Debug, PartialEq)]
pub(super) struct Arguments {
    /// What the arguments are: an array by place, or an object by name.
    pub(super) value: Value,
    /// Bytes up to the closing bracket, that one included.
    pub(super) length: usize,
}

/// Reads arguments up to the `)` that closes them. `None` if they are no literals.
///
/// Besides Python's, `true`, `false`, `null`, and references without quotes (`$1`, `${1}`) are taken.
pub(super) fn arguments(text: &str) -> Option<Arguments> {
    let mut reader = Reader { text, at: 0 };
    let mut by_place = Vec::new();
    let mut by_name = Map::new();
    reader.blank();
    while !reader.take(')') {
        match reader.keyword() {
            Some(name) => {
                if by_name.insert(name, reader.value(0)?).is_some() {
                    return None;
                }
            }
            None if by_name.is_empty() => by_place.push(reader.value(0)?),
            None => return None,
        }
        reader.blank();
        if !reader.take(',') && !reader.rest().starts_with(')') {
            return None;
        }
        reader.blank();
    }
    let value = match (by_place.is_empty(), by_name.is_empty()) {
        (_, true) => Value::Array(by_place),
        (true, false) => Value::Object(by_name),
        // By place and by name: a model's mistake that only the schema could tell apart.
        (false, false) => return None,
    };
    Some(Arguments {
        value,
        length: reader.at,
    })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, char: char) -> bool {
        let taken = self.rest().starts_with(char);
        if taken {
            self.at += char.len_utf8();
        }
        taken
    }

    fn take_str(&mut self, word: &str) -> bool {
        let taken = self.rest().starts_with(word);
        if taken {
            self.at += word.len();
        }
        taken
    }

    fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|char: char| !(char == '_' || char.is_alphanumeric()))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Takes `name=`.
    fn keyword(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.word();
        let starts_well = name.starts_with(|first: char| first == '_' || first.is_alphabetic());
        self.blank();
        if starts_well && !self.rest().starts_with("==") && self.take('=') {
            self.blank();
            return Some(name.to_owned());
        }
        self.at = start;
        None
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        match self.rest().chars().next()? {
            '[' => self.list(']', depth).map(|(values, _)| Value::Array(values)),
            '(' => {
                let (mut values, comma) = self.list(')', depth)?;
                // A single value in brackets is itself; a comma makes it a tuple.
                match (values.len(), comma) {
                    (1, false) => values.pop(),
                    _ => Some(Value::Array(values)),
                }
            }
            '{' => self.dictionary(depth),
            '$' => self.reference(),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            _ => self.text_or_word(),
        }
    }

    /// Reads a list, and says whether a comma stood at its end.
    fn list(&mut self, close: char, depth: usize) -> Option<(Vec<Value>, bool)> {
        self.at += 1;
        let mut values = Vec::new();
        let mut comma = false;
        self.blank();
        while !self.take(close) {
            values.push(self.value(depth + 1)?);
            self.blank();
            comma = self.take(',');
            if !comma && !self.rest().starts_with(close) {
                return None;
            }
            self.blank();
        }
        Some((values, comma))
    }

    /// Reads a dictionary, or a set, which becomes an array.
    fn dictionary(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut members = Map::new();
        let mut set = Vec::new();
        self.blank();
        while !self.take('}') {
            let key = self.value(depth + 1)?;
            self.blank();
            if self.take(':') {
                let key = match key {
                    Value::String(key) => key,
                    Value::Number(key) => key.to_string(),
                    _ => return None,
                };
                self.blank();
                members.insert(key, self.value(depth + 1)?);
            } else {
                set.push(key);
            }
            self.blank();
            if !self.take(',') && !self.rest().starts_with('}') {
                return None;
            }
            self.blank();
        }
        match (members.is_empty(), set.is_empty()) {
            (_, true) => Some(Value::Object(members)),
            (true, false) => Some(Value::Array(set)),
            (false, false) => None,
        }
    }

    /// Reads a reference without quotes up to where the next argument begins.
    fn reference(&mut self) -> Option<Value> {
        let rest = self.rest();
        let end = rest
            .find(|char: char| char.is_whitespace() || ",()\"'".contains(char))
            .unwrap_or(rest.len());
        let mut text = rest.get(..end)?;
        // A bracket that was not opened here closes the list around.
        while text.ends_with(']') && text.matches(']').count() > text.matches('[').count()
            || text.ends_with('}') && text.matches('}').count() > text.matches('{').count()
        {
            text = text.get(..text.len() - 1)?;
        }
        self.at += text.len();
        (text.len() > 1).then(|| Value::String(text.to_owned()))
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.take('-');
        if !negative {
            self.take('+');
        }
        let rest = self.rest();
        let end = rest
            .char_indices()
            .find(|&(at, char)| {
                let exponent = rest
                    .get(..at)
                    .is_some_and(|before| before.ends_with(['e', 'E']) && !before.starts_with("0x"));
                !(char.is_ascii_alphanumeric()
                    || char == '.'
                    || char == '_'
                    || (exponent && (char == '-' || char == '+')))
            })
            .map_or(rest.len(), |(at, _)| at);
        let digits = rest.get(..end)?.replace('_', "");
        self.at += end;
        if digits.is_empty() {
            return None;
        }
        let radix = |prefix: &str, radix| {
            let digits = digits.strip_prefix(prefix)?;
            u64::from_str_radix(digits, radix).ok()
        };
        let whole = digits
            .parse::<u64>()
            .ok()
            .or_else(|| radix("0x", 16))
            .or_else(|| radix("0o", 8))
            .or_else(|| radix("0b", 2));
        match (whole, negative) {
            (Some(whole), false) => Some(Value::from(whole)),
            (Some(whole), true) => Some(Value::from(0_i64.checked_sub_unsigned(whole)?)),
            // Digits that do not fit would lose some.
            (None, _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => None,
            (None, _) => {
                let plain = digits
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
                let number: f64 = digits.parse().ok().filter(|_| plain)?;
                Number::from_f64(if negative { -number } else { number }).map(Value::Number)
            }
        }
    }

    fn text_or_word(&mut self) -> Option<Value> {
        let mut text = String::new();
        let mut any = false;
        loop {
            let start = self.at;
            let prefix = self.word();
            let raw = prefix.eq_ignore_ascii_case("r");
            let quoted = self.rest().starts_with(['"', '\'']);
            if quoted && (raw || prefix.is_empty() || ["f", "F", "u", "U"].contains(&prefix)) {
                self.quoted(raw, &mut text)?;
                any = true;
            } else if any {
                self.at = start;
                return Some(Value::String(text));
            } else {
                return match prefix {
                    "True" | "true" => Some(Value::Bool(true)),
                    "False" | "false" => Some(Value::Bool(false)),
                    "None" | "null" => Some(Value::Null),
                    _ => None,
                };
            }
            // Texts side by side are one text.
            self.blank();
        }
    }

    fn quoted(&mut self, raw: bool, text: &mut String) -> Option<()> {
        let quote = if self.rest().starts_with('"') { "\"" } else { "'" };
        let triple = quote.repeat(3);
        let close = if self.take_str(&triple) {
            triple.as_str()
        } else {
            self.at += 1;
            quote
        };
        loop {
            if self.take_str(close) {
                return Some(());
            }
            let char = self.rest().chars().next()?;
            if char == '\n' && close.len() == 1 {
                return None;
            }
            self.at += char.len_utf8();
            if char != '\\' {
                text.push(char);
            } else if raw {
                text.push('\\');
                let next = self.rest().chars().next()?;
                self.at += next.len_utf8();
                text.push(next);
            } else {
                self.escape(text)?;
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Option<()> {
        let char = self.rest().chars().next()?;
        self.at += char.len_utf8();
        let simple = match char {
            '\n' => return Some(()),
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'v' => '\u{b}',
            '\\' | '\'' | '"' => char,
            'x' => return self.code(2, text),
            'u' => return self.code(4, text),
            'U' => return self.code(8, text),
            '0'..='7' => {
                self.at -= 1;
                let rest = self.rest();
                let length = rest
                    .bytes()
                    .take(3)
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count();
                self.at += length;
                let code = u32::from_str_radix(rest.get(..length)?, 8).ok()?;
                text.push(char::from_u32(code)?);
                return Some(());
            }
            // As Python does, an escape that is none stays as it is.
            other => {
                text.push('\\');
                other
            }
        };
        text.push(simple);
        Some(())
    }

    fn code(&mut self, length: usize, text: &mut String) -> Option<()> {
        let digits = self.rest().get(..length)?;
        let mut code = u32::from_str_radix(digits, 16).ok()?;
        self.at += length;
        // Two halves of a pair make one letter.
        if (0xd800..0xdc00).contains(&code)
            && let Some(low) = self.rest().strip_prefix("\\u").and_then(|rest| rest.get(..4))
            && let Ok(low @ 0xdc00..0xe000) = u32::from_str_radix(low, 16)
        {
            self.at += 6;
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        text.push(char::from_u32(code)?);
        Some(())
    }
}
