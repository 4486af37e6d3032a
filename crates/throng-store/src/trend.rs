//! The latest of a kind, the values of a metric over time, and what became slower.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, named_params};
use throng_core::OutcomeKind;

use crate::compare::{Comparison, Verdict, compare_all, median};
use crate::record::{Kind, Metric, ResultKind, ResultRecord, ToolBatch, ToolCallRecord, from_us};
use crate::stats::{Filter, outcome_from, outcomes};
use crate::{Store, StoreError};

/// The latest of a kind.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Last {
    /// Of [`Kind::Run`].
    Run(StoredRun),
    /// Of [`Kind::ToolBatch`].
    ToolBatch(ToolBatch),
    /// Of [`Kind::Metric`].
    Metric(Metric),
    /// Of [`Kind::Journal`].
    Journal(JournalSummary),
    /// Of [`Kind::TestRun`] and [`Kind::FlakyResult`].
    Result(ResultRecord),
}

/// A run of jobs as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRun {
    /// The id, if it was recorded with one.
    pub run: Option<u128>,
    /// What kind of run it was.
    pub command: String,
    /// The session; empty for none.
    pub session: String,
    /// When it began.
    pub started_ms: i64,
    /// From its begin to its end; `None` if it has no end: it goes on, or was killed.
    pub wall: Option<Duration>,
    /// The sum of the measured times of all attempts.
    pub work: Duration,
    /// How many attempts it had.
    pub attempts: u64,
    /// How many jobs ended in which way.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// How many of its events were left out: if any, the figures are too low.
    pub lost_events: u64,
}

/// What a journal holds of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalSummary {
    /// The run.
    pub run: String,
    /// How many steps began.
    pub steps: u64,
    /// How many have no end.
    pub unended: u64,
    /// When a step of it last began or ended.
    pub touched_ms: i64,
}

/// The values of a metric over time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Trend {
    /// The metric.
    pub name: String,
    /// The unit of the latest value.
    pub unit: String,
    /// The values in that unit, the oldest first.
    pub points: Vec<Point>,
    /// How many values were left out because they have another unit.
    pub other_units: usize,
    /// The last [`RECENT`] values against the [`EARLIER`] before them.
    pub comparison: Comparison,
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// When it was measured.
    pub at_ms: i64,
    /// The value.
    pub value: f64,
    /// The session; empty for none.
    pub session: String,
}

/// What a [`Change`] is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Series {
    /// How long the successful calls of a tool take: one value for each batch, the median of its calls.
    ToolTime(String),
    /// The values of a metric.
    Metric(String),
}

/// Recent runs against earlier ones.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// What was compared.
    pub series: Series,
    /// The unit of its values.
    pub unit: String,
    /// What that shows.
    pub comparison: Comparison,
}

impl Change {
    /// Returns true if it got worse: a tool became slower. Of a metric it is not known which way is worse.
    pub fn is_regression(&self) -> bool {
        matches!(self.series, Series::ToolTime(_)) && self.comparison.verdict == Verdict::Higher
    }
}

/// The runs that count as recent: the last so many.
pub const RECENT: usize = 5;
/// The runs before those that they are compared with, at most.
pub const EARLIER: usize = 50;

