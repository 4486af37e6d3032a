//! Sums and distributions of the times of ended jobs, in constant memory. They are kept by the consumer's side, so
//! that the workers do not pay for them while they hold the lock.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::Timing;

/// Sums and distributions of times.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
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
        let histogram = || Histogram::new(3).expect("three significant digits are allowed");
        Self {
            queued: Duration::ZERO,
            throttled: Duration::ZERO,
            backoff: Duration::ZERO,
            running: Duration::ZERO,
            running_us: histogram(),
            first_output_us: histogram(),
        }
    }

    pub(crate) fn record(&mut self, attempts: u32, timing: &Timing) {
        let add = |sum: &mut Duration, part: Duration| *sum = sum.saturating_add(part);
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
