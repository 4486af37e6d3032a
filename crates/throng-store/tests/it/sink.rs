//! Runs of an executor, from their events.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use throng_core::{ErrorClass, Event, EventKind, EventSink, JobId, OutcomeKind, RunId};
use throng_store::{Filter, Kind, Last, Store, StoreOptions, StoredRun};

fn run_id(unix_ms: u64) -> RunId {
    RunId::from_parts(unix_ms, [3; 10])
}

fn send(sink: &impl EventSink, run: RunId, at_ms: u64, kind: EventKind) {
    sink.record(&Event::new(run, Duration::from_millis(at_ms), kind));
}

fn attempt(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// A run of two jobs: the first fails once and succeeds at its second attempt, the second is hedged and times out.
fn a_run(sink: &impl EventSink, run: RunId) {
    let (a, b) = (JobId::new(0), JobId::new(1));
    let of = |at, kind| send(sink, run, at, kind);
    of(0, EventKind::RunStarted);
    of(0, EventKind::JobAdmitted { job: a });
    of(
        1,
        EventKind::AttemptStarted {
            job: a,
            attempt: attempt(1),
        },
    );
    of(2, EventKind::JobAdmitted { job: b });
    of(
        2,
        EventKind::AttemptStarted {
            job: b,
            attempt: attempt(1),
        },
    );
    of(
        5,
        EventKind::AttemptFailed {
            job: a,
            attempt: attempt(1),
            class: ErrorClass::Transient,
        },
    );
    of(
        6,
        EventKind::HedgeStarted {
            job: b,
            attempt: attempt(2),
        },
    );
    of(
        7,
        EventKind::AttemptStarted {
            job: a,
            attempt: attempt(2),
        },
    );
    of(
        8,
        EventKind::AttemptDropped {
            job: b,
            attempt: attempt(2),
        },
    );
    of(
        9,
        EventKind::JobFinished {
            job: a,
            attempts: 2,
            outcome: OutcomeKind::Succeeded,
        },
    );
    of(
        12,
        EventKind::JobFinished {
            job: b,
            attempts: 2,
            outcome: OutcomeKind::TimedOut,
        },
    );
    of(13, EventKind::RunFinished);
}

fn last_run(store: &Store) -> StoredRun {
    match store.last(Kind::Run).unwrap() {
        Some(Last::Run(run)) => run,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_has_rows_of_its_jobs_and_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let sink = store.sink("vote", "evening");
    a_run(&sink, run_id(1_700_000_000_000));
    store.flush().await.unwrap();
    let run = last_run(&store);
    assert_eq!(
        (run.command.as_str(), run.session.as_str(), run.started_ms),
        ("vote", "evening", 1_700_000_000_000)
    );
    assert_eq!(run.run, Some(run_id(1_700_000_000_000).as_u128()));
    assert_eq!(run.wall, Some(Duration::from_millis(13)));
    // 1-5, 7-9; 2-12, 6-8.
    assert_eq!(run.work, Duration::from_millis(4 + 2 + 10 + 2));
    assert_eq!((run.attempts, run.lost_events), (4, 0));
    assert_eq!(
        run.outcomes.into_iter().collect::<Vec<_>>(),
        [(OutcomeKind::Succeeded, 1), (OutcomeKind::TimedOut, 1)]
    );
    store.close().await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let rows = |sql: &str| -> Vec<String> {
        file.prepare(sql)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    assert_eq!(
        rows("SELECT format('%d#%d %d-%d %s', job, attempt, started_us, ended_us, ending) FROM attempts"),
        [
            "0#1 1000-5000 transient",
            "0#2 7000-9000 succeeded",
            "1#1 2000-12000 timed_out",
            "1#2 6000-8000 dropped"
        ]
    );
    assert_eq!(
        rows("SELECT format('%d %d-%d %d %s', job, admitted_us, ended_us, attempts, outcome) FROM jobs"),
        ["0 0-9000 2 succeeded", "1 2000-12000 2 timed_out"]
    );
}

#[tokio::test]
async fn runs_of_one_sink_are_kept_apart_and_one_without_an_end_is_told() {
    let store = Store::in_memory().unwrap();
    let sink = store.sink("run", "");
    send(&sink, run_id(5), 0, EventKind::RunStarted);
    a_run(&sink, run_id(6));
    a_run(&sink, run_id(7));
    store.flush().await.unwrap();
    let runs = store.stats(&Filter::default()).unwrap().runs;
    assert_eq!(
        (runs.n, runs.unended, runs.incomplete, runs.attempts),
        (3, 1, 0, 8)
    );
    assert_eq!((runs.success.successes, runs.success.n), (2, 4));
    assert_eq!(runs.overlap, Some(18.0 / 13.0));
}

#[tokio::test]
async fn a_full_queue_leaves_events_out_and_the_run_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    // Nothing is taken out before the linger is over or somebody waits.
    let options = StoreOptions::default()
        .queue(NonZeroUsize::new(4).unwrap())
        .linger(Duration::from_secs(3600));
    let store = Store::open(&path, options).unwrap();
    let sink = store.sink("run", "");
    a_run(&sink, run_id(9));
    assert_eq!(sink.lost(), 6, "ten events of jobs, and room for four");
    // The queue has no room for the request until the writer takes something out: the file is closed by dropping.
    drop(sink);
    drop(store);
    let began = std::time::Instant::now();
    let file = rusqlite::Connection::open(&path).unwrap();
    loop {
        let row = file.query_row("SELECT lost_events, wall_us FROM runs", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
        });
        if let Ok((6, Some(13_000))) = row {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{row:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let open: i64 = file
        .query_row("SELECT count(*) FROM jobs WHERE outcome IS NULL", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(open, 2, "their ends are not known");
}
