//! What lies ahead of a string's character (`object_value_context.py` and the helpers of `parse_string.py`).

use super::cursor::{Cursor, QUOTES, is_quote};

/// What a comma inside a value's string begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comma {
    Container,
    Member,
    Text,
    TextToTheEnd,
}

/// What earlier searches from inside one string have found.
#[derive(Default)]
pub(super) struct Cache(Vec<(Vec<char>, isize, Option<isize>)>);

/// Whether a character is one of `chars`.
pub(super) fn is_one(char: Option<char>, chars: &[char]) -> bool {
    char.is_some_and(|char| chars.contains(&char))
}

fn is_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '-'
}

pub(super) fn closer(opener: char) -> Option<char> {
    match opener {
        '[' => Some(']'),
        '{' => Some('}'),
        '(' => Some(')'),
        _ => None,
    }
}

fn end_quote(quote: char) -> char {
    if quote == '\u{201c}' { '\u{201d}' } else { quote }
}

impl Cursor {
    pub(super) fn find_cached(&self, cache: &mut Cache, targets: &[char], count: isize) -> isize {
        let start = self.index + count;
        let known = cache.0.iter().position(|(chars, ..)| chars == targets);
        if let Some((_, from, found)) = known.and_then(|at| cache.0.get(at)) {
            match found {
                None if start >= *from => return self.len() - self.index,
                Some(found) if *from <= start && start <= *found => return found - self.index,
                _ => {}
            }
        }
        let distance = self.find(targets, count);
        let found = self.get(distance).map(|_| self.index + distance);
        if let Some(at) = found
            && at > 0
            && usize::try_from(at - 1).ok().and_then(|at| self.text.get(at)) == Some(&'\\')
        {
            return distance;
        }
        match known.and_then(|at| cache.0.get_mut(at)) {
            Some(entry) => (entry.1, entry.2) = (start, found),
            None => cache.0.push((targets.to_vec(), start, found)),
        }
        distance
    }

    fn past_name(&self, mut count: isize) -> isize {
        while self.get(count).is_some_and(is_name) {
            count += 1;
        }
        self.past_space(count)
    }

    pub(super) fn bare_key_at(&self, count: isize) -> bool {
        let starts = self
            .get(count)
            .is_some_and(|char| char.is_alphanumeric() || char == '_');
        starts && self.get(self.past_name(count)) == Some(':')
    }

    fn bare_member_has_value(&self, cache: &mut Cache, count: isize) -> bool {
        let count = self.past_space(count);
        let first = self.get(count);
        if is_quote(first) || is_one(first, &['{', '[', '-']) || first.is_some_and(char::is_numeric) {
            return true;
        }
        for literal in ["true", "false", "null"] {
            let length = isize::try_from(literal.len()).unwrap_or(0);
            let start = self.index + count;
            if self.slice(start, start + length) == literal {
                let end = self.get(count + length);
                if end.is_none_or(|char| char.is_whitespace() || matches!(char, ',' | '}' | ']')) {
                    return true;
                }
            }
        }
        let targets = ['"', '\'', '\u{201c}', '\u{201d}', '}'];
        let end = self.find_cached(cache, &targets, count);
        self.get(end) == Some('}')
    }

    pub(super) fn classify_comma(&self, cache: &mut Cache) -> Comma {
        let next = self.past_space(1);
        let Some(char) = self.get(next) else {
            return Comma::Member;
        };
        let member = |is_member: bool| if is_member { Comma::Member } else { Comma::Text };
        if char == '}' {
            return Comma::Member;
        }
        if QUOTES.contains(&char) {
            let end = self.find(&[char], next + 1);
            if self.get(end).is_none() {
                return Comma::Text;
            }
            return member(self.get(self.past_space(end + 1)) == Some(':'));
        }
        if char == '`' {
            return member(self.get(self.past_name(next + 1)) == Some(':'));
        }
        if char.is_alphanumeric() || char == '_' {
            let behind = self.past_name(next);
            if self.get(behind) == Some(':') && self.bare_member_has_value(cache, behind + 1) {
                return Comma::Member;
            }
        }
        if matches!(char, '{' | '[') {
            return Comma::Container;
        }
        let targets = ['"', '\'', '\u{201c}', '\u{201d}', '{', '['];
        let special_at = self.find_cached(cache, &targets, next);
        let Some(special) = self.get(special_at) else {
            return Comma::TextToTheEnd;
        };
        if matches!(special, '{' | '[') {
            return Comma::Text;
        }
        let end = self.find_cached(cache, &[special], special_at + 1);
        if self.get(end).is_none() {
            return Comma::Text;
        }
        member(self.get(self.past_space(end + 1)) == Some(':'))
    }

