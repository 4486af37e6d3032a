//! What the store tells of runs and tool calls: counts, times, rates.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Row, named_params};
use throng_core::OutcomeKind;

use crate::compare::wilson;
use crate::record::{from_us, overlap};
use crate::{Store, StoreError};

/// Which data a question is about. The default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What began at this time or later.
    pub since_ms: Option<i64>,
    /// What began before this time.
    pub until_ms: Option<i64>,
    /// What belongs to this session.
    pub session: Option<String>,
    /// Calls of this tool, and the batches that have one. Runs of jobs have no tools, so that none is counted then.
    pub tool: Option<String>,
}

/// What [`Store::stats`] tells.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Runs of jobs.
    pub runs: RunStats,
    /// Plans of tool calls.
    pub batches: BatchStats,
    /// Each tool, in the order of the names.
    pub tools: Vec<ToolStats>,
}

/// Figures of runs of jobs.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunStats {
    /// How many runs.
    pub n: u64,
    /// How many of them have no end: they go on, or were killed. Only their number is known.
    pub unended: u64,
    /// How many have figures that are too low, because events were left out.
    pub incomplete: u64,
    /// How many jobs ended in which way.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// How many attempts.
    pub attempts: u64,
    /// The wall time of a run.
    pub wall: Option<Times>,
    /// The measured sum of work divided by the sum of wall times.
    pub overlap: Option<f64>,
    /// The share of the jobs that succeeded.
    pub success: Rate,
}

/// Figures of plans of tool calls.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BatchStats {
    /// How many plans.
    pub n: u64,
    /// The wall time of a plan.
    pub wall: Option<Times>,
    /// The measured sum of work divided by the sum of wall times.
    pub overlap: Option<f64>,
    /// The share of the plans that succeeded.
    pub success: Rate,
}

/// Figures of a tool.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ToolStats {
    /// The tool.
    pub tool: String,
    /// How many calls ended in which way.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// How many attempts.
    pub attempts: u64,
    /// The time of a call that began, from its first attempt to its end.
    pub time: Option<Times>,
    /// The share of the calls that succeeded.
    pub success: Rate,
}

/// Times of many things. The percentiles are exact: the smallest value that at least that share of the values does not
/// exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// How many values.
    pub n: u64,
    /// Their sum.
    pub total: Duration,
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
    /// The largest.
    pub max: Duration,
}

/// A share with its number and its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// How many succeeded.
    pub successes: u64,
    /// Of how many.
    pub n: u64,
    /// The lower end of Wilson's interval of 95 %.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Rate {
    fn new(successes: u64, n: u64) -> Self {
        let (low, high) = wilson(successes, n);
        Self {
            successes,
            n,
            low,
            high,
        }
    }

    /// Returns the share; `None` of nothing.
    pub fn share(&self) -> Option<f64> {
        (self.n > 0).then(|| self.successes as f64 / self.n as f64)
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

/// How long a tool takes, for a scheduler that has to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolMedian {
    /// The median time of its latest successful calls.
    pub median: Duration,
    /// Of how many calls, at most 200.
    pub n: u64,
}

/// Calls of a tool that its median looks at.
const LATEST_OF_A_TOOL: usize = 200;
/// Calls of all tools that the medians look at, the latest first.
const LATEST_CALLS: usize = 20_000;

impl Store {
    /// Returns what is known of runs and tool calls. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    ///
    /// # Complexity
    ///
    /// Linear in the runs and calls that are kept; 8 bytes of memory for each call.
    pub fn stats(&self, filter: &Filter) -> Result<Stats, StoreError> {
        self.read(|conn| {
            Ok(Stats {
                runs: runs(conn, filter)?,
                batches: batches(conn, filter)?,
                tools: tools(conn, filter)?,
            })
        })
    }

