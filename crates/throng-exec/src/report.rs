//! What a run tells of its jobs: one [`Finished`] for each job, one [`RunSummary`] for all of them.

use std::time::Duration;

use hdrhistogram::Histogram;
use throng_core::{JobId, Outcome, OutcomeKind, Usage};

use crate::machine::Stats;
use crate::totals::{KeyTotals, Totals};
use crate::{Key, RunError};

/// A job that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finished<J, T, E> {
    /// The job's place in the order of submission.
    pub id: JobId,
    /// The job's input, given back.
    pub input: J,
    /// The key under which the job ran.
    pub key: Option<Key>,
    /// How the job ended.
    pub outcome: Outcome<T, E>,
    /// The job whose outcome this is, if the job was not run because it equals that one; see
    /// [`Executor::start_distinct`](crate::Executor::start_distinct).
    pub same_as: Option<JobId>,
    /// Which fallback step the outcome is from; 0 is the job's own.
    pub step: u32,
    /// How many attempts began, hedges included; 0 if none did.
    pub attempts: u32,
    /// The errors of earlier attempts, the oldest first. The error of a job that failed is in its outcome. Of a job with
    /// more than 16 errors in all the last 16 are kept.
    pub errors: Vec<E>,
    /// The tokens that all attempts reported.
    pub usage: Usage,
    /// Where the job's time went.
    pub timing: Timing,
}

impl<J, T, E> Finished<J, T, E> {
    #[inline]
    pub(crate) fn new(id: JobId, input: J, key: Option<Key>, outcome: Outcome<T, E>) -> Self {
        Self {
            id,
            input,
            key,
            outcome,
            same_as: None,
            step: 0,
            attempts: 0,
            errors: Vec::new(),
            usage: Usage::default(),
            timing: Timing::default(),
        }
    }

    pub(crate) fn having(mut self, step: u32, attempts: u32, usage: Usage, timing: Timing) -> Self {
        self.step = step;
        self.attempts = attempts;
        self.usage = usage;
        self.timing = timing;
        self
    }
}

/// Where the time of a job went. The first four add up to the time from its admission to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Waiting for a permit.
    pub queued: Duration,
    /// Waiting for a rate limit, for a cool-down, or after an attempt that was throttled.
    pub throttled: Duration,
    /// Waiting after an attempt that failed for another reason.
    pub backoff: Duration,
    /// Running, all attempts together.
    pub running: Duration,
    /// From the start of the last attempt that reported it to its first output.
    pub first_output: Option<Duration>,
}

impl Timing {
    /// Returns the time from the job's admission to its end.
    pub fn total(&self) -> Duration {
        self.queued + self.throttled + self.backoff + self.running
    }
}

/// Everything that a run did, in the order of submission.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct RunReport<J, T, E> {
    /// Every admitted job, in the order of submission.
    pub finished: Vec<Finished<J, T, E>>,
    /// The run as a whole.
    pub summary: RunSummary,
    /// Why the run itself could not go on, if so. The jobs in `finished` have their outcomes all the same.
    pub error: Option<RunError>,
}

impl<J, T, E> RunReport<J, T, E> {
    /// Returns the report of a run that could go on to its end.
    ///
    /// # Errors
    ///
    /// Returns the run's error, and drops the report, if it could not.
    pub fn into_result(self) -> Result<Self, RunError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// A run as a whole: counts, sums and distributions, all of them measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunSummary {
    counts: [u64; 7],
    /// From the start of the run to the end of its last job.
    pub wall: Duration,
    /// Jobs that were taken from the input.
    pub admitted: u64,
    /// True if the input was read to its end.
    pub input_exhausted: bool,
    /// Attempts that began.
    pub attempts: u64,
    /// Attempts that were not the first of their job, hedges apart.
    pub retries: u64,
    /// Attempts that the other side refused because of a limit.
    pub throttles: u64,
    /// Second attempts that began beside a first one; see [`Hedge`](crate::Hedge).
    pub hedges: u64,
    /// Hedges that succeeded before the first attempt did.
    pub hedges_won: u64,
    /// How often a job went on to a fallback step.
    pub fallbacks: u64,
    /// Calls that attempts had left behind in their threads and that still ran when the summary was made; see
    /// [`Blocking`](crate::Blocking).
    pub detached: u64,
    /// Retries that did not happen because the budget could not pay for them; see [`RetryBudget`](crate::RetryBudget).
    pub retries_refused: u64,
    /// The tokens that all attempts of the ended jobs reported.
    pub usage: Usage,
    /// The sum over the ended jobs of the time spent waiting for a permit.
    pub queued: Duration,
    /// The sum over the ended jobs of the time spent throttled.
    pub throttled: Duration,
    /// The sum over the ended jobs of the time spent in backoff.
    pub backoff: Duration,
    /// The sum over the ended jobs of the time spent running.
    pub running: Duration,
    /// Running time per job that had an attempt.
    pub running_time: Distribution,
    /// Time to first output, of the jobs that reported it.
    pub first_output: Distribution,
    /// The same for each key, in the order of their names; the first 256 that ended a job.
    pub keys: Vec<KeySummary>,
}

