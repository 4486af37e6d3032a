//! A run in virtual time: the dispatcher of a real run, driven by a heap of the times at which attempts will end. What
//! differs from a real run is what the other side really does, and that nothing takes time but attempts and waits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use throng_core::{ErrorClass, Event, JobId, Outcome, RunId, Usage};

use crate::attempt::Reported;
use crate::machine::{AttemptEnd, Branch, Dispatcher, Ended, Ending, Start};
use crate::rate::Tick;
use crate::totals::Totals;
use crate::{Cost, Executor, Finished, JobSpec, Key, RunSummary, Timing};

/// The other side of a rehearsal: says how each attempt will go.
pub trait Provider<J> {
    /// Answers an attempt that begins now.
    fn start(&mut self, job: &J, ask: &Ask) -> Answer;

    /// Notes that an attempt has ended at `now`, by its answer, its time limit, or because it was dropped.
    fn end(&mut self, now: Duration, ask: &Ask) {
        let _ = (now, ask);
    }
}

impl<J, F: FnMut(&J, &Ask) -> Answer> Provider<J> for F {
    fn start(&mut self, job: &J, ask: &Ask) -> Answer {
        self(job, ask)
    }
}

/// An attempt that begins in a rehearsal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ask {
    /// The time since the run began.
    pub at: Duration,
    /// The job.
    pub job: JobId,
    /// Which try of the job this is, from 1.
    pub attempt: NonZeroU32,
    /// The fallback step; 0 is the job's own.
    pub step: u32,
    /// The key whose limits the attempt keeps to.
    pub key: Option<Key>,
    /// What the attempt is expected to cost.
    pub cost: Cost,
    /// True if it runs beside an earlier attempt of the job.
    pub is_hedge: bool,
}

/// How an attempt of a rehearsal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How long it takes.
    pub after: Duration,
    /// Whether it succeeds.
    pub result: Result<(), ErrorClass>,
    /// The tokens that it uses, if it reports them.
    pub usage: Usage,
    /// When the first output comes, from the start of the attempt.
    pub first_output: Option<Duration>,
}

impl Answer {
    /// Returns an answer that succeeds after so long.
    pub const fn succeed(after: Duration) -> Self {
        Self::new(after, Ok(()))
    }

    /// Returns an answer that fails after so long.
    pub const fn fail(after: Duration, class: ErrorClass) -> Self {
        Self::new(after, Err(class))
    }

    const fn new(after: Duration, result: Result<(), ErrorClass>) -> Self {
        Self {
            after,
            result,
            usage: Usage::NONE,
            first_output: None,
        }
    }
}

impl Executor {
    /// Runs the jobs in virtual time against a model of the other side, and returns the summary that a run with these
    /// answers would have. Nothing is called and nobody waits: an hour of a campaign takes milliseconds.
    ///
    /// The policies, their random choices and the events are those of a real run with the same seed and answers. A job with
    /// answers that never end, and no time limit, ends with the rehearsal as
    /// [`Cancelled`](throng_core::Outcome::Cancelled).
    ///
    /// # Panics
    ///
    /// Panics where the iterator, the provider or the event sink does.
    ///
    /// # Complexity
    ///
    /// O(attempts × log window) time, O(window) memory.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use throng_exec::{Executor, ProviderModel};
    ///
    /// # fn main() -> Result<(), throng_exec::InvalidConfig> {
    /// let executor = Executor::builder().seed(1).build()?;
    /// let mut model = ProviderModel::new(1).latency(Duration::from_secs(2));
    /// let summary = executor.rehearse(0..600, &mut model);
    /// assert_eq!(summary.wall, Duration::from_secs(120), "ten at a time");
    /// # Ok(())
    /// # }
    /// ```
    pub fn rehearse<J, I, P>(&self, jobs: I, provider: &mut P) -> RunSummary
    where
        I: IntoIterator,
        I::Item: Into<JobSpec<J>>,
        P: Provider<J>,
    {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        let mut stage = Stage {
            dispatcher: Dispatcher::new(Arc::clone(&self.settings), seed),
            jobs: Some(jobs.into_iter()),
            provider,
            cast: Vec::new(),
            cues: BinaryHeap::new(),
            totals: Totals::new(),
            now: 0,
        };
        let run = self.run_id.unwrap_or_else(|| RunId::from_parts(0, [0; 10]));
        loop {
            let more = stage.step();
            drop(stage.dispatcher.take_notes());
            for (at, kind) in stage.dispatcher.take_events() {
                if let Some(sink) = &self.sink {
                    sink.record(&Event::new(run, Duration::from_nanos(at), kind));
                }
            }
            if !more {
                break;
            }
        }
        let stats = stage.dispatcher.stats();
        let wall = Duration::from_nanos(stats.finished_at.unwrap_or(stage.now));
        RunSummary::new(stats, &stage.totals, wall)
    }
}

