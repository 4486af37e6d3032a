//! Sums and distributions of the times of ended jobs, in memory that does not grow with their number. They are kept by the
//! consumer's side, so that the workers do not pay for them while they hold the lock.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use throng_core::{OutcomeKind, Usage};

use crate::{Finished, Key, Timing};

/// Of how many keys sums are kept. The others count in the run's sums only.
const KEYS: usize = 256;

/// Sums and distributions of a run, and of each of its keys.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) sums: Sums,
    pub(crate) keys: BTreeMap<Key, KeyTotals>,
}

/// Sums and distributions of one key.
#[derive(Clone, Debug)]
pub(crate) struct KeyTotals {
    pub(crate) counts: [u64; 7],
    pub(crate) attempts: u64,
    pub(crate) usage: Usage,
    pub(crate) sums: Sums,
}

/// Sums and distributions of times.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(crate) queued: Duration,
    pub(crate) throttled: Duration,
    pub(crate) backoff: Duration,
    pub(crate) running: Duration,
    /// Microseconds of running time, all attempts of a job together.
    pub(crate) running_us: Histogram<u64>,
    /// Microseconds from the start of an attempt to its first output.
    pub(crate) first_output_us: Histogram<u64>,
}

impl Totals {
    pub(crate) fn new() -> Self {
        Self {
            sums: Sums::new(3),
            keys: BTreeMap::new(),
        }
    }

    pub(crate) fn record<J, T, E>(&mut self, job: &Finished<J, T, E>) {
        self.sums.record(job.attempts, &job.timing);
        let Some(key) = &job.key else { return };
        if !self.keys.contains_key(key) {
            if self.keys.len() >= KEYS {
                return;
            }
            self.keys.insert(key.clone(), KeyTotals::new());
        }
        if let Some(totals) = self.keys.get_mut(key) {
            totals.record(job.outcome.kind(), job.attempts, &job.usage, &job.timing);
        }
    }
}

impl KeyTotals {
    fn new() -> Self {
        Self {
            counts: [0; 7],
            attempts: 0,
            usage: Usage::default(),
            sums: Sums::new(2),
        }
    }

    fn record(&mut self, kind: OutcomeKind, attempts: u32, usage: &Usage, timing: &Timing) {
        self.counts[kind as usize] += 1;
        self.attempts += u64::from(attempts);
        self.usage.add(usage);
        self.sums.record(attempts, timing);
    }
}

impl Sums {
    fn new(digits: u8) -> Self {
        let histogram = || Histogram::new(digits).expect("at most five significant digits are allowed");
        Self {
            queued: Duration::ZERO,
            throttled: Duration::ZERO,
            backoff: Duration::ZERO,
            running: Duration::ZERO,
            running_us: histogram(),
            first_output_us: histogram(),
        }
    }

    fn record(&mut self, attempts: u32, timing: &Timing) {
        let add = |sum: &mut Duration, part: Duration| {
            if !part.is_zero() {
                *sum = sum.saturating_add(part);
            }
        };
        add(&mut self.queued, timing.queued);
        add(&mut self.throttled, timing.throttled);
        add(&mut self.backoff, timing.backoff);
        add(&mut self.running, timing.running);
        if attempts > 0 {
            record(&mut self.running_us, timing.running);
        }
        if let Some(first) = timing.first_output {
            record(&mut self.first_output_us, first);
        }
    }
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    // It fails only where the histogram would have to grow beyond the address space.
    let _ = histogram.record(micros);
}
