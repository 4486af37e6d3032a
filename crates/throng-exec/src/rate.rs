//! How often attempts may start: requests and tokens per minute, exact at any `now`.
//!
//! Each limit is a generic cell rate algorithm (ITU-T I.371): one integer, the theoretical arrival time, in units
//! of nanoseconds × the rate, so that no rounding adds up. Invariant: over any time t the limit grants at most
//! burst + rate × t, as far as the costs were known in advance; what an attempt used beyond its estimate is debt.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::Cost;

/// Nanoseconds since the run began.
pub(crate) type Tick = u64;

const MINUTE: u128 = 60_000_000_000;

/// How often attempts may start.
///
/// An attempt starts when every limit has room for its estimated [`Cost`]; it is charged at once, and when it ends
/// the difference to the usage that it reported is charged or refunded. An estimate above the burst waits until
/// the limit is untouched and then leaves a debt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Rates {
    requests: Option<NonZeroU32>,
    input_tokens: Option<NonZeroU32>,
    output_tokens: Option<NonZeroU32>,
    burst: Option<Duration>,
}

impl Rates {
    /// Makes rates without any limit.
    pub const fn new() -> Self {
        Self {
            requests: None,
            input_tokens: None,
            output_tokens: None,
            burst: None,
        }
    }

    /// Limits the attempts that start per minute.
    pub const fn requests_per_minute(mut self, limit: NonZeroU32) -> Self {
        self.requests = Some(limit);
        self
    }

    /// Limits the input tokens per minute.
    pub const fn input_tokens_per_minute(mut self, limit: NonZeroU32) -> Self {
        self.input_tokens = Some(limit);
        self
    }

    /// Limits the output tokens per minute.
    pub const fn output_tokens_per_minute(mut self, limit: NonZeroU32) -> Self {
        self.output_tokens = Some(limit);
        self
    }

    /// Sets how much may be used at once after a rest, as the time in which that much comes in. Default 1 s: a
    /// limit of 600 a minute lets 10 start together. At least one request and one token always fit.
    pub const fn burst(mut self, burst: Duration) -> Self {
        self.burst = Some(burst);
        self
    }
}

/// All limits of a run together.
#[derive(Debug)]
pub(crate) struct Gate {
    requests: Option<Bucket>,
    input_tokens: Option<Bucket>,
    output_tokens: Option<Bucket>,
    /// The least time between two starts.
    spacing: Tick,
    /// When the next attempt may start because of the spacing.
    spaced: Tick,
}

impl Gate {
    pub(crate) fn new(rates: &Rates, spacing: Duration) -> Self {
        let burst = rates.burst.unwrap_or(Duration::from_secs(1));
        let bucket = |limit: Option<NonZeroU32>| limit.map(|limit| Bucket::new(limit, burst));
        Self {
            requests: bucket(rates.requests),
            input_tokens: bucket(rates.input_tokens),
            output_tokens: bucket(rates.output_tokens),
            spacing: Tick::try_from(spacing.as_nanos()).unwrap_or(Tick::MAX),
            spaced: 0,
        }
    }

    /// Returns true if there is no limit.
    fn is_open(&self) -> bool {
        self.requests.is_none()
            && self.input_tokens.is_none()
            && self.output_tokens.is_none()
            && self.spacing == 0
    }

    /// Returns true if nothing of the limits is used up.
    pub(crate) fn is_untouched(&self, now: Tick) -> bool {
        let full = |bucket: &Option<Bucket>| bucket.as_ref().is_none_or(|bucket| bucket.is_full(now));
        full(&self.requests) && full(&self.input_tokens) && full(&self.output_tokens) && self.spaced <= now
    }

    /// Returns when an attempt of this cost may start: `now` or later.
    pub(crate) fn ready_at(&self, now: Tick, cost: Cost) -> Tick {
        if self.is_open() {
            return now;
        }
        let late = |&(bucket, cost): &(&Bucket, u32)| !bucket.is_ready(now, cost);
        self.each(cost)
            .filter(late)
            .map(|(bucket, cost)| bucket.ready_at(cost))
            .fold(now.max(self.spaced), Tick::max)
    }

    /// Charges an attempt that starts now.
    pub(crate) fn take(&mut self, now: Tick, cost: Cost) {
        if self.is_open() {
            return;
        }
        self.each_mut(cost)
            .for_each(|(bucket, cost)| bucket.take(now, cost));
        self.spaced = now.saturating_add(self.spacing);
    }

