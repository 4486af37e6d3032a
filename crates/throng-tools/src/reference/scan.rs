//! Cuts a text into plain pieces and references.
//!
//! The forms: `$id.path`, `$id.path$` (NESTFUL), `${id.path}`, `#E1` (ReWOO), and `$1`, the first call, where no call
//! has the id `1`. `$$` is a plain `$`. What names no call of the plan is plain text, and so is what looks like an amount
//! of money: `$1.50`, `$1,000`.

use super::names::Names;
use super::path::{self, Keys, Path, is_word};

/// A piece of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// Stands for a piece of a result.
    Reference(Found<'a>),
}

/// A reference in a text.
#[derive(Debug, PartialEq)]
pub(super) struct Found<'a> {
    pub(super) call: u32,
    pub(super) path: Path,
    pub(super) text: &'a str,
}

/// Returns true if the text holds nothing but plain text for any set of names.
pub(super) fn is_plain(text: &str) -> bool {
    !text.bytes().any(|byte| byte == b'$' || byte == b'#')
}

/// Gives every piece of the text in turn. Pieces of plain text are not joined.
pub(super) fn scan<'a>(text: &'a str, names: &Names, own: u32, mut each: impl FnMut(Piece<'a>)) {
    let mut plain = 0;
    let mut at = 0;
    let between = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    while let Some(sign) = text.as_bytes().get(at..).and_then(|rest| {
        rest.iter()
            .position(|&byte| byte == b'$' || byte == b'#')
            .map(|offset| at + offset)
    }) {
        let rest = between(sign, text.len());
        if rest.starts_with("$$") {
            each(Piece::Text(between(plain, sign + 1)));
            at = sign + 2;
            plain = at;
            continue;
        }
        let found = match rest.as_bytes().first() {
            Some(b'$') if rest.starts_with("${") => braced(rest, names, own),
            Some(b'$') => bare(rest, names, own),
            _ if between(0, sign).ends_with(is_word) => None,
            _ => evidence(rest, names, own),
        };
        let Some((call, path, length)) = found else {
            at = sign + 1;
            continue;
        };
        if plain < sign {
            each(Piece::Text(between(plain, sign)));
        }
        at = sign + length;
        plain = at;
        each(Piece::Reference(Found {
            call,
            path,
            text: between(sign, at),
        }));
    }
    if plain < text.len() {
        each(Piece::Text(between(plain, text.len())));
    }
}

type Match = (u32, Path, usize);

/// Reads `${id.path}`.
fn braced(text: &str, names: &Names, own: u32) -> Option<Match> {
    let inside = text.get(2..)?;
    let padding = inside.len() - inside.trim_start_matches(' ').len();
    let inside = inside.get(padding..)?;
    let ends = |rest: &str| rest.starts_with(['.', '[', '}', ' ']);
    let longest = names.longest().min(inside.len());
    let by_id = (1..=longest)
        .rev()
        .filter_map(|end| inside.split_at_checked(end))
        .filter(|(_, rest)| ends(rest))
        .find_map(|(id, _)| Some((names.index(id)?, id.len())));
    let (call, id) = by_id.or_else(|| {
        let digits = digits(inside);
        ends(inside.get(digits.len()..)?)
            .then(|| Some((names.number(digits, own)?, digits.len())))
            .flatten()
    })?;
    let (path, used) = path::read(inside.get(id..)?, Keys::Loose);
    let rest = inside.get(id + used..)?;
    let end = rest.trim_start_matches(' ');
    end.starts_with('}')
        .then(|| (call, path, text.len() - end.len() + 1))
}

/// Reads `$id.path` and `$id.path$`.
fn bare(text: &str, names: &Names, own: u32) -> Option<Match> {
    let (call, id) = bare_id(text, names, own)?;
    let after = text.get(id..)?;
    let (loose, used) = path::read(after, Keys::Loose);
    if after.get(used..).is_some_and(|rest| closes(rest, names, own)) {
        return Some((call, loose, id + used + 1));
    }
    let (path, used) = path::read(after, Keys::Words);
    Some((call, path, id + used))
}

/// Returns true if the `$` at the start of the text ends a reference, and does not begin the next one.
fn closes(text: &str, names: &Names, own: u32) -> bool {
    text.strip_prefix('$').is_some_and(|after| {
        !after.starts_with(is_word)
            && !after.starts_with('{')
            // An id may begin with something else than a letter.
            && (after.starts_with('$') || bare_id(text, names, own).is_none())
    })
}

/// Returns the call that the id behind the `$` names, and the length up to the end of the id.
fn bare_id(text: &str, names: &Names, own: u32) -> Option<(u32, usize)> {
    let id = text.get(1..)?;
    let run = id
        .find(|char: char| char.is_whitespace() || "$(){}[],;\"'`<>".contains(char))
        .unwrap_or(id.len());
    let known = (1..=run.min(names.longest()))
        .rev()
        .filter_map(|end| id.split_at_checked(end))
        .filter(|(id, rest)| !rest.starts_with(is_word) || !id.ends_with(is_word))
        .find_map(|(id, rest)| Some((names.index(id)?, id, rest)));
    let (call, id, rest) = match known {
        Some(known) => known,
        None => {
            let (digits, rest) = id.split_at_checked(digits(id).len())?;
            if rest.starts_with(is_word) {
                return None;
            }
            (names.number(digits, own)?, digits, rest)
        }
    };
    let amount = id.bytes().all(|byte| byte.is_ascii_digit()) && goes_on_as_number(rest);
    (!amount).then_some((call, 1 + id.len()))
}

/// Reads `#E1`.
fn evidence(text: &str, names: &Names, own: u32) -> Option<Match> {
    let number = digits(text.strip_prefix("#E")?);
    let length = 2 + number.len();
    let (id, rest) = text.split_at_checked(length)?;
    if number.is_empty() || rest.starts_with(is_word) {
        return None;
    }
    let call = names
        .index(id)
        .or_else(|| names.index(id.get(1..)?))
        .or_else(|| names.number(number, own))?;
    let (path, used) = path::read(rest, Keys::Words);
    Some((call, path, length + used))
}

fn digits(text: &str) -> &str {
    let end = text
        .find(|char: char| !char.is_ascii_digit())
        .unwrap_or(text.len());
    text.get(..end.min(10)).unwrap_or_default()
}

/// Returns true for the rest of `1.50` and `1,000` behind the `1`.
fn goes_on_as_number(rest: &str) -> bool {
    let group = rest.strip_prefix(',').map_or(0, |group| digits(group).len());
    group == 3
        || rest
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
}
