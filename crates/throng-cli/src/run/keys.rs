//! The rows of the summary for each key: records by how they ended, and what their calls took.

use std::collections::HashMap;

use serde::Serialize;
use throng_core::{OutcomeKind, Usage};
use throng_exec::{Key, RunSummary};

use super::progress::short;
use super::summary::{Times, seconds};

/// How many keys are shown to people.
const SHOWN: usize = 10;
/// How many characters of a key are shown to people.
const SHOWN_CHARS: usize = 60;
/// How many keys are told apart, as in the executor.
const MOST: usize = 256;

/// How many records ended in which way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts([u64; OutcomeKind::ALL.len()]);

impl Counts {
    /// Counts a record.
    pub(crate) fn add(&mut self, kind: OutcomeKind) {
        self.0[kind as usize] += 1;
    }

    /// Returns how many ended this way.
    pub(crate) const fn of(&self, kind: OutcomeKind) -> u64 {
        self.0[kind as usize]
    }

    /// Returns how many ended.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// How many records of each key ended in which way, of the first keys.
#[derive(Debug, Default)]
pub(crate) struct KeyCounts(HashMap<Key, Counts>);

impl KeyCounts {
    /// Counts a record.
    pub(crate) fn add(&mut self, key: &Key, kind: OutcomeKind) {
        if let Some(counts) = self.0.get_mut(key) {
            counts.add(kind);
        } else if self.0.len() < MOST {
            let mut counts = Counts::default();
            counts.add(kind);
            self.0.insert(key.clone(), counts);
        }
    }

    /// Makes the rows, in the order of the keys. `calls` knows what was asked.
    pub(crate) fn rows(&self, calls: &RunSummary) -> Vec<KeyRow> {
        let keys = calls.keys.iter();
        keys.filter_map(|key| {
            let counts = self.0.get(&key.key)?;
            Some(KeyRow {
                key: key.key.to_string(),
                records: counts.sum(),
                succeeded: counts.of(OutcomeKind::Succeeded),
                failed: counts.of(OutcomeKind::Failed),
                timed_out: counts.of(OutcomeKind::TimedOut),
                cancelled: counts.of(OutcomeKind::Cancelled),
                panicked: counts.of(OutcomeKind::Panicked),
                attempts: key.attempts,
                usage: key.usage,
                queued_s: seconds(key.queued),
                throttled_s: seconds(key.throttled),
                running_s: seconds(key.running),
                running_ms: Times::new(&key.running_time),
            })
        })
        .collect()
    }
}

/// One key in the summary.
#[derive(Debug, Serialize)]
pub(crate) struct KeyRow {
    key: String,
    records: u64,
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    cancelled: u64,
    panicked: u64,
    attempts: u64,
    usage: Usage,
    queued_s: f64,
    throttled_s: f64,
    running_s: f64,
    running_ms: Times,
}

/// Lays the rows out for people, those with the most records first.
pub(crate) fn lines(rows: &[KeyRow]) -> Vec<String> {
    let mut rows: Vec<&KeyRow> = rows.iter().collect();
    rows.sort_by(|a, b| (b.records, &a.key).cmp(&(a.records, &b.key)));
    let mut lines: Vec<String> = rows
        .iter()
        .take(SHOWN)
        .map(|row| {
            let name: String = row.key.chars().take(SHOWN_CHARS).map(plain).collect();
            let tokens = row.usage.total();
            format!(
                "{name}: {} of {} succeeded, {} attempts, throttled {:.1} s, p50 {:.0} ms, {} tokens",
                row.succeeded,
                row.records,
                row.attempts,
                row.throttled_s,
                row.running_ms.p50,
                short(tokens)
            )
        })
        .collect();
    let rest = rows.len().saturating_sub(SHOWN);
    if rest > 0 {
        lines.push(format!("and {rest} more; `--output json` has them all"));
    }
    lines
}

fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}
