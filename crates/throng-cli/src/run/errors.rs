//! The commonest errors of a run: the same error of many jobs is one entry with a count.

use std::collections::HashMap;

use serde::Serialize;

use crate::output::ErrorLine;

/// How many different errors are told apart. Messages come from servers, so there is no end to them.
const MOST: usize = 256;
/// How many are shown to people.
const SHOWN: usize = 5;
/// How many characters of a message are shown to people.
const SHOWN_CHARS: usize = 200;

/// Counts errors by kind, status and message. Parts of a message that belong to one job (numbers and ids) do not
/// tell errors apart.
#[derive(Debug, Default)]
pub(crate) struct Errors {
    found: HashMap<(String, Option<u16>, String), Entry>,
    /// Those that came when there were too many different ones.
    others: u64,
}

#[derive(Debug)]
struct Entry {
    count: u64,
    /// The message, if all of them are the same.
    message: Option<String>,
}

/// One error and how many jobs ended with it.
#[derive(Debug, Serialize)]
pub(crate) struct Counted {
    kind: String,
    status: Option<u16>,
    message: String,
    count: u64,
}

impl Errors {
    /// Counts the error that a job ended with.
    pub(crate) fn add(&mut self, error: &ErrorLine) {
        let (kind, status, message) = error.parts();
        self.add_parts(kind, status, message);
    }

    fn add_parts(&mut self, kind: &str, status: Option<u16>, message: &str) {
        let key = (kind.to_owned(), status, common(message));
        if let Some(entry) = self.found.get_mut(&key) {
            entry.count += 1;
            entry.message.take_if(|known| known != message);
        } else if self.found.len() < MOST {
            let message = Some(message.to_owned());
            self.found.insert(key, Entry { count: 1, message });
        } else {
            self.others += 1;
        }
    }

    /// Returns every error, the commonest first.
    pub(crate) fn sorted(&self) -> Vec<Counted> {
        let mut all: Vec<Counted> = self
            .found
            .iter()
            .map(|((kind, status, common), entry)| Counted {
                kind: kind.clone(),
                status: *status,
                message: entry.message.as_ref().unwrap_or(common).clone(),
                count: entry.count,
            })
            .collect();
        all.sort_by(|a, b| (b.count, &a.kind, &a.message).cmp(&(a.count, &b.kind, &b.message)));
        if self.others > 0 {
            all.push(Counted {
                kind: "other".to_owned(),
                status: None,
                message: format!("errors besides the {MOST} different ones"),
                count: self.others,
            });
        }
        all
    }
}

/// Lays the commonest errors out for people, a line for each.
pub(crate) fn lines(errors: &[Counted]) -> Vec<String> {
    // The last line counts the rest, so that there are never more lines than that.
    let whole = if errors.len() > SHOWN { SHOWN - 1 } else { SHOWN };
    let mut lines: Vec<String> = errors
        .iter()
        .take(whole)
        .map(|error| {
            let mut message: String = error.message.chars().take(SHOWN_CHARS).collect();
            if message.len() < error.message.len() {
                message.push('…');
            }
            format!("{}× {}: {message}", error.count, error.kind)
        })
        .collect();
    let rest: u64 = errors.iter().skip(whole).map(|error| error.count).sum();
    if rest > 0 {
        lines.push(format!("{rest}× other errors; `error` in the lines says which"));
    }
    lines
}

/// Replaces what belongs to one job: numbers, and words with digits in them such as ids.
fn common(message: &str) -> String {
    let parts = message.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    let mut text = String::new();
    for part in parts {
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            text.push('…');
            text.push_str(&part[word.len()..]);
        } else {
            text.push_str(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_error_of_many_jobs_is_one_entry() {
        let mut errors = Errors::default();
        for n in 1..=3 {
            errors.add_parts(
                "truncated",
                None,
                &format!("ended after {n} frames, request req_{n}a"),
            );
        }
        errors.add_parts("server", Some(500), "openai answered 500: no");
        errors.add_parts("server", Some(500), "openai answered 500: no");
        errors.add_parts("server", Some(502), "openai answered 502: no");
        let sorted = errors.sorted();
        assert_eq!(
            lines(&sorted),
            [
                "3× truncated: ended after … frames, request …",
                "2× server: openai answered 500: no",
                "1× server: openai answered 502: no",
            ]
        );
    }

    #[test]
    fn there_are_never_more_than_five_lines_and_none_is_lost() {
        let mut errors = Errors::default();
        for letter in "abcdefgh".chars() {
            errors.add_parts("server", None, &letter.to_string().repeat(300));
        }
        let lines = lines(&errors.sorted());
        assert_eq!(lines.len(), SHOWN);
        assert!(lines[4].starts_with("4× other errors"), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() < 230));
        let mut errors = Errors::default();
        let name = |mut n: u32| {
            let mut name = String::new();
            while n > 0 {
                name.push(char::from(b'a' + (n % 26) as u8));
                n /= 26;
            }
            name
        };
        for n in 0..1000 {
            errors.add_parts("server", None, &name(n));
        }
        let sorted = errors.sorted();
        assert_eq!(sorted.iter().map(|error| error.count).sum::<u64>(), 1000);
        assert_eq!(sorted.len(), MOST + 1);
    }
}
