//! The cache of measurements against a naive model, and what happens at its limits.
//!
//! `THRONG_CASES` sets how many histories are tried.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::Config;
use throng_exec::{Attempt, MetricsCache};
use tokio::time::{Instant, advance};

use crate::random::cases;
use crate::support::{Fault, ms, n, once};

fn cache(capacity: usize, millis: u64) -> MetricsCache<String, u32> {
    MetricsCache::new(n(capacity), ms(millis))
}

fn get(cache: &MetricsCache<String, u32>, key: &str) -> Option<u32> {
    cache.get(key).map(|value| *value)
}

#[tokio::test(start_paused = true)]
async fn the_summary_of_a_run_is_found_under_its_question() {
    let cache = MetricsCache::new(n(10), ms(1_000));
    let runner = |_: u64, _: Attempt| async move { Ok::<_, Fault>(()) };
    let report = once(2).build().unwrap().run(0..5, runner).await;
    cache.insert("question", report.summary);
    assert_eq!(cache.get("question").unwrap().ended(), 5);
    assert!(cache.get("another").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_entry_lives_for_its_time_however_often_it_is_read() {
    let cache = cache(10, 100);
    cache.insert("a".to_owned(), 1);
    advance(ms(99)).await;
    assert_eq!((get(&cache, "a"), cache.len()), (Some(1), 1));
    advance(ms(1)).await;
    assert_eq!((get(&cache, "a"), cache.len()), (None, 0));
    assert_eq!(cache.remove("a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_new_value_begins_a_new_life() {
    let cache = cache(10, 100);
    assert_eq!(cache.insert("a".to_owned(), 1), None);
    advance(ms(60)).await;
    assert_eq!(cache.insert("a".to_owned(), 2).as_deref(), Some(&1));
    advance(ms(60)).await;
    assert_eq!(get(&cache, "a"), Some(2));
    advance(ms(40)).await;
    assert_eq!(
        cache.insert("a".to_owned(), 3),
        None,
        "the value that was there had expired"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_lets_the_least_recently_used_go() {
    let cache = cache(2, 100);
    cache.insert("a".to_owned(), 1);
    cache.insert("b".to_owned(), 2);
    assert_eq!(get(&cache, "a"), Some(1));
    cache.insert("c".to_owned(), 3);
    assert_eq!(
        ["a", "b", "c"].map(|key| get(&cache, key)),
        [Some(1), None, Some(3)]
    );
    cache.insert("c".to_owned(), 4);
    assert_eq!(cache.len(), 2, "a value in place of another needs no room");
}

#[tokio::test(start_paused = true)]
async fn an_expired_entry_goes_before_one_that_was_not_read_for_longer() {
    let cache = cache(2, 100);
    cache.insert("old".to_owned(), 1);
    advance(ms(50)).await;
    cache.insert("young".to_owned(), 2);
    assert_eq!(get(&cache, "old"), Some(1), "now it is the most recently used");
    advance(ms(50)).await;
    cache.insert("new".to_owned(), 3);
    assert_eq!(
        ["old", "young", "new"].map(|key| get(&cache, key)),
        [None, Some(2), Some(3)]
    );
}

#[tokio::test(start_paused = true)]
async fn no_time_keeps_nothing_and_endless_time_keeps_all() {
    let none = cache(2, 0);
    none.insert("a".to_owned(), 1);
    assert!(none.is_empty());
    let endless = MetricsCache::new(n(2), Duration::MAX);
    endless.insert("a", 1);
    advance(Duration::from_secs(1 << 30)).await;
    assert_eq!(endless.get("a").as_deref(), Some(&1));
    endless.clear();
    assert!(endless.is_empty());
}

/// A value that uses the cache when it is dropped.
struct Reentrant(Weak<MetricsCache<u32, Reentrant>>, Arc<AtomicUsize>);

impl Drop for Reentrant {
    fn drop(&mut self) {
        if let Some(cache) = self.0.upgrade() {
            self.1.fetch_add(cache.len() + 1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn values_are_dropped_while_the_cache_is_not_locked() {
    let cache = Arc::new(MetricsCache::new(n(2), ms(100)));
    let seen = Arc::new(AtomicUsize::new(0));
    let insert = |key| cache.insert(key, Reentrant(Arc::downgrade(&cache), Arc::clone(&seen)));
    insert(1);
    insert(2);
    drop(insert(2));
    assert_eq!(seen.swap(0, Ordering::SeqCst), 3, "replaced");
    insert(3);
    assert_eq!(seen.swap(0, Ordering::SeqCst), 3, "evicted");
    drop(cache.remove(&3));
    assert_eq!(seen.swap(0, Ordering::SeqCst), 2, "removed");
    advance(ms(100)).await;
    assert!(cache.is_empty());
    assert_eq!(seen.swap(0, Ordering::SeqCst), 1, "expired");
    insert(4);
    cache.clear();
    assert_eq!(seen.swap(0, Ordering::SeqCst), 1, "cleared");
}

#[test]
fn threads_share_it_without_a_runtime() {
    let cache = MetricsCache::new(n(64), Duration::from_secs(3_600));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let cache = &cache;
            scope.spawn(move || {
                for step in 0..2_000 {
                    let key = (step * 7 + thread) % 100;
                    cache.insert(key, key * 2);
                    if let Some(value) = cache.get(&(key / 2)) {
                        assert_eq!(*value, key / 2 * 2);
                    }
                    if step % 11 == 0 {
                        cache.remove(&key);
                    }
                    assert!(cache.len() <= 64);
                }
            });
        }
    });
}

/// A key of which many have the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clash(u8);

impl std::hash::Hash for Clash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.0 % 2).hash(state);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u8),
    Get(u8),
    Remove(u8),
    Pass(u64),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..8_u8).prop_map(Step::Insert),
        6 => (0..8_u8).prop_map(Step::Get),
        2 => (0..8_u8).prop_map(Step::Remove),
        3 => (0..60_u64).prop_map(Step::Pass),
        1 => Just(Step::Clear),
    ]
}

/// The same cache as a list, the least recently used first.
struct Naive {
    entries: Vec<(u8, u32, Instant)>,
    capacity: usize,
}

impl Naive {
    fn take(&mut self, key: u8) -> Option<(u8, u32, Instant)> {
        let now = Instant::now();
        self.entries.retain(|(_, _, inserted)| now - *inserted < ms(100));
        let place = self.entries.iter().position(|(other, ..)| *other == key)?;
        Some(self.entries.remove(place))
    }

    fn insert(&mut self, key: u8, value: u32) -> Option<u32> {
        let old = self.take(key);
        if self.entries.len() == self.capacity {
            self.entries.remove(0);
        }
        self.entries.push((key, value, Instant::now()));
        old.map(|(_, value, _)| value)
    }

    fn get(&mut self, key: u8) -> Option<u32> {
        let entry = self.take(key)?;
        self.entries.push(entry);
        Some(entry.1)
    }
}

proptest! {
    #![proptest_config(Config { cases: cases(), failure_persistence: None, ..Config::default() })]

    #[test]
    fn it_behaves_as_a_naive_cache(capacity in 1..6_usize, steps in prop::collection::vec(step(), 0..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let cache = MetricsCache::new(n(capacity), ms(100));
            let mut naive = Naive { entries: Vec::new(), capacity };
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Insert(key) => {
                        let old = cache.insert(Clash(key), number);
                        prop_assert_eq!(old.as_deref().copied(), naive.insert(key, number));
                    }
                    Step::Get(key) => {
                        prop_assert_eq!(cache.get(&Clash(key)).as_deref().copied(), naive.get(key));
                    }
                    Step::Remove(key) => {
                        let removed = cache.remove(&Clash(key));
                        prop_assert_eq!(removed.as_deref().copied(), naive.take(key).map(|entry| entry.1));
                    }
                    Step::Pass(millis) => advance(ms(millis)).await,
                    Step::Clear => {
                        cache.clear();
                        naive.entries.clear();
                    }
                }
                naive.take(u8::MAX);
                prop_assert_eq!(cache.len(), naive.entries.len());
            }
            Ok(())
        })?;
    }
}
