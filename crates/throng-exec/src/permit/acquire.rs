//! The wait for a permit. Whenever it is dropped, its place in the queue and the permit that it may have been granted
//! go back to the pool.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::task::coop::poll_proceed;

use crate::permit::ledger::Admission;
use crate::permit::permit_pool::Shared;
use crate::permit::{Permit, Request};
use crate::sync::Arc;

/// One wait for a permit.
pub(crate) struct Acquire<'a> {
    shared: &'a Arc<Shared>,
    request: Request,
    /// The place in the queue, from the first poll that found no room until the permit was taken.
    ticket: Option<u32>,
}

impl<'a> Acquire<'a> {
    pub(crate) const fn new(shared: &'a Arc<Shared>, request: Request) -> Self {
        Self {
            shared,
            request,
            ticket: None,
        }
    }

    /// Waits for the permit.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the drop of the wait gives back what it holds.
    pub(crate) async fn wait(mut self) -> Permit {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        let coop = ready!(poll_proceed(cx));
        let waker = cx.waker().clone();
        let (weight, unused) = if let Some(ticket) = self.ticket {
            let mut ledger = self.shared.lock();
            let unused = ledger.replace_waiter(ticket, waker);
            (ledger.take(ticket), unused)
        } else {
            let now = self.shared.now();
            let (admission, unused) = self.shared.lock().acquire(now, &self.request, waker);
            match admission {
                Admission::Granted(weight) => (Some(weight), unused),
                Admission::Waits(ticket) => {
                    self.ticket = Some(ticket);
                    (None, unused)
                }
            }
        };
        drop(unused);
        let Some(weight) = weight else {
            return Poll::Pending;
        };
        self.ticket = None;
        coop.made_progress();
        Poll::Ready(Permit::new(self.shared, weight))
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let unused = self
                .shared
                .change(|ledger, granted| ledger.give_up(ticket, granted));
            drop(unused);
        }
    }
}
