//! Where jobs come from. Jobs are pulled as the window frees up, never ahead of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::StreamExt;
use tokio::time::Instant;

use crate::JobSpec;
use crate::error::panic_message;

/// An iterator of jobs.
pub(crate) type Jobs<J> = Box<dyn Iterator<Item = JobSpec<J>> + Send>;
/// A stream of jobs.
pub(crate) type JobStream<J> = Pin<Box<dyn Stream<Item = JobSpec<J>> + Send>>;

/// The input of a run.
pub(crate) enum Input<J> {
    Iterator(Jobs<J>),
    Stream(JobStream<J>),
}

impl<J> Input<J> {
    pub(crate) fn stream<S>(stream: S) -> Self
    where
        S: Stream + Send + 'static,
        S::Item: Into<JobSpec<J>> + 'static,
        J: 'static,
    {
        Self::Stream(Box::pin(stream.map(Into::into)))
    }
}

/// What a pull brought.
#[derive(Debug)]
pub(crate) struct Pulled<J> {
    pub(crate) jobs: Vec<JobSpec<J>>,
    pub(crate) end: Option<End>,
}

/// How an input ended.
#[derive(Debug)]
pub(crate) enum End {
    Exhausted,
    Panicked(String),
}

/// Pulls at most `n` jobs from an iterator, and not for much longer than `until`. The clock is read after 1, 2, 4, 8, …
/// jobs and then after every 32.
pub(crate) fn pull<J>(jobs: &mut Jobs<J>, n: usize, until: Instant) -> Pulled<J> {
    let mut late = false;
    let mut pulled = fill(n, |pulled| {
        let count = pulled.len();
        if (count.is_power_of_two() || count % 32 == 31) && Instant::now() >= until {
            late = true;
            return false;
        }
        match jobs.next() {
            Some(job) => {
                pulled.push(job);
                true
            }
            None => false,
        }
    });
    if late {
        pulled.end = None;
    }
    pulled
}

/// Pulls at most `n` jobs from a stream; pending when it has none and has not ended.
pub(crate) fn poll_pull<J>(stream: &mut JobStream<J>, n: usize, cx: &mut Context<'_>) -> Poll<Pulled<J>> {
    let mut pending = false;
    let mut pulled = fill(n, |jobs| match stream.as_mut().poll_next(cx) {
        Poll::Ready(Some(job)) => {
            jobs.push(job);
            true
        }
        Poll::Ready(None) => false,
        Poll::Pending => {
            pending = true;
            false
        }
    });
    if pending {
        if pulled.jobs.is_empty() {
            return Poll::Pending;
        }
        pulled.end = None;
    }
    Poll::Ready(pulled)
}

/// Calls `next` up to `n` times, as long as it says that there may be more, and catches its panics.
fn fill<J>(n: usize, mut next: impl FnMut(&mut Vec<JobSpec<J>>) -> bool) -> Pulled<J> {
    let mut jobs = Vec::with_capacity(n.min(1024));
    let more = catch_unwind(AssertUnwindSafe(|| (0..n).all(|_| next(&mut jobs))));
    let end = match more {
        Ok(true) => None,
        Ok(false) => Some(End::Exhausted),
        Err(payload) => Some(End::Panicked(panic_message(&*payload))),
    };
    Pulled { jobs, end }
}