/// The grain of Tokio's timers: a millisecond, upwards.
const GRAIN: Tick = 1_000_000;

/// How many jobs are taken from the iterator before attempts start, as in a real run.
const PULL: usize = 256;

struct Stage<'a, J, I, P> {
    dispatcher: Dispatcher,
    jobs: Option<I>,
    provider: &'a mut P,
    /// The admitted jobs, by slot.
    cast: Vec<Option<Role<J>>>,
    cues: BinaryHeap<Reverse<When>>,
    totals: Totals,
    now: Tick,
}

/// What happens when: the time, the order of asking, the slot, which attempt of which job, and what.
type When = (Tick, u64, u32, (JobId, u32), Cue);

struct Role<J> {
    job: J,
    key: Option<Key>,
    live: [Option<(Ask, Answer, Tick)>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cue {
    End,
    Hedge,
}

impl<J, I, P> Stage<'_, J, I, P>
where
    I: Iterator,
    I::Item: Into<JobSpec<J>>,
    P: Provider<J>,
{
    /// Lets everything happen that happens now, and goes on to the next time at which something does. Returns false if there
    /// is none.
    fn step(&mut self) -> bool {
        while self.refill() {}
        self.launch();
        let cue = self.cues.peek().map(|&Reverse((at, ..))| at);
        let wakeup = self.dispatcher.next_wakeup();
        if self.dispatcher.is_over() {
            return false;
        }
        let Some(next) = cue.into_iter().chain(wakeup).min() else {
            self.give_up();
            return false;
        };
        self.now = self.now.max(next.next_multiple_of(GRAIN));
        if wakeup.is_some_and(|at| at <= self.now) {
            self.dispatcher.tick(self.now);
            self.collect();
        }
        while let Some(&Reverse((at, _, slot, attempt, cue))) = self.cues.peek() {
            if at > self.now {
                break;
            }
            self.cues.pop();
            self.play(slot, attempt, cue);
        }
        true
    }

    /// Ends whoever waits for an answer that never comes.
    fn give_up(&mut self) {
        self.dispatcher.cancel(self.now, Duration::ZERO);
        self.collect();
        for slot in 0..u32::try_from(self.cast.len()).unwrap_or(u32::MAX) {
            if self.cast[slot as usize].is_some() {
                let ended = Ended {
                    branch: Branch::First,
                    end: AttemptEnd::Dropped,
                    reported: Reported::default(),
                    loser: Reported::default(),
                };
                if let Some(ending) = self.dispatcher.attempt_ended(self.now, slot, ended) {
                    self.close(slot, ending);
                }
            }
        }
    }

    fn refill(&mut self) -> bool {
        let wanted = self.dispatcher.wanted().min(PULL);
        let Some(jobs) = self.jobs.as_mut().filter(|_| wanted > 0) else {
            return false;
        };
        self.dispatcher.begin_pull();
        let pulled: Vec<JobSpec<J>> = jobs.take(wanted).map(Into::into).collect();
        let exhausted = pulled.len() < wanted;
        for spec in pulled {
            let slot = self.dispatcher.admit(self.now, spec.key.as_ref(), &spec.terms) as usize;
            if slot >= self.cast.len() {
                self.cast.resize_with(slot + 1, || None);
            }
            self.cast[slot] = Some(Role {
                job: spec.input,
                key: spec.key,
                live: [None, None],
            });
            self.collect();
        }
        if exhausted {
            self.jobs = None;
            self.dispatcher.end_input(self.now, true);
        }
        self.dispatcher.end_pull(self.now);
        self.launch();
        true
    }

    fn launch(&mut self) {
        while self.start_next() {}
    }

    /// Starts the next attempt, if one may start, and the hedges that have got their permits.
    fn start_next(&mut self) -> bool {
        let start = self.dispatcher.next_start(self.now);
        self.collect();
        for slot in self.dispatcher.take_granted() {
            let Some(attempt) = self.dispatcher.hedge_attempt(slot) else {
                continue;
            };
            let known = self.cast[slot as usize]
                .as_ref()
                .and_then(|role| role.live[0].as_ref());
            let Some((first, _, ends_by)) = known else {
                continue;
            };
            let ask = Ask {
                at: Duration::from_nanos(self.now),
                attempt,
                is_hedge: true,
                ..first.clone()
            };
            let ends_by = *ends_by;
            self.ask(slot, Branch::Hedge, ask, ends_by);
        }
        let Some(start) = start else { return false };
        let Start {
            slot,
            job,
            attempt,
            step,
            key,
            ends_by,
            hedge_at,
            ..
        } = start;
        let ask = Ask {
            at: Duration::from_nanos(self.now),
            job,
            attempt,
            step,
            key,
            cost: self.dispatcher.slot(slot).cost,
            is_hedge: false,
        };
        if hedge_at < Tick::MAX {
            self.cues.push(Reverse((
                hedge_at,
                self.dispatcher.stats().attempts,
                slot,
                (job, attempt.get()),
                Cue::Hedge,
            )));
        }
        self.ask(slot, Branch::First, ask, ends_by);
        true
    }

    fn ask(&mut self, slot: u32, branch: Branch, ask: Ask, ends_by: Tick) {
        let Some(role) = &mut self.cast[slot as usize] else {
            return;
        };
        let answer = self.provider.start(&role.job, &ask);
        let after = Tick::try_from(answer.after.as_nanos()).unwrap_or(Tick::MAX);
        let at = self.now.saturating_add(after).min(ends_by);
        if at < Tick::MAX {
            let order = self.dispatcher.stats().attempts;
            self.cues
                .push(Reverse((at, order, slot, (ask.job, ask.attempt.get()), Cue::End)));
        }
        role.live[branch as usize] = Some((ask, answer, ends_by));
    }

    fn play(&mut self, slot: u32, (job, attempt): (JobId, u32), cue: Cue) {
        let Some(role) = &mut self.cast[slot as usize] else {
            return;
        };
        let branch = role.live.iter().position(|live| {
            live.as_ref()
                .is_some_and(|(ask, ..)| ask.job == job && ask.attempt.get() == attempt)
        });
        match (cue, branch) {
            (_, None) => {}
            (Cue::Hedge, Some(_)) => {
                self.dispatcher.want_hedge(self.now, slot);
            }
            (Cue::End, Some(index)) => self.end(slot, index),
        }
        // The worker that is free now takes the next attempt before the input is read on.
        self.start_next();
    }

    fn end(&mut self, slot: u32, index: usize) {
        let now = Duration::from_nanos(self.now);
        let Some(role) = &mut self.cast[slot as usize] else {
            return;
        };
        let Some((ask, answer, _)) = role.live[index].take() else {
            return;
        };
        self.provider.end(now, &ask);
        let took = now.saturating_sub(ask.at);
        let end = match answer.result {
            _ if took < answer.after => AttemptEnd::TimedOut,
            Ok(()) => AttemptEnd::Succeeded,
            Err(class) => AttemptEnd::Failed(class),
        };
        let first_output = answer.first_output.filter(|first| *first <= took);
        let reported = Reported::new(first_output, Some(answer.usage));
        let other = 1 - index;
        let branch = if index == 1 { Branch::Hedge } else { Branch::First };
        if role.live[other].is_some() && matches!(end, AttemptEnd::Failed(_)) {
            self.dispatcher
                .branch_ended(self.now, slot, branch, end, reported);
            role.live[0] = role.live[other].take().or(role.live[0].take());
            self.collect();
            return;
        }
        if let Some((loser, ..)) = role.live[other].take() {
            self.provider.end(now, &loser);
        }
        let ended = Ended {
            branch,
            end,
            reported,
            loser: Reported::default(),
        };
        if let Some(ending) = self.dispatcher.attempt_ended(self.now, slot, ended) {
            self.close(slot, ending);
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some((slot, ending)) = self.dispatcher.pop_closed() {
            self.close(slot, ending);
        }
    }

    fn close(&mut self, slot: u32, ending: Ending) {
        let Some(role) = self.cast[slot as usize].take() else {
            return;
        };
        let state = self.dispatcher.slot(slot);
        let outcome = match ending {
            Ending::Succeeded => Outcome::Succeeded(()),
            Ending::Failed => Outcome::Failed(()),
            Ending::TimedOut(kind) => Outcome::TimedOut(kind),
            Ending::Panicked | Ending::Cancelled => Outcome::Cancelled,
            Ending::Skipped => Outcome::Skipped,
            Ending::Shed => Outcome::Shed,
        };
        let timing: Timing = state.timing();
        let finished: Finished<(), (), ()> = Finished::new(state.job, (), role.key, outcome).having(
            state.step,
            state.attempts,
            state.reported.usage(),
            timing,
        );
        self.totals.record(&finished);
        self.dispatcher.taken(1);
    }
}
