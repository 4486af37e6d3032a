//! Polling attempts. An attempt's future is polled in place by its worker; its panics are caught, and it is dropped when its
//! time is over. A hedge is polled by the same task as the attempt that it runs beside.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tracing::Span;

use crate::Runner;
use crate::attempt::{Reported, Reports};
use crate::core::Hedged;
use crate::engine::Engine;
use crate::error::panic_message;
use crate::machine::{AttemptEnd, Branch, Start};
use crate::rate::Tick;
use crate::tasks::{Sleep, sleep_until};
use crate::worker::{attempt, classify};

/// What came of an attempt.
pub(crate) enum Returned<T, E> {
    Value(T),
    Error(E),
    Panic(String),
    /// Its time was over.
    Nothing,
    /// Nobody waits for it any more.
    Abandoned,
}

/// Which of the attempts of a job came to its end first, and how.
type Won<T, E> = (Branch, Returned<T, E>);

/// How the attempts of a job came to their end.
pub(crate) struct Came<T, E> {
    pub(crate) returned: Returned<T, E>,
    pub(crate) branch: Branch,
    pub(crate) reported: Reported,
    /// The error of the one of two attempts that failed while the other went on.
    pub(crate) early: Option<E>,
    /// What the attempt that was dropped has reported.
    pub(crate) loser: Reported,
}

/// An attempt of a job, and the second one beside it, if there is one.
///
/// It is what the future of a worker mostly consists of, so that nothing is kept in it twice.
pub(crate) struct Running<'a, J, R: Runner<J>>
where
    J: Send + Sync + 'static,
{
    engine: &'a Arc<Engine<J, R>>,
    job: &'a J,
    start: &'a Start,
    tools: &'a mut Tools,
    /// Only where somebody listens: a span is large.
    span: Option<Box<Span>>,
    first_failed: bool,
    wish: Wish,
    hedge: Option<Box<Hedge<'a, R::Output, R::Error>>>,
    early: Option<R::Error>,
}

impl<'a, J, R> Running<'a, J, R>
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    pub(crate) fn new(
        engine: &'a Arc<Engine<J, R>>,
        job: &'a J,
        start: &'a Start,
        tools: &'a mut Tools,
    ) -> Self {
        Self {
            engine,
            job,
            start,
            tools,
            span: None,
            first_failed: false,
            wish: if start.hedge_at < Tick::MAX {
                Wish::Later
            } else {
                Wish::Done
            },
            hedge: None,
            early: None,
        }
    }

    /// Calls the runner, which may panic before there is a future.
    pub(crate) fn begin(
        &mut self,
    ) -> Result<impl Future<Output = Result<R::Output, R::Error>> + use<'a, J, R>, String> {
        let (engine, job, start) = (self.engine, self.job, self.start);
        let cx = attempt(
            engine,
            start,
            start.attempt,
            engine.core.instant(start.at),
            &self.tools.reports,
        );
        let span = tracing::debug_span!("attempt", id = %cx.id());
        self.span = (!span.is_disabled()).then(|| Box::new(span));
        let _entered = self.span.as_deref().map(Span::enter);
        catch_unwind(AssertUnwindSafe(|| engine.runner.run(job, cx)))
            .map_err(|payload| panic_message(&*payload))
    }

    /// Polls the attempt, which `first` is the future of. A panic ends it, and so does its deadline; no timer is armed before
    /// the attempt has first had to wait. When it is time for a hedge, a second attempt is polled beside it, to the first
    /// value or the last error.
    pub(crate) fn poll<F>(
        &mut self,
        mut first: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<Won<R::Output, R::Error>>
    where
        F: Future<Output = Result<R::Output, R::Error>>,
    {
        let start = self.start;
        loop {
            if !self.first_failed {
                match poll_caught(first.as_mut(), self.span.as_deref(), cx) {
                    Poll::Pending => {}
                    Poll::Ready(Returned::Error(error)) if self.is_hedged() => {
                        lose(
                            self.engine,
                            start.slot,
                            Branch::First,
                            &error,
                            &mut self.tools.reports,
                        );
                        self.first_failed = true;
                        self.early = Some(error);
                    }
                    Poll::Ready(returned) => return Poll::Ready((Branch::First, returned)),
                }
            }
            if let Some(hedge) = &mut self.hedge
                && let Some(future) = &mut hedge.future
            {
                match poll_caught(future.as_mut(), Some(&hedge.span), cx) {
                    Poll::Pending => {}
                    Poll::Ready(Returned::Error(error)) if !self.first_failed => {
                        lose(self.engine, start.slot, Branch::Hedge, &error, &mut hedge.reports);
                        hedge.future = None;
                        self.early = Some(error);
                    }
                    Poll::Ready(returned) => return Poll::Ready((Branch::Hedge, returned)),
                }
            }
            let core = &self.engine.core;
            let hedge_at = if self.wish == Wish::Later {
                start.hedge_at
            } else {
                Tick::MAX
            };
            let next = hedge_at.min(start.ends_by);
            if next < Tick::MAX && self.tools.timer.poll_elapsed(core.instant(next), cx).is_ready() {
                if next < hedge_at {
                    // What was used is that of the attempt which is left.
                    let left = if self.first_failed {
                        Branch::Hedge
                    } else {
                        Branch::First
                    };
                    return Poll::Ready((left, Returned::Nothing));
                }
                let hedged = core.want_hedge(start.slot, cx.waker());
                self.wish = if hedged == Hedged::Waits {
                    Wish::Waits
                } else {
                    Wish::Done
                };
                let Hedged::Begins(number) = hedged else {
                    // The deadline has to be waited for.
                    continue;
                };
                self.hedge = Some(Hedge::new(self.engine, self.job, start, number));
                continue;
            }
            let granted = match self.wish {
                Wish::Waits => core.hedge_attempt(start.slot),
                Wish::Later | Wish::Done => None,
            };
            let Some(number) = granted else {
                if std::mem::take(&mut self.tools.awake) {
                    self.engine.parked();
                }
                return Poll::Pending;
            };
            self.wish = Wish::Done;
            self.hedge = Some(Hedge::new(self.engine, self.job, start, number));
        }
    }

    fn is_hedged(&self) -> bool {
        self.hedge.as_ref().is_some_and(|hedge| hedge.future.is_some())
    }

    pub(crate) fn came(
        &mut self,
        winner: Branch,
        returned: Returned<R::Output, R::Error>,
    ) -> Came<R::Output, R::Error> {
        let alone = self.first_failed || !self.is_hedged();
        let returned = match returned {
            Returned::Error(_) if self.tools.reports.is_abandoned() => Returned::Abandoned,
            returned => returned,
        };
        let (mut reported, mut loser) = (Reports::take(&mut self.tools.reports), Reported::default());
        if let Some(mut hedge) = self.hedge.take() {
            loser = Reports::take(&mut hedge.reports);
            if winner == Branch::Hedge {
                std::mem::swap(&mut reported, &mut loser);
            }
        }
        Came {
            returned,
            // Once one of the two is gone, the dispatcher knows the other as the first.
            branch: if alone { Branch::First } else { winner },
            reported,
            early: self.early.take(),
            loser,
        }
    }
}