    /// Charges or refunds the difference between the estimate and what an attempt used that began then. A refund gives back
    /// no more than was taken, never more than the burst can be used at once, and nothing that time has given back already:
    /// once the limit was untouched again, what was charged before is forgotten.
    pub(crate) fn settle(&mut self, now: Tick, began: Tick, estimate: Cost, used: Cost) {
        let tokens = |bucket: &mut Option<Bucket>, estimate: u32, used: u32| {
            if let Some(bucket) = bucket {
                bucket.take(now, used.saturating_sub(estimate));
                bucket.refund(began, estimate.saturating_sub(used));
            }
        };
        tokens(&mut self.input_tokens, estimate.input_tokens, used.input_tokens);
        tokens(
            &mut self.output_tokens,
            estimate.output_tokens,
            used.output_tokens,
        );
    }

    fn each(&self, cost: Cost) -> impl Iterator<Item = (&Bucket, u32)> {
        let requests = self.requests.iter().map(|bucket| (bucket, 1));
        let input = self
            .input_tokens
            .iter()
            .map(move |bucket| (bucket, cost.input_tokens));
        let output = self
            .output_tokens
            .iter()
            .map(move |bucket| (bucket, cost.output_tokens));
        requests.chain(input).chain(output)
    }

    fn each_mut(&mut self, cost: Cost) -> impl Iterator<Item = (&mut Bucket, u32)> {
        let requests = self.requests.iter_mut().map(|bucket| (bucket, 1));
        let input = self
            .input_tokens
            .iter_mut()
            .map(move |bucket| (bucket, cost.input_tokens));
        let output = self
            .output_tokens
            .iter_mut()
            .map(move |bucket| (bucket, cost.output_tokens));
        requests.chain(input).chain(output)
    }
}

/// One limit. All times inside are nanoseconds × `per_minute`.
#[derive(Debug)]
struct Bucket {
    per_minute: u128,
    /// How far the arrival time may lie ahead of now.
    tolerance: u128,
    arrival: u128,
    /// When it was last charged while it was untouched.
    full_at: Tick,
}

impl Bucket {
    fn new(limit: NonZeroU32, burst: Duration) -> Self {
        let per_minute = u128::from(limit.get());
        let tolerance = (burst.as_nanos() * per_minute).max(MINUTE);
        Self {
            per_minute,
            tolerance,
            arrival: 0,
            full_at: 0,
        }
    }

    /// Returns true if [`Bucket::ready_at`] is `now` or earlier, without the division.
    fn is_ready(&self, now: Tick, cost: u32) -> bool {
        let needed = (u128::from(cost) * MINUTE).min(self.tolerance);
        self.arrival + needed <= self.tolerance + u128::from(now) * self.per_minute
    }

    fn ready_at(&self, cost: u32) -> Tick {
        let needed = (u128::from(cost) * MINUTE).min(self.tolerance);
        let at = (self.arrival + needed)
            .saturating_sub(self.tolerance)
            .div_ceil(self.per_minute);
        Tick::try_from(at).unwrap_or(Tick::MAX)
    }

    fn take(&mut self, now: Tick, cost: u32) {
        if cost > 0 {
            if self.is_full(now) {
                self.full_at = now;
            }
            let now = u128::from(now) * self.per_minute;
            self.arrival = self.arrival.max(now) + u128::from(cost) * MINUTE;
        }
    }

    fn is_full(&self, now: Tick) -> bool {
        self.arrival <= u128::from(now) * self.per_minute
    }

