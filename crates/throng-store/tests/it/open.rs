//! Opening: what is refused and how that reads, migrations, damaged files.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use throng_core::Journal as _;
use throng_store::{
    Filter, Kind, Last, OpenError, ResultKind, ResultRecord, Store, StoreError, StoreOptions,
};

use crate::support::{batch, metric, open};

/// What version 1 made, as it was released.
const VERSION_1: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run BLOB UNIQUE, command TEXT NOT NULL, session TEXT NOT NULL,
        started_ms INTEGER NOT NULL, wall_us INTEGER, work_us INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0, timed_out INTEGER NOT NULL DEFAULT 0,
        cancelled INTEGER NOT NULL DEFAULT 0, panicked INTEGER NOT NULL DEFAULT 0,
        shed INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0,
        lost_events INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE INDEX runs_started ON runs (started_ms);
    CREATE TABLE jobs (
        run INTEGER NOT NULL, job INTEGER NOT NULL, admitted_us INTEGER, ended_us INTEGER,
        attempts INTEGER NOT NULL, outcome TEXT, PRIMARY KEY (run, job)) WITHOUT ROWID, STRICT;
    CREATE TABLE attempts (
        run INTEGER NOT NULL, job INTEGER NOT NULL, attempt INTEGER NOT NULL, started_us INTEGER,
        ended_us INTEGER, ending TEXT, PRIMARY KEY (run, job, attempt)) WITHOUT ROWID, STRICT;
    CREATE TABLE tool_batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, plan TEXT NOT NULL,
        started_ms INTEGER NOT NULL, wall_us INTEGER NOT NULL, work_us INTEGER NOT NULL,
        success INTEGER NOT NULL) STRICT;
    CREATE INDEX tool_batches_started ON tool_batches (started_ms);
    CREATE TABLE tool_calls (
        batch INTEGER NOT NULL, idx INTEGER NOT NULL, id TEXT NOT NULL, tool TEXT NOT NULL,
        outcome TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
        attempts INTEGER NOT NULL, error TEXT, PRIMARY KEY (batch, idx)) WITHOUT ROWID, STRICT;
    CREATE TABLE metrics (
        id INTEGER PRIMARY KEY AUTOINCREMENT, session TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
        unit TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
    CREATE INDEX metrics_name ON metrics (name, at_ms);
    CREATE INDEX metrics_at ON metrics (at_ms);
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, step TEXT NOT NULL, input TEXT NOT NULL,
        attempts INTEGER NOT NULL, ending TEXT, touched_ms INTEGER NOT NULL, UNIQUE (run, step)) STRICT;
    PRAGMA application_id = 1416131182;
    PRAGMA user_version = 1;";

#[tokio::test]
async fn a_file_of_version_1_is_brought_up_to_date_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(VERSION_1).unwrap();
    old.execute_batch(
        "INSERT INTO runs (run, command, session, started_ms, wall_us, work_us, attempts, succeeded, failed)
             VALUES (zeroblob(16), 'run', '', 7, 2000, 6000, 4, 3, 1);
         INSERT INTO tool_batches VALUES (9, 's', 'p', 8, 3000, 6000, 0);
         INSERT INTO tool_calls VALUES (9, 0, 'c', 'grep', 'succeeded', 0, 3000, 1, NULL),
             (9, 1, 'd', 'sed', 'failed', 0, 3000, 2, 'no such file');
         INSERT INTO metrics VALUES (1, 's', 'parallel_overlap', 4.76, 'x', 9);
         INSERT INTO journal VALUES (1, 'r', 'a', 'in', 1, 'out', 9), (2, 'r', 'b', 'in', 2, NULL, 9);",
    )
    .unwrap();
    drop(old);

    let store = open(&path);
    let stats = store.stats(&Filter::default()).unwrap();
    assert_eq!((stats.runs.n, stats.runs.overlap), (1, Some(3.0)));
    assert_eq!(
        (stats.batches.n, stats.batches.overlap, stats.tools.len()),
        (1, Some(2.0), 2)
    );
    let Some(Last::ToolBatch(batch)) = store.last(Kind::ToolBatch).unwrap() else {
        panic!("no batch")
    };
    assert_eq!(batch.calls[1].error.as_deref(), Some("no such file"));
    let Some(Last::Metric(metric)) = store.last(Kind::Metric).unwrap() else {
        panic!("no metric")
    };
    assert_eq!(
        (metric.value.to_string().as_str(), metric.unit.as_str()),
        ("4.76", "x")
    );
    let entries = store.journal().load("r").await.unwrap();
    assert_eq!(
        (entries.len(), entries[1].attempts, &entries[1].ending),
        (2, 2, &None)
    );
    // What version 2 added works.
    let result = ResultRecord {
        kind: ResultKind::TestRun,
        key: "suite".to_owned(),
        at_ms: 10,
        body: "{}".to_owned(),
    };
    store.record_result(result.clone()).await.unwrap();
    assert_eq!(store.last(Kind::TestRun).unwrap(), Some(Last::Result(result)));
    store.close().await.unwrap();
    let version: i64 = Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 2);
}

