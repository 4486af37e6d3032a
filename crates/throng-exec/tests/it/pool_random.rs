//! A pool of workers against a naive model, with random uses, failures and cancelled waits: the same worker to the
//! same wait at the same time, and no worker is lost.
//!
//! `THRONG_CASES` sets how many histories are tried.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use throng_exec::{AgentPool, Lease, WorkerState};
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use crate::random::cases;
use crate::support::{attempts, ms, poll_once};

#[derive(Clone, Copy, Debug)]
enum Step {
    Wait,
    Try,
    Return(usize, End),
    /// Gives a lease back, and drops the first wait before it is polled again.
    ReturnToNobody(usize),
    GiveUp(usize),
    Pass(u64),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Failed,
    Replaced,
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        4 => Just(End::Well),
        3 => Just(End::Failed),
        1 => Just(End::Replaced),
    ];
    prop_oneof![
        6 => Just(Step::Wait),
        1 => Just(Step::Try),
        6 => (any::<usize>(), end).prop_map(|(lease, end)| Step::Return(lease, end)),
        1 => any::<usize>().prop_map(Step::ReturnToNobody),
        1 => any::<usize>().prop_map(Step::GiveUp),
        3 => (0..20_u64).prop_map(Step::Pass),
    ]
}

const REST: Duration = Duration::from_millis(30);

#[derive(Clone, Default)]
struct Worker {
    busy: Duration,
    uses: u64,
    failures_in_a_row: u32,
    generation: u64,
    since: Option<Instant>,
    rests_until: Option<Instant>,
}

/// The pool as a list of workers that is searched each time.
struct Naive(Vec<Worker>);

impl Naive {
    fn take(&mut self) -> Option<usize> {
        let now = Instant::now();
        for worker in &mut self.0 {
            worker.rests_until = worker.rests_until.filter(|until| *until > now);
        }
        let free = (0..self.0.len()).filter(|&index| self.0[index].since.is_none());
        let able = free.clone().filter(|&index| self.0[index].rests_until.is_none());
        let all_rest = self.0.iter().all(|worker| worker.rests_until.is_some());
        let index = match able.min_by_key(|&index| (self.0[index].busy, self.0[index].uses, index)) {
            Some(index) => index,
            None if all_rest => free.min_by_key(|&index| (self.0[index].rests_until, index))?,
            None => return None,
        };
        self.0[index].rests_until = None;
        self.0[index].since = Some(now);
        self.0[index].uses += 1;
        Some(index)
    }

    fn give_back(&mut self, index: usize, end: End) {
        let worker = &mut self.0[index];
        worker.busy += worker
            .since
            .take()
            .map_or(Duration::ZERO, |since| since.elapsed());
        worker.rests_until = None;
        match end {
            End::Well => worker.failures_in_a_row = 0,
            End::Failed => {
                worker.failures_in_a_row += 1;
                worker.rests_until = (worker.failures_in_a_row >= 2).then(|| Instant::now() + REST);
            }
            End::Replaced => {
                worker.failures_in_a_row = 0;
                worker.generation += 1;
            }
        }
    }
}

type Wait<'a> = Pin<Box<dyn Future<Output = Lease<usize>> + 'a>>;

fn index(lease: &Lease<usize>) -> usize {
    **lease
}

fn take(leases: &mut Vec<Lease<usize>>, at: usize) -> Option<Lease<usize>> {
    (!leases.is_empty()).then(|| leases.swap_remove(at % leases.len()))
}

async fn history(size: usize, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let names = (0..size).map(|index| index.to_string());
    let pool = AgentPool::builder(|name| name.parse().unwrap_or(usize::MAX))
        .names(names)
        .rest_after(attempts(2))
        .rest(REST)
        .build()
        .unwrap();
    let mut naive = Naive(vec![Worker::default(); size]);
    let mut leases = Vec::new();
    let mut waits: Vec<Wait<'_>> = Vec::new();
    for step in steps {
        match step {
            Step::Wait => waits.push(Box::pin(pool.checkout())),
            Step::Try => {
                let expected = if waits.is_empty() { naive.take() } else { None };
                let lease = pool.try_checkout();
                prop_assert_eq!(lease.as_ref().map(index), expected);
                leases.extend(lease);
            }
            Step::Return(at, end) => {
                if let Some(mut lease) = take(&mut leases, at) {
                    naive.give_back(index(&lease), end);
                    match end {
                        End::Well => drop(lease),
                        End::Failed => lease.fail(),
                        End::Replaced => lease.replace(),
                    }
                }
            }
            Step::ReturnToNobody(at) => {
                if let Some(lease) = take(&mut leases, at) {
                    naive.give_back(index(&lease), End::Well);
                    drop(lease);
                    if !waits.is_empty() {
                        drop(waits.remove(0));
                    }
                }
            }
            Step::GiveUp(at) => {
                if !waits.is_empty() {
                    drop(waits.remove(at % waits.len()));
                }
            }
            Step::Pass(millis) => advance(ms(millis)).await,
        }
        let mut still = Vec::new();
        for mut wait in waits {
            // Without this the test, which is one task, would use up its budget.
            yield_now().await;
            let expected = if still.is_empty() { naive.take() } else { None };
            match poll_once(wait.as_mut()) {
                Poll::Ready(lease) => {
                    prop_assert_eq!(Some(index(&lease)), expected);
                    prop_assert_eq!(lease.generation(), naive.0[index(&lease)].generation + 1);
                    leases.push(lease);
                }
                Poll::Pending => {
                    prop_assert_eq!(expected, None);
                    still.push(wait);
                }
            }
        }
        waits = still;
        let busy = pool
            .stats()
            .iter()
            .filter(|worker| worker.state == WorkerState::Busy)
            .count();
        prop_assert_eq!(busy, leases.len());
    }
    drop((waits, leases));
    advance(2 * REST).await;
    let all: Vec<_> = std::iter::from_fn(|| pool.try_checkout()).collect();
    prop_assert_eq!(all.len(), size);
    for (worker, expected) in pool.stats().iter().zip(&naive.0) {
        prop_assert!(worker.busy >= expected.busy && worker.checkouts > expected.uses);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn it_behaves_as_a_naive_pool(size in 1..5_usize, steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(history(size, steps))?;
    }
}
