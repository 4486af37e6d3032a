//! What the store tells, against naive sums.

use std::time::Duration;

use proptest::prelude::*;
use throng_core::OutcomeKind;
use throng_store::{Filter, Kind, Last, Series, Store, ToolBatch, Verdict};

use crate::support::{batch, cases, metric};

const OUTCOMES: [OutcomeKind; 4] = [
    OutcomeKind::Succeeded,
    OutcomeKind::Failed,
    OutcomeKind::TimedOut,
    OutcomeKind::Skipped,
];

fn batches() -> impl Strategy<Value = Vec<ToolBatch>> {
    let call = (0..3_usize, 0..300_u64, 0..OUTCOMES.len());
    let one = (0..100_i64, prop::collection::vec(call, 0..8), 1..500_u64);
    prop::collection::vec(one, 0..8).prop_map(|batches| {
        batches
            .into_iter()
            .map(|(started_ms, calls, wall)| {
                let named: Vec<(&str, u64)> = calls
                    .iter()
                    .map(|call| (["a", "b", "c"][call.0], call.1))
                    .collect();
                let mut batch = batch(started_ms, &named);
                batch.wall = Duration::from_millis(wall);
                for (call, (_, _, outcome)) in batch.calls.iter_mut().zip(&calls) {
                    call.outcome = OUTCOMES[*outcome];
                    call.attempts = u32::from(call.outcome != OutcomeKind::Skipped);
                }
                batch.success = batch
                    .calls
                    .iter()
                    .all(|call| call.outcome == OutcomeKind::Succeeded);
                batch
            })
            .collect()
    })
}

/// The smallest value that at least that share of the values does not exceed.
fn naive_percentile(values: &[Duration], percent: usize) -> Option<Duration> {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted
        .iter()
        .find(|value| {
            let not_above = sorted.iter().filter(|other| other <= value).count();
            not_above * 100 >= percent * sorted.len()
        })
        .copied()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(32)))]
    #[test]
    fn figures_are_those_of_a_naive_sum(batches in batches(), since in prop::option::of(0..100_i64)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Store::in_memory().unwrap();
        runtime.block_on(async {
            for batch in &batches {
                store.record_tool_batch(batch.clone()).await.unwrap();
            }
        });
        let filter = Filter { since_ms: since, ..Filter::default() };
        let stats = store.stats(&filter).unwrap();
        let picked: Vec<&ToolBatch> = batches
            .iter()
            .filter(|batch| since.is_none_or(|since| batch.started_ms >= since))
            .collect();
        prop_assert_eq!(stats.batches.n as usize, picked.len());
        prop_assert_eq!(
            stats.batches.success.successes as usize,
            picked.iter().filter(|batch| batch.success).count()
        );
        let sum = |of: fn(&ToolBatch) -> Duration| picked.iter().map(|batch| of(batch)).sum::<Duration>();
        let (wall, work) = (sum(|batch| batch.wall), sum(|batch| batch.work));
        prop_assert_eq!(
            stats.batches.overlap,
            (!picked.is_empty()).then(|| work.as_secs_f64() / wall.as_secs_f64())
        );
        for tool in ["a", "b", "c"] {
            let calls: Vec<_> = picked
                .iter()
                .flat_map(|batch| &batch.calls)
                .filter(|call| call.tool == tool)
                .collect();
            let of = stats.tools.iter().find(|of| of.tool == tool);
            prop_assert_eq!(of.is_some(), !calls.is_empty());
            let Some(of) = of else { continue };
            let times: Vec<Duration> = calls
                .iter()
                .filter(|call| call.attempts > 0)
                .map(|call| call.ended - call.started)
                .collect();
            prop_assert_eq!(of.time.map(|time| time.p50), naive_percentile(&times, 50));
            prop_assert_eq!(of.time.map(|time| time.p95), naive_percentile(&times, 95));
            prop_assert_eq!(of.time.map(|time| time.max), times.iter().max().copied());
            prop_assert_eq!(of.time.map_or(0, |time| time.n as usize), times.len());
            prop_assert_eq!(of.success.n as usize, calls.len());
            let succeeded = calls.iter().filter(|call| call.outcome == OutcomeKind::Succeeded).count();
            prop_assert_eq!(of.success.successes as usize, succeeded);
            prop_assert!(of.success.low <= of.success.share().unwrap());
            prop_assert!(of.success.share().unwrap() <= of.success.high);
        }
        let last = batches.iter().enumerate().max_by_key(|(i, batch)| (batch.started_ms, *i));
        prop_assert_eq!(
            store.last(Kind::ToolBatch).unwrap(),
            last.map(|(_, batch)| Last::ToolBatch(batch.clone()))
        );
    }
}

