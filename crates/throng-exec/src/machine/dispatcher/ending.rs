//! What follows from the end of an attempt: the job ends, or waits for another attempt without a permit.

use std::cmp::Reverse;
use std::num::NonZeroU32;
use std::time::Duration;

use throng_core::{ErrorClass, EventKind, TimeoutKind};

use super::{Dispatcher, Mode, Timer, nanos};
use crate::Cost;
use crate::attempt::Reported;
use crate::machine::slot::{AttemptEnd, Ending, Phase};
use crate::rate::Tick;

/// How long a job waits at least after it was refused, so that each refusal costs it some of its patience.
const LEAST: Duration = Duration::from_millis(1);

impl Dispatcher {
    /// Gives the attempt's permit back. Returns how the job has ended, if it has.
    pub(crate) fn attempt_ended(
        &mut self,
        now: Tick,
        index: u32,
        end: AttemptEnd,
        reported: &Reported,
    ) -> Option<Ending> {
        self.running -= 1;
        let slot = &mut self.slots[index as usize];
        let Phase::Running {
            deadline_binds,
            weight,
        } = slot.phase
        else {
            unreachable!("an attempt ends only while it runs");
        };
        self.in_use -= weight;
        let (key, began) = (slot.key, slot.since);
        slot.running += now - began;
        slot.since = now;
        slot.first_output = reported.first_output.or(slot.first_output);
        if !reported.usage.is_empty() {
            slot.usage.add(&reported.usage);
        }
        let refused = matches!(end, AttemptEnd::Failed(class) if class.is_pushback());
        let unreported = if refused { Cost::default() } else { slot.cost };
        let used = Cost {
            input_tokens: tokens(reported.usage.input_tokens, unreported.input_tokens),
            output_tokens: tokens(reported.usage.output_tokens, unreported.output_tokens),
        };
        if used != slot.cost {
            self.gate.settle(now, slot.cost, used);
            self.refunded = true;
        }
        match end {
            AttemptEnd::Failed(ErrorClass::Throttled { .. }) => self.keys.pace(key).refused(now, began),
            AttemptEnd::Dropped => {}
            _ => self.keys.pace(key).accepted(now),
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
        let (job, attempts, last) = (slot.job, slot.attempts, slot.last);
        let attempt = NonZeroU32::new(attempts).expect("an attempt that ended was counted when it began");
        self.event(now, EventKind::AttemptFailed { job, attempt, class });
        match self.retry_delay(now, index, class, now - began) {
            Some(delay) => {
                self.back_off(now, index, class, delay);
                None
            }
            None => Some(self.close(now, index, last)),
        }
    }

    /// Decides whether a failed job gets another attempt, and after how long a wait.
    fn retry_delay(&mut self, now: Tick, index: u32, class: ErrorClass, ran: Tick) -> Option<Duration> {
        let delay = if class.is_pushback() {
            self.pushback_delay(now, index, class, ran)
        } else {
            let policy = &self.settings.retry;
            let slot = &mut self.slots[index as usize];
            slot.counted += 1;
            let wanted = class.is_retryable() && (class != ErrorClass::Timeout || policy.timeouts);
            let allowed = slot.counted < policy.max_attempts.get();
            (wanted && allowed).then(|| policy.delay(slot.counted, &mut self.rng))
        };
        let delay = delay.filter(|_| self.mode == Mode::Open)?;
        let ready = now.saturating_add(nanos(delay));
        let in_time = self.deadline.is_none_or(|deadline| ready < deadline);
        in_time.then_some(delay)
    }

    /// Returns how long a job waits that was refused because of a limit, as far as patience and deadline allow. What the
    /// other side asked for is a floor, for every job of the key; a random time on top of it lets the jobs that were
    /// refused together come back one after another. Without a floor the wait grows with each such refusal of the job.
    fn pushback_delay(&mut self, now: Tick, index: u32, class: ErrorClass, ran: Tick) -> Option<Duration> {
        self.stats.pushbacks += 1;
        let key = self.slots[index as usize].key;
        if let Some(floor) = class.retry_after() {
            let rest = floor
                .min(self.settings.retry.patience)
                .max(self.keys.pace(key).rest());
            self.cool(now, key, now.saturating_add(nanos(rest)));
        }
        let policy = &self.settings.retry;
        let slot = &mut self.slots[index as usize];
        slot.pushed_back = slot.pushed_back.saturating_add(Duration::from_nanos(ran));
        let mut left = policy.patience.checked_sub(slot.pushed_back)?;
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
        slot.pushed_back = slot.pushed_back.saturating_add(delay);
        (policy.max_attempts.get() > 1).then_some(delay)
    }

    /// Lets no attempt of the key start until then.
    pub(super) fn cool(&mut self, now: Tick, key: u32, until: Tick) {
        let gate = self.gate_clock(now);
        if self.keys.cool(key, now, until, gate) {
            self.retries.set_blocked(key, true);
            self.fresh.set_blocked(key, true);
            self.timers.push(Reverse((until, Timer::Key(key))));
        }
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
        self.timers.push(Reverse((until, Timer::Backoff(index))));
        self.event(now, EventKind::RetryScheduled { job, attempt, delay });
    }

    pub(super) fn end_backoff(&mut self, now: Tick, due: Tick, index: u32) {
        let Phase::Backoff { until, throttled } = self.slots[index as usize].phase else {
            return;
        };
        if until != due {
            return;
        }
        self.leave_backoff(now, index, throttled);
        let key = self.slots[index as usize].key;
        let mark = self.throttle_clock(key, now);
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Ready;
        slot.throttle_mark = mark;
        let priority = slot.priority;
        self.retries.push(key, priority, now, index);
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
