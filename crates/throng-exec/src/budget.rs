//! How much a run may spend on attempts beyond the first: tokens that retries and hedges cost and successes bring back.
//!
//! After the token bucket of the AWS SDKs' retry strategies ("Retry Behavior", AWS SDKs and Tools Reference Guide):
//! in an outage the bucket empties and the load falls back to one attempt for each job. Invariant: never below zero.

/// How much the retries and hedges of one key may spend.
///
/// Each key has a bucket of its own, full at first. A retry takes its cost out and a success gives the cost of its last
/// retry back; one at the first attempt adds [`success`](Self::success). A job whose retry the bucket cannot pay ends with
/// the error that it has. A hedge costs as much as a retry after a transient error, and is left out where it cannot be
/// paid.
///
/// A retry after a throttled attempt takes at most its cost out of the upper half of the bucket, and is never refused for
/// want of it: the other side asked for another try later, and the deadline and
/// [`patience`](crate::RetryPolicy::patience) bound it. The lower half is left to the retries after other errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryBudget {
    pub(crate) capacity: u32,
    pub(crate) transient: u32,
    pub(crate) throttled: u32,
    pub(crate) success: u32,
}

impl RetryBudget {
    /// Makes a budget of so many tokens, with the default costs: 14 for a retry after a transient error or a timeout, 5
    /// after a throttled attempt; a success at the first attempt adds 1.
    pub const fn new(capacity: u32) -> Self {
        Self {
            capacity,
            transient: 14,
            throttled: 5,
            success: 1,
        }
    }

    /// Sets what a retry after a transient error or a timeout costs, and a hedge. Default 14.
    pub const fn transient(mut self, cost: u32) -> Self {
        self.transient = cost;
        self
    }

    /// Sets what a retry after a throttled attempt costs. Default 5.
    pub const fn throttled(mut self, cost: u32) -> Self {
        self.throttled = cost;
        self
    }

    /// Sets what a success at the first attempt adds. Default 1.
    pub const fn success(mut self, tokens: u32) -> Self {
        self.success = tokens;
        self
    }
}

impl Default for RetryBudget {
    /// 500 tokens: in a total outage 35 retries.
    fn default() -> Self {
        Self::new(500)
    }
}

/// The bucket of one key.
#[derive(Debug)]
pub(crate) struct Budget {
    policy: RetryBudget,
    tokens: u32,
}

impl Budget {
    pub(crate) fn new(policy: RetryBudget) -> Self {
        Self {
            policy,
            tokens: policy.capacity,
        }
    }

    pub(crate) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Pays for a retry or a hedge, if the bucket can. Returns what it cost.
    pub(crate) fn pay(&mut self) -> Option<u32> {
        self.tokens = self.tokens.checked_sub(self.policy.transient)?;
        Some(self.policy.transient)
    }

    /// Pays for a retry after a throttled attempt as much as there is above half of the capacity. Returns what it cost.
    pub(crate) fn pay_throttled(&mut self) -> u32 {
        let cost = self
            .policy
            .throttled
            .min(self.tokens.saturating_sub(self.policy.capacity / 2));
        self.tokens -= cost;
        cost
    }

    /// Notes a success. `paid` is what its last retry cost, if it had one.
    pub(crate) fn succeeded(&mut self, paid: Option<u32>) {
        let back = paid.unwrap_or(self.policy.success);
        self.tokens = self.tokens.saturating_add(back).min(self.policy.capacity);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_default_budget_pays_for_35_retries_in_an_outage() {
        let mut budget = Budget::new(RetryBudget::default());
        assert_eq!(std::iter::from_fn(|| budget.pay()).count(), 35);
        assert_eq!(budget.tokens(), 10);
        assert_eq!(budget.pay_throttled(), 0, "the lower half is for other errors");
        (0..14).for_each(|_| budget.succeeded(None));
        assert_eq!(budget.pay(), Some(14));
    }

    proptest! {
        #[test]
        fn a_budget_stays_between_nothing_and_its_capacity(
            capacity in 0..100_u32,
            costs in (0..30_u32, 0..30_u32, 0..5_u32),
            steps in prop::collection::vec(0..4_u8, 0..200),
        ) {
            let policy = RetryBudget::new(capacity).transient(costs.0).throttled(costs.1).success(costs.2);
            let mut budget = Budget::new(policy);
            let mut model = i64::from(capacity);
            let mut paid = Vec::new();
            for step in steps {
                match step {
                    0 => {
                        let can = model >= i64::from(costs.0);
                        prop_assert_eq!(budget.pay(), can.then_some(costs.0));
                        if can {
                            model -= i64::from(costs.0);
                            paid.push(costs.0);
                        }
                    }
                    1 => {
                        let cost = budget.pay_throttled();
                        let spare = (model - i64::from(capacity / 2)).max(0);
                        prop_assert_eq!(i64::from(cost), spare.min(i64::from(costs.1)));
                        model -= i64::from(cost);
                        paid.push(cost);
                    }
                    2 => {
                        budget.succeeded(None);
                        model = (model + i64::from(costs.2)).min(i64::from(capacity));
                    }
                    _ => {
                        if let Some(cost) = paid.pop() {
                            budget.succeeded(Some(cost));
                            model = (model + i64::from(cost)).min(i64::from(capacity));
                        }
                    }
                }
                prop_assert_eq!(i64::from(budget.tokens()), model);
                prop_assert!((0..=i64::from(capacity)).contains(&model));
            }
        }
    }
}
