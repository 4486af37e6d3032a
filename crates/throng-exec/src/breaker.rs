//! A circuit breaker for each key: a service that fails most of what it is asked is left alone for a while.
//!
//! The states are those of Michael Nygard, "Release It!", 2007: closed, open, half-open. Attempts that began in an
//! earlier state say nothing about the present one.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::InvalidConfig;
use crate::error::check;
use crate::rate::Tick;

/// When a key is left alone because most of its attempts fail, and what becomes of its jobs meanwhile.
///
/// Transient errors, overloads and timeouts count as failures; throttled attempts and permanent errors do not, because the
/// service answered. Panics and dropped attempts say nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct CircuitBreaker {
    ratio: f64,
    sample: NonZeroU32,
    rest: Duration,
    probes: NonZeroU32,
    pub(crate) while_open: WhileOpen,
}

impl CircuitBreaker {
    /// Makes a breaker that opens when at least half of the last 20 attempts failed, for 30 s, and closes when one probe
    /// succeeds. Jobs wait while it is open.
    pub const fn new() -> Self {
        Self {
            ratio: 0.5,
            sample: NonZeroU32::MIN.saturating_add(19),
            rest: Duration::from_secs(30),
            probes: NonZeroU32::MIN,
            while_open: WhileOpen::Wait,
        }
    }

    /// Sets the share of failures at which it opens, above 0 and at most 1. Default 0.5.
    pub const fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// Sets over how many of the last attempts the share is taken, at most 128. It does not open before there were so many.
    /// Default 20.
    pub const fn sample(mut self, attempts: NonZeroU32) -> Self {
        self.sample = attempts;
        self
    }

    /// Sets how long it stays open. Default 30 s.
    pub const fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// Sets how many attempts may run at a time after the rest, and how many of them must succeed for it to close; one
    /// that fails opens it again. Default 1.
    pub const fn probes(mut self, probes: NonZeroU32) -> Self {
        self.probes = probes;
        self
    }

    /// Sets what becomes of jobs while it is open. Default [`WhileOpen::Wait`].
    pub const fn while_open(mut self, what: WhileOpen) -> Self {
        self.while_open = what;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        check(
            self.ratio > 0.0 && self.ratio <= 1.0,
            "ratio",
            &self.ratio,
            "it must be above 0 and at most 1",
        )?;
        check(
            self.sample.get() <= 128,
            "sample",
            &self.sample,
            "it must be at most 128",
        )
    }
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new()
    }
}

/// What becomes of the jobs of a key while its breaker is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileOpen {
    /// They wait, as in a cool-down. For campaigns, whose jobs can wait.
    #[default]
    Wait,
    /// They go on to their next fallback step, or end: with the error that they have, or as
    /// [`Shed`](throng_core::Outcome::Shed). For services, whose callers cannot wait.
    Fail,
}

/// What a breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// Attempts start.
    Closed,
    /// No attempt starts.
    Open,
    /// A few attempts start, to see whether the service has recovered.
    HalfOpen,
}

impl BreakerState {
    /// Returns the state as it stands in machine output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The breaker of one key.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: CircuitBreaker,
    state: BreakerState,
    /// Raised with each change of state; attempts of an earlier one are not counted.
    epoch: u32,
    until: Tick,
    /// The last attempts, the newest in the lowest bit; a set bit is a failure.
    last: u128,
    seen: u32,
    succeeded: u32,
}

