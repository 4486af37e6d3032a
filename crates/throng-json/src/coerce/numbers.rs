//! Numbers in strings: fractions, thousands separators, currencies, and the one number of a sentence.

use serde_json::Number;

/// Reads a text as a number as it stands.
pub(super) fn plain(text: &str) -> Option<Number> {
    let text = text.trim().trim_end_matches(',');
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    text.parse().ok().and_then(Number::from_f64)
}

/// Reads a fraction, or the one number in a text.
pub(super) fn loose(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches(',');
    fraction(text).or_else(|| in_text(text))
}

fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/')?;
    let above: f64 = above.trim().parse().ok()?;
    let below: f64 = below.trim().parse().ok()?;
    (below != 0.0).then_some(above / below)
}

/// Finds the only number of a text.
fn in_text(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut found = None;
    let mut at = 0;
    while at < bytes.len() {
        let Some((end, number)) = number_at(bytes, at) else {
            at += 1;
            continue;
        };
        if found.replace(number).is_some() {
            return None;
        }
        at = end;
    }
    found?.parse().ok()
}

/// Reads `[+-]$1,234.5e6` at a place; returns where it ends, and its digits.
fn number_at(bytes: &[u8], start: usize) -> Option<(usize, String)> {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = start;
    let mut number = String::new();
    if let Some(sign @ (b'+' | b'-')) = bytes.get(at) {
        number.push(char::from(*sign));
        at += 1;
    }
    if bytes.get(at) == Some(&b'$') {
        at += 1;
    }
    let mut push_digits = |at: &mut usize| {
        while let Some(byte) = bytes.get(*at).filter(|byte| byte.is_ascii_digit()) {
            number.push(char::from(*byte));
            *at += 1;
        }
    };
    if digit(at) {
        push_digits(&mut at);
        while bytes.get(at) == Some(&b',') && digit(at + 1) {
            at += 1;
            push_digits(&mut at);
        }
    } else if !(bytes.get(at) == Some(&b'.') && digit(at + 1)) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') && digit(at + 1) {
        number.push('.');
        at += 1;
        while let Some(byte) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            number.push(char::from(*byte));
            at += 1;
        }
    }
    if bytes.get(at) == Some(&b'e') {
        let signed = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if digit(at + 1 + signed) {
            let mut end = at + 1 + signed;
            while digit(end) {
                end += 1;
            }
            number.push_str(&String::from_utf8_lossy(bytes.get(at..end).unwrap_or_default()));
            at = end;
        }
    }
    Some((at, number))
}
