//! Python tuples and grouped values (`parser_parenthesized.py`).

use serde_json::Value;

use super::cursor::{Cursor, Failed, is_quote};

/// What a scan over the inside of a parenthesis has open.
#[derive(Default)]
struct Nesting {
    parens: i32,
    brackets: i32,
    braces: i32,
    quote: Option<char>,
    backslashes: u32,
}

impl Nesting {
    fn is_outside(&self) -> bool {
        self.parens == 0 && self.brackets == 0 && self.braces == 0
    }

    /// Whether a character is text: part of a string or an escape, or a quote.
    fn is_text(&mut self, char: char) -> bool {
        if char == '\\' {
            self.backslashes += 1;
            return true;
        }
        let escaped = self.backslashes % 2 == 1;
        self.backslashes = 0;
        if let Some(quote) = self.quote {
            if char == quote && !escaped {
                self.quote = None;
            }
            return true;
        }
        if is_quote(Some(char)) && !escaped {
            self.quote = Some(char);
            return true;
        }
        false
    }

    fn bracket(&mut self, char: char) {
        match char {
            '(' => self.parens += 1,
            '[' => self.brackets += 1,
            ']' if self.brackets > 0 => self.brackets -= 1,
            '{' => self.braces += 1,
            '}' if self.braces > 0 => self.braces -= 1,
            _ => {}
        }
    }
}

impl Cursor {
    pub(super) fn parenthesized(&mut self) -> Result<Value, Failed> {
        let is_tuple = self.is_tuple();
        self.index += 1;
        let mut values = self.array(')')?;
        if is_tuple || values.len() != 1 {
            return Ok(Value::Array(values));
        }
        Ok(values.remove(0))
    }

    fn inside(&self) -> impl Iterator<Item = (usize, char)> + '_ {
        let from = usize::try_from(self.index + 1).unwrap_or(0);
        self.text.iter().copied().enumerate().skip(from)
    }

    fn is_tuple(&self) -> bool {
        let mut nesting = Nesting::default();
        let mut saw_content = false;
        for (_, char) in self.inside() {
            let was_quoted = nesting.quote.is_some();
            if nesting.is_text(char) {
                if char != '\\' && !was_quoted {
                    saw_content |= nesting.is_outside();
                }
                continue;
            }
            if !char.is_whitespace() && char != ',' && char != ')' && nesting.is_outside() {
                saw_content = true;
            }
            match char {
                ')' if nesting.is_outside() => return !saw_content,
                ')' if nesting.parens > 0 => nesting.parens -= 1,
                ',' if nesting.is_outside() => return true,
                _ => nesting.bracket(char),
            }
        }
        !saw_content
    }

    /// Whether a parenthesis outside of all values is a value of its own and not part of prose.
    pub(super) fn paren_starts_value(&self) -> bool {
        let before = usize::try_from(self.index).unwrap_or(0).min(self.text.len());
        let before = self.text.get(..before).unwrap_or_default();
        let line = before
            .iter()
            .rev()
            .take_while(|char| !matches!(char, '\n' | '\r'));
        if line.into_iter().any(|char| !char.is_whitespace()) {
            return false;
        }
        let count = self.past_space(1);
        let Some(first) = self.get(count) else {
            return false;
        };
        let start = self.index + count;
        if !matches!(first, ')' | '{' | '[' | '(' | '-' | '.')
            && !is_quote(Some(first))
            && !first.is_numeric()
            && !matches!(self.slice(start, start + 4).as_str(), "true" | "null")
            && self.slice(start, start + 5) != "false"
        {
            return false;
        }
        let mut nesting = Nesting::default();
        for (at, char) in self.inside() {
            if nesting.is_text(char) {
                continue;
            }
            match char {
                ')' if nesting.is_outside() => {
                    let rest = self.text.get(at + 1..).unwrap_or_default();
                    let line = rest.iter().take_while(|char| !matches!(char, '\n' | '\r'));
                    return line.into_iter().all(|char| char.is_whitespace());
                }
                ')' => nesting.parens -= 1,
                _ => nesting.bracket(char),
            }
        }
        true
    }
}