#[tokio::test]
async fn a_filter_takes_sessions_tools_and_times() {
    let store = Store::in_memory().unwrap();
    for (i, session) in ["x", "y", "x"].into_iter().enumerate() {
        let mut batch = batch(i as i64 * 10, &[("a", 5), (if i == 0 { "b" } else { "c" }, 9)]);
        batch.session = session.to_owned();
        store.record_tool_batch(batch).await.unwrap();
    }
    let n = |filter: Filter| {
        let stats = store.stats(&filter).unwrap();
        (stats.batches.n, stats.tools.len())
    };
    let all = Filter::default();
    assert_eq!(n(all.clone()), (3, 3));
    assert_eq!(
        n(Filter {
            session: Some("x".into()),
            ..all.clone()
        }),
        (2, 3)
    );
    assert_eq!(
        n(Filter {
            tool: Some("b".into()),
            ..all.clone()
        }),
        (1, 1)
    );
    assert_eq!(
        n(Filter {
            since_ms: Some(10),
            until_ms: Some(20),
            ..all
        }),
        (1, 2)
    );
}

#[tokio::test]
async fn medians_for_a_scheduler_are_of_the_latest_successes() {
    let store = Store::in_memory().unwrap();
    let mut failed = batch(0, &[("a", 900), ("never", 1)]);
    for call in &mut failed.calls {
        call.outcome = OutcomeKind::Failed;
    }
    store.record_tool_batch(failed).await.unwrap();
    for i in 0..100 {
        store
            .record_tool_batch(batch(i, &[("a", 100), ("b", 7)]))
            .await
            .unwrap();
    }
    for i in 0..210 {
        store
            .record_tool_batch(batch(1000 + i, &[("a", 20)]))
            .await
            .unwrap();
    }
    let medians = store.median_by_tool().unwrap();
    let of = |tool: &str| medians.get(tool).map(|of| (of.median.as_millis(), of.n));
    assert_eq!(
        (of("a"), of("b"), of("never")),
        (Some((20, 200)), Some((7, 100)), None)
    );
}

/// Records a batch for each time of a tool.
async fn record_times(store: &Store, tool: &str, times: &[u64]) {
    for (i, time) in times.iter().enumerate() {
        // Three calls, of which the median counts.
        let calls = [(tool, *time), (tool, *time), (tool, 5000)];
        store.record_tool_batch(batch(i as i64, &calls)).await.unwrap();
    }
}

#[tokio::test]
async fn a_tool_that_became_slower_is_found_with_its_numbers() {
    let store = Store::in_memory().unwrap();
    let jitter = |base: u64, i: u64| base + i * 37 % 11;
    let earlier: Vec<u64> = (0..20).map(|i| jitter(100, i)).collect();
    let slower = [earlier.clone(), (0..5).map(|i| jitter(150, i)).collect()].concat();
    let same = [earlier.clone(), (0..5).map(|i| jitter(100, i)).collect()].concat();
    record_times(&store, "slower", &slower).await;
    record_times(&store, "same", &same).await;
    record_times(&store, "new", &[10, 20, 30]).await;
    for i in 0..25 {
        let value = if i < 20 {
            4.0 + f64::from(i % 3) / 10.0
        } else {
            2.0
        };
        store
            .record_metric(metric("overlap", value, i.into()))
            .await
            .unwrap();
    }
    let changes = store.regressions(&Filter::default()).unwrap();
    let of = |series: Series| changes.iter().find(|change| change.series == series).unwrap();
    let slow = of(Series::ToolTime("slower".into()));
    assert!(slow.is_regression(), "{slow:?}");
    assert_eq!((slow.comparison.earlier.n, slow.comparison.recent.n), (20, 5));
    let shift = slow.comparison.shift.unwrap();
    assert!(shift.low > 30.0 && shift.low <= shift.estimate && shift.estimate <= shift.high);
    assert!((40.0..60.0).contains(&shift.estimate), "{shift:?}");
    let same = of(Series::ToolTime("same".into()));
    assert_eq!(same.comparison.verdict, Verdict::NotShown);
    let new = of(Series::ToolTime("new".into()));
    assert_eq!(new.comparison.verdict, Verdict::TooFewRuns);
    assert_eq!(
        (
            new.comparison.earlier.n,
            new.comparison.recent.n,
            new.comparison.p
        ),
        (0, 3, None)
    );
    let overlap = of(Series::Metric("overlap".into()));
    assert_eq!(overlap.comparison.verdict, Verdict::Lower);
    assert!(
        !overlap.is_regression(),
        "which way is worse is not known of a metric"
    );
    assert!(slow.comparison.p_corrected > slow.comparison.p);
}

#[tokio::test]
async fn a_trend_has_the_values_of_one_unit() {
    let store = Store::in_memory().unwrap();
    for i in 0..8 {
        let mut metric = metric("wall", f64::from(i), 100 - i64::from(i));
        if i == 7 {
            metric.unit = "s".to_owned();
        }
        store.record_metric(metric).await.unwrap();
    }
    let trend = store.trend("wall", &Filter::default()).unwrap().unwrap();
    let values: Vec<f64> = trend.points.iter().map(|point| point.value).collect();
    assert_eq!(values, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!((trend.unit.as_str(), trend.other_units), ("ms", 1));
    assert_eq!(
        (
            trend.comparison.earlier.n,
            trend.comparison.recent.n,
            trend.comparison.verdict
        ),
        (2, 5, Verdict::TooFewRuns)
    );
    assert_eq!(store.trend("none", &Filter::default()).unwrap(), None);
}
