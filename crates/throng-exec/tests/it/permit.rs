//! A pool of permits: the limit, the order, resizing, weights, and that no permit is ever lost.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use throng_exec::{Permit, PermitPool, Priority, Request};
use tokio::time::{Instant, advance, sleep};

use crate::support::{attempts, ms, n, poll_once};

fn heavy(weight: u32) -> Request {
    Request::new().weight(attempts(weight))
}

/// Waits that are polled by hand.
struct Waits<'a>(Vec<(u32, Wait<'a>)>);

type Wait<'a> = Pin<Box<dyn Future<Output = Permit> + 'a>>;

impl<'a> Waits<'a> {
    /// Lets the requests wait, in this order.
    fn new(pool: &'a PermitPool, requests: impl IntoIterator<Item = (u32, Request)>) -> Self {
        let mut waits = Self(Vec::new());
        for (name, request) in requests {
            waits.0.push((name, Box::pin(pool.acquire(request))));
            assert_eq!(waits.served().len(), 0, "{name} waits");
        }
        waits
    }

    fn served(&mut self) -> Vec<(u32, Permit)> {
        let mut served = Vec::new();
        self.0.retain_mut(|(name, wait)| match poll_once(wait.as_mut()) {
            Poll::Ready(permit) => {
                served.push((*name, permit));
                false
            }
            Poll::Pending => true,
        });
        served
    }

    /// Gives each permit back as soon as it is there and returns the order.
    fn one_by_one(&mut self, first: Permit) -> Vec<u32> {
        let mut order = Vec::new();
        let mut held = vec![(0, first)];
        while !held.is_empty() {
            drop(held);
            held = self.served();
            assert!(held.len() <= 1);
            order.extend(held.iter().map(|(name, _)| *name));
        }
        order
    }
}