    /// Returns the median time of the latest successful calls of each tool: at most 200 of a tool, among the last 20 000
    /// of all. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn median_by_tool(&self) -> Result<BTreeMap<String, ToolMedian>, StoreError> {
        let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT tool, ended_us - started_us FROM tool_calls WHERE outcome = 'succeeded'
                 ORDER BY batch DESC, idx DESC LIMIT ?1",
            )?;
            let mut rows = statement.query([LATEST_CALLS])?;
            while let Some(row) = rows.next()? {
                let tool = row.get_ref(0)?.as_str()?;
                let time = row.get(1)?;
                match times.get_mut(tool) {
                    Some(of_tool) if of_tool.len() >= LATEST_OF_A_TOOL => {}
                    Some(of_tool) => of_tool.push(time),
                    None => {
                        times.insert(tool.to_owned(), vec![time]);
                    }
                }
            }
            Ok(())
        })?;
        let medians = times.into_iter().filter_map(|(tool, mut times)| {
            let median = from_us(percentile(&mut times, 50)?);
            let n = times.len() as u64;
            Some((tool, ToolMedian { median, n }))
        });
        Ok(medians.collect())
    }
}

/// Reads the columns of the outcomes, which begin at a place.
pub(crate) fn outcomes(row: &Row<'_>, from: usize) -> rusqlite::Result<BTreeMap<OutcomeKind, u64>> {
    let mut outcomes = BTreeMap::new();
    for (place, kind) in OutcomeKind::ALL.into_iter().enumerate() {
        let n: Option<u64> = row.get(from + place)?;
        if let Some(n) = n.filter(|n| *n > 0) {
            outcomes.insert(kind, n);
        }
    }
    Ok(outcomes)
}

pub(crate) fn outcome_from(name: &str) -> Option<OutcomeKind> {
    OutcomeKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

fn runs(conn: &Connection, filter: &Filter) -> rusqlite::Result<RunStats> {
    if filter.tool.is_some() {
        return Ok(RunStats::default());
    }
    let wheres = "WHERE (:since IS NULL OR started_ms >= :since) AND (:until IS NULL OR started_ms < :until)
                  AND (:session IS NULL OR session = :session)";
    let params = named_params! {
        ":since": filter.since_ms, ":until": filter.until_ms, ":session": filter.session
    };
    let mut stats = conn
        .prepare_cached(&format!(
            "SELECT count(*), count(*) - count(wall_us), sum(lost_events > 0), sum(attempts),
                    sum(succeeded), sum(failed), sum(timed_out), sum(cancelled), sum(panicked), sum(shed), sum(skipped)
             FROM runs {wheres}"
        ))?
        .query_row(params, |row| {
            Ok(RunStats {
                n: row.get(0)?,
                unended: row.get(1)?,
                incomplete: row.get::<_, Option<u64>>(2)?.unwrap_or(0),
                attempts: row.get::<_, Option<u64>>(3)?.unwrap_or(0),
                outcomes: outcomes(row, 4)?,
                ..RunStats::default()
            })
        })?;
    let of = |kind: &OutcomeKind| stats.outcomes.get(kind).copied().unwrap_or(0);
    stats.success = Rate::new(of(&OutcomeKind::Succeeded), stats.outcomes.values().sum());
    let mut statement = conn.prepare_cached(&format!(
        "SELECT wall_us, work_us FROM runs {wheres} AND wall_us IS NOT NULL"
    ))?;
    let mut walls = Walls::default();
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        walls.add(row.get(0)?, row.get(1)?);
    }
    (stats.wall, stats.overlap) = walls.finish();
    Ok(stats)
}

/// The condition on the tables `tool_batches AS b` and, for calls, `tool_calls AS c`.
const OF_BATCH: &str =
    "(:since IS NULL OR b.started_ms >= :since) AND (:until IS NULL OR b.started_ms < :until)
     AND (:session IS NULL OR b.session = :session)";

