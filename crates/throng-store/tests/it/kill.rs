//! `kill -9` of a process while it journals: what was acknowledged is there, and nothing is torn.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use throng_core::{Journal, JournalEntry};

use crate::support::{batch, cases, open};

const FILE: &str = "THRONG_STORE_KILLED_FILE";
const RUN: &str = "THRONG_STORE_KILLED_RUN";
const LANES: usize = 4;

fn input(step: &str) -> String {
    format!("{step} ").repeat(40)
}

/// Runs in the child alone: journals until it is killed, and says what was acknowledged.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else {
        return;
    };
    let run = std::env::var(RUN).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open(&path);
        let mut lanes = tokio::task::JoinSet::new();
        for lane in 0..LANES {
            let (store, run) = (store.clone(), run.clone());
            lanes.spawn(async move {
                let journal = store.journal();
                for n in 0.. {
                    let step = format!("{lane}-{n}");
                    journal.begin(&run, &step, &input(&step)).await.unwrap();
                    say(&format!("B {step}"));
                    if n % 3 == 0 {
                        store
                            .record_tool_batch(batch(n, &[("a", 1), ("b", 2)]))
                            .await
                            .unwrap();
                    }
                    journal.end(&run, &step, &format!("ended {step}")).await.unwrap();
                    say(&format!("E {step}"));
                }
            });
        }
        lanes.join_next().await.unwrap().unwrap();
    });
}

fn say(line: &str) {
    // One write each, so that the parent reads whole lines.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Starts a child, kills it when it has acknowledged so many lines and a little later, and returns all of its lines.
fn killed_child(path: &Path, run: &str, after_lines: usize, then: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture", "--test-threads", "1"])
        .env(FILE, path)
        .env(RUN, run)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    let mut line = String::new();
    while lines.len() < after_lines {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the child ended by itself");
        lines.extend(told(&line));
    }
    std::thread::sleep(then);
    child.kill().unwrap();
    child.wait().unwrap();
    loop {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 {
            break;
        }
        if line.ends_with('\n') {
            lines.extend(told(&line));
        }
    }
    lines
}

/// Returns what a line tells. The first one stands behind what the test harness has begun to write.
fn told(line: &str) -> Option<String> {
    let line = line.rsplit(" ... ").next().unwrap_or(line).trim_end();
    (line.starts_with("B ") || line.starts_with("E ")).then(|| line.to_owned())
}

#[tokio::test]
async fn every_acknowledged_step_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let seed = 11;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut all: BTreeMap<String, Vec<JournalEntry>> = BTreeMap::new();
    for trial in 0..cases(6) {
        let run = format!("run {trial}");
        let then = Duration::from_micros(rng.u64(0..8_000));
        let lines = killed_child(&path, &run, rng.usize(1..120), then);
        let said = |word: &str| -> BTreeSet<&str> {
            lines.iter().filter_map(|line| line.strip_prefix(word)).collect()
        };
        let (begun, ended) = (said("B "), said("E "));
        let store = open(&path);
        let entries = store.journal().load(&run).await.unwrap();
        store.close().await.unwrap();
        let known: BTreeMap<&str, &JournalEntry> =
            entries.iter().map(|entry| (entry.step.as_str(), entry)).collect();
        assert_eq!(known.len(), entries.len(), "a step comes twice");
        for step in &begun {
            assert!(
                known.contains_key(step),
                "seed {seed}, trial {trial}: {step} is lost"
            );
        }
        for step in &ended {
            assert_eq!(
                known[step].ending,
                Some(format!("ended {step}")),
                "seed {seed}, trial {trial}"
            );
        }
        // What was not acknowledged is there as a whole or not at all, at most one step of each lane.
        for entry in &entries {
            assert_eq!(entry.input, input(&entry.step));
            assert_eq!(entry.attempts, 1);
        }
        assert!(entries.len() <= begun.len() + LANES, "seed {seed}, trial {trial}");
        all.insert(run, entries);
    }
    let store = open(&path);
    for (run, entries) in &all {
        assert_eq!(&store.journal().load(run).await.unwrap(), entries, "{run}");
    }
    store.close().await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let check: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
    let torn: i64 = file
        .query_row(
            "SELECT count(*) FROM tool_batches AS b WHERE (SELECT count(*) FROM tool_calls WHERE batch = b.id) != 2",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(torn, 0, "a batch without all of its calls");
}
