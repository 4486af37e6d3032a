//! Attempts that are judged together, so that a stray refusal among many decides nothing.

use crate::limit::AdaptiveLimit;

/// How many attempts make a cohort where the limit is small.
const COHORT: usize = 20;

/// What has ended of late, not counting what began before the last decrease.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cohort {
    accepted: usize,
    refused: usize,
    /// How many were refused since one was accepted.
    in_a_row: usize,
}

impl Cohort {
    pub(super) fn accepted(&mut self, limit: usize) {
        self.accepted += 1;
        self.in_a_row = 0;
        if self.accepted + self.refused > limit.max(COHORT) {
            self.accepted /= 2;
            self.refused /= 2;
        }
    }

    pub(super) fn refused(&mut self) {
        self.refused += 1;
        self.in_a_row += 1;
    }

    /// Returns how many were refused if nothing was accepted, or else 0.
    pub(super) fn refused_without_success(&self) -> usize {
        if self.accepted == 0 { self.refused } else { 0 }
    }

    /// Returns true if more was refused than the policy tolerates.
    pub(super) fn is_refused(&self, policy: &AdaptiveLimit, limit: usize) -> bool {
        let share = |n: usize| policy.tolerated * n as f64;
        let enough = policy.least.get().max(share(limit).ceil() as usize);
        let most = self.refused as f64 >= share(self.accepted + self.refused) || self.in_a_row >= enough;
        self.refused >= enough && most
    }
}