fn batches(conn: &Connection, filter: &Filter) -> rusqlite::Result<BatchStats> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT b.wall_us, b.work_us, b.success FROM tool_batches AS b WHERE {OF_BATCH}
         AND (:tool IS NULL OR EXISTS (SELECT 1 FROM tool_calls AS c WHERE c.batch = b.id AND c.tool = :tool))"
    ))?;
    let mut rows = statement.query(named_params! {
        ":since": filter.since_ms, ":until": filter.until_ms, ":session": filter.session, ":tool": filter.tool
    })?;
    let (mut walls, mut n, mut successes) = (Walls::default(), 0, 0);
    while let Some(row) = rows.next()? {
        walls.add(row.get(0)?, row.get(1)?);
        n += 1;
        successes += u64::from(row.get::<_, bool>(2)?);
    }
    let (wall, overlap) = walls.finish();
    Ok(BatchStats {
        n,
        wall,
        overlap,
        success: Rate::new(successes, n),
    })
}

fn tools(conn: &Connection, filter: &Filter) -> rusqlite::Result<Vec<ToolStats>> {
    #[derive(Default)]
    struct Of {
        outcomes: BTreeMap<OutcomeKind, u64>,
        attempts: u64,
        times: Vec<i64>,
    }
    let mut statement = conn.prepare_cached(&format!(
        "SELECT c.tool, c.outcome, c.attempts, c.ended_us - c.started_us
         FROM tool_batches AS b JOIN tool_calls AS c ON c.batch = b.id
         WHERE {OF_BATCH} AND (:tool IS NULL OR c.tool = :tool)"
    ))?;
    let mut rows = statement.query(named_params! {
        ":since": filter.since_ms, ":until": filter.until_ms, ":session": filter.session, ":tool": filter.tool
    })?;
    let mut tools: BTreeMap<String, Of> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let tool = row.get_ref(0)?.as_str()?;
        let of = match tools.get_mut(tool) {
            Some(of) => of,
            None => tools.entry(tool.to_owned()).or_default(),
        };
        let attempts: u64 = row.get(2)?;
        of.attempts += attempts;
        if attempts > 0 {
            of.times.push(row.get(3)?);
        }
        if let Some(outcome) = outcome_from(row.get_ref(1)?.as_str()?) {
            *of.outcomes.entry(outcome).or_default() += 1;
        }
    }
    let stats = tools.into_iter().map(|(tool, mut of)| ToolStats {
        success: Rate::new(
            of.outcomes.get(&OutcomeKind::Succeeded).copied().unwrap_or(0),
            of.outcomes.values().sum(),
        ),
        tool,
        outcomes: of.outcomes,
        attempts: of.attempts,
        time: times(&mut of.times),
    });
    Ok(stats.collect())
}

/// Wall times, and the work that was done in them.
#[derive(Default)]
struct Walls {
    walls: Vec<i64>,
    work: i64,
}

impl Walls {
    fn add(&mut self, wall: i64, work: i64) {
        self.walls.push(wall);
        self.work = self.work.saturating_add(work);
    }

    fn finish(mut self) -> (Option<Times>, Option<f64>) {
        let times = times(&mut self.walls);
        let overlap = times.and_then(|times| overlap(from_us(self.work), times.total));
        (times, overlap)
    }
}

/// Returns the times of values in microseconds; `None` of none.
fn times(values: &mut [i64]) -> Option<Times> {
    let total = values.iter().fold(0_i64, |sum, value| sum.saturating_add(*value));
    Some(Times {
        n: values.len() as u64,
        total: from_us(total),
        p50: from_us(percentile(values, 50)?),
        p95: from_us(percentile(values, 95)?),
        max: from_us(values.iter().copied().max()?),
    })
}

/// Returns the smallest value that at least `percent` of the values do not exceed; `None` of none.
fn percentile(values: &mut [i64], percent: usize) -> Option<i64> {
    let place = (values.len() * percent).div_ceil(100).checked_sub(1)?;
    let (_, value, _) = values.select_nth_unstable(place);
    Some(*value)
}
