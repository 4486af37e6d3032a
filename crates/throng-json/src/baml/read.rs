//! All that a text may mean: JSON, fenced blocks, JSON inside prose, JSON with mistakes, and the text itself.

use serde_json::Value;

use super::fix;
use super::value::Ish;

/// Closing brackets that match nothing, up to which a text is read again.
const UNMATCHED: usize = 64;
const DEEPEST: u32 = 100;

/// Which readings a text may have.
#[derive(Clone, Copy)]
struct Allowed {
    several: bool,
    fences: bool,
    text: bool,
    depth: u32,
}

/// Reads a text. Tells too whether its end had to be completed.
pub(crate) fn read(text: &str) -> (Ish, bool) {
    let allowed = Allowed {
        several: true,
        fences: true,
        text: true,
        depth: 0,
    };
    let mut cut = false;
    let ish = parse(text, allowed, &mut cut).unwrap_or_else(|| Ish::Text(text.to_owned()));
    (ish, cut)
}

fn parse(text: &str, mut allowed: Allowed, cut: &mut bool) -> Option<Ish> {
    allowed.depth += 1;
    if allowed.depth > DEEPEST {
        return None;
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        return Some(Ish::AnyOf(vec![Ish::from(&value)], text.to_owned()));
    }
    if allowed.fences
        && let Some(ish) = fences(text, allowed, cut)
    {
        return Some(ish);
    }
    if allowed.several {
        let found = several(text, allowed, cut);
        match found.len() {
            0 => {}
            1 => {
                let fixed = found.into_iter().map(|ish| Ish::Fixed(Box::new(ish))).collect();
                return Some(Ish::AnyOf(fixed, text.to_owned()));
            }
            _ => {
                let all = Ish::Array(found.clone());
                let readings = found.into_iter().chain([all]);
                let fixed = readings.map(|ish| Ish::Fixed(Box::new(ish))).collect();
                return Some(Ish::AnyOf(fixed, text.to_owned()));
            }
        }
    }
    if let Some(found) = fix::parse(text, cut) {
        let mut fixed: Vec<Ish> = found.into_iter().map(|ish| Ish::Fixed(Box::new(ish))).collect();
        if fixed.len() > 1 {
            fixed.push(Ish::Array(fixed.clone()));
        }
        return Some(Ish::AnyOf(fixed, text.to_owned()));
    }
    allowed.text.then(|| Ish::Text(text.to_owned()))
}

/// Finds where a fence with a tag begins and where its line ends.
fn fence_with_tag(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("```")?;
        let rest = text.get(start + 3..)?;
        let tag = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b' ')
            .count();
        if tag > 0 {
            let end = start + 3 + tag;
            match text.as_bytes().get(end) {
                Some(b'\n') => return Some((start, end + 1)),
                None => return Some((start, end)),
                _ => {}
            }
        }
        from = start + 1;
    }
}

/// Finds where a closing fence begins and where its line ends.
fn fence_end(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("```")?;
        match text.as_bytes().get(start + 3) {
            Some(b'\n') => return Some((start, start + 4)),
            None => return Some((start, start + 3)),
            _ => from = start + 1,
        }
    }
}

fn fences(text: &str, allowed: Allowed, cut: &mut bool) -> Option<Ish> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, start)) = fence_with_tag(rest) {
        let body = rest.get(start..).unwrap_or_default();
        let end = fence_end(body);
        let content = body
            .get(..end.map_or(body.len(), |(end, _)| end))
            .unwrap_or_default();
        let inside = Allowed {
            fences: false,
            text: false,
            ..allowed
        };
        if let Some((_, next)) = end {
            rest = body.get(next..).unwrap_or_default();
        }
        if let Some(ish) = parse(content.trim(), inside, cut) {
            blocks.push(Ish::Fenced(Box::new(ish)));
        }
        if end.is_none() {
            break;
        }
    }
    if blocks.is_empty() {
        return None;
    }
    let remains = !rest.trim().is_empty();
    if blocks.len() == 1 && !remains {
        return Some(Ish::AnyOf(blocks, text.to_owned()));
    }
    let mut readings = blocks.clone();
    readings.push(Ish::Array(blocks));
    if remains {
        let as_text = Allowed {
            fences: false,
            text: true,
            ..allowed
        };
        readings.extend(parse(text, as_text, cut));
    }
    Some(Ish::AnyOf(readings, text.to_owned()))
}

/// Finds all balanced objects and arrays.
fn several(text: &str, allowed: Allowed, cut: &mut bool) -> Vec<Ish> {
    let inside = Allowed {
        several: false,
        text: false,
        ..allowed
    };
    let mut found = Vec::new();
    let mut open = Vec::new();
    let mut start = 0;
    let mut unmatched = 0;
    for (at, char) in text.char_indices() {
        match char {
            '{' | '[' => {
                if open.is_empty() {
                    start = at;
                }
                open.push(char);
            }
            '}' | ']' => {
                match open.last() {
                    Some(last) if (*last == '{') == (char == '}') => {
                        open.pop();
                    }
                    Some(_) => return Vec::new(),
                    None => unmatched += 1,
                }
                if open.is_empty() && unmatched <= UNMATCHED {
                    found.extend(parse(text.get(start..=at).unwrap_or_default(), inside, cut));
                }
            }
            _ => {}
        }
    }
    if !open.is_empty() {
        found.extend(parse(text.get(start..).unwrap_or_default(), inside, cut));
    }
    found
}
