//! Text without quotes: which literal or number it means, if any.

use serde_json::{Number, Value};

use crate::event::Fix;

/// Reads text without quotes as a value. The fix is `None` when the text is JSON as it stands.
pub(crate) fn read(text: &str) -> (Value, Option<Fix>) {
    match text {
        "true" => return (Value::Bool(true), None),
        "false" => return (Value::Bool(false), None),
        "null" => return (Value::Null, None),
        "True" | "TRUE" => return (Value::Bool(true), Some(Fix::LiteralFixed)),
        "False" | "FALSE" => return (Value::Bool(false), Some(Fix::LiteralFixed)),
        "None" | "NULL" | "Null" | "undefined" | "NaN" | "nan" | "Infinity" | "-Infinity" => {
            return (Value::Null, Some(Fix::LiteralFixed));
        }
        _ => {}
    }
    if let Ok(number) = serde_json::from_str::<Number>(text) {
        return (Value::Number(number), None);
    }
    match loose_number(text) {
        Some(number) => (Value::Number(number), Some(Fix::NumberFixed)),
        None => (Value::String(text.to_owned()), Some(Fix::QuotesAdded)),
    }
}

/// Reads `+1`, `.5`, `1.`, `-.5`, `1e` and `1_000`. Digits that start with a superfluous 0 are rather a code than a number.
fn loose_number(text: &str) -> Option<Number> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let first = digits.bytes().next()?;
    if !first.is_ascii_digit() && (first != b'.' || digits.len() == 1) {
        return None;
    }
    let mut plain = String::from(sign);
    if first == b'.' {
        plain.push('0');
    }
    for (at, char) in digits.char_indices() {
        match char {
            '_' if at > 0 && digits.as_bytes()[at - 1].is_ascii_digit() => {}
            '0'..='9' | '.' | 'e' | 'E' | '-' | '+' => plain.push(char),
            _ => return None,
        }
    }
    if plain.ends_with(['.', 'e', 'E']) {
        plain.push('0');
    }
    serde_json::from_str(&plain).ok()
}
