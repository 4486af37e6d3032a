//! Polling attempts. An attempt's future is polled in place by its worker; its panics are caught, and it is dropped when its
//! time is over. A hedge is polled by the same task as the attempt that it runs beside.

use std::any::Any;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
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
use crate::tasks::{Sleep, sleep_until};
use crate::worker::{attempt, classify};

/// What came of an attempt.
pub(crate) enum Returned<T, E> {
    Value(T),
    Error(E),
    Panic(String),
    /// Its time was over.
    Nothing,
}

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

impl<T, E> Came<T, E> {
    /// The runner panicked before it returned a future.
    fn panicked(payload: &(dyn Any + Send), reports: &mut Arc<Reports>) -> Self {
        Self {
            returned: Returned::Panic(panic_message(payload)),
            branch: Branch::First,
            reported: Reports::take(reports),
            early: None,
            loser: Reported::default(),
        }
    }
}

/// What a worker lends to its attempts.
pub(crate) struct Shift<'a> {
    pub(crate) timer: &'a mut Timer,
    pub(crate) reports: &'a mut Arc<Reports>,
    /// Cleared when the attempt first has to wait.
    pub(crate) awake: &'a mut bool,
}

/// Polls one attempt to its end. A panic ends it, and so does its deadline; no timer is armed before the attempt has
/// first had to wait. When it is time for a hedge, a second attempt is polled beside it, to the first value or the last
/// error.
pub(crate) async fn run_attempt<J, R: Runner<J>>(
    engine: &Arc<Engine<J, R>>,
    job: &J,
    start: &Start,
    now: Instant,
    Shift {
        timer,
        reports,
        awake,
    }: Shift<'_>,
) -> Came<R::Output, R::Error>
where
    J: Send + Sync + 'static,
{
    let (deadline, span, begun) = {
        let cx = attempt(engine, start, start.attempt, now, reports);
        let (deadline, span) = (cx.deadline, tracing::debug_span!("attempt", id = %cx.id()));
        let begun = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| engine.runner.run(job, cx))));
        (deadline, span, begun)
    };
    let mut first = match begun {
        Ok(future) => pin!(future),
        Err(payload) => return Came::panicked(&*payload, reports),
    };
    let mut first_failed = false;
    let mut hedge: Option<Box<Hedge<'_, R::Output, R::Error>>> = None;
    let mut wish = start
        .hedge_at
        .map_or(Wish::Done, |at| Wish::At(engine.core.instant(at)));
    let mut early = None;
    let (winner, returned) = poll_fn(|cx| {
        loop {
            if !first_failed {
                match poll_caught(first.as_mut(), &span, cx) {
                    Poll::Pending => {}
                    Poll::Ready(Returned::Error(error))
                        if hedge.as_ref().is_some_and(|hedge| hedge.runs()) =>
                    {
                        lose(engine, start.slot, Branch::First, &error, reports);
                        first_failed = true;
                        early = Some(error);
                    }
                    Poll::Ready(returned) => return Poll::Ready((Branch::First, returned)),
                }
            }
            if let Some(hedge) = &mut hedge
                && let Some(future) = &mut hedge.future
            {
                match poll_caught(future.as_mut(), &hedge.span, cx) {
                    Poll::Pending => {}
                    Poll::Ready(Returned::Error(error)) if !first_failed => {
                        lose(engine, start.slot, Branch::Hedge, &error, &mut hedge.reports);
                        hedge.future = None;
                        early = Some(error);
                    }
                    Poll::Ready(returned) => return Poll::Ready((Branch::Hedge, returned)),
                }
            }
            let hedge_at = wish.at();
            let next = hedge_at.into_iter().chain(deadline).min();
            if let Some(next) = next
                && timer.poll_elapsed(next, cx).is_ready()
            {
                if hedge_at != Some(next) {
                    // What was used is that of the attempt which is left.
                    let left = if first_failed {
                        Branch::Hedge
                    } else {
                        Branch::First
                    };
                    return Poll::Ready((left, Returned::Nothing));
                }
                wish = Wish::of(engine.core.want_hedge(start.slot, cx.waker()));
                if !matches!(wish, Wish::Begins(_)) {
                    // The deadline has to be waited for.
                    continue;
                }
            }
            let Some(number) = wish.granted(|| engine.core.hedge_attempt(start.slot)) else {
                if std::mem::take(awake) {
                    engine.parked();
                }
                return Poll::Pending;
            };
            hedge = Some(Hedge::new(engine, job, start, number));
        }
    })
    .await;
    let alone = first_failed || hedge.as_ref().is_none_or(|hedge| !hedge.runs());
    // Once one of the two is gone, the dispatcher knows the other as the first.
    let branch = if alone { Branch::First } else { winner };
    let (mut reported, mut loser) = (Reports::take(reports), Reported::default());
    if let Some(mut hedge) = hedge {
        loser = Reports::take(&mut hedge.reports);
        if winner == Branch::Hedge {
            std::mem::swap(&mut reported, &mut loser);
        }
    }
    Came {
        returned,
        branch,
        reported,
        early,
        loser,
    }
}

fn poll_caught<F, T, E>(future: Pin<&mut F>, span: &Span, cx: &mut Context<'_>) -> Poll<Returned<T, E>>
where
    F: Future<Output = Result<T, E>> + ?Sized,
{
    match span.in_scope(|| catch_unwind(AssertUnwindSafe(|| future.poll(cx)))) {
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
    future: Option<Running<'a, T, E>>,
    span: Span,
    reports: Arc<Reports>,
}

type Running<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

impl<'a, T, E> Hedge<'a, T, E> {
    fn new<J, R>(engine: &'a Arc<Engine<J, R>>, job: &'a J, start: &Start, number: NonZeroU32) -> Box<Self>
    where
        J: Send + Sync + 'static,
        R: Runner<J, Output = T, Error = E>,
    {
        let reports = Reports::new(engine.core.run, engine.core.cancellation.clone());
        let cx = attempt(engine, start, number, Instant::now(), &reports);
        let span = tracing::debug_span!("attempt", id = %cx.id(), hedge = true);
        let runner = &engine.runner;
        Box::new(Self {
            future: Some(Box::pin(async move { runner.run(job, cx).await })),
            span,
            reports,
        })
    }

    fn runs(&self) -> bool {
        self.future.is_some()
    }
}

/// The wish for a second attempt.
enum Wish {
    At(Instant),
    Waits,
    Begins(NonZeroU32),
    Done,
}

impl Wish {
    fn of(hedged: Hedged) -> Self {
        match hedged {
            Hedged::Begins(number) => Self::Begins(number),
            Hedged::Waits => Self::Waits,
            Hedged::Never => Self::Done,
        }
    }

    fn at(&self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(*at),
            _ => None,
        }
    }

    /// Returns which try the second attempt is, once, when it may begin.
    fn granted(&mut self, ask: impl FnOnce() -> Option<NonZeroU32>) -> Option<NonZeroU32> {
        let granted = match self {
            Self::Begins(number) => Some(*number),
            Self::Waits => ask(),
            Self::At(_) | Self::Done => None,
        };
        if granted.is_some() {
            *self = Self::Done;
        }
        granted
    }
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