#[test]
fn the_schema_of_version_1_is_still_the_first_step() {
    // The fixture above would prove nothing if the released step were changed.
    let columns = |sql: &str| -> Vec<String> {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(sql).unwrap();
        read_columns(&conn)
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    drop(open(&path));
    let now = read_columns(&Connection::open(&path).unwrap());
    let now: Vec<String> = now
        .into_iter()
        .filter(|column| !column.starts_with("results"))
        .collect();
    assert_eq!(now, columns(VERSION_1));
}

fn read_columns(conn: &Connection) -> Vec<String> {
    conn.prepare(
        "SELECT t.name || '.' || c.name || ' ' || c.type || ' ' || c.[notnull] || ' ' || c.pk
         FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c
         WHERE t.schema = 'main' AND t.name NOT LIKE 'sqlite%' ORDER BY t.name, c.cid",
    )
    .unwrap()
    .query_map([], |row| row.get(0))
    .unwrap()
    .collect::<Result<_, _>>()
    .unwrap()
}

#[track_caller]
fn refused(path: &Path, options: StoreOptions, message: &str, advice: &str) -> OpenError {
    let error = Store::open(path, options).unwrap_err();
    let shown = path.display().to_string();
    assert_eq!(error.to_string(), message.replace("FILE", &shown));
    assert_eq!(error.advice(), advice.replace("FILE", &shown));
    error
}

#[test]
fn a_newer_schema_is_refused_with_the_throng_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    drop(open(&path));
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("UPDATE meta SET value = '3.1.0' WHERE name = 'throng'; PRAGMA user_version = 7;")
        .unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    refused(
        &path,
        StoreOptions::default(),
        "the store FILE has schema version 7, and this Throng knows versions up to 2",
        "use Throng 3.1.0 or newer, or name another store",
    );
    assert_eq!(fs::read(&path).unwrap(), before, "it was changed");
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(
        &text,
        "not a database, and longer than the head of one. ".repeat(50),
    )
    .unwrap();
    refused(
        &text,
        StoreOptions::default(),
        "FILE is not a database",
        "name another file; this one was left as it is",
    );
    assert!(fs::read_to_string(&text).unwrap().starts_with("not a database"));

    let foreign = folder.path().join("other.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE bookmarks (url)")
        .unwrap();
    let before = fs::read(&foreign).unwrap();
    refused(
        &foreign,
        StoreOptions::default(),
        "FILE is a database of another program",
        "name another file; this one was left as it is",
    );
    assert_eq!(fs::read(&foreign).unwrap(), before);
}

#[test]
fn a_file_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    refused(
        &path,
        StoreOptions::default().create(false),
        "there is no store at FILE",
        "name another file, or record something first",
    );
    assert!(!path.exists());
    refused(
        &folder.path().join("no/such/folder/t.db"),
        StoreOptions::default(),
        "the store FILE cannot be opened",
        "see that the folder of FILE exists and may be entered",
    );
    refused(
        folder.path(),
        StoreOptions::default(),
        "the store FILE cannot be opened",
        "see that the folder of FILE exists and may be entered",
    );
    drop(open(&path));
    assert!(path.exists());
}

#[cfg(unix)]
#[test]
fn a_file_is_its_owners_alone_and_a_read_only_folder_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    drop(open(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write everywhere, so that there is nothing to see for root.
    if fs::write(locked.join("probe"), "").is_ok() {
        return;
    }
    refused(
        &locked.join("t.db"),
        StoreOptions::default(),
        "the store FILE cannot be written",
        "make FILE and its folder writable, or name a store elsewhere",
    );
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for_and_then_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Store::open(
        &path,
        StoreOptions::default().busy_timeout(Duration::from_millis(40)),
    )
    .unwrap();
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("BEGIN IMMEDIATE; INSERT INTO metrics VALUES (NULL, '', 'm', 1.0, '', 1)")
        .unwrap();
    let error = store.record_metric(metric("m", 2.0, 2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("the store {} is locked by another process", path.display())
    );
    other.execute_batch("COMMIT").unwrap();
    store.record_metric(metric("m", 3.0, 3)).await.unwrap();
    let trend = store.trend("m", &Filter::default()).unwrap().unwrap();
    assert_eq!(
        (trend.points.len(), trend.points[0].at_ms, trend.other_units),
        (1, 3, 1),
        "the refused one is not there"
    );
    store.close().await.unwrap();

    // A file that has to be made or migrated cannot be while another holds it.
    let empty = folder.path().join("empty.db");
    let other = Connection::open(&empty).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let options = StoreOptions::default().busy_timeout(Duration::from_millis(20));
    refused(
        &empty,
        options,
        "the store FILE is locked by another process, still after 20ms",
        "end the program that holds FILE, or name another store",
    );
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = open(&path);
    for i in 0..60 {
        store
            .record_tool_batch(batch(i, &[("read", 3); 40]))
            .await
            .unwrap();
    }
    store.close().await.unwrap();
    let whole = fs::read(&path).unwrap();
    let (mut rng, mut damaged, mut refused) = (fastrand::Rng::with_seed(5), 0, 0);
    for _ in 0..40 {
        let mut bytes = whole.clone();
        // Beyond the first page, whole pages of noise.
        let page = rng.usize(1..bytes.len() / 4096);
        for byte in &mut bytes[page * 4096..(page + 1) * 4096] {
            *byte = rng.u8(..);
        }
        fs::write(&path, &bytes).unwrap();
        let _ = fs::remove_file(folder.path().join("t.db-wal"));
        match Store::open(&path, StoreOptions::default()) {
            Ok(store) => {
                let read = store.stats(&Filter::default());
                let wrote = store.record_tool_batch(batch(99, &[("read", 3)])).await;
                for error in [read.err(), wrote.err()].into_iter().flatten() {
                    assert!(
                        matches!(error, StoreError::Damaged { .. } | StoreError::Failed { .. }),
                        "{error:?}"
                    );
                    damaged += 1;
                }
                let _ = store.close().await;
            }
            Err(error) => {
                assert!(error.to_string().contains("t.db"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(damaged + refused > 0, "no damage was found in 40 files");
}
