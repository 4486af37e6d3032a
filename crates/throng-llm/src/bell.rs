//! A bell that timers and tokens ring. It tells whether any of them did, so that a task that is woken for other reasons, as
//! for each piece of a body, does not have to ask each of them every time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The bell of one task.
pub(crate) struct Bell {
    state: Arc<State>,
    rope: Waker,
    /// The task that is woken now: the same as in the state, where it is under a lock.
    task: Waker,
}

struct State {
    rung: AtomicBool,
    task: Mutex<Waker>,
}

impl Bell {
    /// Makes a bell that counts as rung, so that all that may ring it are asked once.
    pub(crate) fn new() -> Self {
        let state = Arc::new(State {
            rung: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            rope: Waker::from(Arc::clone(&state)),
            state,
            task: Waker::noop().clone(),
        }
    }

    /// Sets which task is woken, and returns whether the bell was rung since the last time.
    pub(crate) fn wakes(&mut self, task: &Waker) -> bool {
        if !self.task.will_wake(task) {
            self.task.clone_from(task);
            self.state.set(task.clone());
        }
        // Looked at after the task is set: who rings from here on wakes it.
        self.state.rung.load(Ordering::Acquire) && self.state.rung.swap(false, Ordering::AcqRel)
    }

    /// Returns what rings the bell.
    pub(crate) fn rope(&self) -> &Waker {
        &self.rope
    }
}

impl State {
    fn set(&self, task: Waker) {
        let before = std::mem::replace(
            &mut *self.task.lock().unwrap_or_else(PoisonError::into_inner),
            task,
        );
        drop(before);
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        // The task stays, unlike in most such cells: it is not set anew at every poll.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_ring_wakes_the_last_task_and_is_told_once() {
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        let woken = || counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        let [a, b] = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
        let mut bell = Bell::new();
        assert!(bell.wakes(&a), "all are asked at first");
        assert!(!bell.wakes(&a));
        bell.rope().wake_by_ref();
        bell.rope().wake_by_ref();
        assert_eq!(woken(), [2, 0]);
        assert!(bell.wakes(&a));
        assert!(!bell.wakes(&a));
        bell.rope().wake_by_ref();
        assert_eq!(woken(), [3, 0], "the task need not be set anew");
        assert!(bell.wakes(&b));
        bell.rope().wake_by_ref();
        assert_eq!(woken(), [3, 1]);
        assert!(bell.wakes(&a));
        bell.rope().wake_by_ref();
        assert_eq!(woken(), [4, 1], "the task is the last one");
    }
}