/// The jobs of one key: counts, sums and distributions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeySummary {
    /// The key that the jobs were submitted with.
    pub key: Key,
    counts: [u64; 7],
    /// Attempts that began, those of fallback steps under another key included.
    pub attempts: u64,
    /// The tokens that all attempts reported.
    pub usage: Usage,
    /// The sum of the time spent waiting for a permit.
    pub queued: Duration,
    /// The sum of the time spent throttled.
    pub throttled: Duration,
    /// The sum of the time spent in backoff.
    pub backoff: Duration,
    /// The sum of the time spent running.
    pub running: Duration,
    /// Running time per job that had an attempt, to two significant digits.
    pub running_time: Distribution,
    /// Time to first output, of the jobs that reported it, to two significant digits.
    pub first_output: Distribution,
}

impl KeySummary {
    fn new(key: &Key, totals: &KeyTotals) -> Self {
        let sums = &totals.sums;
        Self {
            key: key.clone(),
            counts: totals.counts,
            attempts: totals.attempts,
            usage: totals.usage,
            queued: sums.queued,
            throttled: sums.throttled,
            backoff: sums.backoff,
            running: sums.running,
            running_time: Distribution::new(&sums.running_us),
            first_output: Distribution::new(&sums.first_output_us),
        }
    }

    /// Returns how many jobs ended this way.
    pub const fn count(&self, kind: OutcomeKind) -> u64 {
        self.counts[kind as usize]
    }

    /// Returns how many jobs have ended.
    pub fn ended(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl RunSummary {
    pub(crate) fn new(stats: &Stats, totals: &Totals, wall: Duration) -> Self {
        let sums = &totals.sums;
        Self {
            counts: stats.ended,
            wall,
            admitted: stats.admitted,
            input_exhausted: stats.input_exhausted,
            attempts: stats.attempts,
            retries: stats.retries,
            throttles: stats.pushbacks,
            hedges: stats.hedges,
            hedges_won: stats.hedges_won,
            fallbacks: stats.fallbacks,
            detached: 0,
            retries_refused: stats.refused,
            usage: stats.usage,
            queued: sums.queued,
            throttled: sums.throttled,
            backoff: sums.backoff,
            running: sums.running,
            running_time: Distribution::new(&sums.running_us),
            first_output: Distribution::new(&sums.first_output_us),
            keys: totals
                .keys
                .iter()
                .map(|(key, totals)| KeySummary::new(key, totals))
                .collect(),
        }
    }

    /// Returns how many jobs ended this way.
    pub const fn count(&self, kind: OutcomeKind) -> u64 {
        self.counts[kind as usize]
    }

    /// Returns how many jobs have ended.
    pub fn ended(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the ended jobs per second of wall time; 0 for a run without wall time.
    pub fn throughput(&self) -> f64 {
        ratio(self.ended() as f64, self.wall.as_secs_f64())
    }

    /// Returns how many attempts ran at the same time on average: the sum of running time over wall time.
    ///
    /// This is overlap and not a speed-up: jobs often run slower beside each other than one by one.
    pub fn overlap(&self) -> f64 {
        ratio(self.running.as_secs_f64(), self.wall.as_secs_f64())
    }
}

/// The distribution of a time over jobs, to three significant digits unless said otherwise. Every figure is 0 when `count` is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Distribution {
    /// How many jobs were measured.
    pub count: u64,
    /// The shortest.
    pub min: Duration,
    /// The arithmetic mean.
    pub mean: Duration,
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Distribution {
    fn new(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            min: Duration::from_micros(histogram.min()),
            mean: Duration::from_secs_f64(histogram.mean() / 1e6),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: Duration::from_micros(histogram.max()),
        }
    }
}

/// What a run is doing right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Since the run began; its wall time once it is over.
    pub elapsed: Duration,
    /// Jobs that were taken from the input.
    pub admitted: u64,
    /// Jobs that are ready and wait for a permit, a rate or a cool-down.
    pub ready: u64,
    /// Attempts that run.
    pub running: u64,
    /// Calls that attempts have left behind in their threads and that still run; see [`Blocking`](crate::Blocking).
    pub detached: u64,
    /// Jobs that wait for a retry.
    pub backing_off: u64,
    /// Attempts that run at most at the same time.
    pub max_concurrent: u64,
    /// Attempts that were not the first of their job, hedges apart.
    pub retries: u64,
    /// Attempts that the other side refused because of a limit.
    pub throttles: u64,
    /// Second attempts that began beside a first one.
    pub hedges: u64,
    /// The tokens that the ended jobs reported.
    pub usage: Usage,
    /// True while the run is paused.
    pub paused: bool,
    /// True once every job has ended.
    pub over: bool,
    pub(crate) counts: [u64; 7],
}

impl Progress {
    /// Returns how many jobs ended this way.
    pub const fn count(&self, kind: OutcomeKind) -> u64 {
        self.counts[kind as usize]
    }

    /// Returns how many jobs have ended.
    pub fn ended(&self) -> u64 {
        self.counts.iter().sum()
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
