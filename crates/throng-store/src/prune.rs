//! What is kept, and for how long. Pruning goes by the time that it is given and by nothing else, so that the same file
//! and the same time always give the same result.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::record::Kind;

/// How long data is kept, by kind, and how large the store may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    ages: BTreeMap<Kind, Duration>,
    max_bytes: Option<u64>,
}

impl Retention {
    /// Makes one that keeps everything for ever.
    pub fn everything() -> Self {
        Self {
            ages: BTreeMap::new(),
            max_bytes: None,
        }
    }

    /// Keeps a kind for so long; `None` is for ever.
    #[must_use]
    pub fn keep(mut self, kind: Kind, age: Option<Duration>) -> Self {
        match age {
            Some(age) => self.ages.insert(kind, age),
            None => self.ages.remove(&kind),
        };
        self
    }

    /// Bounds the size of the data. Over it, the oldest tenth of the runs, tool batches, metrics and results goes, again and
    /// again until it fits. Journals never go because of their size. Default: no bound.
    #[must_use]
    pub fn max_bytes(mut self, bytes: Option<u64>) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Returns how long a kind is kept; `None` is for ever.
    pub fn age(&self, kind: Kind) -> Option<Duration> {
        self.ages.get(&kind).copied()
    }
}

impl Default for Retention {
    /// Results of test runs 24 hours, results of searches for flaky tests 7 days, runs, tool batches and journals 30 days,
    /// metrics 90 days; no bound on the size.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let ages = [
            (Kind::Run, DAY * 30),
            (Kind::ToolBatch, DAY * 30),
            (Kind::Metric, DAY * 90),
            (Kind::Journal, DAY * 30),
            (Kind::TestRun, DAY),
            (Kind::FlakyResult, DAY * 7),
        ];
        Self {
            ages: ages.into(),
            max_bytes: None,
        }
    }
}

/// What pruning removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// How many were removed of each kind: runs, tool batches, metrics, journals and results.
    pub removed: BTreeMap<Kind, u64>,
    /// How many of those had to go because of the size.
    pub for_size: u64,
    /// Steps without an end in the journals that were removed: a run that resumes does not know of them any more.
    pub unended_steps: u64,
    /// Bytes of data before.
    pub bytes_before: u64,
    /// Bytes of data after.
    pub bytes_after: u64,
}

/// The kinds that go when the store is too large.
const BY_SIZE: [Kind; 5] = [
    Kind::Run,
    Kind::ToolBatch,
    Kind::Metric,
    Kind::TestRun,
    Kind::FlakyResult,
];

pub(crate) fn prune(
    conn: &mut Connection,
    now_ms: i64,
    retention: &Retention,
) -> rusqlite::Result<PruneReport> {
    let mut report = PruneReport {
        bytes_before: bytes(conn)?,
        ..PruneReport::default()
    };
    for kind in Kind::ALL {
        let Some(age) = retention.age(kind) else { continue };
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms.saturating_sub(age);
        // A transaction for each kind, so that other processes get their turn.
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if kind == Kind::Journal {
            report.unended_steps = unended_steps(&tx, before_ms)?;
        }
        let removed = remove(&tx, kind, before_ms)?;
        tx.commit()?;
        report.add(kind, removed);
    }
    if let Some(most) = retention.max_bytes {
        shrink(conn, most, &mut report)?;
    }
    give_back(conn)?;
    report.bytes_after = bytes(conn)?;
    Ok(report)
}

impl PruneReport {
    fn add(&mut self, kind: Kind, n: u64) {
        if n > 0 {
            *self.removed.entry(kind).or_default() += n;
        }
    }
}

