//! Rate limits as pure values that are handed `now`. All arithmetic is in whole numbers, so a bucket never drifts.

use std::num::NonZeroU64;
use std::time::Duration;

/// Parts of one unit. With 60·10⁹ parts to a unit, a rate of `r` per minute adds exactly `r` parts per nanosecond.
const PARTS: i128 = 60_000_000_000;

/// A bucket that refills continuously: at most `burst` at once, `per_minute` in the long run.
///
/// A request that costs more than the burst is granted when the bucket is full and leaves it in debt, so that no
/// request is refused for ever. Within any span of time `t`, the requests granted therefore cost at most
/// `max(burst, dearest request) + rate × t`.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_minute: i128,
    burst: i128,
    level: i128,
    at: Duration,
}

impl Bucket {
    /// Makes a full bucket whose clock stands at zero.
    pub fn new(per_minute: NonZeroU64, burst: NonZeroU64) -> Self {
        let burst = i128::from(burst.get()) * PARTS;
        Self {
            per_minute: i128::from(per_minute.get()),
            burst,
            level: burst,
            at: Duration::ZERO,
        }
    }

    /// Returns the burst that a rate has unless it is given another: one second's worth, and at least 1.
    pub fn default_burst(per_minute: NonZeroU64) -> NonZeroU64 {
        NonZeroU64::new(per_minute.get().div_ceil(60)).unwrap_or(NonZeroU64::MIN)
    }

    /// Takes `cost` at `now`, or returns how long it will be until it could be taken.
    ///
    /// `now` is the time since the bucket was made; a `now` before the latest one seen counts as the latest.
    ///
    /// # Errors
    ///
    /// Returns the wait, rounded up to a nanosecond, if the bucket holds too little. Nothing is taken then.
    pub fn try_take(&mut self, now: Duration, cost: u64) -> Result<(), Duration> {
        let wait = self.wait(now, cost);
        if wait.is_zero() {
            self.take(cost);
            return Ok(());
        }
        Err(wait)
    }

    /// Returns how much could be taken at `now`.
    pub fn remaining(&mut self, now: Duration) -> u64 {
        self.refill(now);
        u64::try_from(self.level.max(0) / PARTS).unwrap_or(u64::MAX)
    }

    /// Returns how long it will be until the bucket is full, if nothing is taken.
    pub fn until_full(&mut self, now: Duration) -> Duration {
        self.refill(now);
        self.time_for(self.burst - self.level)
    }

    fn wait(&mut self, now: Duration, cost: u64) -> Duration {
        self.refill(now);
        let needed = (i128::from(cost) * PARTS).min(self.burst);
        self.time_for(needed - self.level)
    }

    fn take(&mut self, cost: u64) {
        self.level -= i128::from(cost) * PARTS;
    }

    fn refill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_nanos();
        self.at = self.at.max(now);
        let gain = i128::try_from(elapsed)
            .unwrap_or(i128::MAX)
            .saturating_mul(self.per_minute);
        self.level = self.level.saturating_add(gain).min(self.burst);
    }

    fn time_for(&self, missing: i128) -> Duration {
        if missing <= 0 {
            return Duration::ZERO;
        }
        let nanos = (missing + self.per_minute - 1) / self.per_minute;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
}

/// A configured limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) counted: Counted,
    pub(crate) per_minute: NonZeroU64,
    pub(crate) burst: NonZeroU64,
}

/// How one limit stands, for the headers of a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) counted: Counted,
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: Duration,
}

/// Why a request was refused: the limit that asks for the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) counted: Counted,
    pub(crate) limit: u64,
    pub(crate) wait: Duration,
}

impl Exceeded {
    /// Returns the wait in milliseconds, rounded up.
    pub(crate) fn wait_millis(&self) -> u64 {
        u64::try_from(self.wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// All limits of a server. A request is charged to every one of them or to none.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    limits: Vec<(Rate, Bucket)>,
}

impl Limiter {
    /// Makes a limiter whose buckets are full and whose clock stands at `now`.
    pub(crate) fn new(rates: &[Rate], now: Duration) -> Self {
        let bucket = |rate: &Rate| Bucket {
            at: now,
            ..Bucket::new(rate.per_minute, rate.burst)
        };
        Self {
            limits: rates.iter().map(|rate| (*rate, bucket(rate))).collect(),
        }
    }

    /// Charges one request with its tokens, or says which limit it exceeds.
    pub(crate) fn charge(&mut self, now: Duration, input: u64, output: u64) -> Result<(), Exceeded> {
        let cost = |counted| match counted {
            Counted::Requests => 1,
            Counted::Tokens => input.saturating_add(output),
            Counted::InputTokens => input,
            Counted::OutputTokens => output,
        };
        let mut worst: Option<Exceeded> = None;
        for (rate, bucket) in &mut self.limits {
            let wait = bucket.wait(now, cost(rate.counted));
            if !wait.is_zero() && worst.is_none_or(|worst| worst.wait < wait) {
                worst = Some(Exceeded {
                    counted: rate.counted,
                    limit: rate.per_minute.get(),
                    wait,
                });
            }
        }
        if let Some(worst) = worst {
            return Err(worst);
        }
        for (rate, bucket) in &mut self.limits {
            bucket.take(cost(rate.counted));
        }
        Ok(())
    }

    /// Returns how every limit stands at `now`.
    pub(crate) fn standings(&mut self, now: Duration) -> Vec<Standing> {
        let standing = |(rate, bucket): &mut (Rate, Bucket)| Standing {
            counted: rate.counted,
            limit: rate.per_minute.get(),
            remaining: bucket.remaining(now),
            reset: bucket.until_full(now),
        };
        self.limits.iter_mut().map(standing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(value: u64) -> NonZeroU64 {
        NonZeroU64::new(value).unwrap()
    }

    #[test]
    fn the_default_burst_is_one_second_and_at_least_one() {
        assert_eq!(Bucket::default_burst(n(1)).get(), 1);
        assert_eq!(Bucket::default_burst(n(60)).get(), 1);
        assert_eq!(Bucket::default_burst(n(61)).get(), 2);
        assert_eq!(Bucket::default_burst(n(6000)).get(), 100);
    }

    #[test]
    fn a_request_is_charged_to_every_limit_or_to_none() {
        let rate = |counted, per_minute, burst| Rate {
            counted,
            per_minute: n(per_minute),
            burst: n(burst),
        };
        let rates = [rate(Counted::Requests, 60, 5), rate(Counted::Tokens, 600, 10)];
        let mut limiter = Limiter::new(&rates, Duration::ZERO);
        assert!(limiter.charge(Duration::ZERO, 6, 3).is_ok());
        let refused = limiter.charge(Duration::ZERO, 6, 3).unwrap_err();
        assert_eq!(refused.counted, Counted::Tokens);
        assert_eq!(
            refused.wait,
            Duration::from_millis(800),
            "1 of 9 tokens is left, at 10 a second"
        );
        assert_eq!(
            limiter.standings(Duration::ZERO)[0].remaining,
            4,
            "the refused request used up no request"
        );
        assert!(limiter.charge(refused.wait, 6, 3).is_ok());
    }

    #[test]
    fn a_limiter_that_is_made_late_starts_full_and_counts_from_then() {
        let rates = [Rate {
            counted: Counted::Requests,
            per_minute: n(60),
            burst: n(1),
        }];
        let late = Duration::from_secs(100);
        let mut limiter = Limiter::new(&rates, late);
        assert!(limiter.charge(late, 0, 0).is_ok());
        assert_eq!(
            limiter.charge(late, 0, 0).unwrap_err().wait,
            Duration::from_secs(1)
        );
    }
}
