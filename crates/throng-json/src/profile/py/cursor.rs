//! The text, the position in it, and the stack of contexts.

use crate::event::Fix;

/// What a value is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    Key,
    Value,
    Array,
}

/// The quotes that begin or end a string.
pub(super) const QUOTES: [char; 4] = ['"', '\'', '\u{201c}', '\u{201d}'];

pub(super) fn is_quote(char: Option<char>) -> bool {
    char.is_some_and(|char| QUOTES.contains(&char))
}

pub(super) type Failed = (usize, String);

pub(super) struct Cursor {
    pub(super) text: Vec<char>,
    pub(super) index: isize,
    pub(super) contexts: Vec<Context>,
    pub(super) deferred: Vec<Context>,
    pub(super) tried_suffix: bool,
    pub(super) depth: u32,
    pub(super) limit: u32,
    pub(super) fixes: Vec<(usize, Fix)>,
}

impl Cursor {
    /// Returns the character `count` behind the current one. As in Python, a negative index counts from the end.
    pub(super) fn get(&self, count: isize) -> Option<char> {
        let mut at = self.index + count;
        if at < 0 {
            at += self.len();
        }
        usize::try_from(at).ok().and_then(|at| self.text.get(at)).copied()
    }

    pub(super) fn now(&self) -> Option<char> {
        self.get(0)
    }

    pub(super) fn len(&self) -> isize {
        isize::try_from(self.text.len()).unwrap_or(isize::MAX)
    }

    pub(super) fn current(&self) -> Option<Context> {
        self.contexts.last().copied()
    }

    pub(super) fn within(&self, context: Context) -> bool {
        self.contexts.contains(&context)
    }

    pub(super) fn slice(&self, from: isize, to: isize) -> String {
        let clamp = |at: isize| usize::try_from(at).unwrap_or(0).min(self.text.len());
        let (from, to) = (clamp(from), clamp(to));
        self.text
            .get(from..to.max(from))
            .unwrap_or_default()
            .iter()
            .collect()
    }

    /// Moves past space.
    pub(super) fn skip_space(&mut self) {
        while self.now().is_some_and(char::is_whitespace) {
            self.index += 1;
        }
    }

    /// Returns the distance to the first character at or behind `count` that is not space.
    pub(super) fn past_space(&self, mut count: isize) -> isize {
        while self.get(count).is_some_and(char::is_whitespace) {
            count += 1;
        }
        count
    }

    /// Returns the distance to the next of `targets` that no backslash escapes, or to the end.
    pub(super) fn find(&self, targets: &[char], count: isize) -> isize {
        let mut at = self.index + count;
        let mut backslashes = 0;
        while at < self.len() {
            let Some(char) = usize::try_from(at).ok().and_then(|at| self.text.get(at)) else {
                break;
            };
            if *char == '\\' {
                backslashes += 1;
            } else {
                if targets.contains(char) && backslashes % 2 == 0 {
                    return at - self.index;
                }
                backslashes = 0;
            }
            at += 1;
        }
        self.len() - self.index
    }

    pub(super) fn fix(&mut self, fix: Fix) {
        self.fixes.push((usize::try_from(self.index).unwrap_or(0), fix));
    }

    pub(super) fn enter(&mut self) -> Result<(), Failed> {
        self.depth += 1;
        if self.depth > self.limit {
            let at = usize::try_from(self.index).unwrap_or(0);
            return Err((at, format!("nested deeper than {} levels", self.limit)));
        }
        Ok(())
    }
}
