//! How many attempts of one key may run at the same time, learned from what the other side accepts.
//!
//! Multiplicative decrease after Chiu and Jain (1989), with the search of BIC-TCP (Xu, Harfoush and Rhee, 2004) between
//! the limit that is known as accepted and the one that is known as refused, and growth beyond it in steps that double.
//! A round is counted in attempts that succeed while the whole limit is in use: by Little's law as many as the limit are
//! one round trip, whatever the latencies. Invariants: `min <= limit <= max`; an attempt that began before the last
//! decrease decides nothing; cuts are a round trip apart, but for one
//! where a small limit is swamped; only refusals and slow first outputs lower a limit in use.

mod cohort;
mod first_output;
mod signal;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;

use crate::limit::{AdaptiveLimit, LimitCause};
use crate::machine::adaptive::cohort::Cohort;
use crate::machine::adaptive::first_output::FirstOutput;
use crate::rate::Tick;

pub(crate) use signal::{Change, Signal, Started};

/// How many round trips pass before more is tried again, at least and at most.
const PAUSE: (usize, usize) = (5, 16);
/// How many attempts have to succeed at most before more is tried again, where [`PAUSE`] times the limit is less: 80 are
/// 16 round trips at a limit of 5.
const LONGEST: usize = 80;
/// How many attempts have to succeed before that for each one that the last try cost: one in 57 is less than 2 %.
const PRICE: usize = 56;
/// The first step beyond what is known, and how close the search comes, as a part of the limit.
const STEP: usize = 64;
/// The first step towards what was refused, as a part of the limit.
const SEARCH: usize = 8;
/// How many refusals take back a step, as a part of the limit that the step leads to.
const DOUBT: usize = 64;
/// A share of refusals above one in this many, over four round trips, takes back a step.
const LASTING: usize = 50;
/// Up to this limit a cut may follow another within a round trip, if all was refused since. Each slot above the capacity is
/// refused ten times in a round trip, and a small limit takes many round trips to work off the retries of that.
const SWAMPED: usize = 16;
/// After so long without half of the limit in use it is halved.
const REST: Tick = 60_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Over one round the limit grows from `good` by `step`; a step of 0 only looks whether `good` holds.
    Grow {
        step: usize,
        accepted: usize,
        refused: usize,
    },
    /// The limit stays.
    Hold { accepted: usize, refused: usize },
}

const fn grow(step: usize) -> Phase {
    Phase::Grow {
        step,
        accepted: 0,
        refused: 0,
    }
}

const HOLD: Phase = Phase::Hold {
    accepted: 0,
    refused: 0,
};

/// The adaptive limit of one key.
#[derive(Debug)]
pub(crate) struct Adaptive {
    policy: AdaptiveLimit,
    limit: usize,
    /// The limit at the beginning of the round.
    good: usize,
    /// What `good` was a round earlier: the whole of the last step may have come at the very end of its round.
    before: usize,
    /// A limit at which attempts were refused, as long as that counts.
    bad: Option<usize>,
    phase: Phase,
    /// Nothing has been refused yet.
    fresh: bool,
    /// How often the limit was lowered.
    epoch: u32,
    /// Until when it is not cut again.
    next_cut: Tick,
    /// The last cut did not wait for that.
    cut_early: bool,
    cohort: Cohort,
    /// Attempts since the round began that is paid for in [`Phase::Hold`].
    paid: usize,
    owed: usize,
    /// The latency of successes, smoothed; 0 before the first.
    latency: Tick,
    /// The whole limit is in use.
    full: bool,
    /// When half of the limit was last in use.
    used_at: Tick,
    first_output: FirstOutput,
}

impl Adaptive {
    pub(crate) fn new(policy: &AdaptiveLimit) -> Self {
        let initial = policy.initial.get();
        Self {
            limit: initial,
            good: initial,
            before: initial,
            bad: None,
            phase: grow(initial.min(policy.max.get() - initial)),
            fresh: true,
            epoch: 0,
            next_cut: 0,
            cut_early: false,
            cohort: Cohort::default(),
            paid: 0,
            owed: 0,
            latency: 0,
            full: false,
            used_at: 0,
            first_output: FirstOutput::new(policy.first_output_tolerance),
            policy: policy.clone(),
        }
    }