impl Breaker {
    pub(crate) fn new(policy: CircuitBreaker) -> Self {
        Self {
            policy,
            state: BreakerState::Closed,
            epoch: 0,
            until: 0,
            last: 0,
            seen: 0,
            succeeded: 0,
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.state
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn while_open(&self) -> WhileOpen {
        self.policy.while_open
    }

    /// Returns how many attempts may run at a time, if the breaker limits them.
    pub(crate) fn limit(&self) -> Option<usize> {
        match self.state {
            BreakerState::Closed => None,
            BreakerState::Open => Some(0),
            BreakerState::HalfOpen => Some(self.policy.probes.get() as usize),
        }
    }

    /// Notes how an attempt ended that began at `epoch`. Returns until when the breaker is open, if this opened it.
    pub(crate) fn record(&mut self, now: Tick, epoch: u32, failed: bool) -> Option<Tick> {
        if epoch != self.epoch || self.state == BreakerState::Open {
            return None;
        }
        if self.state == BreakerState::HalfOpen {
            if failed {
                return Some(self.open(now));
            }
            self.succeeded += 1;
            if self.succeeded >= self.policy.probes.get() {
                self.change(BreakerState::Closed);
            }
            return None;
        }
        let sample = self.policy.sample.get();
        self.last = (self.last << 1 | u128::from(failed)) & (u128::MAX >> (128 - sample));
        self.seen = (self.seen + 1).min(sample);
        let failures = f64::from(self.last.count_ones());
        let opens = self.seen >= sample && failures >= self.policy.ratio * f64::from(sample);
        opens.then(|| self.open(now))
    }

    /// Ends the rest, if it is over. Returns true if it was.
    pub(crate) fn tick(&mut self, now: Tick) -> bool {
        let over = self.state == BreakerState::Open && self.until <= now;
        if over {
            self.change(BreakerState::HalfOpen);
        }
        over
    }

    fn open(&mut self, now: Tick) -> Tick {
        let rest = Tick::try_from(self.policy.rest.as_nanos()).unwrap_or(Tick::MAX);
        self.until = now.saturating_add(rest.max(1));
        self.change(BreakerState::Open);
        self.until
    }

    fn change(&mut self, state: BreakerState) {
        self.state = state;
        self.epoch = self.epoch.wrapping_add(1);
        self.last = 0;
        self.seen = 0;
        self.succeeded = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The reference: the states as words and the whole history, judged anew at every step.
    struct Reference {
        ratio: f64,
        sample: usize,
        rest: Tick,
        probes: usize,
        state: &'static str,
        epoch: u32,
        until: Tick,
        history: Vec<bool>,
    }

    impl Reference {
        fn enter(&mut self, state: &'static str) {
            self.state = state;
            self.epoch += 1;
            self.history.clear();
        }

        fn step(&mut self, now: Tick) {
            if self.state == "open" && self.until <= now {
                self.enter("half_open");
            }
        }

        fn record(&mut self, now: Tick, epoch: u32, failed: bool) {
            if epoch != self.epoch {
                return;
            }
            self.history.push(failed);
            match self.state {
                "closed" => {
                    let from = self.history.len().checked_sub(self.sample);
                    let Some(last) = from.map(|from| &self.history[from..]) else {
                        return;
                    };
                    let failures = last.iter().filter(|failed| **failed).count();
                    if failures as f64 >= self.ratio * self.sample as f64 {
                        self.until = now + self.rest;
                        self.enter("open");
                    }
                }
                "half_open" if failed => {
                    self.until = now + self.rest;
                    self.enter("open");
                }
                "half_open" if self.history.len() >= self.probes => self.enter("closed"),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn it_behaves_as_the_reference(
            (ratio, sample, rest, probes) in (0.05..=1.0_f64, 1..=128_u32, 1..50_u64, 1..4_u32),
            steps in prop::collection::vec((0..10_u64, any::<bool>(), 0..2_u32, 0.0..1.0_f64), 0..400),
            broken in 0.0..1.0_f64,
        ) {
            let at_least_one = |n| NonZeroU32::new(n).unwrap();
            let policy = CircuitBreaker::new()
                .ratio(ratio)
                .sample(at_least_one(sample))
                .rest(Duration::from_nanos(rest))
                .probes(at_least_one(probes));
            let mut breaker = Breaker::new(policy);
            let mut reference = Reference {
                ratio, sample: sample as usize, rest, probes: probes as usize,
                state: "closed", epoch: 0, until: 0, history: Vec::new(),
            };
            let mut now = 0;
            for (pause, ends, stale, luck) in steps {
                now += pause;
                breaker.tick(now);
                reference.step(now);
                if ends && reference.state != "open" {
                    let epoch = reference.epoch.saturating_sub(stale);
                    breaker.record(now, epoch, luck < broken);
                    reference.record(now, epoch, luck < broken);
                }
                prop_assert_eq!(breaker.state().as_str(), reference.state);
                prop_assert_eq!(breaker.epoch(), reference.epoch);
            }
        }
    }
}
