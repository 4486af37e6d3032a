//! What a run has done so far, in constant memory.

use hdrhistogram::Histogram;
use throng_core::{OutcomeKind, Usage};

use crate::machine::slot::{Closed, Ending};
use crate::rate::Tick;

/// Counts, sums and distributions of the jobs that have ended.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) admitted: u64,
    /// Jobs that ended, by outcome, in the order of [`OutcomeKind::ALL`].
    pub(crate) ended: [u64; 7],
    pub(crate) attempts: u64,
    pub(crate) retries: u64,
    /// Attempts that the other side refused because of a limit.
    pub(crate) pushbacks: u64,
    pub(crate) usage: Usage,
    pub(crate) queued: u128,
    pub(crate) throttled: u128,
    pub(crate) backoff: u128,
    pub(crate) running: u128,
    /// Microseconds of running time, all attempts of a job together.
    pub(crate) running_us: Histogram<u64>,
    /// Microseconds from the start of an attempt to its first output.
    pub(crate) first_output_us: Histogram<u64>,
    pub(crate) finished_at: Option<Tick>,
    pub(crate) input_exhausted: bool,
}

impl Stats {
    pub(crate) fn new() -> Self {
        let histogram = || Histogram::new(3).expect("three significant digits are allowed");
        Self {
            admitted: 0,
            ended: [0; 7],
            attempts: 0,
            retries: 0,
            pushbacks: 0,
            usage: Usage::default(),
            queued: 0,
            throttled: 0,
            backoff: 0,
            running: 0,
            running_us: histogram(),
            first_output_us: histogram(),
            finished_at: None,
            input_exhausted: false,
        }
    }

    pub(crate) fn record(&mut self, closed: &Closed) {
        self.ended[kind(closed.ending) as usize] += 1;
        if !closed.usage.is_empty() {
            self.usage.add(&closed.usage);
        }
        let timing = &closed.timing;
        self.queued += timing.queued.as_nanos();
        self.throttled += timing.throttled.as_nanos();
        self.backoff += timing.backoff.as_nanos();
        self.running += timing.running.as_nanos();
        if closed.attempts > 0 {
            self.running_us.saturating_record(micros(timing.running));
        }
        if let Some(first) = timing.first_output {
            self.first_output_us.saturating_record(micros(first));
        }
    }
}

pub(crate) fn kind(ending: Ending) -> OutcomeKind {
    match ending {
        Ending::Succeeded => OutcomeKind::Succeeded,
        Ending::Failed => OutcomeKind::Failed,
        Ending::TimedOut(_) => OutcomeKind::TimedOut,
        Ending::Panicked => OutcomeKind::Panicked,
        Ending::Cancelled => OutcomeKind::Cancelled,
        Ending::Skipped => OutcomeKind::Skipped,
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
