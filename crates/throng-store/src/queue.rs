//! The bounded queue between the callers and the writer thread. What one caller puts in comes out in that order;
//! the weights of what waits never exceed the capacity, but for what is forced in.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, TryAcquireError};

/// A queue of many writers and one reader.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    wake: Condvar,
    room: Semaphore,
    capacity: u32,
}

struct State<T> {
    items: VecDeque<Item<T>>,
    weight: usize,
    urgent: usize,
    waiting: Waiting,
    enough: usize,
    closed: bool,
}

struct Item<T> {
    value: T,
    /// Room that was taken for it.
    paid: u32,
    weight: u32,
    urgent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    No,
    /// For anything.
    Idle,
    /// For something urgent, or enough of anything.
    Lingering,
}

/// Why something was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let most = u32::MAX as usize;
        let capacity = capacity.min(Semaphore::MAX_PERMITS).min(most);
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                weight: 0,
                urgent: 0,
                waiting: Waiting::No,
                enough: usize::MAX,
                closed: false,
            }),
            wake: Condvar::new(),
            room: Semaphore::new(capacity),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
        }
    }

    /// Puts something in when there is room. Urgent things are taken out at once, with all before them.
    ///
    /// Something that weighs more than the whole queue has room when the queue is empty.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped before it is ready, nothing was put in.
    pub(crate) async fn push(&self, value: T, weight: usize, urgent: bool) -> Result<(), Refused> {
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let paid = weight.min(self.capacity);
        match self.room.acquire_many(paid).await {
            Ok(permit) => permit.forget(),
            Err(_) => return Err(Refused::Closed),
        }
        self.put(Item {
            value,
            paid,
            weight,
            urgent,
        })
    }

    /// Puts something of weight 1 in if there is room now.
    pub(crate) fn try_push(&self, value: T) -> Result<(), Refused> {
        match self.room.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(TryAcquireError::NoPermits) => return Err(Refused::Full),
            Err(TryAcquireError::Closed) => return Err(Refused::Closed),
        }
        self.put(Item {
            value,
            paid: 1,
            weight: 1,
            urgent: false,
        })
    }

    /// Puts something in even if there is no room, for what comes only twice in a run.
    pub(crate) fn force(&self, value: T) -> Result<(), Refused> {
        self.put(Item {
            value,
            paid: 0,
            weight: 1,
            urgent: false,
        })
    }

    fn put(&self, item: Item<T>) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        state.weight += item.weight as usize;
        state.urgent += usize::from(item.urgent);
        state.items.push_back(item);
        let wake = match state.waiting {
            Waiting::No => false,
            Waiting::Idle => true,
            Waiting::Lingering => state.urgent > 0 || state.weight >= state.enough,
        };
        if wake {
            state.waiting = Waiting::No;
            drop(state);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes out up to `most` of weight, but at least one thing, into `into`. Waits for something to be there, and then, if
    /// nothing urgent is, up to `linger` for more. Returns false when the queue is closed and empty.
    pub(crate) fn take(&self, most: usize, linger: Duration, into: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        state.enough = most;
        let mut until = None;
        loop {
            if state.items.is_empty() {
                if state.closed {
                    return false;
                }
                until = None;
                state.waiting = Waiting::Idle;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else if state.urgent > 0 || state.closed || state.weight >= most || linger.is_zero() {
                break;
            } else {
                let until = *until.get_or_insert_with(|| Instant::now() + linger);
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                state.waiting = Waiting::Lingering;
                state = self
                    .wake
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
        }
        state.waiting = Waiting::No;
        let (mut taken, mut paid) = (0, 0);
        while let Some(item) = state.items.front() {
            if taken > 0 && taken + item.weight as usize > most {
                break;
            }
            let Some(item) = state.items.pop_front() else {
                break;
            };
            taken += item.weight as usize;
            paid += item.paid as usize;
            state.weight -= item.weight as usize;
            state.urgent -= usize::from(item.urgent);
            into.push(item.value);
        }
        drop(state);
        self.room.add_permits(paid);
        true
    }

    /// Takes nothing more in. What is in it can still be taken out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.wake.notify_all();
    }

    /// Closes the queue and drops what is in it.
    pub(crate) fn abandon(&self) {
        self.close();
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize, bool),
        Try,
        Force,
        Take(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..6_usize, any::<bool>()).prop_map(|(weight, urgent)| Step::Push(weight, urgent)),
            Just(Step::Try),
            Just(Step::Force),
            (1..8_usize).prop_map(Step::Take),
        ]
    }

    fn poll_once<F: Future>(future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        match future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    proptest! {
        #[test]
        fn it_is_a_bounded_queue(capacity in 1..10_usize, steps in prop::collection::vec(step(), 0..60)) {
            let queue = Queue::new(capacity);
            let mut model: VecDeque<(usize, usize, usize)> = VecDeque::new();
            for (name, step) in steps.into_iter().enumerate() {
                let paid: usize = model.iter().map(|item| item.2).sum();
                match step {
                    Step::Push(weight, urgent) => {
                        let pays = weight.min(capacity);
                        let fits = paid + pays <= capacity;
                        prop_assert_eq!(poll_once(queue.push(name, weight, urgent)), fits.then_some(Ok(())));
                        if fits {
                            model.push_back((name, weight, pays));
                        }
                    }
                    Step::Try => {
                        let fits = paid < capacity;
                        prop_assert_eq!(queue.try_push(name), if fits { Ok(()) } else { Err(Refused::Full) });
                        if fits {
                            model.push_back((name, 1, 1));
                        }
                    }
                    Step::Force => {
                        prop_assert_eq!(queue.force(name), Ok(()));
                        model.push_back((name, 1, 0));
                    }
                    Step::Take(most) => {
                        if model.is_empty() {
                            continue;
                        }
                        let mut taken = Vec::new();
                        prop_assert!(queue.take(most, Duration::ZERO, &mut taken));
                        let mut weight = 0;
                        for name in &taken {
                            let (expected, w, _) = model.pop_front().unwrap();
                            prop_assert_eq!(*name, expected);
                            weight += w;
                        }
                        prop_assert!(weight <= most || taken.len() == 1);
                        if let Some((_, next, _)) = model.front() {
                            prop_assert!(weight + next > most, "it could have taken one more");
                        }
                    }
                }
            }
            queue.close();
            prop_assert_eq!(queue.try_push(0), Err(Refused::Closed));
            let mut rest = Vec::new();
            while queue.take(3, Duration::from_secs(3600), &mut rest) {}
            prop_assert_eq!(rest, model.into_iter().map(|item| item.0).collect::<Vec<_>>());
        }
    }

    #[test]
    fn something_urgent_ends_the_linger() {
        let queue = std::sync::Arc::new(Queue::new(8));
        queue.try_push(1).unwrap();
        let reader = std::thread::spawn({
            let queue = std::sync::Arc::clone(&queue);
            move || {
                let mut taken = Vec::new();
                queue.take(8, Duration::from_secs(3600), &mut taken);
                taken
            }
        });
        poll_once(queue.push(2, 1, true)).unwrap().unwrap();
        assert_eq!(reader.join().unwrap(), [1, 2]);
    }
}