    /// Returns how many attempts of the key may run now.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Notes that an attempt starts.
    pub(crate) fn started(&mut self, now: Tick, running_including_this: usize) -> Started {
        if running_including_this >= self.limit {
            self.full = true;
        }
        let mut change = None;
        if 2 * running_including_this >= self.limit {
            self.used_at = now;
        } else if now.saturating_sub(self.used_at) >= REST {
            change = self.rest(now, running_including_this);
        }
        Started {
            epoch: self.epoch,
            change,
        }
    }

    /// Notes that an attempt has ended, which took `latency`. `running_before` includes it.
    pub(crate) fn ended(
        &mut self,
        now: Tick,
        epoch: u32,
        signal: Signal,
        latency: Tick,
        running_before: usize,
    ) -> Option<Change> {
        if running_before < self.limit - self.limit / 4 {
            self.full = false;
        }
        match signal {
            Signal::Ignored => None,
            Signal::Refused => {
                self.owed += 1;
                if epoch == self.epoch {
                    self.refused(now)
                } else {
                    None
                }
            }
            Signal::Success {
                first_try,
                first_output,
            } => {
                self.latency = match self.latency {
                    0 => latency,
                    smoothed => smoothed - smoothed / 8 + latency / 8,
                };
                if epoch != self.epoch {
                    return None;
                }
                self.cohort.accepted(self.limit);
                if first_output.is_some_and(|took| self.first_output.is_slow(took, self.limit)) {
                    return self.slow(now);
                }
                if self.full { self.accepted(first_try) } else { None }
            }
        }
    }

    /// An attempt succeeded while the whole limit was in use. A retry shows that the limit holds, but nothing grows on it.
    fn accepted(&mut self, first_try: bool) -> Option<Change> {
        self.paid += 1;
        if let Phase::Hold { accepted, .. } = &mut self.phase {
            *accepted += 1;
            let most = (PAUSE.1 * self.limit).max(LONGEST);
            let pause = (PRICE * self.owed).clamp(PAUSE.0 * self.limit, most);
            if !first_try || self.paid < pause || self.limit == self.policy.max.get() {
                return None;
            }
            self.bad = None;
            self.begin(self.limit.div_ceil(STEP));
        }
        let Phase::Grow { step, accepted, .. } = &mut self.phase else {
            return None;
        };
        if !first_try && *step > 0 {
            return None;
        }
        *accepted += 1;
        let (step, accepted, from) = (*step, *accepted, self.limit);
        // It grows in the first half of the round, so that the second half shows whether that was too much.
        let to = self.good + step.min(accepted).min((2 * step * accepted).div_ceil(self.good));
        let cause = if self.fresh {
            LimitCause::SlowStart
        } else if self.bad.is_some() {
            LimitCause::Recovery
        } else {
            LimitCause::Growth
        };
        self.limit = to.max(from);
        if accepted >= (self.good + step).max(4) {
            self.before = self.good;
            self.good = self.limit;
            match self.bad {
                Some(_) => self.search(2 * step),
                None => self.begin(2 * step),
            }
        }
        if self.limit == from {
            return None;
        }
        self.full = false;
        let to = self.limit;
        Some(Change { from, to, cause })
    }

