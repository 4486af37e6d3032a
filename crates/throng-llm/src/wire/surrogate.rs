//! Halves of UTF-16 surrogate pairs in JSON. Servers that cut a text by UTF-16 units send the two halves of an emoji
//! in two deltas, as `"\ud83e"` and `"\udd80"`; each alone is no valid JSON string for a strict parser.
//!
//! [`mark`] makes such a text parseable by putting a marker in the place of each half; [`Joiner`] puts the halves
//! together again across deltas. A half that finds no other becomes U+FFFD.

use std::borrow::Cow;

use serde_json::Value;

/// A JSON text in which each lone half is written as `marker` and four hexadecimal digits.
pub(super) struct Marked {
    pub(super) json: String,
    pub(super) marker: char,
}

/// Returns the text as a strict parser takes it, and the marker of its lone halves if there are any.
pub(super) fn readable(json: &str) -> (Cow<'_, str>, Option<char>) {
    match mark(json) {
        Some(marked) => (Cow::Owned(marked.json), Some(marked.marker)),
        None => (Cow::Borrowed(json), None),
    }
}

/// Returns the text with its lone halves marked, or `None` if it has none.
pub(super) fn mark(json: &str) -> Option<Marked> {
    let bytes = json.as_bytes();
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        match unit(&bytes[at..]) {
            Some(0xd800..=0xdbff) if matches!(unit(&bytes[at + 6..]), Some(0xdc00..=0xdfff)) => at += 12,
            Some(half @ 0xd800..=0xdfff) => {
                halves.push((at, half));
                at += 6;
            }
            _ => at = (at + 2).min(bytes.len()),
        }
    }
    if halves.is_empty() {
        return None;
    }
    // A noncharacter that the text does not use, neither as it is nor escaped.
    let marker = ('\u{fdd0}'..='\u{fdef}').find(|c| {
        !json.contains(*c)
            && !json
                .to_ascii_lowercase()
                .contains(&format!("\\u{:04x}", u32::from(*c)))
    })?;
    let mut marked = String::with_capacity(json.len());
    let mut from = 0;
    for (at, half) in halves {
        marked.push_str(&json[from..at]);
        marked.push(marker);
        marked.push_str(&format!("{half:04x}"));
        from = at + 6;
    }
    marked.push_str(&json[from..]);
    Some(Marked { json: marked, marker })
}

/// Returns the UTF-16 unit that an escape at the beginning of `bytes` stands for.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Puts halves together across the deltas of one text.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    high: Option<u16>,
}

impl Joiner {
    /// Returns the next piece of the text, without a high half at its end: that one waits for the next piece.
    pub(super) fn join(&mut self, text: Cow<'_, str>, marker: Option<char>) -> String {
        if text.is_empty() || (self.high.is_none() && marker.is_none_or(|marker| !text.contains(marker))) {
            return text.into_owned();
        }
        let mut joined = String::with_capacity(text.len() + 4);
        let mut pieces = text.split(|c| Some(c) == marker);
        let first = pieces.next().unwrap_or_default();
        if !first.is_empty() {
            joined.extend(self.finish());
            joined.push_str(first);
        }
        for piece in pieces {
            let (digits, rest) = piece.split_at_checked(4).unwrap_or((piece, ""));
            let half = u16::from_str_radix(digits, 16).unwrap_or(0xdc00);
            match (self.high.take(), half) {
                (Some(high), 0xdc00..=0xdfff) => {
                    joined.extend(
                        char::decode_utf16([high, half]).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)),
                    );
                }
                (before, _) => {
                    joined.extend(before.map(|_| char::REPLACEMENT_CHARACTER));
                    if half < 0xdc00 {
                        self.high = Some(half);
                    } else {
                        joined.push(char::REPLACEMENT_CHARACTER);
                    }
                }
            }
            if !rest.is_empty() {
                joined.extend(self.finish());
                joined.push_str(rest);
            }
        }
        joined
    }

    /// Appends the next piece to a text.
    pub(super) fn join_onto(&mut self, whole: &mut String, text: &str, marker: Option<char>) {
        if self.high.is_none() && marker.is_none() {
            whole.push_str(text);
        } else {
            whole.push_str(&self.join(Cow::Borrowed(text), marker));
        }
    }

    /// Gives up a half that waits: returns U+FFFD for it.
    pub(super) fn finish(&mut self) -> Option<char> {
        self.high.take().map(|_| char::REPLACEMENT_CHARACTER)
    }
}

/// Returns a text that is not continued, with U+FFFD in the place of each lone half.
pub(super) fn whole(text: Cow<'_, str>, marker: Option<char>) -> String {
    let mut joiner = Joiner::default();
    let mut whole = joiner.join(text, marker);
    whole.extend(joiner.finish());
    whole
}

/// Returns a JSON value whose texts are not continued, with U+FFFD in the place of each lone half.
pub(super) fn whole_value(value: Value, marker: Option<char>) -> Value {
    if marker.is_none() {
        return value;
    }
    match value {
        Value::String(text) => Value::String(whole(Cow::Owned(text), marker)),
        Value::Array(items) => items.into_iter().map(|item| whole_value(item, marker)).collect(),
        Value::Object(members) => {
            let text = |name| whole(Cow::Owned(name), marker);
            members
                .into_iter()
                .map(|(name, value)| (text(name), whole_value(value, marker)))
                .collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses each piece as a JSON string and joins them.
    fn joined(pieces: &[&str]) -> String {
        let mut joiner = Joiner::default();
        let mut whole = String::new();
        for piece in pieces {
            let marked = mark(piece);
            let (json, marker) = marked
                .as_ref()
                .map_or((*piece, None), |m| (m.json.as_str(), Some(m.marker)));
            let text: String = serde_json::from_str(json).expect(piece);
            whole.push_str(&joiner.join(text.into(), marker));
        }
        whole.extend(joiner.finish());
        whole
    }

    #[test]
    fn halves_are_joined_across_pieces_and_lost_ones_replaced() {
        assert_eq!(joined(&[r#""a\ud83e""#, r#""\udd80b""#]), "a🦀b");
        assert_eq!(
            joined(&[r#""\uD83E""#, r#""""#, r#""\uDD80""#]),
            "🦀",
            "an empty delta between"
        );
        assert_eq!(joined(&[r#""\ud83e\udd80""#]), "🦀");
        assert_eq!(joined(&[r#""\ud83e""#, r#""x""#]), "\u{fffd}x");
        assert_eq!(joined(&[r#""\ud83e""#]), "\u{fffd}");
        assert_eq!(joined(&[r#""\udd80\ud83e\ud83e\udd80""#]), "\u{fffd}\u{fffd}🦀");
        assert_eq!(
            joined(&[r#""\\ud83e""#]),
            r"\ud83e",
            "an escaped backslash is not an escape"
        );
        assert_eq!(
            joined(&["\"\u{fdd0}\\ufdd1\\ud83e\"", r#""\udd80""#]),
            "\u{fdd0}\u{fdd1}🦀"
        );
    }

    #[test]
    fn broken_escapes_are_left_to_the_parser() {
        for text in [
            r#""\"#,
            r#""\u"#,
            r#""\ud8"#,
            r#""\ud83"#,
            "\"\\u12é4\"",
            r#""\ud83e\u"#,
        ] {
            let _ = mark(text);
        }
        assert!(mark("{}").is_none());
    }
}
