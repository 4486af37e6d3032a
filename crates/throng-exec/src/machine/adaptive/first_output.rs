//! Whether the time to first output has risen: the mean of a cohort against the lowest mean that was seen, after the
//! delay-based limits of TCP Vegas (Brakmo and Peterson, 1995). A cohort is judged once, as a whole.

use crate::rate::Tick;

/// How many attempts make a cohort at least.
const COHORT: usize = 16;
/// By what part of the difference the lowest mean follows a higher one, so that it is not kept for ever.
const AGEING: f64 = 1.0 / 256.0;

#[derive(Debug)]
pub(crate) struct FirstOutput {
    tolerance: Option<f64>,
    lowest: Option<f64>,
    sum: f64,
    n: usize,
}

impl FirstOutput {
    pub(crate) const fn new(tolerance: Option<f64>) -> Self {
        Self {
            tolerance,
            lowest: None,
            sum: 0.0,
            n: 0,
        }
    }

    /// Counts an attempt, and returns true if it ends a cohort that was slow.
    pub(crate) fn is_slow(&mut self, took: Tick, limit: usize) -> bool {
        let Some(tolerance) = self.tolerance else {
            return false;
        };
        self.sum += took as f64;
        self.n += 1;
        if self.n < COHORT.max(limit / 2) {
            return false;
        }
        let mean = self.sum / self.n as f64;
        self.restart();
        let lowest = self.lowest.map_or(mean, |lowest| lowest.min(mean));
        self.lowest = Some(lowest + (mean - lowest) * AGEING);
        mean > lowest * tolerance
    }

    /// Begins a new cohort.
    pub(crate) fn restart(&mut self) {
        self.sum = 0.0;
        self.n = 0;
    }
}