/// Removes the oldest data until what is left fits, or nothing is left to remove.
fn shrink(conn: &mut Connection, most: u64, report: &mut PruneReport) -> rusqlite::Result<()> {
    while bytes(conn)? > most {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut removed = 0;
        for kind in BY_SIZE {
            let (table, time, filter) = table(kind);
            let before: Option<i64> = tx.query_row(
                &format!(
                    "SELECT max({time}) FROM (SELECT {time} FROM {table} {filter} ORDER BY {time}
                     LIMIT (SELECT (count(*) + 9) / 10 FROM {table} {filter}))"
                ),
                [],
                |row| row.get(0),
            )?;
            let Some(before) = before else { continue };
            let of_kind = remove(&tx, kind, before.saturating_add(1))?;
            report.add(kind, of_kind);
            removed += of_kind;
        }
        tx.commit()?;
        report.for_size += removed;
        if removed == 0 {
            break;
        }
    }
    Ok(())
}

/// Returns the table of a kind, the column of its times, and which of its rows.
const fn table(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::Run => ("runs", "started_ms", ""),
        Kind::ToolBatch => ("tool_batches", "started_ms", ""),
        Kind::Metric => ("metrics", "at_ms", ""),
        Kind::Journal => ("journal", "touched_ms", ""),
        Kind::TestRun => ("results", "at_ms", "WHERE kind = 'test-run'"),
        Kind::FlakyResult => ("results", "at_ms", "WHERE kind = 'flaky-result'"),
    }
}

/// The journals of which no step was touched since.
const OLD_JOURNALS: &str = "SELECT run FROM journal GROUP BY run HAVING max(touched_ms) < ?1";

fn unended_steps(tx: &Transaction<'_>, before_ms: i64) -> rusqlite::Result<u64> {
    tx.query_row(
        &format!("SELECT count(*) FROM journal WHERE ending IS NULL AND run IN ({OLD_JOURNALS})"),
        [before_ms],
        |row| row.get(0),
    )
}

/// Removes what is older than a time and returns how many that were.
fn remove(tx: &Transaction<'_>, kind: Kind, before_ms: i64) -> rusqlite::Result<u64> {
    let n = |rows: usize| rows as u64;
    match kind {
        Kind::Run => {
            for table in ["jobs", "attempts"] {
                tx.execute(
                    &format!("DELETE FROM {table} WHERE run IN (SELECT id FROM runs WHERE started_ms < ?1)"),
                    [before_ms],
                )?;
            }
            tx.execute("DELETE FROM runs WHERE started_ms < ?1", [before_ms])
                .map(n)
        }
        Kind::ToolBatch => {
            tx.execute(
                "DELETE FROM tool_calls WHERE batch IN (SELECT id FROM tool_batches WHERE started_ms < ?1)",
                [before_ms],
            )?;
            tx.execute("DELETE FROM tool_batches WHERE started_ms < ?1", [before_ms])
                .map(n)
        }
        Kind::Metric => tx
            .execute("DELETE FROM metrics WHERE at_ms < ?1", [before_ms])
            .map(n),
        Kind::Journal => {
            let runs = tx.query_row(
                &format!("SELECT count(*) FROM ({OLD_JOURNALS})"),
                [before_ms],
                |row| row.get(0),
            )?;
            tx.execute(
                &format!("DELETE FROM journal WHERE run IN ({OLD_JOURNALS})"),
                [before_ms],
            )?;
            Ok(runs)
        }
        Kind::TestRun | Kind::FlakyResult => tx
            .execute(
                "DELETE FROM results WHERE kind = ?1 AND at_ms < ?2",
                params![kind.as_str(), before_ms],
            )
            .map(n),
    }
}

/// Cuts free pages off the file. SQLite gives back one page for each row that it returns.
fn give_back(conn: &Connection) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("PRAGMA incremental_vacuum")?;
    let mut pages = statement.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}

/// Returns the bytes of the pages that hold data.
pub(crate) fn bytes(conn: &Connection) -> rusqlite::Result<u64> {
    conn.query_row(
        "SELECT (page_count - freelist_count) * page_size
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        [],
        |row| row.get(0),
    )
}
