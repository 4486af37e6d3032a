//! As much of tokio's tasks and timers as a run needs, on shuttle. Tasks are shuttle's; a timer fires when the test says
//! that it is time. All tasks of an execution share one thread of the system, and its thread locals are their world.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

pub(crate) use shuttle::future::JoinHandle;

thread_local! {
    /// Tasks that were spawned and have not ended.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
    static NEXT_TIMER: Cell<u64> = const { Cell::new(0) };
    /// Who waits for what time, in the order in which the timers were made.
    static TIMERS: RefCell<BTreeMap<u64, (Instant, Waker)>> = const { RefCell::new(BTreeMap::new()) };
}

/// Forgets what an earlier execution has left.
#[cfg(test)]
pub(crate) fn reset() {
    ALIVE.set(0);
    NEXT_TIMER.set(0);
    let old = TIMERS.take();
    drop(old);
}

/// Returns how many tasks have not ended.
#[cfg(test)]
pub(crate) fn alive() -> usize {
    ALIVE.get()
}

/// Returns when the next timer is due.
#[cfg(test)]
pub(crate) fn next_due() -> Option<Instant> {
    TIMERS.with_borrow(|timers| timers.values().map(|(due, _)| *due).min())
}

/// Wakes everybody whose time has come.
#[cfg(test)]
pub(crate) fn fire() {
    let now = Instant::now();
    let due: Vec<_> =
        TIMERS.with_borrow_mut(|timers| timers.extract_if(.., |_, (due, _)| *due <= now).collect());
    for (_, (_, waker)) in due {
        waker.wake();
    }
}

/// Spawns tasks.
#[derive(Clone, Debug)]
pub(crate) struct Handle;

impl Handle {
    pub(crate) fn current() -> Self {
        Self
    }

    pub(crate) fn metrics(&self) -> Self {
        Self
    }

    pub(crate) fn num_workers(&self) -> usize {
        2
    }

    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let alive = Alive::new();
        shuttle::future::spawn(async move {
            task.await;
            drop(alive);
        })
    }
}

/// Counts a task as long as its future is there.
struct Alive;

impl Alive {
    fn new() -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get().saturating_sub(1));
    }
}

/// Tasks that can be aborted and awaited together.
#[derive(Debug)]
pub(crate) struct JoinSet<T>(Vec<JoinHandle<T>>);

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl JoinSet<()> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn spawn_on<F>(&mut self, task: F, handle: &Handle)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.push(handle.spawn(task));
    }

    pub(crate) fn abort_all(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }

    pub(crate) fn try_join_next(&mut self) -> Option<()> {
        let ended = self.0.iter().position(JoinHandle::is_finished)?;
        drop(self.0.swap_remove(ended));
        Some(())
    }

    pub(crate) async fn join_next(&mut self) -> Option<()> {
        let next = self.0.pop()?;
        let _ = next.await;
        Some(())
    }
}

/// Waits until then.
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    let id = NEXT_TIMER.get();
    NEXT_TIMER.set(id + 1);
    Sleep { id, deadline }
}

/// A timer.
#[derive(Debug)]
pub(crate) struct Sleep {
    id: u64,
    deadline: Instant,
}

impl Sleep {
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let this = self.get_mut();
        this.deadline = deadline;
        TIMERS.with_borrow_mut(|timers| {
            if let Some((due, _)) = timers.get_mut(&this.id) {
                *due = deadline;
            }
        });
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let timer = (self.deadline, cx.waker().clone());
        let old = TIMERS.with_borrow_mut(|timers| timers.insert(self.id, timer));
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let _ = TIMERS.try_with(|timers| timers.try_borrow_mut().map(|mut timers| timers.remove(&self.id)));
    }
}
