//! Hedging: a second attempt of a job beside a first one that takes unusually long; the first to succeed counts.
//!
//! Dean and Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013.

use std::time::Duration;

use crate::InvalidConfig;
use crate::error::check;
use crate::rate::Tick;

/// When a second attempt of a job starts beside the first.
///
/// A hedge starts when an attempt has run for longer than [`quantile`](Self::quantile) of the key's attempts that succeeded
/// lately. It takes a permit of its own, goes ahead of new jobs, is charged to the key's rates and to its
/// [`RetryBudget`](crate::RetryBudget), and counts as an attempt of the job. The loser is dropped. Use it for jobs that may
/// be repeated only.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Hedge {
    quantile: f64,
    sample: u32,
    pub(crate) most: f64,
    least: Duration,
}

impl Hedge {
    /// Hedges attempts that are slower than 95 % of the last ones, at most one in twenty, once 20 have succeeded.
    pub const fn new() -> Self {
        Self {
            quantile: 0.95,
            sample: 20,
            most: 0.05,
            least: Duration::ZERO,
        }
    }

    /// Sets the quantile of the latency after which a hedge starts, above 0 and below 1. Default 0.95.
    pub const fn quantile(mut self, quantile: f64) -> Self {
        self.quantile = quantile;
        self
    }

    /// Sets how many attempts of the key must have succeeded before the first hedge. Default 20.
    pub const fn sample(mut self, attempts: u32) -> Self {
        self.sample = attempts;
        self
    }

    /// Sets the largest share of hedges in the key's attempts that were not hedges, between 0 and 1. Default 0.05.
    pub const fn max_share(mut self, share: f64) -> Self {
        self.most = share;
        self
    }

    /// Sets the shortest time after which a hedge starts. Default: none.
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.least = delay;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        check(
            self.quantile > 0.0 && self.quantile < 1.0,
            "quantile",
            &self.quantile,
            "it must be above 0 and below 1",
        )?;
        check(
            (0.0..=1.0).contains(&self.most),
            "max_share",
            &self.most,
            "it must be between 0 and 1",
        )
    }
}

impl Default for Hedge {
    fn default() -> Self {
        Self::new()
    }
}

/// How long the last attempts of a key took that succeeded.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    last: Vec<Tick>,
    next: usize,
    seen: u32,
    /// The quantile over `last`, and at which `seen` it was taken.
    delay: Tick,
    fresh_until: u32,
    /// Attempts that were not hedges, and hedges.
    pub(crate) attempts: u64,
    pub(crate) hedges: u64,
}

impl Latency {
    /// How many attempts are remembered, and after how many more the quantile is taken anew.
    const KEPT: usize = 256;
    const STEP: u32 = 16;

    /// Notes how long an attempt took; for the loser of two, how long it had run by then.
    pub(crate) fn record(&mut self, took: Tick) {
        if self.last.len() < Self::KEPT {
            self.last.push(took);
        } else if let Some(oldest) = self.last.get_mut(self.next) {
            *oldest = took;
            self.next = (self.next + 1) % Self::KEPT;
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// Returns after how long an attempt is hedged, if enough is known.
    pub(crate) fn delay(&mut self, policy: &Hedge) -> Option<Tick> {
        if self.seen < policy.sample.max(1) {
            return None;
        }
        if self.seen >= self.fresh_until {
            let mut last = self.last.clone();
            let rank = (policy.quantile * last.len() as f64).ceil() as usize;
            let index = rank.clamp(1, last.len()) - 1;
            self.delay = *last.select_nth_unstable(index).1;
            self.fresh_until = self.seen.saturating_add(Self::STEP);
        }
        let least = Tick::try_from(policy.least.as_nanos()).unwrap_or(Tick::MAX);
        Some(self.delay.max(least))
    }

    /// Returns true if one more hedge is within the policy's share.
    pub(crate) fn allows(&self, policy: &Hedge) -> bool {
        (self.hedges + 1) as f64 <= policy.most * self.attempts as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_the_quantile_of_the_last_attempts() {
        let policy = Hedge::new().quantile(0.9).sample(10);
        let mut latency = Latency::default();
        for took in 1..=9 {
            latency.record(took);
            assert_eq!(latency.delay(&policy), None);
        }
        latency.record(10);
        assert_eq!(latency.delay(&policy), Some(9));
        for _ in 0..Latency::KEPT {
            latency.record(100);
        }
        assert_eq!(latency.delay(&policy), Some(100), "older ones are forgotten");
        assert_eq!(
            latency.delay(&policy.min_delay(Duration::from_nanos(500))),
            Some(500)
        );
    }

    #[test]
    fn hedges_keep_to_their_share() {
        let policy = Hedge::new().max_share(0.1);
        let mut latency = Latency::default();
        for n in 1..=1_000_u64 {
            latency.attempts += 1;
            if latency.allows(&policy) {
                latency.hedges += 1;
            }
            assert!(latency.hedges <= n / 10);
        }
        assert_eq!(latency.hedges, 100);
    }
}
