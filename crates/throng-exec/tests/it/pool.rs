//! A pool of workers: balance, exclusive use, replacement, rest and trial, and that no worker is ever lost.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use throng_core::OutcomeKind;
use throng_exec::{AgentPool, Attempt, Lease, WorkerState, WorkerStats};
use tokio::time::{Instant, advance, sleep};

use crate::support::{Fault, PERMANENT, attempts, ms, n, once, poll_once};

/// A pool whose workers know how often they were used.
fn pool(size: usize) -> AgentPool<u32> {
    AgentPool::builder(|_| 0).workers(n(size)).build().unwrap()
}

fn idle<S>(pool: &AgentPool<S>) -> usize {
    count(&pool.stats(), WorkerState::Idle)
}

fn count(stats: &[WorkerStats], state: WorkerState) -> usize {
    stats.iter().filter(|worker| worker.state == state).count()
}

fn within_a_tenth(values: impl Iterator<Item = f64>) -> bool {
    let values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().all(|value| (value - mean).abs() <= mean / 10.0)
}

fn assert_balanced<S>(pool: &AgentPool<S>) {
    let stats = pool.stats();
    let busy = stats.iter().map(|worker| worker.busy.as_secs_f64());
    let checkouts = stats.iter().map(|worker| worker.checkouts as f64);
    assert!(
        within_a_tenth(busy) && within_a_tenth(checkouts),
        "the work is not balanced: {stats:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn equal_jobs_are_spread_evenly() {
    for concurrent in [1, 2, 5, 6] {
        let pool = pool(6);
        let work = |mut worker: Lease<u32>, _: u32, _: Attempt| async move {
            *worker += 1;
            sleep(ms(10)).await;
            Ok::<_, Fault>(())
        };
        let executor = once(concurrent).build().unwrap();
        let report = pool.execute_batch(&executor, 0..600, work).await;
        assert_eq!(report.summary.count(OutcomeKind::Succeeded), 600);
        assert_balanced(&pool);
        assert_eq!(
            pool.stats().iter().map(|worker| worker.checkouts).sum::<u64>(),
            600
        );
        assert_eq!(
            pool.stats().iter().map(|worker| worker.busy).sum::<Duration>(),
            ms(6_000)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_of_different_lengths_are_spread_by_time() {
    let pool = pool(4);
    let work = |_worker: Lease<u32>, millis: u64, _: Attempt| async move {
        sleep(ms(1 + millis * 31 % 97)).await;
        Ok::<_, Fault>(())
    };
    let executor = once(4).build().unwrap();
    let _ = pool.execute_batch(&executor, 0..800, work).await;
    let stats = pool.stats();
    assert!(
        within_a_tenth(stats.iter().map(|worker| worker.busy.as_secs_f64())),
        "{stats:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_least_busy_worker_is_next_and_names_break_ties() {
    let pool = AgentPool::builder(str::to_owned)
        .names(["c", "b", "a"])
        .build()
        .unwrap();
    let c = pool.checkout().await;
    assert_eq!((c.name(), c.as_str(), c.generation()), ("c", "c", 1));
    let b = pool.checkout().await;
    assert_eq!(b.name(), "b");
    advance(ms(10)).await;
    drop(b);
    advance(ms(10)).await;
    drop(c);
    // Busy so far: c 20 ms, b 10 ms, a nothing.
    let first = pool.checkout().await;
    let second = pool.checkout().await;
    assert_eq!((first.name(), second.name()), ("a", "b"));
    drop((first, second));
    // a was used once and for no time at all.
    assert_eq!(pool.try_checkout().unwrap().name(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_worker_has_one_use_at_a_time_and_keeps_its_state() {
    let pool = pool(3);
    let work = |mut worker: Lease<u32>, _: u32, _: Attempt| async move {
        let before = *worker;
        sleep(ms(5)).await;
        *worker = before + 1;
        Ok::<_, Fault>(())
    };
    let executor = once(10).build().unwrap();
    let _ = pool.execute_batch(&executor, 0..100, work).await;
    let leases = [pool.try_checkout(), pool.try_checkout(), pool.try_checkout()];
    assert_eq!(leases.iter().flatten().map(|lease| **lease).sum::<u32>(), 100);
    assert!(pool.try_checkout().is_none());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order() {
    let pool = pool(2);
    let order = Arc::new(Mutex::new(Vec::new()));
    let waits = (0..20).map(|number| {
        let (pool, order) = (pool.clone(), Arc::clone(&order));
        tokio::spawn(async move {
            let _lease = pool.checkout().await;
            order.lock().unwrap().push(number);
            sleep(ms(7)).await;
        })
    });
    for wait in waits.collect::<Vec<_>>() {
        wait.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_who_waits() {
    let pool = pool(1);
    let lease = pool.checkout().await;
    let mut first = pin!(pool.checkout());
    assert!(poll_once(first.as_mut()).is_pending());
    drop(lease);
    assert!(pool.try_checkout().is_none(), "the worker is the waiting one's");
    let mut second = pin!(pool.checkout());
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(pool.stats()[0].state, WorkerState::Busy);
    assert!(poll_once(first.as_mut()).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_dropped_loses_no_worker() {
    let pool = pool(1);
    for handed_over in [false, true] {
        let lease = pool.checkout().await;
        let mut next = Box::pin(pool.checkout());
        let mut given_up = Box::pin(pool.checkout());
        if handed_over {
            std::mem::swap(&mut next, &mut given_up);
        }
        assert!(poll_once(next.as_mut()).is_pending());
        assert!(poll_once(given_up.as_mut()).is_pending());
        if handed_over {
            drop(lease);
            drop(next);
            assert!(poll_once(given_up.as_mut()).is_ready(), "the next in line has it");
        } else {
            drop(given_up);
            drop(lease);
            assert!(poll_once(next.as_mut()).is_ready());
        }
        assert_eq!(idle(&pool), 1);
    }
    assert_eq!(
        pool.stats()[0].checkouts,
        4,
        "a hand-over that nobody came for is no use"
    );
}

#[tokio::test(start_paused = true)]
async fn every_input_has_an_outcome_whatever_panics() {
    let pool = pool(4);
    let work = |worker: Lease<u32>, job: u64, _: Attempt| async move {
        sleep(ms(job % 3)).await;
        assert!(!job.is_multiple_of(5), "job {job} on {}", worker.name());
        sleep(ms(job % 4)).await;
        Ok::<_, Fault>(())
    };
    let executor = once(4).build().unwrap();
    let report = pool.execute_batch(&executor, 0..200, work).await;
    assert_eq!(report.finished.len(), 200);
    for job in &report.finished {
        let panicked = job.outcome.kind() == OutcomeKind::Panicked;
        assert_eq!(panicked, job.input % 5 == 0, "{job:?}");
    }
    let stats = pool.stats();
    assert_eq!((stats.len(), pool.size()), (4, n(4)));
    assert_eq!(stats.iter().map(|worker| worker.replaced).sum::<u64>(), 40);
    assert_eq!(stats.iter().map(|worker| worker.failures).sum::<u64>(), 40);
    assert!(
        stats
            .iter()
            .all(|worker| worker.generation == worker.replaced + 1)
    );
    assert_eq!(count(&stats, WorkerState::Busy), 0);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_worker_has_a_new_state_under_its_name() {
    let pool = pool(1);
    let mut lease = pool.checkout().await;
    *lease = 7;
    drop(lease);
    let lease = pool.checkout().await;
    assert_eq!((*lease, lease.generation()), (7, 1));
    lease.replace();
    assert_eq!((pool.stats()[0].replaced, pool.stats()[0].failures), (1, 0));
    let lease = pool.checkout().await;
    assert_eq!((*lease, lease.generation(), lease.name()), (0, 2, "agent-0"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_fails_in_a_row_rests_while_others_work() {
    let pool = pool(2);
    let other = pool.checkout().await;
    for _ in 0..3 {
        assert_eq!(idle(&pool), 1);
        let mut lease = pool.checkout().await;
        assert_eq!(lease.name(), "agent-1");
        lease.fail();
    }
    assert_eq!(pool.stats()[1].state, WorkerState::Resting);
    assert!(
        pool.try_checkout().is_none(),
        "agent-0 does not rest, it is in use"
    );
    let mut wait = Box::pin(pool.checkout());
    assert!(poll_once(wait.as_mut()).is_pending());
    drop(other);
    let Poll::Ready(lease) = poll_once(wait.as_mut()) else {
        panic!("agent-0 is back");
    };
    assert_eq!(lease.name(), "agent-0");
}

#[tokio::test(start_paused = true)]
async fn after_its_rest_a_worker_has_one_trial() {
    let pool = pool(2);
    let began = Instant::now();
    let _other = pool.checkout().await;
    for _ in 0..3 {
        pool.checkout().await.fail();
    }
    let mut trial = pool.checkout().await;
    assert_eq!(
        (trial.name(), began.elapsed()),
        ("agent-1", ms(30_000)),
        "the rest is waited for"
    );
    trial.fail();
    drop(trial);
    assert_eq!(
        pool.stats()[1].state,
        WorkerState::Resting,
        "one more failure is enough"
    );
    drop(pool.checkout().await);
    assert_eq!(began.elapsed(), ms(60_000));
    pool.checkout().await.fail();
    assert_eq!(idle(&pool), 1, "after a success the failures are counted anew");
}

#[tokio::test(start_paused = true)]
async fn the_next_in_line_sees_the_end_of_a_rest_when_the_first_gives_up() {
    let pool = AgentPool::builder(|_| ())
        .workers(n(2))
        .rest_after(attempts(1))
        .build()
        .unwrap();
    let _other = pool.checkout().await;
    let began = Instant::now();
    let mut failing = pool.checkout().await;
    failing.fail();
    let first = tokio::spawn({
        let pool = pool.clone();
        async move { drop(pool.checkout().await) }
    });
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { pool.checkout().await.name().to_owned() }
    });
    sleep(ms(10)).await;
    drop(failing);
    sleep(ms(10)).await;
    first.abort();
    assert_eq!(second.await.unwrap(), "agent-1");
    assert_eq!(began.elapsed(), ms(30_010));
}

#[tokio::test(start_paused = true)]
async fn where_all_rest_one_at_a_time_is_tried() {
    let pool = AgentPool::builder(|_| ())
        .workers(n(3))
        .rest_after(attempts(1))
        .build()
        .unwrap();
    for _ in 0..3 {
        advance(ms(1)).await;
        pool.checkout().await.fail();
    }
    assert_eq!(count(&pool.stats(), WorkerState::Resting), 3);
    let mut trial = pool.try_checkout().unwrap();
    assert_eq!(trial.name(), "agent-0", "its rest ends first");
    assert!(pool.try_checkout().is_none());
    trial.fail();
    drop(trial);
    let second = pool.try_checkout().unwrap();
    assert_eq!(second.name(), "agent-1");
    drop(second);
    assert_eq!(
        pool.try_checkout().unwrap().name(),
        "agent-1",
        "the one that works"
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_is_a_failed_use_unless_the_lease_says_otherwise() {
    async fn failures(work: impl Fn(Lease<u32>) -> Result<(), Fault> + Copy + Send + Sync + 'static) -> u64 {
        let pool = pool(1);
        let executor = once(1).build().unwrap();
        let work = move |worker: Lease<u32>, _: u32, _: Attempt| async move { work(worker) };
        let _ = pool.execute_batch(&executor, 0..2, work).await;
        pool.stats()[0].failures
    }
    assert_eq!(failures(|_| Err(PERMANENT)).await, 2);
    assert_eq!(failures(|_| Ok(())).await, 0);
    let excused = |mut worker: Lease<u32>| {
        worker.pass();
        Err(PERMANENT)
    };
    assert_eq!(failures(excused).await, 0);
    let blamed = |mut worker: Lease<u32>| {
        worker.fail();
        Ok(())
    };
    assert_eq!(failures(blamed).await, 2);
    let dropped_before = |worker: Lease<u32>| {
        drop(worker);
        Err(PERMANENT)
    };
    assert_eq!(failures(dropped_before).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_held_to_the_end_of_the_attempt_and_of_the_lease() {
    let pool = pool(1);
    let executor = once(2).build().unwrap();
    let work = |worker: Lease<u32>, keep: bool, _: Attempt| async move {
        if keep {
            tokio::spawn(async move {
                sleep(ms(100)).await;
                drop(worker);
            });
        } else {
            drop(worker);
            sleep(ms(50)).await;
        }
        Ok::<_, Fault>(())
    };
    let began = Instant::now();
    let _ = pool.execute_batch(&executor, [false, true, false], work).await;
    assert_eq!(began.elapsed(), ms(50 + 100 + 50));
    assert_eq!(pool.stats()[0].busy, ms(200));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_a_failed_use_and_an_abort_is_none() {
    let pool = pool(1);
    let work = |_worker: Lease<u32>, _: u32, _: Attempt| async move {
        sleep(ms(1_000)).await;
        Ok::<_, Fault>(())
    };
    let executor = once(1).attempt_timeout(ms(10)).build().unwrap();
    let report = pool.execute_batch(&executor, [0], work).await;
    assert_eq!(report.summary.count(OutcomeKind::TimedOut), 1);
    assert_eq!((idle(&pool), pool.stats()[0].failures), (1, 1));

    let run = once(1).build().unwrap().start([0, 1], pool.runner(work));
    sleep(ms(10)).await;
    assert_eq!(idle(&pool), 0);
    run.shutdown().await;
    assert_eq!((idle(&pool), pool.stats()[0].failures), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_is_asked_again_at_the_next_checkout() {
    let broken = Arc::new(AtomicBool::new(true));
    let calls = Arc::new(AtomicU32::new(0));
    let (told, called) = (Arc::clone(&broken), Arc::clone(&calls));
    let factory = move |name: &str| {
        called.fetch_add(1, Ordering::SeqCst);
        assert!(!told.load(Ordering::SeqCst), "no state for {name}");
    };
    let pool = AgentPool::builder(factory).workers(n(1)).build().unwrap();
    assert_eq!(
        calls.load(Ordering::SeqCst),
        0,
        "no state is made before it is needed"
    );
    for failure in 1..=4 {
        let caught = catch_unwind(AssertUnwindSafe(|| pool.try_checkout()));
        assert!(caught.is_err());
        assert_eq!(pool.stats()[0].failures, failure);
    }
    assert_eq!(pool.stats()[0].state, WorkerState::Resting);
    let executor = once(1).build().unwrap();
    let work = |_: Lease<()>, _: u32, _: Attempt| async move { Ok::<_, Fault>(()) };
    let report = pool.execute_batch(&executor, 0..3, work).await;
    assert_eq!(report.summary.count(OutcomeKind::Panicked), 3);
    broken.store(false, Ordering::SeqCst);
    let report = pool.execute_batch(&executor, 0..3, work).await;
    assert_eq!(report.summary.count(OutcomeKind::Succeeded), 3);
    assert_eq!((idle(&pool), pool.stats()[0].generation), (1, 1));
    assert_eq!(calls.load(Ordering::SeqCst), 8);
}

/// A state whose drop panics.
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        panic!("the state does not go quietly");
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_whose_drop_panics_does_not_take_its_place_along() {
    let made = AtomicU32::new(0);
    let factory = move |_: &str| (made.fetch_add(1, Ordering::SeqCst) == 0).then(|| Explosive);
    let pool = AgentPool::builder(factory).workers(n(1)).build().unwrap();
    let lease = pool.checkout().await;
    assert!(catch_unwind(AssertUnwindSafe(|| lease.replace())).is_err());
    assert!(pool.checkout().await.is_none());
    assert_eq!((idle(&pool), pool.stats()[0].generation), (1, 2));
}

#[test]
fn a_pool_has_workers_with_names_of_their_own() {
    let build = |names: &[&str]| {
        let names = names.iter().copied();
        AgentPool::builder(|_| ())
            .names(names)
            .build()
            .map(|pool| pool.size())
    };
    assert_eq!(build(&["a", "b"]), Ok(n(2)));
    assert_eq!(
        build(&["a", "b", "a"]).unwrap_err().to_string(),
        "names is a, but each worker must have a name of its own"
    );
    assert_eq!(
        build(&[]).unwrap_err().to_string(),
        "names is empty, but a pool must have a worker"
    );
    assert_eq!(AgentPool::builder(|_| ()).build().unwrap().size(), n(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_give_up_and_panic_lose_no_worker() {
    let pool = AgentPool::builder(|_| AtomicBool::new(false))
        .workers(n(3))
        .rest(Duration::ZERO)
        .build()
        .unwrap();
    let tasks = (0..8_u64).map(|task| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut rng = fastrand::Rng::with_seed(task);
            for _ in 0..300 {
                let patient = !rng.u8(..).is_multiple_of(4);
                let mut wait = Box::pin(pool.checkout());
                let lease = if patient {
                    wait.await
                } else if let Poll::Ready(lease) = poll_once(wait.as_mut()) {
                    lease
                } else {
                    continue;
                };
                assert!(
                    !lease.swap(true, Ordering::SeqCst),
                    "seed {task}: two uses at a time"
                );
                tokio::task::yield_now().await;
                lease.store(false, Ordering::SeqCst);
                match rng.u8(..) % 8 {
                    0 => lease.replace(),
                    1 => {
                        let panicked = catch_unwind(AssertUnwindSafe(move || {
                            let _lease = lease;
                            std::panic::resume_unwind(Box::new(()));
                        }));
                        assert!(panicked.is_err());
                    }
                    _ => drop(lease),
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let stats = pool.stats();
    assert_eq!(count(&stats, WorkerState::Idle), 3, "{stats:#?}");
    assert!(
        stats
            .iter()
            .all(|worker| worker.generation == worker.replaced + 1)
    );
    let leases: Vec<_> = std::iter::from_fn(|| pool.try_checkout()).collect();
    let names: HashSet<_> = leases.iter().map(Lease::name).collect();
    assert_eq!(names.len(), 3);
}