    /// Returns the distance past space and comments.
    pub(super) fn past_comments(&self, count: isize) -> isize {
        let mut count = self.past_space(count);
        loop {
            match (self.get(count), self.get(count + 1)) {
                (Some('#'), _) | (Some('/'), Some('/')) => {
                    while self.get(count).is_some_and(|char| !matches!(char, '\n' | '\r')) {
                        count += 1;
                    }
                }
                (Some('/'), Some('*')) => {
                    count += 2;
                    loop {
                        match (self.get(count), self.get(count + 1)) {
                            (None, _) => return count,
                            (Some('*'), Some('/')) => break,
                            _ => count += 1,
                        }
                    }
                    count += 2;
                }
                _ => return count,
            }
            count = self.past_space(count);
        }
    }

    pub(super) fn member_at(&self, count: isize) -> bool {
        let Some(char) = self.get(count).filter(|char| *char != '}') else {
            return false;
        };
        if QUOTES.contains(&char) {
            let quote = end_quote(char);
            let end = self.find(&[quote], count + 1);
            return self.get(end) == Some(quote) && self.get(self.past_space(end + 1)) == Some(':');
        }
        self.bare_key_at(count)
    }

    /// Whether a comma and another member follow the quote.
    pub(super) fn quoted_member_follows(&self, quote: isize) -> bool {
        let comma = self.past_space(quote + 1);
        self.get(comma) == Some(',') && self.member_at(self.past_comments(comma + 1))
    }

    fn nested_opener_at(&self, at: isize) -> bool {
        let opener = self.get(at);
        let mut before = at - 1;
        while before >= 0 {
            let Some(char) = self.get(before) else { return true };
            if char.is_whitespace() {
                before -= 1;
                continue;
            }
            if closer(char).is_some() {
                return true;
            }
            if !matches!(char, ',' | ':') {
                return false;
            }
            let next_at = self.past_space(at + 1);
            let next = self.get(next_at);
            if matches!(opener, Some('[' | '(')) {
                return is_quote(next)
                    || is_one(next, &[']', ')', '-', '[', '{', '(', 't', 'f', 'n'])
                    || next.is_some_and(char::is_numeric);
            }
            if next == Some('}') || is_quote(next) {
                return true;
            }
            return char == ':' && self.bare_key_at(next_at);
        }
        true
    }

    /// Returns the distance behind the balanced container at `count`.
    pub(super) fn past_container(&self, count: isize) -> Option<isize> {
        let Some(first) = self.get(count).and_then(closer) else {
            return Some(count);
        };
        let mut stack = vec![first];
        let mut at = count + 1;
        loop {
            let char = self.get(at)?;
            if QUOTES.contains(&char) {
                let quote = end_quote(char);
                at = self.find(&[quote], at + 1);
                if self.get(at) != Some(quote) {
                    return None;
                }
            } else if let Some(closer) = closer(char).filter(|_| self.nested_opener_at(at)) {
                stack.push(closer);
            } else if stack.last() == Some(&char) {
                stack.pop();
                if stack.is_empty() {
                    return Some(at + 1);
                }
            }
            at += 1;
        }
    }

    /// Whether a member, or the end of the object, follows a container.
    pub(super) fn member_follows(&self, count: isize) -> bool {
        let after = self.past_space(count);
        match self.get(after) {
            Some('}') | None => true,
            Some(',') => {
                let next = self.past_comments(after + 1);
                matches!(self.get(next), Some('}') | None) || self.member_at(next)
            }
            _ => false,
        }
    }
}
