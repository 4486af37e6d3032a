//! The part of a reference behind the id: which piece of the result it means.

use std::fmt;

/// One step into a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Segment {
    /// A member of an object; of an array, if it is a number, an element.
    Key(String),
    /// An element of an array.
    Index(usize),
}

/// The steps from the whole result to the piece that is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(pub(super) Vec<Segment>);

impl Path {
    /// Returns the steps.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Returns true if the whole result is meant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn text(segments: &[Segment]) -> String {
        let mut text = String::new();
        for segment in segments {
            match segment {
                Segment::Key(key) if is_plain(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                Segment::Key(key) => text.push_str(&format!("[{key:?}]")),
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::text(&self.0))
    }
}

fn is_plain(key: &str) -> bool {
    !key.is_empty() && !key.contains(['.', '[', ']', '"', '$', '{', '}'])
}

/// Which keys a path may have without quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Letters, digits and `_`: the path ends where the text goes on.
    Words,
    /// Anything but the marks of the grammar; spaces only inside. The path ends where its delimiter is.
    Loose,
}

/// The longest key without quotes. What is longer is text, which keeps the search for the end of a path linear.
const LONGEST_KEY: usize = 256;

/// Reads the longest path at the start of the text, and returns it with how many bytes it takes.
pub(super) fn read(text: &str, keys: Keys) -> (Path, usize) {
    let mut segments = Vec::new();
    let mut used = 0;
    while let Some((segment, length)) = text.get(used..).and_then(|rest| step(rest, keys)) {
        segments.push(segment);
        used += length;
    }
    (Path(segments), used)
}

fn step(text: &str, keys: Keys) -> Option<(Segment, usize)> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest
            .char_indices()
            .take_while(|&(at, char)| at < LONGEST_KEY && keys.take(char))
            .last()
            .map_or(0, |(at, char)| at + char.len_utf8());
        let key = rest.get(..end)?.trim_end_matches(' ');
        let whole = !key.is_empty() && !key.starts_with(' ');
        return whole.then(|| (Segment::Key(key.to_owned()), key.len() + 1));
    }
    let rest = text.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = rest.strip_prefix(quote) {
            let (key, after) = quoted.split_at_checked(quoted.find(quote).filter(|&at| at < LONGEST_KEY)?)?;
            return after
                .get(1..)?
                .starts_with(']')
                .then(|| (Segment::Key(key.to_owned()), key.len() + 4));
        }
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let index = rest.get(..digits)?.parse().ok()?;
    rest.get(digits..)?
        .starts_with(']')
        .then_some((Segment::Index(index), digits + 2))
}

impl Keys {
    fn take(self, char: char) -> bool {
        match self {
            Self::Words => is_word(char),
            Self::Loose => !char.is_control() && !".[]{}$".contains(char),
        }
    }
}

pub(super) fn is_word(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}