impl Store {
    /// Returns the latest of a kind: what began last or was recorded for the latest time. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn last(&self, kind: Kind) -> Result<Option<Last>, StoreError> {
        self.read(|conn| match kind {
            Kind::Run => Ok(last_run(conn)?.map(Last::Run)),
            Kind::ToolBatch => Ok(last_batch(conn)?.map(Last::ToolBatch)),
            Kind::Metric => Ok(last_metric(conn)?.map(Last::Metric)),
            Kind::Journal => Ok(last_journal(conn)?.map(Last::Journal)),
            Kind::TestRun => Ok(last_result(conn, ResultKind::TestRun, None)?.map(Last::Result)),
            Kind::FlakyResult => Ok(last_result(conn, ResultKind::FlakyResult, None)?.map(Last::Result)),
        })
    }

    /// Returns the latest results of a kind that belong to a key. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn last_result(&self, kind: ResultKind, key: &str) -> Result<Option<ResultRecord>, StoreError> {
        self.read(|conn| last_result(conn, kind, Some(key)))
    }

    /// Returns the names of the metrics that there are. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn metric_names(&self) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT DISTINCT name FROM metrics ORDER BY name")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
    }

    /// Returns the values of a metric over time; `None` if there are none. The filter's tool is not looked at. Blocks while it
    /// reads.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn trend(&self, metric: &str, filter: &Filter) -> Result<Option<Trend>, StoreError> {
        let mut all = self.read(|conn| metrics(conn, Some(metric), filter))?;
        let Some((name, rows)) = all.pop_first() else {
            return Ok(None);
        };
        let total = rows.len();
        let unit = rows.last().map(|last| last.unit.clone()).unwrap_or_default();
        let points: Vec<Point> = rows
            .into_iter()
            .filter(|row| row.unit == unit)
            .map(|row| Point {
                at_ms: row.at_ms,
                value: row.value,
                session: row.session,
            })
            .collect();
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        let (earlier, recent) = sides(&values);
        Ok(Some(Trend {
            name,
            unit,
            other_units: total - points.len(),
            comparison: Comparison::new(earlier, recent),
            points,
        }))
    }

    /// Compares the last [`RECENT`] runs with up to [`EARLIER`] before them: the times of each tool, and each metric. Blocks
    /// while it reads.
    ///
    /// A run counts once, whatever number of calls it had, since its calls share the state of the machine. Every comparison
    /// says of how many runs; [`Comparison`] has the rule by which a change is shown.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn regressions(&self, filter: &Filter) -> Result<Vec<Change>, StoreError> {
        let (tools, metrics) = self.read(|conn| {
            let metrics = match filter.tool {
                Some(_) => BTreeMap::new(),
                None => metrics(conn, None, filter)?,
            };
            Ok((tool_times(conn, filter)?, metrics))
        })?;
        let mut series: Vec<(Series, String, Vec<f64>)> = tools
            .into_iter()
            .map(|(tool, values)| (Series::ToolTime(tool), "ms".to_owned(), values))
            .collect();
        for (name, rows) in metrics {
            let unit = rows.last().map(|last| last.unit.clone()).unwrap_or_default();
            let values = rows
                .iter()
                .filter(|row| row.unit == unit)
                .map(|row| row.value)
                .collect();
            series.push((Series::Metric(name), unit, values));
        }
        let pairs: Vec<_> = series.iter().map(|(_, _, values)| sides(values)).collect();
        let comparisons = compare_all(&pairs);
        let changes = series
            .into_iter()
            .zip(comparisons)
            .map(|((series, unit, _), comparison)| Change {
                series,
                unit,
                comparison,
            });
        Ok(changes.collect())
    }
}

/// Splits values in the order of time into earlier and recent ones.
fn sides(values: &[f64]) -> (&[f64], &[f64]) {
    let (earlier, recent) = values.split_at(values.len().saturating_sub(RECENT));
    let (_, earlier) = earlier.split_at(earlier.len().saturating_sub(EARLIER));
    (earlier, recent)
}

/// Returns for each tool a value for each batch, in the order of time: the median time of its successful calls, in
/// milliseconds.
fn tool_times(conn: &Connection, filter: &Filter) -> rusqlite::Result<BTreeMap<String, Vec<f64>>> {
    let mut statement = conn.prepare_cached(
        "SELECT b.id, c.tool, c.ended_us - c.started_us
         FROM tool_batches AS b JOIN tool_calls AS c ON c.batch = b.id
         WHERE (:since IS NULL OR b.started_ms >= :since) AND (:until IS NULL OR b.started_ms < :until)
           AND (:session IS NULL OR b.session = :session) AND (:tool IS NULL OR c.tool = :tool)
           AND c.outcome = 'succeeded'
         ORDER BY b.started_ms, b.id",
    )?;
    let mut rows = statement.query(named_params! {
        ":since": filter.since_ms, ":until": filter.until_ms, ":session": filter.session, ":tool": filter.tool
    })?;
    let mut tools: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut of_batch: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut current = None;
    let mut close = |of_batch: &mut BTreeMap<String, Vec<f64>>| {
        for (tool, mut times) in std::mem::take(of_batch) {
            tools.entry(tool).or_default().extend(median(&mut times));
        }
    };
    while let Some(row) = rows.next()? {
        let batch: i64 = row.get(0)?;
        if current != Some(batch) {
            close(&mut of_batch);
            current = Some(batch);
        }
        let time = row.get::<_, i64>(2)? as f64 / 1000.0;
        of_batch.entry(row.get(1)?).or_default().push(time);
    }
    close(&mut of_batch);
    Ok(tools)
}

/// Returns the values of one metric or all, each in the order of time.
fn metrics(
    conn: &Connection,
    name: Option<&str>,
    filter: &Filter,
) -> rusqlite::Result<BTreeMap<String, Vec<Metric>>> {
    let mut statement = conn.prepare_cached(
        "SELECT session, name, value, unit, at_ms FROM metrics
         WHERE (:since IS NULL OR at_ms >= :since) AND (:until IS NULL OR at_ms < :until)
           AND (:session IS NULL OR session = :session) AND (:name IS NULL OR name = :name)
         ORDER BY at_ms, id",
    )?;
    let mut rows = statement.query(named_params! {
        ":since": filter.since_ms, ":until": filter.until_ms, ":session": filter.session, ":name": name
    })?;
    let mut all: BTreeMap<String, Vec<Metric>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let metric = metric(row)?;
        all.entry(metric.name.clone()).or_default().push(metric);
    }
    Ok(all)
}

