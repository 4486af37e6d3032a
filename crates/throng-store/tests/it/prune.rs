//! Retention: by kind, by size, and by nothing but the time that is given.

use std::collections::BTreeMap;
use std::time::Duration;

use throng_core::{Journal as _, OutcomeKind};
use throng_store::{Filter, Kind, Last, ResultKind, ResultRecord, Retention, RunRecord, Store, StoreOptions};

use crate::support::{batch, metric};

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = 1_000 * DAY;

fn result(kind: ResultKind, at_ms: i64) -> ResultRecord {
    ResultRecord {
        kind,
        key: String::new(),
        at_ms,
        body: at_ms.to_string(),
    }
}

fn run(started_ms: i64) -> RunRecord {
    RunRecord {
        run: None,
        command: "run".to_owned(),
        session: String::new(),
        started_ms,
        wall: Duration::from_millis(10),
        work: Duration::from_millis(20),
        attempts: 3,
        outcomes: vec![(OutcomeKind::Succeeded, 2), (OutcomeKind::Failed, 1)],
    }
}

/// A store with one of each kind at each age.
async fn filled(options: StoreOptions, ages: &[i64]) -> Store {
    let (clock, journal_time) = tokio::sync::watch::channel(0);
    let store = Store::in_memory_with(options.clock(move || *journal_time.borrow())).unwrap();
    for age in ages {
        let at = NOW - age;
        store.record_run(run(at)).await.unwrap();
        store.record_tool_batch(batch(at, &[("t", 1)])).await.unwrap();
        store.record_metric(metric("m", 1.0, at)).await.unwrap();
        for kind in [ResultKind::TestRun, ResultKind::FlakyResult] {
            store.record_result(result(kind, at)).await.unwrap();
        }
        clock.send_replace(at);
        let name = format!("run {age}");
        store.journal().begin(&name, "a", "").await.unwrap();
        store.journal().end(&name, "a", "").await.unwrap();
        store.journal().begin(&name, "b", "").await.unwrap();
    }
    store
}

fn removed(of: &[(Kind, u64)]) -> BTreeMap<Kind, u64> {
    of.iter().copied().collect()
}

#[tokio::test]
async fn each_kind_is_kept_for_its_own_time() {
    let ages = [HOUR, 25 * HOUR, 8 * DAY, 31 * DAY, 91 * DAY];
    let store = filled(StoreOptions::default(), &ages).await;
    let report = store.prune(NOW).await.unwrap();
    assert_eq!(
        report.removed,
        removed(&[
            (Kind::Run, 2),
            (Kind::ToolBatch, 2),
            (Kind::Metric, 1),
            (Kind::Journal, 2),
            (Kind::TestRun, 4),
            (Kind::FlakyResult, 3),
        ])
    );
    assert_eq!((report.unended_steps, report.for_size), (2, 0));
    let stats = store.stats(&Filter::default()).unwrap();
    assert_eq!(
        (stats.runs.n, stats.batches.n, stats.tools[0].success.n),
        (3, 3, 3)
    );
    assert_eq!(store.journal().load("run 2678400000").await.unwrap(), []);
    assert_eq!(store.journal().load("run 691200000").await.unwrap().len(), 2);
    // The same time again removes nothing.
    let again = store.prune(NOW).await.unwrap();
    assert_eq!((again.removed, again.unended_steps), (removed(&[]), 0));
    // What is as old as the retention is kept; a millisecond later it goes.
    assert_eq!(store.prune(NOW + 23 * HOUR).await.unwrap().removed, removed(&[]));
    assert_eq!(
        store.prune(NOW + 23 * HOUR + 1).await.unwrap().removed,
        removed(&[(Kind::TestRun, 1)])
    );
    assert_eq!(store.last(Kind::TestRun).unwrap(), None);
    assert_eq!(
        store.last(Kind::FlakyResult).unwrap(),
        Some(Last::Result(result(ResultKind::FlakyResult, NOW - HOUR)))
    );
}

#[tokio::test]
async fn retention_is_configurable_and_can_be_for_ever() {
    let retention = Retention::everything().keep(Kind::Run, Some(Duration::from_secs(1)));
    assert_eq!(retention.age(Kind::Metric), None);
    let store = filled(
        StoreOptions::default().retention(retention),
        &[500 * DAY, HOUR, 0],
    )
    .await;
    assert_eq!(
        store.prune(NOW).await.unwrap().removed,
        removed(&[(Kind::Run, 2)])
    );
    let standard = Retention::default();
    assert_eq!(standard.age(Kind::TestRun), Some(Duration::from_secs(24 * 3600)));
    assert_eq!(
        standard.age(Kind::FlakyResult),
        Some(Duration::from_secs(7 * 24 * 3600))
    );
}

#[tokio::test]
async fn a_store_over_its_size_loses_the_oldest_and_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let limit = 300_000;
    let retention = Retention::everything().max_bytes(Some(limit));
    let store = Store::open(&path, StoreOptions::default().retention(retention)).unwrap();
    store.journal().begin("run", "a", "{}").await.unwrap();
    for i in 0..400 {
        store
            .record_tool_batch(batch(i, &[("some_tool", 5); 40]))
            .await
            .unwrap();
    }
    let report = store.prune(NOW).await.unwrap();
    assert!(
        report.bytes_before > limit && report.bytes_after <= limit,
        "{report:?}"
    );
    let left = store.stats(&Filter::default()).unwrap().batches.n;
    assert_eq!(report.removed, removed(&[(Kind::ToolBatch, 400 - left)]));
    assert_eq!(report.for_size, 400 - left);
    assert!(left > 20, "{left} are left");
    let oldest_left = store
        .stats(&Filter {
            until_ms: Some(i64::try_from(400 - left).unwrap()),
            ..Filter::default()
        })
        .unwrap();
    assert_eq!(oldest_left.batches.n, 0, "the newest stay");
    assert_eq!(store.journal().load("run").await.unwrap().len(), 1);
    store.close().await.unwrap();
    assert!(
        std::fs::metadata(&path).unwrap().len() <= limit,
        "the file shrinks too"
    );
}
