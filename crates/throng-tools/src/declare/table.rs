//! A table of TOML that is read key by key: errors name the key and its line, and what is left is warned about.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::DeclareError;

/// A table of TOML.
pub(super) struct Table<'t> {
    text: &'t str,
    /// Its key, such as `tools.grep`.
    path: String,
    span: Range<usize>,
    /// In the order of the text.
    entries: Vec<(String, Range<usize>, Option<DeValue<'t>>)>,
    asked: BTreeSet<&'static str>,
}

impl<'t> Table<'t> {
    pub(super) fn new(text: &'t str, path: String, span: Range<usize>, table: DeTable<'t>) -> Self {
        let mut entries: Vec<_> = table
            .into_iter()
            .map(|(key, value)| {
                let start = key.span().start;
                let span = value.span();
                (
                    start,
                    (key.into_inner().into_owned(), span, Some(value.into_inner())),
                )
            })
            .collect();
        entries.sort_by_key(|(start, _)| *start);
        Self {
            text,
            path,
            span,
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            asked: BTreeSet::new(),
        }
    }

    /// Returns true if the table has a key, whether or not it has been read.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, ..)| name == key)
    }

    /// Reads a value; `expected` says what it has to be.
    pub(super) fn get<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Result<Option<T>, DeclareError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        T::deserialize(ValueDeserializer::from(value))
            .map(Some)
            .map_err(|error| {
                let span = error.span();
                let message = format!("expected {expected}: {}", error.message());
                let mut wrong = self.wrong(key, &message);
                if let Some(span) = span {
                    wrong = self::error(self.text, wrong.key, span, &message);
                }
                wrong
            })
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, DeclareError> {
        self.get(key, "a text")
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, DeclareError> {
        self.get(key, "an array of texts")
    }

    /// Reads a table of texts, in the order of the text.
    pub(super) fn pairs(&mut self, key: &'static str) -> Result<Vec<(String, String)>, DeclareError> {
        self.values(key, "a text")
    }

    /// Reads a table of counts, in the order of the text.
    pub(super) fn counts(&mut self, key: &'static str) -> Result<Vec<(String, NonZeroU32)>, DeclareError> {
        self.values(key, "a number above 0")
    }

    fn values<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Result<Vec<(String, T)>, DeclareError> {
        let Some(table) = self.table(key)? else {
            return Ok(Vec::new());
        };
        let mut values = Vec::new();
        for (name, span, value) in table.entries {
            let path = join(&table.path, &name);
            let wrong = || error(table.text, path, span.clone(), &format!("expected {expected}"));
            let value = value.and_then(|value| {
                let value = Spanned::new(span.clone(), value);
                T::deserialize(ValueDeserializer::from(value)).ok()
            });
            values.push((name, value.ok_or_else(wrong)?));
        }
        Ok(values)
    }

    /// Reads a length of time: a text such as `30s`, or seconds.
    pub(super) fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, DeclareError> {
        let expected = "a length of time such as \"30s\", or seconds";
        let Some(value) = self.get::<Value>(key, expected)? else {
            return Ok(None);
        };
        let time = match &value {
            Value::String(text) => humantime::parse_duration(text).ok(),
            value => value
                .as_f64()
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        };
        match time {
            Some(time) => Ok(Some(time)),
            None => Err(self.wrong(key, &format!("expected {expected}, found {value}"))),
        }
    }

    /// Reads a table within it.
    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Self>, DeclareError> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Some(Self::new(self.text, self.key(key), span, table))),
            _ => Err(self.wrong(key, "expected a table")),
        }
    }

    /// Takes all entries, each of which has to be a table.
    pub(super) fn tables(self) -> Result<Vec<(String, Self)>, DeclareError> {
        let mut tables = Vec::new();
        for (name, span, value) in self.entries {
            let path = join(&self.path, &name);
            match value {
                Some(DeValue::Table(table)) => {
                    tables.push((name, Self::new(self.text, path, span, table)));
                }
                _ => return Err(error(self.text, path, span, "expected a table")),
            }
        }
        Ok(tables)
    }

    /// Makes the error of a key; of the table itself if the key is empty.
    pub(super) fn wrong(&self, key: &str, message: &str) -> DeclareError {
        let entry = self.entries.iter().find(|(name, ..)| name == key);
        let span = entry.map_or(&self.span, |(_, span, _)| span).clone();
        error(self.text, self.key(key), span, message)
    }

    /// Warns about a key.
    pub(super) fn warn(&self, key: &str, message: &str, warnings: &mut Vec<String>) {
        warnings.push(self.wrong(key, message).to_string());
    }

    /// Warns about what has not been read.
    pub(super) fn finish(self, warnings: &mut Vec<String>) {
        for (name, _, value) in &self.entries {
            if value.is_none() {
                continue;
            }
            let message = match nearest(name, self.asked.iter().copied()) {
                Some(near) => format!("there is no such key; did you mean `{near}`?"),
                None => "there is no such key".to_owned(),
            };
            self.warn(name, &message, warnings);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'t>>> {
        self.asked.insert(key);
        let (_, span, value) = self.entries.iter_mut().find(|(name, ..)| name == key)?;
        Some(Spanned::new(span.clone(), value.take()?))
    }

    fn key(&self, key: &str) -> String {
        join(&self.path, key)
    }
}

fn join(path: &str, key: &str) -> String {
    match (path.is_empty(), key.is_empty()) {
        (true, _) => key.to_owned(),
        (_, true) => path.to_owned(),
        _ => format!("{path}.{key}"),
    }
}

/// Makes an error at a place of the text.
pub(super) fn error(text: &str, key: String, span: Range<usize>, message: &str) -> DeclareError {
    let before = text.get(..span.start).unwrap_or_default();
    DeclareError {
        key,
        message: message.to_owned(),
        line: before.matches('\n').count() + 1,
        span,
    }
}

/// Returns the name that is nearest to a word, if one is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.replace('-', "_").to_lowercase();
    names
        .into_iter()
        .map(|name| {
            (
                strsim::normalized_damerau_levenshtein(&plain(word), &plain(name)),
                name,
            )
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
