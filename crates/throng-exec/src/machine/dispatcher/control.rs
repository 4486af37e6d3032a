//! Steering a run from outside, and the end of jobs that no attempt is running: every admitted job is closed once.

use std::cmp::Reverse;
use std::time::Duration;

use throng_core::EventKind;

use super::{Dispatcher, Mode, Timer, nanos};
use crate::machine::slot::{Ending, Hedging, Phase};
use crate::machine::stats;
use crate::rate::Tick;

impl Dispatcher {
    pub(crate) fn pause(&mut self, now: Tick) {
        if !self.paused && !self.is_over() {
            self.paused = true;
            self.event(now, || EventKind::RunPaused);
        }
    }

    pub(crate) fn resume(&mut self, now: Tick) {
        if self.paused && !self.is_over() {
            self.paused = false;
            self.event(now, || EventKind::RunResumed);
        }
    }

    pub(crate) fn drain(&mut self, now: Tick) {
        if self.mode == Mode::Open && !self.is_over() {
            self.event(now, || EventKind::RunDraining);
            self.stop(now, Mode::Draining);
        }
    }

    /// Closes the jobs that wait; running attempts are to be dropped when the grace period is over.
    pub(crate) fn cancel(&mut self, now: Tick, grace: Duration) {
        if self.is_over() {
            return;
        }
        if self.mode != Mode::Cancelled {
            self.event(now, || EventKind::RunCancelled);
            self.stop(now, Mode::Cancelled);
        }
        let at = now.saturating_add(nanos(grace));
        self.rearm = true;
        self.abort_at = Some(self.abort_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Returns true, once, when the grace period of a cancelled run is over.
    pub(crate) fn take_abort(&mut self, now: Tick) -> bool {
        let due = self.abort_at.is_some_and(|at| at <= now);
        if due {
            self.abort_at = None;
            if self.running > 0 {
                self.event(now, || EventKind::RunAborted);
            }
        }
        due
    }

    pub(crate) fn set_limit(&mut self, now: Tick, limit: usize) {
        if limit != self.limit && !self.is_over() {
            self.limit = limit;
            self.event(now, || EventKind::ConcurrencyChanged { to: limit });
        }
    }

    pub(crate) fn end_input(&mut self, now: Tick, exhausted: bool) {
        if !self.input_ended {
            self.input_ended = true;
            self.stats.input_exhausted = exhausted;
            self.settle(now);
        }
    }

    pub(super) fn stop(&mut self, now: Tick, mode: Mode) {
        self.mode = mode;
        self.close_waiting(now);
        self.end_input(now, false);
    }

    /// Closes every job that no attempt of is running.
    pub(super) fn close_waiting(&mut self, now: Tick) {
        let mut waiting = self.retries.drain();
        waiting.extend(self.fresh.drain());
        for &index in &waiting {
            self.count_wait(now, index);
        }
        for Reverse((until, timer)) in std::mem::take(&mut self.timers) {
            match timer {
                Timer::Key(_) => self.push_timer(until, timer),
                Timer::Backoff(index) => match self.slots[index as usize].phase {
                    Phase::Backoff {
                        until: due,
                        throttled,
                    } if due == until => {
                        self.leave_backoff(now, index, throttled);
                        waiting.push(index);
                    }
                    _ => {}
                },
            }
        }
        for index in waiting {
            let slot = &self.slots[index as usize];
            let ending = match self.mode {
                Mode::Cancelled => Ending::Cancelled,
                _ if slot.attempts > 0 => slot.last,
                Mode::Expired => Ending::Skipped,
                Mode::Open | Mode::Draining => Ending::Cancelled,
            };
            self.close_queued(now, index, ending);
        }
        // A job that runs gets no second attempt any more.
        for index in std::mem::take(&mut self.hedges) {
            self.slots[index as usize].hedge = Hedging::Off;
        }
        self.hedge_opens = None;
    }

    pub(super) fn close(&mut self, now: Tick, index: u32, ending: Ending) -> Ending {
        let slot = &mut self.slots[index as usize];
        slot.phase = Phase::Free;
        let (job, attempts) = (slot.job, slot.attempts);
        self.stats.record(slot, ending);
        self.keys.leave(slot.key);
        self.free.push(index);
        self.untaken += 1;
        self.event(now, || EventKind::JobFinished {
            job,
            attempts,
            outcome: stats::kind(ending),
        });
        self.settle(now);
        ending
    }

    /// Notes the end of the run, if this is it.
    pub(super) fn settle(&mut self, now: Tick) {
        if self.is_over() && self.stats.finished_at.is_none() {
            self.stats.finished_at = Some(now);
            self.event(now, || EventKind::RunFinished);
        }
    }
}