#[tokio::test(start_paused = true)]
async fn permits_are_given_out_up_to_the_limit() {
    let pool = PermitPool::new(n(3));
    let two = pool.acquire(heavy(2)).await;
    assert_eq!(
        (pool.limit(), pool.in_use(), pool.available(), pool.waiting()),
        (n(3), 2, 1, 0)
    );
    assert!(pool.try_acquire(&heavy(2)).is_none());
    let one = pool.try_acquire(&Request::new()).unwrap();
    let mut waits = Waits::new(&pool, [(1, Request::new())]);
    assert_eq!((pool.in_use(), pool.available(), pool.waiting()), (3, 0, 1));
    drop(one);
    let served = waits.served();
    assert_eq!((served.len(), pool.in_use(), pool.waiting()), (1, 3, 0));
    drop((served, two));
    assert_eq!(pool.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn equals_are_served_in_their_order() {
    let pool = PermitPool::new(n(1));
    let first = pool.acquire(Request::new()).await;
    let mut waits = Waits::new(&pool, (1..=20).map(|name| (name, Request::new())));
    assert_eq!(waits.one_by_one(first), (1..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_higher_priority_goes_first_and_keys_take_turns() {
    let pool = PermitPool::new(n(1));
    let first = pool.acquire(Request::new()).await;
    let request = |key: &'static str, priority| Request::new().key(key).priority(priority);
    let requests = [
        (1, request("a", Priority::NORMAL)),
        (2, request("a", Priority::NORMAL)),
        (3, request("b", Priority::NORMAL)),
        (4, request("a", Priority::LOW)),
        (5, request("a", Priority::NORMAL)),
        (6, request("b", Priority::HIGH)),
        (7, request("b", Priority::NORMAL)),
    ];
    let mut waits = Waits::new(&pool, requests);
    assert_eq!(waits.one_by_one(first), [6, 1, 3, 2, 7, 5, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_heavy_request_is_waited_for() {
    let pool = PermitPool::new(n(4));
    let mut out: Vec<_> = (0..4).filter_map(|_| pool.try_acquire(&Request::new())).collect();
    let mut waits = Waits::new(&pool, [(1, heavy(3)), (2, Request::new())]);
    out.truncate(2);
    assert!(
        waits.served().is_empty(),
        "two are free, and the light one does not overtake"
    );
    assert!(pool.try_acquire(&Request::new()).is_none());
    let urgent = pool.try_acquire(&Request::new().priority(Priority::HIGH));
    assert!(urgent.is_some(), "a higher rank does");
    drop(urgent);
    out.truncate(1);
    let served = waits.served();
    assert_eq!(served.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [1]);
    drop(served);
    assert_eq!(waits.served().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn when_a_heavy_request_gives_up_the_light_ones_go() {
    let pool = PermitPool::new(n(2));
    let _out = pool.acquire(Request::new()).await;
    let mut waits = Waits::new(&pool, [(1, heavy(2)), (2, Request::new())]);
    drop(waits.0.remove(0));
    let served = waits.served();
    assert_eq!((served.len(), pool.in_use(), pool.waiting()), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_weight_above_the_limit_runs_alone() {
    let pool = PermitPool::new(n(4));
    let out = pool.acquire(Request::new()).await;
    let mut waits = Waits::new(&pool, [(1, heavy(100))]);
    drop(out);
    let served = waits.served();
    assert_eq!((served[0].1.weight(), pool.available()), (attempts(4), 0));
    drop(served);

    let out = pool.acquire(heavy(4)).await;
    let mut waits = Waits::new(&pool, [(1, heavy(3)), (2, Request::new())]);
    pool.resize(n(2));
    drop(out);
    let served = waits.served();
    assert_eq!(
        (served.len(), served[0].1.weight()),
        (1, attempts(2)),
        "also after a shrink"
    );
    drop(served);
    assert_eq!(waits.served().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shrink_lands_on_the_next_releases_and_growth_at_once() {
    let pool = PermitPool::new(n(4));
    let mut out: Vec<_> = (0..4).filter_map(|_| pool.try_acquire(&Request::new())).collect();
    let mut waits = Waits::new(&pool, (1..=3).map(|name| (name, Request::new())));
    pool.resize(n(2));
    assert_eq!((pool.in_use(), pool.available()), (4, 0));
    for left in [3, 2] {
        out.truncate(left);
        assert!(waits.served().is_empty(), "{left} are out of 2");
    }
    out.truncate(1);
    let served = waits.served();
    assert_eq!((served.len(), pool.in_use()), (1, 2));
    pool.resize(n(4));
    let more = waits.served();
    assert_eq!((more.len(), pool.in_use()), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_nobody_comes_for_goes_on_to_the_next() {
    let pool = PermitPool::new(n(1));
    let out = pool.acquire(Request::new()).await;
    let mut waits = Waits::new(&pool, (1..=2).map(|name| (name, Request::new())));
    drop(out);
    assert_eq!((pool.in_use(), pool.waiting()), (1, 1));
    drop(waits.0.remove(0));
    let served = waits.served();
    assert_eq!((served.len(), served[0].0), (1, 2));
    drop(served);
    assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_outlives_the_pool_and_needs_no_runtime() {
    let permit = std::thread::spawn(|| PermitPool::new(n(1)).try_acquire(&Request::new()));
    let permit = permit.join().unwrap().unwrap();
    assert_eq!(permit.weight(), attempts(1));
}

/// A waker that uses the pool.
struct Reentrant(PermitPool, AtomicUsize);

impl Wake for Reentrant {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1 + self.0.waiting(), Ordering::SeqCst);
    }
}

#[test]
fn wakers_are_called_while_the_pool_is_not_locked() {
    let pool = PermitPool::new(n(1));
    let out = pool.try_acquire(&Request::new()).unwrap();
    let reentrant = Arc::new(Reentrant(pool.clone(), AtomicUsize::new(0)));
    let mut wait = Box::pin(pool.acquire(Request::new()));
    let waker = Waker::from(Arc::clone(&reentrant));
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(out);
    assert_eq!(reentrant.1.load(Ordering::SeqCst), 1);
    assert!(poll_once(wait.as_mut()).is_ready());
}

/// Jain's index of fairness: 1 when all get the same, 1/n when one gets all.
fn jain(shares: impl Iterator<Item = u32>) -> f64 {
    let shares: Vec<f64> = shares.map(f64::from).collect();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    shares.iter().sum::<f64>().powi(2) / (shares.len() as f64 * squares)
}

#[tokio::test(start_paused = true)]
async fn keys_with_much_to_do_get_the_same_share() {
    let pool = PermitPool::new(n(3));
    let shares = Arc::new(Mutex::new(BTreeMap::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..8_u32 {
        // The first key asks with eight times as many tasks as the last.
        for task in 0..(8 - key) * 5 {
            let (pool, shares) = (pool.clone(), Arc::clone(&shares));
            tasks.spawn(async move {
                let mut rng = fastrand::Rng::with_seed(u64::from(key * 100 + task));
                loop {
                    let permit = pool.acquire(Request::new().key(key.to_string())).await;
                    *shares.lock().unwrap().entry(key).or_insert(0) += 1;
                    sleep(ms(rng.u64(1..20))).await;
                    drop(permit);
                }
            });
        }
    }
    sleep(ms(20_000)).await;
    tasks.shutdown().await;
    let shares = shares.lock().unwrap();
    let fairness = jain(shares.values().copied());
    assert!(shares.len() == 8 && fairness >= 0.98, "{fairness:.4}: {shares:?}");
    assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
}

/// Keeps the pool busy with urgent requests and returns how long a request of low priority waited, if it was served.
async fn wait_behind_urgent_ones(ageing: Duration) -> Option<Duration> {
    let pool = PermitPool::builder(n(2)).ageing(ageing).build();
    let mut urgent = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let pool = pool.clone();
        urgent.spawn(async move {
            loop {
                let _permit = pool.acquire(Request::new().priority(Priority::HIGH)).await;
                sleep(ms(5)).await;
            }
        });
    }
    sleep(ms(100)).await;
    let began = Instant::now();
    let low = Request::new().priority(Priority::LOW).weight(attempts(2));
    let waited = tokio::time::timeout(ms(10_000), pool.acquire(low)).await;
    waited.ok().map(|_| began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn ageing_keeps_urgent_requests_from_starving_the_rest() {
    let waited = wait_behind_urgent_ones(ms(10)).await.unwrap();
    // 20 priorities of 10 ms each, and the urgent requests that came before those: 25 ms of them are in the queue.
    assert!(ms(150) <= waited && waited <= ms(250), "{waited:?}");
    assert_eq!(wait_behind_urgent_ones(Duration::ZERO).await, None);
}

#[tokio::test(start_paused = true)]
async fn time_alone_raises_a_request() {
    let pool = PermitPool::builder(n(1)).ageing(ms(10)).build();
    let out = pool.acquire(Request::new()).await;
    let mut old = Box::pin(pool.acquire(Request::new().priority(Priority::new(-1))));
    assert!(poll_once(old.as_mut()).is_pending());
    advance(ms(11)).await;
    let mut new = Box::pin(pool.acquire(Request::new()));
    assert!(poll_once(new.as_mut()).is_pending());
    drop(out);
    assert!(poll_once(new.as_mut()).is_pending());
    assert!(poll_once(old.as_mut()).is_ready());
}

#[test]
fn threads_never_hold_more_than_the_limit() {
    const MOST: usize = 5;
    let pool = PermitPool::new(n(MOST));
    let held = AtomicUsize::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let users: Vec<_> = (0..4_u64)
            .map(|thread| {
                let (pool, held) = (&pool, &held);
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(thread);
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    for _ in 0..3_000 {
                        let weight = NonZeroU32::new(rng.u32(1..4)).unwrap_or(NonZeroU32::MIN);
                        let request = Request::new()
                            .weight(weight)
                            .priority(Priority::new(rng.i8(-2..3)))
                            .key(rng.u8(0..3).to_string());
                        let mut wait = Box::pin(pool.acquire(request));
                        let permit = match poll_once(wait.as_mut()) {
                            Poll::Ready(permit) => permit,
                            Poll::Pending if rng.bool() => continue,
                            Poll::Pending => runtime.block_on(wait),
                        };
                        let weight = permit.weight().get() as usize;
                        let now = held.fetch_add(weight, Ordering::SeqCst) + weight;
                        assert!(now <= MOST, "seed {thread}: {now} of {MOST}");
                        std::thread::yield_now();
                        held.fetch_sub(weight, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let (pool, done) = (&pool, &done);
        let resizer = scope.spawn(move || {
            let mut rng = fastrand::Rng::with_seed(99);
            while !done.load(Ordering::SeqCst) {
                pool.resize(n(rng.usize(1..=MOST)));
                std::thread::yield_now();
            }
        });
        let users: Vec<_> = users.into_iter().map(|user| user.join()).collect();
        done.store(true, Ordering::SeqCst);
        resizer.join().unwrap();
        users.into_iter().for_each(|user| user.unwrap());
    });
    assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
}
