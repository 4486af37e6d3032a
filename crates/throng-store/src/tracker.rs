//! Turns the events of runs into rows: a row for each attempt and each job when it ends. Pure, and bounded by the
//! jobs that are open in the runs.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use throng_core::{ErrorClass, Event, EventKind, JobId, OutcomeKind, RunId};

use crate::record::us;

/// What a row of a run needs of an event, small enough to be queued by the million.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) run: RunId,
    pub(crate) at_us: i64,
    pub(crate) job: u64,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Admitted,
    Started { attempt: u32 },
    Failed { attempt: u32, class: ErrorClass },
    Dropped { attempt: u32 },
    Finished { attempts: u32, outcome: OutcomeKind },
}

impl Step {
    /// Returns what a row needs of an event; nothing for events that no row is made of.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let step = |job: &JobId, what| {
            Some(Self {
                run: event.run,
                at_us: us(event.at),
                job: job.index(),
                what,
            })
        };
        let n = |attempt: &NonZeroU32| attempt.get();
        match &event.kind {
            EventKind::JobAdmitted { job } => step(job, What::Admitted),
            EventKind::AttemptStarted { job, attempt } | EventKind::HedgeStarted { job, attempt } => {
                step(job, What::Started { attempt: n(attempt) })
            }
            EventKind::AttemptFailed { job, attempt, class } => step(
                job,
                What::Failed {
                    attempt: n(attempt),
                    class: *class,
                },
            ),
            EventKind::AttemptDropped { job, attempt } => step(job, What::Dropped { attempt: n(attempt) }),
            EventKind::JobFinished {
                job,
                attempts,
                outcome,
            } => step(
                job,
                What::Finished {
                    attempts: *attempts,
                    outcome: *outcome,
                },
            ),
            _ => None,
        }
    }
}

/// What a sink says of its runs.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) command: String,
    pub(crate) session: String,
}

/// A row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunRow {
    Attempt {
        run: RunId,
        job: u64,
        attempt: u32,
        started_us: Option<i64>,
        ended_us: Option<i64>,
        ending: Option<&'static str>,
    },
    Job {
        run: RunId,
        job: u64,
        admitted_us: Option<i64>,
        ended_us: Option<i64>,
        attempts: u32,
        outcome: Option<OutcomeKind>,
    },
    End {
        run: RunId,
        wall_us: i64,
        work_us: i64,
        attempts: u64,
        outcomes: [u64; OutcomeKind::ALL.len()],
        lost: u64,
    },
}

/// The runs that are going on.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    runs: HashMap<RunId, OpenRun>,
}

#[derive(Debug, Default)]
struct OpenRun {
    label: Option<Arc<Label>>,
    jobs: BTreeMap<u64, OpenJob>,
    work_us: i64,
    attempts: u64,
    outcomes: [u64; OutcomeKind::ALL.len()],
}

#[derive(Debug, Default)]
struct OpenJob {
    admitted_us: Option<i64>,
    /// Attempts that have not ended: more than one only while it is hedged.
    open: Vec<(u32, i64)>,
    seen: u32,
}

impl Tracker {
    pub(crate) fn begin(&mut self, run: RunId, label: Arc<Label>) {
        self.runs.entry(run).or_default().label = Some(label);
    }

    /// Returns what the sink of an open run said of it.
    pub(crate) fn label(&self, run: RunId) -> Option<&Label> {
        self.runs.get(&run)?.label.as_deref()
    }

    pub(crate) fn step(&mut self, step: &Step, rows: &mut Vec<RunRow>) {
        let Step {
            run,
            at_us,
            job,
            what,
        } = *step;
        let open = self.runs.entry(run).or_default();
        let of_job = open.jobs.entry(job).or_default();
        match what {
            What::Admitted => of_job.admitted_us = Some(at_us),
            What::Started { attempt } => {
                open.attempts += 1;
                of_job.seen = of_job.seen.max(attempt);
                of_job.open.push((attempt, at_us));
            }
            What::Failed { attempt, class } => {
                let started = of_job.end(attempt);
                open.work_us += started.map_or(0, |started| at_us - started);
                rows.push(attempt_row(
                    run,
                    job,
                    attempt,
                    started,
                    Some(at_us),
                    Some(class.as_str()),
                ));
            }
            What::Dropped { attempt } => {
                let started = of_job.end(attempt);
                open.work_us += started.map_or(0, |started| at_us - started);
                rows.push(attempt_row(
                    run,
                    job,
                    attempt,
                    started,
                    Some(at_us),
                    Some("dropped"),
                ));
            }
            What::Finished { attempts, outcome } => {
                for (attempt, started) in std::mem::take(&mut of_job.open) {
                    open.work_us += at_us - started;
                    let ending = Some(outcome.as_str());
                    rows.push(attempt_row(run, job, attempt, Some(started), Some(at_us), ending));
                }
                rows.push(RunRow::Job {
                    run,
                    job,
                    admitted_us: of_job.admitted_us,
                    ended_us: Some(at_us),
                    attempts,
                    outcome: Some(outcome),
                });
                if let Some(place) = OutcomeKind::ALL.iter().position(|kind| *kind == outcome)
                    && let Some(count) = open.outcomes.get_mut(place)
                {
                    *count += 1;
                }
                open.jobs.remove(&job);
            }
        }
    }

    /// Ends a run. Jobs that have no end yet, because the event was left out, get rows without one.
    pub(crate) fn end(&mut self, run: RunId, wall_us: i64, lost: u64, rows: &mut Vec<RunRow>) {
        let open = self.runs.remove(&run).unwrap_or_default();
        for (job, of_job) in open.jobs {
            for (attempt, started) in of_job.open {
                rows.push(attempt_row(run, job, attempt, Some(started), None, None));
            }
            rows.push(RunRow::Job {
                run,
                job,
                admitted_us: of_job.admitted_us,
                ended_us: None,
                attempts: of_job.seen,
                outcome: None,
            });
        }
        rows.push(RunRow::End {
            run,
            wall_us,
            work_us: open.work_us,
            attempts: open.attempts,
            outcomes: open.outcomes,
            lost,
        });
    }
}

impl OpenJob {
    fn end(&mut self, attempt: u32) -> Option<i64> {
        let place = self.open.iter().position(|(open, _)| *open == attempt)?;
        Some(self.open.swap_remove(place).1)
    }
}

fn attempt_row(
    run: RunId,
    job: u64,
    attempt: u32,
    started_us: Option<i64>,
    ended_us: Option<i64>,
    ending: Option<&'static str>,
) -> RunRow {
    RunRow::Attempt {
        run,
        job,
        attempt,
        started_us,
        ended_us,
        ending,
    }
}