    /// An attempt that began after the last decrease was refused.
    fn refused(&mut self, now: Tick) -> Option<Change> {
        self.cohort.refused();
        if self.limit > self.good {
            if let Phase::Grow { step, refused, .. } = &mut self.phase {
                *refused += 1;
                let doubt = (self.good + *step)
                    .div_ceil(DOUBT)
                    .max(1 + usize::from(self.fresh));
                if *refused >= doubt {
                    return self.step_back(LimitCause::StepBack);
                }
            }
            return None;
        }
        let may_cut = now >= self.next_cut || self.is_swamped();
        if may_cut && self.cohort.is_refused(&self.policy, self.limit) {
            let (Phase::Grow { accepted, .. } | Phase::Hold { accepted, .. }) = self.phase;
            if accepted < self.good && self.before < self.good {
                self.good = self.before;
                return self.step_back(LimitCause::StepBack);
            }
            return self.cut(now, LimitCause::Refused);
        }
        if let Phase::Hold { accepted, refused } = &mut self.phase {
            *refused += 1;
            let share = (*accepted + *refused).max(4 * self.limit) / LASTING;
            if *accepted >= self.limit && *refused > share.max(2) {
                self.good -= self.limit.div_ceil(STEP);
                return self.step_back(LimitCause::StepBack);
            }
        }
        None
    }

    /// A cohort took too long to its first output.
    fn slow(&mut self, now: Tick) -> Option<Change> {
        if self.limit > self.good {
            self.step_back(LimitCause::FirstOutput)
        } else if now >= self.next_cut {
            self.cut(now, LimitCause::FirstOutput)
        } else {
            None
        }
    }

    /// Goes back to where the round began.
    fn step_back(&mut self, cause: LimitCause) -> Option<Change> {
        self.bad = Some(self.limit);
        self.lower(self.good, cause)
    }

    /// Nothing but refusals came since the last decrease, two for each slot of a small limit. Once between two cuts at most.
    fn is_swamped(&self) -> bool {
        !self.cut_early && self.limit <= SWAMPED && self.cohort.refused_without_success() >= 2 * self.limit
    }

    fn cut(&mut self, now: Tick, cause: LimitCause) -> Option<Change> {
        self.cut_early = now < self.next_cut;
        self.next_cut = now.saturating_add(self.latency);
        // After more than one cut the first limit stays the goal: what was refused may have been a burst.
        self.bad = self.bad.max(Some(self.limit));
        let change = self.lower((self.limit as f64 * self.policy.cut) as usize, cause);
        self.phase = grow(0);
        (self.paid, self.owed) = (0, 1);
        change
    }

    /// Halves the limit once for each [`REST`] that has passed.
    fn rest(&mut self, now: Tick, running: usize) -> Option<Change> {
        let halvings = u32::try_from((now - self.used_at) / REST).unwrap_or(u32::MAX);
        let halved = self.limit.checked_shr(halvings).unwrap_or(0);
        let to = halved.max(2 * running).max(self.policy.initial.get());
        self.used_at = now;
        if to >= self.limit {
            return None;
        }
        self.bad = self.bad.max(Some(self.limit + 1));
        self.lower(to, LimitCause::Rested)
    }

    fn lower(&mut self, to: usize, cause: LimitCause) -> Option<Change> {
        let from = self.limit;
        self.limit = to.clamp(self.policy.min.get(), self.policy.max.get());
        self.good = self.limit;
        self.before = self.limit;
        self.fresh = false;
        self.epoch = self.epoch.wrapping_add(1);
        self.cohort = Cohort::default();
        self.first_output.restart();
        self.search(0);
        let to = self.limit;
        (from != to).then_some(Change { from, to, cause })
    }

    /// Goes half of the way to what was refused, by an eighth of the limit or `most`, or stays if it is close.
    fn search(&mut self, most: usize) {
        let gap = self.bad.unwrap_or(usize::MAX).saturating_sub(self.good);
        if gap <= self.good.div_ceil(STEP) {
            self.phase = HOLD;
        } else {
            self.begin((gap / 2).min(most.max(self.good / SEARCH)));
        }
    }

    fn begin(&mut self, step: usize) {
        let room = self.policy.max.get() - self.good;
        (self.paid, self.owed) = (0, 0);
        self.phase = if room == 0 {
            HOLD
        } else {
            grow(step.clamp(1, self.good).min(room))
        };
    }
}
