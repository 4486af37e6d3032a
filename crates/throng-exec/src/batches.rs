//! The outcomes of a run in batches of a fixed size. A batch is a view of the outcomes: admission does not wait for it.

use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::{Finished, Run};

/// The outcomes of a run in batches, made by [`Run::batches`].
///
/// # Cancel safety
///
/// As a stream it is cancel safe: outcomes stay in it until their batch is returned.
#[derive(Debug)]
#[must_use = "dropping the batches aborts the run"]
pub struct Batches<J, T, E> {
    run: Run<J, T, E>,
    size: usize,
    batch: Vec<Finished<J, T, E>>,
}

impl<J, T, E> Batches<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    pub(crate) fn new(run: Run<J, T, E>, size: NonZeroUsize) -> Self {
        Self {
            run,
            size: size.get(),
            batch: Vec::new(),
        }
    }

    /// Waits for the next full batch, or for the last one, which may be smaller; `None` when all were returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: outcomes stay in the batches until they are returned.
    pub async fn next(&mut self) -> Option<Vec<Finished<J, T, E>>> {
        std::future::poll_fn(|cx| self.poll_batch(cx)).await
    }

    /// Takes what has come in of the next batch so far.
    pub fn take_partial(&mut self) -> Vec<Finished<J, T, E>> {
        std::mem::take(&mut self.batch)
    }

    /// Returns the run, for instance to finish it. What had come in of the next batch is dropped.
    pub fn into_run(self) -> Run<J, T, E> {
        self.run
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<Finished<J, T, E>>>> {
        loop {
            match ready!(Pin::new(&mut self.run).poll_next(cx)) {
                Some(finished) => {
                    self.batch.push(finished);
                    if self.batch.len() >= self.size {
                        break;
                    }
                }
                None if self.batch.is_empty() => return Poll::Ready(None),
                None => break,
            }
        }
        Poll::Ready(Some(std::mem::take(&mut self.batch)))
    }
}

// Nothing in it is pinned.
impl<J, T, E> Unpin for Batches<J, T, E> {}

impl<J, T, E> Stream for Batches<J, T, E>
where
    J: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Item = Vec<Finished<J, T, E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_batch(cx)
    }
}
