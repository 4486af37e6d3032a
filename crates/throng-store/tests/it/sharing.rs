//! Readers beside writers, several handles, two processes on one file, a full queue.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use throng_core::Journal as _;
use throng_store::{Filter, Store, StoreError, StoreOptions};

use crate::support::{batch, metric, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_whole_batches_and_never_waits_for_writers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("t.db"));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = store.clone();
        writers.spawn(async move {
            for i in 0..50 {
                store
                    .record_tool_batch(batch(writer * 100 + i, &[("a", 1), ("b", 2), ("c", 3)]))
                    .await
                    .unwrap();
            }
        });
    }
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                let mut before = 0;
                loop {
                    let stats = store.stats(&Filter::default()).unwrap();
                    assert!(stats.batches.n >= before, "a batch went away");
                    before = stats.batches.n;
                    for tool in &stats.tools {
                        assert_eq!(tool.success.n, stats.batches.n, "a part of a batch");
                    }
                    if before == 200 {
                        return;
                    }
                }
            })
        })
        .collect();
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    for reader in readers {
        reader.join().unwrap();
    }
}

const FILE: &str = "THRONG_STORE_SHARED_FILE";

/// Runs in the other process alone.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(write_alternately(&open(&path), "child"));
}

async fn write_alternately(store: &Store, who: &str) {
    for i in 0..100 {
        let step = i.to_string();
        store.journal().begin(who, &step, who).await.unwrap();
        store
            .record_tool_batch(batch(i, &[(who, 5), (who, 7)]))
            .await
            .unwrap();
        store.journal().end(who, &step, "done").await.unwrap();
    }
}

#[tokio::test]
async fn two_processes_write_one_file_and_make_it_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let children: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sharing::child", "--nocapture"])
                .env(FILE, &path)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let store = open(&path);
    write_alternately(&store, "parent").await;
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let stats = store.stats(&Filter::default()).unwrap();
    assert_eq!(stats.batches.n, 300);
    let calls: Vec<_> = stats
        .tools
        .iter()
        .map(|tool| (tool.tool.as_str(), tool.success.n))
        .collect();
    assert_eq!(calls, [("child", 400), ("parent", 200)]);
    let mut entries = store.journal().load("child").await.unwrap();
    assert_eq!(entries.len(), 100);
    entries.retain(|entry| entry.attempts != 2 || entry.ending.as_deref() != Some("done"));
    assert_eq!(entries, []);
}

#[tokio::test]
async fn the_last_handle_writes_what_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = open(&path);
    let other = store.clone();
    store.record_metric(metric("m", 1.0, 1)).await.unwrap();
    store.close().await.unwrap();
    let error = other.record_metric(metric("m", 2.0, 2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Closed { .. }), "{error:?}");
    assert!(matches!(other.flush().await, Err(StoreError::Closed { .. })));
    assert!(!folder.path().join("t.db-wal").exists(), "the log is merged");
    assert_eq!(
        open(&path)
            .trend("m", &Filter::default())
            .unwrap()
            .unwrap()
            .points
            .len(),
        1
    );
}

#[tokio::test]
async fn more_than_the_queue_holds_waits_for_room() {
    let one = NonZeroUsize::MIN;
    let options = StoreOptions::default()
        .queue(one)
        .batch(one)
        .linger(Duration::ZERO);
    let store = Store::in_memory_with(options).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for i in 0..50 {
        let store = store.clone();
        writers.spawn(async move { store.record_tool_batch(batch(i, &[("a", 1); 20])).await });
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap().unwrap();
    }
    assert_eq!(store.stats(&Filter::default()).unwrap().tools[0].success.n, 1000);
}

#[tokio::test]
async fn a_refused_metric_takes_no_other_with_it() {
    let store = Store::in_memory().unwrap();
    for (name, value) in [("m", f64::NAN), ("m", f64::INFINITY), ("", 1.0)] {
        let error = store.record_metric(metric(name, value, 1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    }
    store.record_metric(metric("m", 1.0, 1)).await.unwrap();
    assert_eq!(store.metric_names().unwrap(), ["m"]);
}
