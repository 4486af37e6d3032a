//! Every interleaving of up to three threads with up to three preemptions, tried by loom: the limit holds at each
//! grant, nobody waits forever, and what is dropped comes back.
//!
//! `RUSTFLAGS="--cfg throng_loom" cargo test --release -p throng-exec --lib loom`

use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::{Permit, PermitPool, Priority, Request};

fn prove(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("proofs do not pass zero")
}

fn heavy(weight: u32) -> Request {
    Request::new().weight(NonZeroU32::new(weight).expect("proofs do not pass zero"))
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn assert_all_is_back(pool: &PermitPool) {
    assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
}

/// A pool, and what its users say is out.
#[derive(Clone)]
struct Watched {
    pool: PermitPool,
    held: Arc<AtomicUsize>,
    limit: usize,
}

impl Watched {
    fn new(limit: usize) -> Self {
        Self {
            pool: PermitPool::new(n(limit)),
            held: Arc::new(AtomicUsize::new(0)),
            limit,
        }
    }

    /// Takes a permit and gives it back.
    fn visit(&self, request: Request) {
        self.hold(block_on(self.pool.acquire(request)));
    }

    fn hold(&self, permit: Permit) {
        let weight = permit.weight().get() as usize;
        let held = self.held.fetch_add(weight, Ordering::SeqCst) + weight;
        assert!(held <= self.limit, "{held} are held of {}", self.limit);
        self.held.fetch_sub(weight, Ordering::SeqCst);
        drop(permit);
    }

    fn spawn(&self, visit: impl FnOnce(Self) + Send + 'static) -> thread::JoinHandle<()> {
        let watched = self.clone();
        thread::spawn(move || visit(watched))
    }
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

#[test]
fn the_limit_holds_and_everybody_is_served() {
    prove(|| {
        let watched = Watched::new(1);
        let threads = [(); 2].map(|()| watched.spawn(|watched| watched.visit(Request::new())));
        watched.visit(Request::new());
        join(threads);
        assert_all_is_back(&watched.pool);
    });
}

#[test]
fn two_weights_share_the_limit() {
    prove(|| {
        let watched = Watched::new(2);
        let threads = [2, 1].map(|weight| watched.spawn(move |watched| watched.visit(heavy(weight))));
        watched.visit(Request::new());
        join(threads);
        assert_all_is_back(&watched.pool);
    });
}

#[test]
fn keys_and_priorities_lose_nobody() {
    prove(|| {
        let watched = Watched::new(1);
        let threads = [
            watched.spawn(|watched| watched.visit(Request::new().key("a").priority(Priority::HIGH))),
            watched.spawn(|watched| watched.visit(Request::new().key("b"))),
        ];
        watched.visit(Request::new().key("a"));
        join(threads);
        assert_all_is_back(&watched.pool);
    });
}

#[test]
fn a_wait_that_is_dropped_during_a_release_gives_its_permit_on() {
    prove(|| {
        let watched = Watched::new(1);
        let permit = block_on(watched.pool.acquire(Request::new()));
        let threads = [
            watched.spawn(|watched| {
                let mut wait = Box::pin(watched.pool.acquire(Request::new()));
                if let Poll::Ready(permit) = poll_once(wait.as_mut()) {
                    watched.hold(permit);
                }
            }),
            watched.spawn(|watched| watched.visit(Request::new())),
        ];
        drop(permit);
        join(threads);
        assert_all_is_back(&watched.pool);
    });
}

#[test]
fn the_drop_of_a_heavy_wait_lets_a_light_one_in() {
    prove(|| {
        let watched = Watched::new(2);
        let permit = block_on(watched.pool.acquire(Request::new()));
        let threads = [
            watched.spawn(|watched| {
                let mut wait = Box::pin(watched.pool.acquire(heavy(2)));
                if let Poll::Ready(permit) = poll_once(wait.as_mut()) {
                    watched.hold(permit);
                }
            }),
            watched.spawn(|watched| drop(block_on(watched.pool.acquire(Request::new())))),
        ];
        join(threads);
        drop(permit);
        assert_all_is_back(&watched.pool);
    });
}

#[test]
fn a_wait_that_moves_to_another_waker_is_woken_there() {
    prove(|| {
        let watched = Watched::new(1);
        let permit = block_on(watched.pool.acquire(Request::new()));
        let moved = watched.spawn(|watched| {
            let mut wait = pin!(watched.pool.acquire(Request::new()));
            match poll_once(wait.as_mut()) {
                Poll::Ready(permit) => watched.hold(permit),
                Poll::Pending => watched.hold(block_on(wait)),
            }
        });
        drop(permit);
        join([moved]);
        assert_all_is_back(&watched.pool);
    });
}

#[test]
fn a_shrink_lands_while_requests_wait() {
    prove(|| {
        let pool = PermitPool::new(n(2));
        let permits = [(); 2].map(|()| block_on(pool.acquire(Request::new())));
        let waiting = thread::spawn({
            let pool = pool.clone();
            move || {
                let permit = block_on(pool.acquire(Request::new()));
                // Unless it came before the shrink it is out alone.
                let (in_use, limit) = (pool.in_use(), pool.limit().get());
                assert!(in_use <= 2 && limit <= 2);
                drop(permit);
            }
        });
        let shrinking = thread::spawn({
            let pool = pool.clone();
            move || {
                pool.resize(n(1));
                if let Some(permit) = pool.try_acquire(&Request::new()) {
                    assert!(pool.in_use() <= 1, "nothing is granted above the new limit");
                    drop(permit);
                }
            }
        });
        drop(permits);
        join([waiting, shrinking]);
        assert_eq!(pool.limit(), n(1));
        assert_all_is_back(&pool);
    });
}

#[test]
fn a_weight_above_the_limit_is_served_whenever_the_limit_changes() {
    prove(|| {
        let pool = PermitPool::new(n(2));
        let permit = block_on(pool.acquire(Request::new()));
        let waiting = thread::spawn({
            let pool = pool.clone();
            move || {
                let permit = block_on(pool.acquire(heavy(5)));
                assert!(permit.weight().get() <= 2);
            }
        });
        let shrinking = thread::spawn({
            let pool = pool.clone();
            move || pool.resize(n(1))
        });
        drop(permit);
        join([waiting, shrinking]);
        assert_all_is_back(&pool);
    });
}
