//! How often attempts of one key start once the other side has begun to refuse some of them: the rate is learned from
//! what it accepts.
//!
//! Additive-increase/multiplicative-decrease (Chiu and Jain, 1989) on the start rate. A cohort of attempts is judged
//! as a whole, so that a stray refusal changes nothing; a cut goes below the rate that was measured as accepted, and
//! attempts that began before it cannot cause another; the rate grows while attempts are accepted, and never beyond
//! twice what is accepted, so that a key without enough to do does not earn a burst.

use std::time::Duration;

use crate::rate::Tick;

const SECOND: f64 = 1e9;
/// How long a cohort is at least, and at most where attempts are few.
const COHORT: (Tick, Tick) = (500_000_000, 5_000_000_000);
/// How many attempts make a cohort.
const SAMPLE: u32 = 20;
/// A cohort of twice that size or more leads to a cut when more than this share of it is refused.
const TOLERATED: f64 = 0.1;
const CUT: f64 = 0.85;
/// Below so many accepted attempts in a second there is nothing to learn from, and Retry-After has to do alone.
const SLOWEST: f64 = 2.0;
/// By how much the rate grows in a second.
const GROWTH: f64 = 0.08;
/// How far starts may fall behind the rate and still be made up for.
const SLACK: Tick = 50_000_000;

/// The learned rate of one key.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Something was refused, so that there is something to learn.
    measures: bool,
    /// Starts per second; `None` before the first cut.
    rate: Option<f64>,
    /// When the next attempt may start.
    next: Tick,
    grown_at: Tick,
    cut_at: Tick,
    cohort_began: Tick,
    accepted: u32,
    refused: u32,
    /// Attempts per second that were accepted, smoothed over cohorts.
    accepted_rate: f64,
}

impl Pace {
    /// Notes that an attempt was accepted, whatever else came of it.
    pub(crate) fn accepted(&mut self, now: Tick) {
        if !self.measures {
            return;
        }
        self.roll(now);
        self.accepted += 1;
        if let Some(rate) = &mut self.rate {
            let passed = (now - self.grown_at) as f64 / SECOND;
            let ceiling = (2.0 * self.accepted_rate).max(*rate);
            *rate = (*rate * (1.0 + GROWTH * passed.min(1.0))).min(ceiling);
            self.grown_at = now;
        }
    }

    /// Notes that an attempt, which began at `began`, was refused because of a limit.
    pub(crate) fn refused(&mut self, now: Tick, began: Tick) {
        if !self.measures {
            self.measures = true;
            self.cohort_began = now;
        }
        self.roll(now);
        if began < self.cut_at {
            return;
        }
        self.refused += 1;
        let all = f64::from((self.accepted + self.refused).max(2 * SAMPLE));
        let measured = self.accepted_rate;
        if measured >= SLOWEST && f64::from(self.refused) >= TOLERATED * all {
            let base = self.rate.map_or(measured, |rate| rate.min(measured));
            self.rate = Some((base * CUT).max(SLOWEST));
            self.cut_at = now;
            self.grown_at = now;
            self.refused = 0;
        }
    }

    /// Returns for how long the key is left alone at least after a refusal: as long as it is not known what is accepted,
    /// a short while in which running attempts can show it.
    pub(crate) fn rest(&self) -> Duration {
        if self.accepted_rate < SLOWEST {
            Duration::from_millis(100)
        } else {
            Duration::ZERO
        }
    }

    /// Charges an attempt that starts now, and returns when the next may start.
    pub(crate) fn take(&mut self, now: Tick) -> Tick {
        let Some(rate) = self.rate else {
            return now;
        };
        let gap = (SECOND / rate) as Tick;
        self.next = self.next.max(now.saturating_sub(SLACK)).saturating_add(gap);
        self.next
    }

    fn roll(&mut self, now: Tick) {
        let passed = now - self.cohort_began;
        let enough = passed >= COHORT.1 || self.accepted + self.refused >= SAMPLE;
        if passed < COHORT.0 || !enough {
            return;
        }
        let rate = f64::from(self.accepted) / (passed as f64 / SECOND);
        // After a rest, nothing was refused and nothing was asked: that says nothing about the rate.
        let rested = passed > 2 * COHORT.1 && self.accepted_rate > 0.0;
        self.accepted_rate = if rested {
            self.accepted_rate
        } else if self.accepted_rate > 0.0 {
            (self.accepted_rate + rate) / 2.0
        } else {
            rate
        };
        self.cohort_began = now;
        self.accepted = 0;
        self.refused = 0;
    }
}
