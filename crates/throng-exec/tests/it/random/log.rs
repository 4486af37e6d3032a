//! A naive model of a run, fed with its events: it counts everything anew and says what no run may do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use throng_core::{Event, EventKind, OutcomeKind};

use super::pace::within;
use super::plan::Plan;
use super::rules::ensure;

pub(super) type Told = Result<(), String>;

/// What the events of a run say by now.
#[derive(Debug)]
pub(super) struct Model<'a> {
    pub(super) plan: &'a Plan,
    pub(super) now: Duration,
    pub(super) limit: usize,
    pub(super) in_use: usize,
    pub(super) paused: bool,
    pub(super) stopped: bool,
    pub(super) over: bool,
    pub(super) starts: Vec<Duration>,
    pub(super) hedges: u64,
    pub(super) fallbacks: u64,
    pub(super) refused: u64,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) unfinished: BTreeSet<u64>,
    pub(super) keys: BTreeMap<Option<u8>, Key>,
}

/// One admitted job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) admitted: Duration,
    pub(super) step: u32,
    pub(super) attempts: u32,
    /// The attempts that run, and what of the limit each holds.
    pub(super) open: BTreeMap<u32, usize>,
    pub(super) not_before: Duration,
    pub(super) finished: Option<(Duration, OutcomeKind)>,
    /// The attempt with which the job ended.
    pub(super) last: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Key {
    pub(super) running: usize,
    pub(super) cap: usize,
    pub(super) breaker: &'static str,
    pub(super) rests_until: Duration,
    pub(super) starts: Vec<Duration>,
}

impl<'a> Model<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            now: Duration::ZERO,
            limit: plan.limit,
            in_use: 0,
            paused: false,
            stopped: false,
            over: false,
            starts: Vec::new(),
            hedges: 0,
            fallbacks: 0,
            refused: 0,
            jobs: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Takes every event. The error says which of them broke which rule.
    pub(super) fn take_all(&mut self, events: &[Event]) -> Told {
        for (index, event) in events.iter().enumerate() {
            self.take(index, event)
                .map_err(|why| format!("{why}: event {index} of {events:#?}"))?;
        }
        for (name, key) in std::iter::once((None, &self.starts))
            .chain(self.keys.iter().map(|(name, key)| (Some(*name), &key.starts)))
        {
            let limits = match name {
                None => self.plan.policies.rates,
                Some(key) => self.plan.limits(key).and_then(|limits| limits.rates),
            };
            let Some(limits) = limits else { continue };
            ensure!(
                within(key, limits),
                "the starts {key:?} of {name:?} are above {limits:?}"
            );
        }
        Ok(())
    }

    /// Returns how many attempts began.
    pub(super) fn attempts(&self) -> u64 {
        self.starts.len() as u64
    }

    fn take(&mut self, index: usize, event: &Event) -> Told {
        ensure!(event.at >= self.now, "time went back");
        ensure!(!self.over, "something happened after the end");
        ensure!(
            (index == 0) == (event.kind == EventKind::RunStarted),
            "a run starts once"
        );
        self.now = event.at;
        match &event.kind {
            EventKind::JobAdmitted { job } => self.admit(job.index()),
            EventKind::AttemptStarted { job, attempt } => self.start(job.index(), attempt.get(), 0),
            EventKind::HedgeStarted { job, attempt } => {
                self.hedges += 1;
                self.start(job.index(), attempt.get(), 1)
            }
            EventKind::AttemptFailed { job, attempt, .. } | EventKind::AttemptDropped { job, attempt } => {
                self.release(job.index(), attempt.get())
            }
            EventKind::RetryScheduled { job, attempt, delay } => {
                let not_before = self.now + *delay;
                let job = self.idle(job.index())?;
                ensure!(
                    attempt.get() == job.attempts + 1,
                    "the next attempt has the wrong number"
                );
                job.not_before = not_before;
                Ok(())
            }
            EventKind::RetryRefused { job } => {
                self.refused += 1;
                self.idle(job.index()).map(|_| ())
            }
            EventKind::FellBack { job, step } => {
                self.fallbacks += 1;
                let job = self.idle(job.index())?;
                job.step += 1;
                ensure!(*step == job.step, "a step was left out");
                Ok(())
            }
            EventKind::KeyPaused { key, until } => {
                let key = self.key(parse(key.as_deref()));
                key.rests_until = key.rests_until.max(*until);
                Ok(())
            }
            EventKind::LimitChanged { key, from, to, .. } => {
                let key = self.key(parse(key.as_deref()));
                ensure!(key.cap == *from, "the limit was {} before", key.cap);
                key.cap = *to;
                Ok(())
            }
            EventKind::BreakerChanged { key, state } => {
                self.key(parse(key.as_deref())).breaker = state;
                Ok(())
            }
            EventKind::ConcurrencyChanged { to } => {
                self.limit = *to;
                Ok(())
            }
            EventKind::JobFinished {
                job,
                attempts,
                outcome,
            } => self.finish(job.index(), *attempts, *outcome),
            EventKind::RunPaused => {
                self.paused = true;
                Ok(())
            }
            EventKind::RunResumed => {
                self.paused = false;
                Ok(())
            }
            EventKind::RunDraining | EventKind::RunCancelled => {
                self.stopped = true;
                Ok(())
            }
            EventKind::RunFinished => {
                self.over = true;
                ensure!(
                    self.unfinished.is_empty() && self.in_use == 0,
                    "the run ended before its jobs"
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn parse(key: Option<&str>) -> Option<u8> {
    key.and_then(|key| key.parse().ok())
}