fn metric(row: &rusqlite::Row<'_>) -> rusqlite::Result<Metric> {
    Ok(Metric {
        session: row.get(0)?,
        name: row.get(1)?,
        value: row.get(2)?,
        unit: row.get(3)?,
        at_ms: row.get(4)?,
    })
}

fn last_metric(conn: &Connection) -> rusqlite::Result<Option<Metric>> {
    conn.query_row(
        "SELECT session, name, value, unit, at_ms FROM metrics ORDER BY at_ms DESC, id DESC LIMIT 1",
        [],
        metric,
    )
    .optional()
}

fn last_run(conn: &Connection) -> rusqlite::Result<Option<StoredRun>> {
    conn.query_row(
        "SELECT run, command, session, started_ms, wall_us, work_us, attempts, lost_events,
                succeeded, failed, timed_out, cancelled, panicked, shed, skipped
         FROM runs ORDER BY started_ms DESC, id DESC LIMIT 1",
        [],
        |row| {
            Ok(StoredRun {
                run: row.get::<_, Option<[u8; 16]>>(0)?.map(u128::from_be_bytes),
                command: row.get(1)?,
                session: row.get(2)?,
                started_ms: row.get(3)?,
                wall: row.get::<_, Option<i64>>(4)?.map(from_us),
                work: from_us(row.get(5)?),
                attempts: row.get(6)?,
                lost_events: row.get(7)?,
                outcomes: outcomes(row, 8)?,
            })
        },
    )
    .optional()
}

fn last_batch(conn: &Connection) -> rusqlite::Result<Option<ToolBatch>> {
    let found = conn
        .query_row(
            "SELECT id, session, plan, started_ms, wall_us, work_us, success
             FROM tool_batches ORDER BY started_ms DESC, id DESC LIMIT 1",
            [],
            |row| {
                let batch = ToolBatch {
                    session: row.get(1)?,
                    plan: row.get(2)?,
                    started_ms: row.get(3)?,
                    wall: from_us(row.get(4)?),
                    work: from_us(row.get(5)?),
                    success: row.get(6)?,
                    calls: Vec::new(),
                };
                Ok((row.get::<_, i64>(0)?, batch))
            },
        )
        .optional()?;
    let Some((number, mut batch)) = found else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(
        "SELECT id, tool, outcome, started_us, ended_us, attempts, error FROM tool_calls WHERE batch = ?1 ORDER BY idx",
    )?;
    let calls = statement.query_map([number], |row| {
        Ok(ToolCallRecord {
            id: row.get(0)?,
            tool: row.get(1)?,
            // A kind that a newer Throng knows is none that succeeded.
            outcome: outcome_from(row.get_ref(2)?.as_str()?).unwrap_or(OutcomeKind::Failed),
            started: from_us(row.get(3)?),
            ended: from_us(row.get(4)?),
            attempts: row.get(5)?,
            error: row.get(6)?,
        })
    })?;
    batch.calls = calls.collect::<rusqlite::Result<_>>()?;
    Ok(Some(batch))
}

fn last_journal(conn: &Connection) -> rusqlite::Result<Option<JournalSummary>> {
    conn.query_row(
        "SELECT run, count(*), count(*) - count(ending), max(touched_ms) FROM journal
         WHERE run = (SELECT run FROM journal ORDER BY touched_ms DESC, id DESC LIMIT 1) GROUP BY run",
        [],
        |row| {
            Ok(JournalSummary {
                run: row.get(0)?,
                steps: row.get(1)?,
                unended: row.get(2)?,
                touched_ms: row.get(3)?,
            })
        },
    )
    .optional()
}

fn last_result(
    conn: &Connection,
    kind: ResultKind,
    key: Option<&str>,
) -> rusqlite::Result<Option<ResultRecord>> {
    conn.prepare_cached(
        "SELECT key, at_ms, body FROM results WHERE kind = :kind AND (:key IS NULL OR key = :key)
         ORDER BY at_ms DESC, id DESC LIMIT 1",
    )?
    .query_row(named_params! { ":kind": kind.as_str(), ":key": key }, |row| {
        Ok(ResultRecord {
            kind,
            key: row.get(0)?,
            at_ms: row.get(1)?,
            body: row.get(2)?,
        })
    })
    .optional()
}
