//! A pool of permits against a naive model: random requests, cancellations, releases and limits, and after each step
//! the same permits are out.
//!
//! `THRONG_CASES` sets how many histories are tried.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use throng_exec::{Permit, PermitPool, Priority, Request};
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use crate::random::cases;
use crate::support::{attempts, ms, n, poll_once};

#[derive(Clone, Copy, Debug)]
struct Wish {
    key: u8,
    priority: i8,
    weight: u32,
}

impl Wish {
    fn request(self) -> Request {
        let request = Request::new()
            .weight(attempts(self.weight))
            .priority(Priority::new(self.priority));
        match self.key {
            0 => request,
            key => request.key(key.to_string()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire(Wish),
    Try(Wish),
    Release(usize),
    /// Releases, and drops one of those that wait, or have just been granted a permit, before it is polled again.
    ReleaseAndGiveUp(usize, usize),
    GiveUp(usize),
    Resize(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let wish = || {
        (0..3_u8, -1..2_i8, 1..5_u32).prop_map(|(key, priority, weight)| Wish {
            key,
            priority,
            weight,
        })
    };
    prop_oneof![
        8 => wish().prop_map(Step::Acquire),
        2 => wish().prop_map(Step::Try),
        6 => any::<usize>().prop_map(Step::Release),
        2 => any::<(usize, usize)>().prop_map(|(permit, wait)| Step::ReleaseAndGiveUp(permit, wait)),
        2 => any::<usize>().prop_map(Step::GiveUp),
        2 => (1..7_usize).prop_map(Step::Resize),
        3 => (0..20_u64).prop_map(Step::Pass),
    ]
}

/// One request that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: usize,
    wish: Wish,
    since: Instant,
}

/// The pool as two lists that are searched each time: who waits, and whose turn it is within each priority.
struct Naive {
    limit: usize,
    ageing: Duration,
    out: Vec<(usize, u32)>,
    waiting: Vec<Waiting>,
    turns: Vec<(i8, u8)>,
}

impl Naive {
    fn lent(&self) -> usize {
        self.out.iter().map(|(_, weight)| *weight as usize).sum()
    }

    fn update(&mut self) {
        let waits = |turn: &(i8, u8)| {
            self.waiting
                .iter()
                .any(|waiting| (waiting.wish.priority, waiting.wish.key) == *turn)
        };
        let mut turns: Vec<_> = self.turns.iter().copied().filter(waits).collect();
        for waiting in &self.waiting {
            let turn = (waiting.wish.priority, waiting.wish.key);
            if !turns.contains(&turn) {
                turns.push(turn);
            }
        }
        self.turns = turns;
    }

    /// Returns the place of the request whose turn it is.
    fn next(&self) -> Option<usize> {
        let now = Instant::now();
        let of_priority = |priority| {
            let turn = self.turns.iter().find(|turn| turn.0 == priority)?;
            self.waiting
                .iter()
                .position(|waiting| (waiting.wish.priority, waiting.wish.key) == *turn)
        };
        let rank = |at: &usize| {
            let waiting = &self.waiting[*at];
            let priority = i128::from(waiting.wish.priority);
            if self.ageing.is_zero() {
                priority
            } else {
                priority * self.ageing.as_millis().cast_signed()
                    + (now - waiting.since).as_millis().cast_signed()
            }
        };
        // Of equals `max_by_key` takes the last: the one that began higher.
        (-1..2).filter_map(of_priority).max_by_key(rank)
    }

    fn ask(&mut self, id: usize, wish: Wish) {
        let since = Instant::now();
        self.waiting.push(Waiting { id, wish, since });
        self.update();
        self.grant();
    }

    fn give_up(&mut self, id: usize) {
        self.waiting.retain(|waiting| waiting.id != id);
        self.out.retain(|(out, _)| *out != id);
        self.update();
        self.grant();
    }

    fn grant(&mut self) {
        while let Some(at) = self.next() {
            let Waiting { id, wish, .. } = self.waiting[at];
            let weight = wish.weight.min(u32::try_from(self.limit).unwrap_or(u32::MAX));
            if self.lent() + weight as usize > self.limit {
                return;
            }
            self.out.push((id, weight));
            self.waiting.remove(at);
            self.turns.retain(|turn| *turn != (wish.priority, wish.key));
            self.update();
        }
    }
}

type Wait<'a> = (usize, Pin<Box<dyn Future<Output = Permit> + 'a>>);

fn take<T>(from: &mut Vec<T>, at: usize) -> Option<T> {
    (!from.is_empty()).then(|| from.remove(at % from.len()))
}

async fn history(limit: usize, ageing: u64, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let ageing = ms(ageing);
    let pool = PermitPool::builder(n(limit)).ageing(ageing).build();
    let mut naive = Naive {
        limit,
        ageing,
        out: Vec::new(),
        waiting: Vec::new(),
        turns: Vec::new(),
    };
    let mut permits: Vec<(usize, Permit)> = Vec::new();
    let mut waits: Vec<Wait<'_>> = Vec::new();
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Acquire(wish) => {
                waits.push((id, Box::pin(pool.acquire(wish.request()))));
                naive.ask(id, wish);
            }
            Step::Try(wish) => {
                naive.ask(id, wish);
                if naive.waiting.iter().any(|waiting| waiting.id == id) {
                    naive.give_up(id);
                }
                permits.extend(pool.try_acquire(&wish.request()).map(|permit| (id, permit)));
            }
            Step::Release(at) => {
                if let Some((id, permit)) = take(&mut permits, at) {
                    drop(permit);
                    naive.give_up(id);
                }
            }
            Step::ReleaseAndGiveUp(at, wait) => {
                if let Some((id, permit)) = take(&mut permits, at) {
                    drop(permit);
                    naive.give_up(id);
                }
                if let Some((id, wait)) = take(&mut waits, wait) {
                    drop(wait);
                    naive.give_up(id);
                }
            }
            Step::GiveUp(at) => {
                if let Some((id, wait)) = take(&mut waits, at) {
                    drop(wait);
                    naive.give_up(id);
                }
            }
            Step::Resize(limit) => {
                pool.resize(n(limit));
                naive.limit = limit;
                naive.grant();
            }
            Step::Pass(millis) => advance(ms(millis)).await,
        }
        let mut still = Vec::new();
        for (id, mut wait) in waits {
            // Without this the test, which is one task, would use up its budget.
            yield_now().await;
            match poll_once(wait.as_mut()) {
                Poll::Ready(permit) => permits.push((id, permit)),
                Poll::Pending => still.push((id, wait)),
            }
        }
        waits = still;
        let mut out: Vec<_> = permits
            .iter()
            .map(|(id, permit)| (*id, permit.weight().get()))
            .collect();
        out.sort_unstable();
        naive.out.sort_unstable();
        prop_assert_eq!(out, naive.out.clone());
        prop_assert_eq!(pool.in_use(), naive.lent());
        prop_assert_eq!(pool.available(), naive.limit.saturating_sub(naive.lent()));
        prop_assert_eq!(pool.waiting(), naive.waiting.len());
        prop_assert_eq!(pool.waiting(), waits.len());
    }
    drop((permits, waits));
    prop_assert_eq!((pool.in_use(), pool.waiting()), (0, 0));
    let all = u32::try_from(pool.limit().get()).unwrap_or(u32::MAX);
    prop_assert!(pool.try_acquire(&Request::new().weight(attempts(all))).is_some());
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn it_behaves_as_a_naive_pool(
        limit in 1..7_usize,
        ageing in prop::sample::select(vec![0_u64, 10]),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(history(limit, ageing, steps))?;
    }
}