fn poll_caught<F, T, E>(
    future: Pin<&mut F>,
    span: Option<&Span>,
    cx: &mut Context<'_>,
) -> Poll<Returned<T, E>>
where
    F: Future<Output = Result<T, E>> + ?Sized,
{
    let _entered = span.map(Span::enter);
    match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
        Ok(polled) => polled.map(|result| match result {
            Ok(value) => Returned::Value(value),
            Err(error) => Returned::Error(error),
        }),
        Err(payload) => Poll::Ready(Returned::Panic(panic_message(&*payload))),
    }
}

/// Gives back the permit of the one of two attempts that has failed.
fn lose<J, R>(engine: &Engine<J, R>, slot: u32, branch: Branch, error: &R::Error, reports: &mut Arc<Reports>)
where
    J: Send + Sync + 'static,
    R: Runner<J>,
{
    let end = AttemptEnd::Failed(classify(engine, error));
    engine.core.end_branch(slot, branch, end, Reports::take(reports));
}

/// A second attempt of a job beside its first.
struct Hedge<'a, T, E> {
    future: Option<Second<'a, T, E>>,
    span: Span,
    reports: Arc<Reports>,
}

type Second<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl<'a, T, E> Hedge<'a, T, E> {
    fn new<J, R>(engine: &'a Arc<Engine<J, R>>, job: &'a J, start: &Start, number: NonZeroU32) -> Box<Self>
    where
        J: Send + Sync + 'static,
        R: Runner<J, Output = T, Error = E>,
    {
        let reports = Reports::new(&engine.core.origin);
        let cx = attempt(engine, start, number, Instant::now(), &reports);
        let span = tracing::debug_span!("attempt", id = %cx.id(), hedge = true);
        let runner = &engine.runner;
        Box::new(Self {
            future: Some(Box::pin(async move { runner.run(job, cx).await })),
            span,
            reports,
        })
    }
}

/// The wish for a second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Later,
    Waits,
    Done,
}

/// What a worker lends to each of its attempts.
pub(crate) struct Tools {
    pub(crate) timer: Timer,
    pub(crate) reports: Arc<Reports>,
    /// The worker has not asked for an attempt yet.
    pub(crate) starting: bool,
    /// It counts as awake. Cleared when an attempt first has to wait.
    pub(crate) awake: bool,
}

/// The one timer of a worker. It is left armed from attempt to attempt: as long as it fires before the deadline that
/// matters it need not be moved, so that attempts that end in time do not touch the timer wheel.
#[derive(Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn poll_elapsed(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        // An attempt that has used up its task's budget must not keep its own timer from being looked at.
        while Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
