//! Polling attempts. An attempt's future is polled in place by its worker; its panics are caught, and it is dropped when its
//! time is over. A hedge is polled by the same task as the attempt that it runs beside.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::coop::unconstrained;
use tokio::time::Instant;
use tracing::Span;

use crate::Runner;
use crate::attempt::{Attempt, Reported, Reports};
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

/// Polls one attempt to its end. A panic ends it, and so does its deadline; no timer is armed before the attempt has
/// first had to wait.
pub(crate) async fn run_attempt<J, R: Runner<J>>(
    runner: &R,
    job: &J,
    cx: Attempt,
    deadline: Option<Instant>,
    timer: &mut Timer,
    span: &Span,
) -> Returned<R::Output, R::Error>
where
    J: Send + Sync + 'static,
{
    // The runner itself is called in the first poll, so that a panic in it is caught as well.
    let mut attempt = pin!(async move { runner.run(job, cx).await });
    poll_fn(|cx| {
        let polled = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(cx))));
        match polled {
            Ok(Poll::Ready(Ok(value))) => Poll::Ready(Returned::Value(value)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Returned::Error(error)),
            Err(payload) => Poll::Ready(Returned::Panic(panic_message(&*payload))),
            Ok(Poll::Pending) => match deadline {
                Some(deadline) => timer.poll_elapsed(deadline, cx).map(|()| Returned::Nothing),
                None => Poll::Pending,
            },
        }
    })
    .await
}

/// Polls one attempt, and from `at` on a second one beside it, to the first value; or to the last error. Returns what came
/// of it, the error of the one that failed first, and what both have reported.
pub(crate) async fn run_hedged<J, R: Runner<J>>(
    engine: &Arc<Engine<J, R>>,
    job: &J,
    start: &Start,
    cx: Attempt,
    at: Instant,
    timer: &mut Timer,
    reports: &mut Arc<Reports>,
) -> (
    Returned<R::Output, R::Error>,
    Option<R::Error>,
    (Branch, Reported, Reported),
)
where
    J: Send + Sync + 'static,
{
    let deadline = cx.deadline;
    let run = |cx: Attempt| {
        let span = tracing::debug_span!("attempt", id = %cx.id, hedge = cx.hedge);
        (Box::pin(async move { engine.runner.run(job, cx).await }), span)
    };
    let mut branches = [Some(run(cx)), None];
    let mut hedge_reports = Reports::new(engine.core.cancellation.clone());
    let mut wish = Wish::Later(Box::pin(sleep_until(at)));
    let mut early = None;
    let (winner, returned) = poll_fn(|cx| {
        loop {
            for index in 0..2 {
                let Some((future, span)) = &mut branches[index] else {
                    continue;
                };
                let polled = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))));
                let error = match polled {
                    Ok(Poll::Pending) => continue,
                    Ok(Poll::Ready(Ok(value))) => return Poll::Ready((index, Returned::Value(value))),
                    Err(payload) => return Poll::Ready((index, Returned::Panic(panic_message(&*payload)))),
                    Ok(Poll::Ready(Err(error))) => error,
                };
                if branches[1 - index].is_none() {
                    return Poll::Ready((index, Returned::Error(error)));
                }
                let class = classify(engine, &error);
                let (branch, taken) = if index == 0 {
                    (Branch::First, Reports::take(reports))
                } else {
                    (Branch::Hedge, Reports::take(&mut hedge_reports))
                };
                engine
                    .core
                    .end_branch(start.slot, branch, AttemptEnd::Failed(class), &taken);
                branches[index] = None;
                early = Some(error);
            }
            if let Some(deadline) = deadline
                && timer.poll_elapsed(deadline, cx).is_ready()
            {
                let left = usize::from(branches[0].is_none());
                return Poll::Ready((left, Returned::Nothing));
            }
            let Some(number) = wish.poll(engine, start.slot, cx) else {
                return Poll::Pending;
            };
            branches[1] = Some(run(attempt(
                engine,
                start,
                number,
                Instant::now(),
                &hedge_reports,
            )));
        }
    })
    .await;
    let both = branches.iter().all(Option::is_some);
    drop(branches);
    let (first, hedge) = (Reports::take(reports), Reports::take(&mut hedge_reports));
    // Once one of the two is gone, the dispatcher knows the other as the first.
    let branch = if winner == 1 && both {
        Branch::Hedge
    } else {
        Branch::First
    };
    let (mine, other) = if winner == 1 {
        (hedge, first)
    } else {
        (first, hedge)
    };
    (returned, early, (branch, mine, other))
}

/// The wish for a second attempt.
enum Wish {
    Later(Pin<Box<Sleep>>),
    Waits,
    Done,
}

impl Wish {
    /// Returns which try the second attempt is, once, when it may begin.
    fn poll<J, R>(
        &mut self,
        engine: &Engine<J, R>,
        slot: u32,
        cx: &mut Context<'_>,
    ) -> Option<std::num::NonZeroU32>
    where
        J: Send + Sync + 'static,
        R: Runner<J>,
    {
        match self {
            Self::Later(sleep) => {
                if Pin::new(&mut unconstrained(sleep.as_mut())).poll(cx).is_pending() {
                    return None;
                }
                *self = Self::Done;
                match engine.core.want_hedge(slot, cx.waker()) {
                    Hedged::Begins(number) => return Some(number),
                    Hedged::Waits => *self = Self::Waits,
                    Hedged::Never => {}
                }
                None
            }
            Self::Waits => {
                let number = engine.core.hedge_attempt(slot)?;
                *self = Self::Done;
                Some(number)
            }
            Self::Done => None,
        }
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
