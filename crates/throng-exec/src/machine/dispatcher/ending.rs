//! What follows from the end of an attempt: its permit comes back, the policies of its key learn from it, and the job ends,
//! goes on to another step, or waits for another attempt.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use throng_core::{ErrorClass, EventKind, TimeoutKind};

use super::{Dispatcher, Mode, Timer, nanos};
use crate::Cost;
use crate::attempt::Reported;
use crate::breaker::BreakerState;
use crate::machine::adaptive::Signal;
use crate::machine::keys::Cap;
use crate::machine::slot::{Active, AttemptEnd, Branch, Ended, Ending, Phase};
use crate::rate::Tick;

/// How long a job waits at least after it was refused, so that each refusal costs it some of its patience.
const LEAST: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Ends the running attempts of a job, of which `branch` has ended and another, if there is one, is dropped. Returns
    /// how the job has ended, if it has.
    pub(crate) fn attempt_ended(&mut self, now: Tick, index: u32, ended: Ended) -> Option<Ending> {
        self.catch_up(now);
        let Ended {
            branch,
            end,
            reported,
            loser: of_loser,
        } = ended;
        let (deadline_binds, first) = self.running_phase(index);
        let hedge = self.end_hedge(index);
        let (ended, loser) = match (branch, hedge) {
            (Branch::Hedge, Some(hedge)) => (hedge, Some(first)),
            (_, hedge) => (first, hedge),
        };
        if let Some(loser) = loser {
            self.release(now, index, loser, AttemptEnd::Dropped, of_loser);
            let job = self.slots[index as usize].job;
            let attempt = NonZeroU32::new(loser.attempt).expect("it was raised when the attempt began");
            self.event(now, || EventKind::AttemptDropped { job, attempt });
        }
        self.release(now, index, ended, end, reported);
        let slot = &mut self.slots[index as usize];
        slot.running += now - slot.since;
        slot.since = now;
        if end == AttemptEnd::Succeeded {
            self.stats.hedges_won += u64::from(branch == Branch::Hedge && loser.is_some());
            let state = self.keys.get_mut(slot.key);
            if let Some(budget) = &mut state.budget {
                budget.succeeded(slot.paid);
            }
            if let Some(latency) = &mut state.latency {
                latency.record(now - first.began);
            }
        }
        let cancelled = self.mode == Mode::Cancelled;
        let class = match end {
            AttemptEnd::Succeeded => return Some(self.close(now, index, Ending::Succeeded)),
            AttemptEnd::Panicked => return Some(self.close(now, index, Ending::Panicked)),
            AttemptEnd::Dropped => return Some(self.close(now, index, Ending::Cancelled)),
            AttemptEnd::Failed(_) | AttemptEnd::TimedOut if cancelled => {
                return Some(self.close(now, index, Ending::Cancelled));
            }
            AttemptEnd::Failed(class) => {
                slot.last = Ending::Failed;
                class
            }
            AttemptEnd::TimedOut => {
                let kind = if deadline_binds {
                    TimeoutKind::Deadline
                } else {
                    TimeoutKind::Attempt
                };
                slot.last = Ending::TimedOut(kind);
                ErrorClass::Timeout
            }
        };
        let last = slot.last;
        self.attempt_failed(now, index, ended, class);
        match self.retry_delay(now, index, class, now - ended.began) {
            Some(delay) => {
                self.back_off(now, index, class, delay);
                None
            }
            None if self.fall_back(now, index, Some(class)) => None,
            None => Some(self.close(now, index, last)),
        }
    }

    /// Ends one of the two running attempts of a job without a value; the other goes on, from now on as the first.
    pub(crate) fn branch_ended(
        &mut self,
        now: Tick,
        index: u32,
        branch: Branch,
        end: AttemptEnd,
        reported: Reported,
    ) {
        let (deadline_binds, first) = self.running_phase(index);
        let Some(hedge) = self.end_hedge(index) else {
            return;
        };
        let (ended, active) = match branch {
            Branch::First => (first, hedge),
            Branch::Hedge => (hedge, first),
        };
        self.release(now, index, ended, end, reported);
        self.slots[index as usize].phase = Phase::Running {
            deadline_binds,
            active,
        };
        if let AttemptEnd::Failed(class) = end {
            self.attempt_failed(now, index, ended, class);
            self.pause_key(now, index, class);
        }
    }

    fn running_phase(&self, index: u32) -> (bool, Active) {
        match self.slots[index as usize].phase {
            Phase::Running {
                deadline_binds,
                active,
            } => (deadline_binds, active),
            _ => unreachable!("an attempt ends only while it runs"),
        }
    }

    fn attempt_failed(&mut self, now: Tick, index: u32, ended: Active, class: ErrorClass) {
        let job = self.slots[index as usize].job;
        let attempt = NonZeroU32::new(ended.attempt).expect("it was raised when the attempt began");
        self.event(now, || EventKind::AttemptFailed { job, attempt, class });
    }

    /// Takes back the permit of an attempt and tells the policies of its key how it ended.
    fn release(&mut self, now: Tick, index: u32, active: Active, end: AttemptEnd, reported: Reported) {
        self.running -= 1;
        self.in_use -= active.weight as usize;
        let slot = &mut self.slots[index as usize];
        let refused = matches!(end, AttemptEnd::Failed(class) if class.is_pushback());
        let unreported = if refused { Cost::default() } else { slot.cost };
        let first_output = reported.first_output();
        let mut used = unreported;
        if !reported.is_empty() {
            let usage = reported.usage();
            used.input_tokens = tokens(usage.input_tokens, unreported.input_tokens);
            used.output_tokens = tokens(usage.output_tokens, unreported.output_tokens);
            slot.reported.add(reported);
        }
        let (key, estimate) = (slot.key, slot.cost);
        let first_try = active.attempt == 1;
        if used != estimate {
            self.settle_cost(now, key, active.began, estimate, used);
        }
        let state = self.keys.get_mut(key);
        let running = state.running;
        state.running -= 1;
        if state.learns_pace() {
            match end {
                AttemptEnd::Failed(ErrorClass::Throttled { .. }) => state.pace.refused(now, active.began),
                AttemptEnd::Dropped => {}
                _ => state.pace.accepted(now),
            }
        }
        if let Some(Cap::Adaptive(adaptive)) = &mut state.cap {
            let signal = match end {
                AttemptEnd::Succeeded => Signal::Success {
                    first_try,
                    first_output: first_output.map(nanos),
                },
                _ if refused => Signal::Refused,
                _ => Signal::Ignored,
            };
            let change = adaptive.ended(now, active.epoch, signal, now - active.began, running);
            if let Some(change) = change {
                self.limit_changed(now, key, change);
            }
        }
        self.tell_breaker(now, key, active, end);
        self.review(key);
    }

    fn settle_cost(&mut self, now: Tick, key: u32, began: Tick, estimate: Cost, used: Cost) {
        self.gate.settle(now, began, estimate, used);
        self.freed = true;
        if let Some(gate) = &mut self.keys.get_mut(key).gate {
            gate.settle(now, began, estimate, used);
            if self.keys.reopen(key) {
                self.end_rest(now, key);
            }
        }
    }

    fn tell_breaker(&mut self, now: Tick, key: u32, active: Active, end: AttemptEnd) {
        let failed = match end {
            AttemptEnd::Succeeded
            | AttemptEnd::Failed(ErrorClass::Permanent | ErrorClass::Throttled { .. }) => false,
            AttemptEnd::Failed(_) | AttemptEnd::TimedOut => true,
            AttemptEnd::Panicked | AttemptEnd::Dropped => return,
        };
        let Some(breaker) = &mut self.keys.get_mut(key).breaker else {
            return;
        };
        let before = breaker.state();
        let opened = breaker.record(now, active.breaker_epoch, failed);
        let after = breaker.state();
        if let Some(until) = opened {
            self.breaker_changed(now, key, BreakerState::Open);
            self.cool(now, key, until);
            self.reject_if_open(now, key);
        } else if before != after {
            self.breaker_changed(now, key, after);
        }
    }

    /// Decides whether a failed job gets another attempt in the same step, and after how long a wait.
    fn retry_delay(&mut self, now: Tick, index: u32, class: ErrorClass, ran: Tick) -> Option<Duration> {
        let asked = matches!(class, ErrorClass::Throttled { .. }) || class.retry_after().is_some();
        let delay = if class.is_pushback() {
            self.pushback_delay(now, index, class, ran)
        } else {
            let slot = &mut self.slots[index as usize];
            let policy = self.settings.retry(slot.step);
            slot.counted += 1;
            let wanted = class.is_retryable() && (class != ErrorClass::Timeout || policy.timeouts);
            let allowed = slot.counted < policy.max_attempts.get();
            (wanted && allowed).then(|| policy.delay(slot.counted, &mut self.rng))
        };
        let delay = delay.filter(|_| self.mode == Mode::Open)?;
        let ready = now.saturating_add(nanos(delay));
        let in_time = self.deadline.is_none_or(|deadline| ready < deadline);
        (in_time && self.pay(now, index, asked)).then_some(delay)
    }

    /// Takes what a retry costs out of the budget of its key. One that the other side asked for is never refused.
    fn pay(&mut self, now: Tick, index: u32, asked: bool) -> bool {
        let slot = &mut self.slots[index as usize];
        let Some(budget) = &mut self.keys.get_mut(slot.key).budget else {
            return true;
        };
        slot.paid = if asked {
            Some(budget.pay_throttled())
        } else {
            budget.pay()
        };
        let paid = slot.paid.is_some();
        if !paid {
            let job = slot.job;
            self.stats.refused += 1;
            self.event(now, || EventKind::RetryRefused { job });
        }
        paid
    }

    /// Notes a refusal, and keeps to what it asked for: for every job of the key, whichever attempt was refused.
    fn pause_key(&mut self, now: Tick, index: u32, class: ErrorClass) {
        if !class.is_pushback() {
            return;
        }
        self.stats.pushbacks += 1;
        let slot = &self.slots[index as usize];
        let (key, patience) = (slot.key, self.settings.retry(slot.step).patience);
        let Some(floor) = class.retry_after() else { return };
        let state = self.keys.get(key);
        let rest = if state.learns_pace() {
            state.pace.rest()
        } else {
            Duration::ZERO
        };
        let patience = self.settings.retry.patience.max(patience);
        let until = now.saturating_add(nanos(floor.min(patience).max(rest)));
        self.cool(now, key, until);
        let name = self.key_name(key);
        self.event(now, || EventKind::KeyPaused {
            key: name,
            until: Duration::from_nanos(until),
        });
    }

    /// Returns how long a job waits that was refused because of a limit, as far as patience and deadline allow. What the
    /// other side asked for is a floor, for every job of the key; a random time on top of it lets the jobs that were
    /// refused together come back one after another. Without a floor the wait grows with each such refusal of the job.
    fn pushback_delay(&mut self, now: Tick, index: u32, class: ErrorClass, ran: Tick) -> Option<Duration> {
        let settings = Arc::clone(&self.settings);
        let policy = settings.retry(self.slots[index as usize].step);
        self.pause_key(now, index, class);
        let slot = &mut self.slots[index as usize];
        slot.pushed_back = slot.pushed_back.saturating_add(ran);
        let mut left = policy
            .patience
            .checked_sub(Duration::from_nanos(slot.pushed_back))?;
        if let Some(deadline) = self.deadline {
            left = left.min(Duration::from_nanos(
                deadline.saturating_sub(now).saturating_sub(1),
            ));
        }
        let (floor, spread) = match class.retry_after() {
            Some(floor) => (floor.max(LEAST), floor.max(Duration::from_millis(200))),
            None => {
                if let ErrorClass::Overloaded { .. } = class {
                    // Nobody said that coming back would help: that is a failure like any other.
                    slot.counted += 1;
                    if slot.counted >= policy.max_attempts.get() {
                        return None;
                    }
                }
                slot.refusals += 1;
                let half = policy.ceiling(slot.refusals) / 2;
                (half.max(LEAST), half)
            }
        };
        let jitter = spread.min(left.checked_sub(floor)?).mul_f64(self.rng.f64());
        let delay = floor.saturating_add(jitter);
        slot.pushed_back = slot.pushed_back.saturating_add(nanos(delay));
        (policy.max_attempts.get() > 1).then_some(delay)
    }

    fn back_off(&mut self, now: Tick, index: u32, class: ErrorClass, delay: Duration) {
        let until = now.saturating_add(nanos(delay));
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Backoff {
            until,
            throttled: class.is_pushback(),
        };
        let (job, attempt) = (slot.job, NonZeroU32::MIN.saturating_add(slot.attempts));
        self.backing_off += 1;
        self.push_timer(until, Timer::Backoff(index));
        self.event(now, || EventKind::RetryScheduled { job, attempt, delay });
    }

    pub(super) fn end_backoff(&mut self, now: Tick, due: Tick, index: u32) {
        let Phase::Backoff { until, throttled } = self.slots[index as usize].phase else {
            return;
        };
        if until == due {
            self.leave_backoff(now, index, throttled);
            self.ready_up(now, index);
        }
    }

    pub(super) fn leave_backoff(&mut self, now: Tick, index: u32, throttled: bool) {
        self.backing_off -= 1;
        let slot = &mut self.slots[index as usize];
        let waited = now - slot.since;
        *(if throttled {
            &mut slot.throttled
        } else {
            &mut slot.backoff
        }) += waited;
        slot.since = now;
    }
}

fn tokens(reported: Option<u64>, estimate: u32) -> u32 {
    reported.map_or(estimate, |n| u32::try_from(n).unwrap_or(u32::MAX))
}
