//! The accounts of a pool of permits: what is lent and who waits, without locks, clock and wakers.
//!
//! Invariant, between two calls: the request whose turn it is does not fit into what is free. Nothing is granted past
//! it, so that small requests cannot starve a large one of their rank or a higher one.

use std::collections::HashMap;
use std::num::{NonZeroU32, NonZeroUsize};

use crate::Key;
use crate::machine::FairQueue;
use crate::permit::Request;
use crate::rate::Tick;

/// The accounts. A `W` stands for who waits; it is handed back when the wait is over, for the caller to wake.
#[derive(Debug)]
pub(crate) struct Ledger<W> {
    limit: NonZeroUsize,
    /// Above the limit only after a shrink, until enough has come back.
    lent: usize,
    queue: FairQueue,
    lanes: Lanes,
    /// By ticket.
    waits: Vec<Option<Wait<W>>>,
    free: Vec<u32>,
    /// The latest time that was heard of. Two requests that wait age by the same, so that only their distance counts.
    now: Tick,
}

#[derive(Debug)]
enum Wait<W> {
    Queued {
        lane: u32,
        weight: NonZeroU32,
        waiter: W,
    },
    /// The weight is lent to a waiter that has not come for it yet.
    Granted(NonZeroU32),
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// This weight is lent.
    Granted(NonZeroU32),
    /// The request waits under this ticket.
    Waits(u32),
}

impl<W> Ledger<W> {
    /// Opens the accounts. A request gains one priority for each `ageing` that it has waited; 0 means never.
    pub(crate) fn new(limit: NonZeroUsize, ageing: Tick) -> Self {
        Self {
            limit,
            lent: 0,
            queue: FairQueue::new(ageing),
            lanes: Lanes::default(),
            waits: Vec::new(),
            free: Vec::new(),
            now: 0,
        }
    }

    pub(crate) const fn limit(&self) -> NonZeroUsize {
        self.limit
    }

    pub(crate) const fn lent(&self) -> usize {
        self.lent
    }

    pub(crate) const fn available(&self) -> usize {
        self.limit.get().saturating_sub(self.lent)
    }

    /// Returns how many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Grants a request if it is its turn and there is room for it; else it waits. A waiter that is not needed comes
    /// back.
    pub(crate) fn acquire(&mut self, now: Tick, request: &Request, waiter: W) -> (Admission, Option<W>) {
        self.now = self.now.max(now);
        if self.queue.len() == 0
            && let Some(weight) = self.lend(request.weight)
        {
            return (Admission::Granted(weight), Some(waiter));
        }
        let lane = self.lanes.enter(request.key.as_ref());
        let ticket = self.ticket(Wait::Queued {
            lane,
            weight: request.weight,
            waiter,
        });
        self.queue.push(lane, request.priority, now, ticket);
        let mut granted = Vec::new();
        self.grant(&mut granted);
        // The request whose turn it was before does not fit: if anything was granted, it was this one.
        match self.take(ticket) {
            Some(weight) => (Admission::Granted(weight), granted.pop()),
            None => (Admission::Waits(ticket), None),
        }
    }

    /// Takes what was granted to a ticket, and ends the ticket; `None` if it still waits.
    pub(crate) fn take(&mut self, ticket: u32) -> Option<NonZeroU32> {
        let wait = self.waits.get_mut(ticket as usize)?;
        let Some(Wait::Granted(weight)) = *wait else {
            return None;
        };
        *wait = None;
        self.free.push(ticket);
        Some(weight)
    }

    /// Sets who waits under a ticket and returns whom this replaces.
    pub(crate) fn replace_waiter(&mut self, ticket: u32, new: W) -> Option<W> {
        match self.waits.get_mut(ticket as usize)? {
            Some(Wait::Queued { waiter, .. }) => Some(std::mem::replace(waiter, new)),
            _ => Some(new),
        }
    }

    /// Ends a ticket, and gives back what may have been granted to it. Returns who waited under it. O(requests that
    /// wait under its key).
    pub(crate) fn give_up(&mut self, ticket: u32, granted: &mut Vec<W>) -> Option<W> {
        let wait = self.waits.get_mut(ticket as usize)?.take()?;
        self.free.push(ticket);
        let waiter = match wait {
            Wait::Queued { lane, waiter, .. } => {
                self.queue.remove(lane, ticket);
                self.lanes.leave(lane);
                Some(waiter)
            }
            Wait::Granted(weight) => {
                self.lent -= weight.get() as usize;
                None
            }
        };
        self.grant(granted);
        waiter
    }

    /// Takes a weight back that was lent.
    pub(crate) fn release(&mut self, weight: NonZeroU32, granted: &mut Vec<W>) {
        self.lent -= weight.get() as usize;
        self.grant(granted);
    }

    pub(crate) fn resize(&mut self, limit: NonZeroUsize, granted: &mut Vec<W>) {
        self.limit = limit;
        self.grant(granted);
    }

    /// Grants requests in their order, up to the first that does not fit.
    fn grant(&mut self, granted: &mut Vec<W>) {
        while let Some((lane, ticket)) = self.queue.peek(self.now) {
            let Some(Some(Wait::Queued { weight, .. })) = self.waits.get(ticket as usize) else {
                return;
            };
            let Some(weight) = self.lend(*weight) else {
                return;
            };
            self.queue.pop(self.now);
            self.lanes.leave(lane);
            let place = &mut self.waits[ticket as usize];
            if let Some(Wait::Queued { waiter, .. }) = place.replace(Wait::Granted(weight)) {
                granted.push(waiter);
            }
        }
    }

    /// Lends a weight, or the limit if that is less, if there is room.
    fn lend(&mut self, weight: NonZeroU32) -> Option<NonZeroU32> {
        let limit = NonZeroU32::try_from(self.limit).unwrap_or(NonZeroU32::MAX);
        let weight = weight.min(limit);
        let fits = weight.get() as usize <= self.available();
        fits.then(|| {
            self.lent += weight.get() as usize;
            weight
        })
    }

    fn ticket(&mut self, wait: Wait<W>) -> u32 {
        if let Some(ticket) = self.free.pop() {
            self.waits[ticket as usize] = Some(wait);
            return ticket;
        }
        let ticket = u32::try_from(self.waits.len()).expect("memory ends before 2^32 waits");
        self.waits.push(Some(wait));
        ticket
    }
}

/// The numbers of the keys that somebody waits under. They are used again, so that keys that come and go leave
/// nothing behind.
#[derive(Debug, Default)]
struct Lanes {
    by_key: HashMap<Option<Key>, u32>,
    /// By number: the key, and how many requests wait under it.
    lanes: Vec<(Option<Key>, usize)>,
    free: Vec<u32>,
}

impl Lanes {
    fn enter(&mut self, key: Option<&Key>) -> u32 {
        let key = key.cloned();
        if let Some(&lane) = self.by_key.get(&key) {
            self.lanes[lane as usize].1 += 1;
            return lane;
        }
        let lane = if let Some(lane) = self.free.pop() {
            self.lanes[lane as usize] = (key.clone(), 1);
            lane
        } else {
            let lane = u32::try_from(self.lanes.len()).expect("memory ends before 2^32 keys");
            self.lanes.push((key.clone(), 1));
            lane
        };
        self.by_key.insert(key, lane);
        lane
    }

    fn leave(&mut self, lane: u32) {
        let (key, waiting) = &mut self.lanes[lane as usize];
        *waiting -= 1;
        if *waiting == 0 {
            self.by_key.remove(key);
            *key = None;
            self.free.push(lane);
        }
    }
}
