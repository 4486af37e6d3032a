//! Numbers (`parse_number.py`).

use serde_json::{Number, Value};

use super::cursor::{Context, Cursor, Failed};

impl Cursor {
    pub(super) fn number(&mut self) -> Result<Value, Failed> {
        let in_array = self.current() == Some(Context::Array);
        let mut text = String::new();
        while let Some(char) = self.now() {
            if !"0123456789-.eE/,_".contains(char) || (in_array && char == ',') {
                break;
            }
            if char != '_' {
                text.push(char);
            }
            self.index += 1;
        }
        if self.now().is_some_and(char::is_alphabetic) {
            // It is a string that begins with digits.
            self.index -= isize::try_from(text.len()).unwrap_or(0);
            return self.string();
        }
        if text.ends_with(['-', 'e', 'E', '/', ',']) {
            text.pop();
            self.index -= 1;
        }
        if text.contains(',') {
            return Ok(Value::from(text));
        }
        let number = if text.contains(['.', 'e', 'E']) {
            text.parse().ok().and_then(Number::from_f64)
        } else {
            whole(&text)
        };
        Ok(number.map_or(Value::String(text), Value::Number))
    }
}

/// Reads a whole number as Python does: leading zeros are fine.
fn whole(text: &str) -> Option<Number> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().and_then(Number::from_f64)
}
