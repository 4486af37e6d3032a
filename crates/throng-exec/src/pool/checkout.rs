//! The wait for a worker. Whenever it is dropped, its place in the queue and the worker that it may have been handed
//! go back to the pool.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::poll_proceed;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::pool::agent_pool::Shared;
use crate::pool::lease::Use;

/// One wait for a worker.
pub(crate) struct Checkout<'a, S> {
    shared: &'a Arc<Shared<S>>,
    /// The place in the queue, from the first poll that found no worker until the worker was taken.
    ticket: Option<u64>,
    /// Fires at the end of a rest. Only the first of the queue has one.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<'a, S> Checkout<'a, S> {
    pub(crate) const fn new(shared: &'a Arc<Shared<S>>) -> Self {
        Self {
            shared,
            ticket: None,
            alarm: None,
        }
    }

    /// Waits for a worker and begins its use.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the drop of the wait gives back what it holds.
    pub(crate) async fn wait(mut self) -> Use<S> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Use<S>> {
        let coop = ready!(poll_proceed(cx));
        let now = Instant::now();
        let waker = cx.waker().clone();
        let mut wakers = Vec::new();
        let mut unused = None;

        let mut places = self.shared.lock();
        let roster = &mut places.roster;
        let index = match self.ticket {
            None => {
                let index = roster.try_take(now, &mut wakers);
                if index.is_none() {
                    self.ticket = Some(roster.enqueue(waker));
                    roster.settle(now, &mut wakers);
                }
                index
            }
            Some(ticket) => {
                unused = roster.replace_waker(ticket, waker);
                roster.settle(now, &mut wakers);
                roster.take_handed(ticket)
            }
        };
        let alarm = self.ticket.and_then(|ticket| roster.alarm(ticket));
        let taken = index.map(|index| places.begin(index, now));
        drop(places);

        let taken = taken.map(|taken| Use::new(self.shared, taken));
        drop(unused);
        wakers.into_iter().for_each(Waker::wake);
        if let Some(taken) = taken {
            self.ticket = None;
            coop.made_progress();
            return Poll::Ready(taken);
        }
        self.arm(alarm, cx);
        Poll::Pending
    }

    /// Sees to it that the wait is polled again at the end of the rest.
    fn arm(&mut self, at: Option<Instant>, cx: &mut Context<'_>) {
        let Some(at) = at else {
            self.alarm = None;
            return;
        };
        let sleep = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        if sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl<S> Drop for Checkout<'_, S> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        let now = Instant::now();
        let mut wakers = Vec::new();
        let mut places = self.shared.lock();
        let unused = places.roster.give_up(ticket, now, &mut wakers);
        drop(places);
        drop(unused);
        wakers.into_iter().for_each(Waker::wake);
    }
}
