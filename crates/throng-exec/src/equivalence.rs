//! When two answers are the same answer: a key for each text, equal for texts that mean the same. A key depends on
//! the text alone, and the key of a key is the key itself.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use crate::canonical_json::canonical_json;

/// Stands before the key of a text that is not JSON. No JSON value begins like this.
const TEXT: &str = "text: ";

/// Marks that are removed where they surround a text: quotes, and the emphasis and code marks of Markdown.
const PAIRS: [(&str, &str); 14] = [
    ("\"", "\""),
    ("'", "'"),
    ("“", "”"),
    ("„", "“"),
    ("‘", "’"),
    ("«", "»"),
    ("```", "```"),
    ("`", "`"),
    ("***", "***"),
    ("**", "**"),
    ("*", "*"),
    ("___", "___"),
    ("__", "__"),
    ("_", "_"),
];

/// When two texts count as the same answer.
///
/// # Examples
///
/// ```
/// use throng_exec::Equivalence;
///
/// assert_eq!(Equivalence::Normalised.key(" **Paris**.\n"), "paris");
/// assert_eq!(Equivalence::Json.key(r#"{"b": 1.0, "a": [ ]}"#), r#"{"a":[],"b":1}"#);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Equivalence {
    /// Texts are the same if every byte is. The key is the text.
    Exact,
    /// Texts are the same but for case, white space, surrounding marks and final punctuation. The default.
    ///
    /// The key is in lower case (Unicode, without a locale); white space is removed at both ends, and each run of it
    /// inside becomes one space. Then, as often as something changes: `. , ; : ! ? …` and their full-width forms
    /// `。 ， ； ： ！ ？` are removed from the end; and a pair of marks around the whole text is removed, if the
    /// marks do not occur between them as well: `"…"`, `'…'`, `“…”`, `„…“`, `‘…’`, `«…»`, and of Markdown one to
    /// three `*` or `_`, one or three `` ` ``. Nothing is removed where nothing would be left. Letters are not decomposed:
    /// `é` as one character and as two are different.
    ///
    /// Signs, decimal points and articles stay, other than in DSPy's `majority`, whose default normalisation drops all
    /// punctuation and articles, so that `-1.5` and `15` are one answer.
    #[default]
    Normalised,
    /// Texts are the same if they hold the same JSON value.
    ///
    /// The key is canonical JSON after RFC 8785: names sorted at every depth, no white space between tokens, and numbers
    /// by their exact value, so that 1, 1.0 and 1e0 are equal and integers beyond 2⁵³ stay apart. A text that is not JSON
    /// has the key `text: ` and its [`Normalised`](Self::Normalised) key, which no JSON value has; a text that already
    /// is such a key keeps it. So has a value that is nested deeper than 128 levels, names a member of one object
    /// twice, or has a number with an exponent of more than 18 digits.
    Json,
}

impl Equivalence {
    /// Returns the key of a text: the same for texts that are the same answer, and different for all others.
    ///
    /// # Complexity
    ///
    /// Linear in the length of the text; for [`Json`](Self::Json) times the depth of the value and, in wide objects,
    /// the logarithm of the number of members.
    pub fn key<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::Exact => Cow::Borrowed(text),
            Self::Normalised => Cow::Owned(normalised(text)),
            Self::Json => match canonical_json(text) {
                Some(json) => Cow::Owned(json),
                None if text.strip_prefix(TEXT).is_some_and(|key| normalised(key) == key) => {
                    Cow::Borrowed(text)
                }
                None => Cow::Owned(format!("{TEXT}{}", normalised(text))),
            },
        }
    }
}

fn normalised(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.to_lowercase().split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    let mut rest = folded.as_str();
    while let Some(shorter) = without_ending(rest).or_else(|| without_marks(rest)) {
        rest = shorter;
    }
    if rest.len() == folded.len() {
        folded
    } else {
        rest.to_owned()
    }
}

/// Returns the text without its final punctuation, if it has some and something else.
fn without_ending(text: &str) -> Option<&str> {
    let ending = [
        '.', ',', ';', ':', '!', '?', '…', '。', '，', '；', '：', '！', '？', ' ',
    ];
    let rest = text.trim_end_matches(ending);
    (!rest.is_empty() && rest.len() < text.len()).then_some(rest)
}

/// Returns the text without the marks around it, if it has some and something else.
fn without_marks(text: &str) -> Option<&str> {
    PAIRS.iter().find_map(|&(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        let single = !inner.contains(open) && !inner.contains(close);
        let inner = inner.trim();
        (single && !inner.is_empty()).then_some(inner)
    })
}

/// Items without repetitions, and what was folded into which.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deduplicated<T> {
    /// The first item of each group, in the order in which they came.
    pub items: Vec<T>,
    /// For each of `items`, the places in the input of all items of its group, in ascending order. The first is that of
    /// the item itself.
    pub groups: Vec<Vec<usize>>,
}

impl<T> Deduplicated<T> {
    /// Returns how many items were folded into an earlier one.
    pub fn folded(&self) -> usize {
        self.groups.iter().map(|group| group.len() - 1).sum()
    }
}

/// Keeps the first of all items that have the same key.
///
/// # Complexity
///
/// One call of `key` for each item, in order; linear in the number of items.
///
/// # Examples
///
/// ```
/// use throng_exec::{Equivalence, unique_by};
///
/// let answers = ["Paris", "Lyon", "paris."];
/// let unique = unique_by(answers, |answer| Equivalence::Normalised.key(answer).into_owned());
/// assert_eq!(unique.items, ["Paris", "Lyon"]);
/// assert_eq!(unique.groups, [vec![0, 2], vec![1]]);
/// ```
pub fn unique_by<T, K: Eq + Hash>(
    items: impl IntoIterator<Item = T>,
    mut key: impl FnMut(&T) -> K,
) -> Deduplicated<T> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut unique = Deduplicated {
        items: Vec::new(),
        groups: Vec::<Vec<usize>>::new(),
    };
    for (index, item) in items.into_iter().enumerate() {
        match places.entry(key(&item)) {
            Entry::Occupied(place) => {
                if let Some(group) = unique.groups.get_mut(*place.get()) {
                    group.push(index);
                }
            }
            Entry::Vacant(place) => {
                place.insert(unique.items.len());
                unique.items.push(item);
                unique.groups.push(vec![index]);
            }
        }
    }
    unique
}
