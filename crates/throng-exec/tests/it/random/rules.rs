//! The rules of the model: what each transition does to it, and when it may happen.

use std::collections::BTreeMap;
use std::time::Duration;

use throng_core::OutcomeKind;

use super::log::{Job, Key, Model, Told};
use super::plan::Cap;
use crate::support::ms;

macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
pub(super) use ensure;

impl Model<'_> {
    pub(super) fn admit(&mut self, id: u64) -> Told {
        ensure!(id == self.jobs.len() as u64, "ids are dense");
        if let Some(size) = self.plan.policies.barrier {
            let begins = id.is_multiple_of(size as u64);
            ensure!(
                !begins || self.unfinished.is_empty(),
                "a batch began before the end of the last"
            );
        }
        self.unfinished.insert(id);
        ensure!(
            self.unfinished.len() <= self.plan.window,
            "the window is too full"
        );
        let job = Job {
            admitted: self.now,
            step: 0,
            attempts: 0,
            open: BTreeMap::new(),
            not_before: Duration::ZERO,
            finished: None,
            last: None,
        };
        self.jobs.insert(id, job);
        Ok(())
    }

    pub(super) fn start(&mut self, id: u64, attempt: u32, beside: usize) -> Told {
        let (plan, now, limit) = (self.plan, self.now, self.limit);
        ensure!(
            !self.paused && !self.stopped,
            "a run that is paused or stopped starts nothing"
        );
        ensure!(now >= ms(plan.policies.start_delay), "too early");
        ensure!(
            plan.deadline.is_none_or(|deadline| now < ms(deadline)),
            "too late"
        );
        if let Some(&last) = self.starts.last() {
            ensure!(
                now - last >= ms(plan.policies.throttle),
                "too soon after the start before"
            );
        }
        self.starts.push(now);
        let job = self.unended(id)?;
        ensure!(
            job.open.len() == beside,
            "{} attempts of the job run",
            job.open.len()
        );
        ensure!(
            now >= job.not_before,
            "the job has to wait until {:?}",
            job.not_before
        );
        job.attempts += 1;
        ensure!(attempt == job.attempts, "it should be attempt {}", job.attempts);
        let weight = plan.weight(id, job.step).min(limit);
        job.open.insert(attempt, weight);
        let name = plan.key(id, job.step);
        self.in_use += weight;
        ensure!(self.in_use <= limit, "{} of {limit} are in use", self.in_use);
        let probes = plan.policies.breaker.map_or(0, |breaker| breaker.probes as usize);
        let key = self.key(name);
        key.running += 1;
        key.starts.push(now);
        ensure!(
            key.running <= key.cap,
            "{} of the key run at {}",
            key.running,
            key.cap
        );
        ensure!(
            now >= key.rests_until,
            "the key rests until {:?}",
            key.rests_until
        );
        match key.breaker {
            "open" => Err("the breaker is open".to_owned()),
            "half_open" if key.running > probes => Err(format!("{} probes run", key.running)),
            _ => Ok(()),
        }
    }

    pub(super) fn release(&mut self, id: u64, attempt: u32) -> Told {
        let plan = self.plan;
        let job = self.unended(id)?;
        let weight = job.open.remove(&attempt).ok_or("the attempt does not run")?;
        let name = plan.key(id, job.step);
        self.in_use -= weight;
        self.key(name).running -= 1;
        Ok(())
    }

    pub(super) fn finish(&mut self, id: u64, attempts: u32, outcome: OutcomeKind) -> Told {
        let now = self.now;
        let job = self.unended(id)?;
        ensure!(job.attempts == attempts, "the job had {} attempts", job.attempts);
        ensure!(job.open.len() <= 1, "two attempts of the job run");
        let last = job.open.keys().next().copied();
        job.last = last;
        job.finished = Some((now, outcome));
        let by_attempt = matches!(outcome, OutcomeKind::Succeeded | OutcomeKind::Panicked);
        ensure!(!by_attempt || last.is_some(), "no attempt of the job runs");
        let never_began = matches!(outcome, OutcomeKind::Shed | OutcomeKind::Skipped);
        ensure!(!never_began || attempts == 0, "the job had an attempt");
        if let Some(attempt) = last {
            self.jobs.get_mut(&id).ok_or("unknown")?.finished = None;
            self.release(id, attempt)?;
            self.jobs.get_mut(&id).ok_or("unknown")?.finished = Some((now, outcome));
        }
        self.unfinished.remove(&id);
        let sheds = &self.plan.policies;
        let waited = now - self.jobs[&id].admitted;
        if outcome == OutcomeKind::Shed {
            let refused = sheds.breaker.is_some_and(|breaker| breaker.fails) || sheds.max_queue.is_some();
            let late = sheds.max_wait.is_some_and(|wait| waited >= ms(wait));
            ensure!(refused || late, "nothing sheds the job");
        }
        Ok(())
    }

    pub(super) fn unended(&mut self, id: u64) -> Result<&mut Job, String> {
        let job = self.jobs.get_mut(&id).ok_or("the job was not admitted")?;
        ensure_open(job)?;
        Ok(job)
    }

    /// Returns a job of which no attempt runs.
    pub(super) fn idle(&mut self, id: u64) -> Result<&mut Job, String> {
        let job = self.unended(id)?;
        if job.open.is_empty() {
            Ok(job)
        } else {
            Err("an attempt of the job runs".to_owned())
        }
    }

    pub(super) fn key(&mut self, name: Option<u8>) -> &mut Key {
        let cap = match self.plan.limits(name).and_then(|limits| limits.cap) {
            Some(Cap::Fixed(limit)) => limit,
            Some(Cap::Adaptive { initial, .. }) => initial,
            None => usize::MAX,
        };
        self.keys.entry(name).or_insert(Key {
            running: 0,
            cap,
            breaker: "closed",
            rests_until: Duration::ZERO,
            starts: Vec::new(),
        })
    }
}

fn ensure_open(job: &Job) -> Told {
    ensure!(job.finished.is_none(), "the job has ended before");
    Ok(())
}