    fn refund(&mut self, began: Tick, cost: u32) {
        if began < self.full_at {
            return;
        }
        self.arrival = self.arrival.saturating_sub(u128::from(cost) * MINUTE);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    /// Starts as many attempts of `cost` as the gate allows until `until`, and returns when each began.
    fn starts(gate: &mut Gate, cost: Cost, until: Tick) -> Vec<Tick> {
        let mut now = 0;
        let mut starts = Vec::new();
        loop {
            now = gate.ready_at(now, cost);
            if now > until {
                return starts;
            }
            gate.take(now, cost);
            starts.push(now);
        }
    }

    #[test]
    fn sixty_a_minute_is_one_a_second_exactly() {
        let mut gate = Gate::new(&Rates::new().requests_per_minute(rate(60)), Duration::ZERO);
        let second = 1_000_000_000;
        assert_eq!(
            starts(&mut gate, Cost::default(), 3 * second),
            [0, second, 2 * second, 3 * second]
        );
    }

    #[test]
    fn a_rate_that_does_not_divide_a_minute_does_not_drift() {
        let mut gate = Gate::new(&Rates::new().requests_per_minute(rate(7)), Duration::ZERO);
        let hour = 3_600_000_000_000;
        assert_eq!(starts(&mut gate, Cost::default(), hour - 1).len(), 7 * 60);
    }

    #[test]
    fn a_cost_above_the_burst_becomes_debt() {
        let mut gate = Gate::new(&Rates::new().output_tokens_per_minute(rate(600)), Duration::ZERO);
        let cost = Cost {
            input_tokens: 0,
            output_tokens: 100,
        };
        let second = 1_000_000_000;
        assert_eq!(
            starts(&mut gate, cost, 20 * second),
            [0, 10 * second, 20 * second]
        );
    }

    #[test]
    fn what_was_not_used_is_refunded() {
        let mut gate = Gate::new(&Rates::new().input_tokens_per_minute(rate(600)), Duration::ZERO);
        let estimate = Cost {
            input_tokens: 100,
            output_tokens: 0,
        };
        gate.take(0, estimate);
        gate.settle(
            0,
            0,
            estimate,
            Cost {
                input_tokens: 20,
                output_tokens: 0,
            },
        );
        assert_eq!(gate.ready_at(0, estimate), 2_000_000_000);
        gate.settle(0, 0, estimate, Cost::default());
        assert_eq!(
            gate.ready_at(
                5,
                Cost {
                    input_tokens: 10,
                    output_tokens: 0
                }
            ),
            5,
            "never below empty"
        );
    }

    #[test]
    fn what_time_has_given_back_is_not_refunded() {
        let mut gate = Gate::new(&Rates::new().output_tokens_per_minute(rate(600)), Duration::ZERO);
        let (second, ten) = (
            1_000_000_000,
            Cost {
                input_tokens: 0,
                output_tokens: 10,
            },
        );
        gate.take(0, ten);
        gate.take(10 * second, ten);
        gate.settle(10 * second, 0, ten, Cost::default());
        assert_eq!(gate.ready_at(10 * second, ten), 11 * second);
        gate.settle(10 * second, 10 * second, ten, Cost::default());
        assert_eq!(gate.ready_at(10 * second, ten), 10 * second);
    }

    #[test]
    fn what_was_used_beyond_the_estimate_is_charged_from_now() {
        let mut gate = Gate::new(&Rates::new().output_tokens_per_minute(rate(600)), Duration::ZERO);
        let (second, none) = (1_000_000_000, Cost::default());
        gate.take(0, none);
        gate.settle(
            60 * second,
            0,
            none,
            Cost {
                input_tokens: 0,
                output_tokens: 100,
            },
        );
        assert_eq!(
            gate.ready_at(
                60 * second,
                Cost {
                    input_tokens: 0,
                    output_tokens: 10
                }
            ),
            70 * second
        );
    }

    proptest! {
        /// Against the definition: in no interval more than burst + rate × time, and no start later than needed.
        #[test]
        fn grants_are_bounded_and_as_early_as_can_be(
            limit in 1..100_000_u32,
            burst_ms in 0..120_000_u64,
            steps in prop::collection::vec((0..5_000_000_000_u64, 0.0..1.0_f64), 1..40),
        ) {
            let bucket = Bucket::new(rate(limit), Duration::from_millis(burst_ms));
            let (burst, per_minute) = (bucket.tolerance, bucket.per_minute);
            let most = u32::try_from(burst / MINUTE).unwrap();
            let mut gate = Gate { requests: None, input_tokens: Some(bucket), output_tokens: None, spacing: 0, spaced: 0 };
            let mut starts: Vec<(Tick, u128)> = Vec::new();
            let mut now = 0;
            for (pause, share) in steps {
                now += pause;
                let tokens = (f64::from(most) * share) as u32;
                let cost = Cost { input_tokens: tokens, output_tokens: 0 };
                let at = gate.ready_at(now, cost);
                prop_assert!(at >= now);
                let fits = |starts: &[(Tick, u128)], at: Tick| {
                    let mut sum = u128::from(tokens) * MINUTE;
                    sum <= burst && starts.iter().rev().all(|&(start, cost)| {
                        sum += cost;
                        sum <= burst + u128::from(at - start) * per_minute
                    })
                };
                prop_assert!(fits(&starts, at), "too early at {at}: {starts:?}");
                prop_assert!(at == now || !fits(&starts, at - 1), "later than needed at {at}: {starts:?}");
                gate.take(at, cost);
                starts.push((at, u128::from(tokens) * MINUTE));
                now = at;
            }
        }
    }
}
