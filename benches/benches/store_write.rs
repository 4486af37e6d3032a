//! What a row costs: figures of many plans, metrics and jobs through the writer thread, and a journaled step with and
//! without a flush. On a real file in the folder for temporary files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use throng_benches::{Report, is_quick};
use throng_core::{Event, EventKind, EventSink as _, JobId, Journal as _, OutcomeKind, RunId};
use throng_store::{Durability, Metric, Store, StoreOptions, ToolBatch, ToolCallRecord};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()?;
    let passes = if is_quick() { 1 } else { 7 };
    let rows = if is_quick() { 2_000 } else { 100_000 };
    let steps = if is_quick() { 640 } else { 2_000 };
    let mut report = Report::default();
    let mut figures: Vec<(&str, &str, Vec<f64>)> = vec![
        ("store_write.tool_calls", "ns/row", Vec::new()),
        ("store_write.metrics", "ns/row", Vec::new()),
        ("store_write.run_events", "ns/row", Vec::new()),
        ("store_write.sink", "ns/event", Vec::new()),
        ("store_write.journal_flushed_alone", "ns/step", Vec::new()),
        ("store_write.journal_flushed_64", "ns/step", Vec::new()),
        ("store_write.journal_unflushed_alone", "ns/step", Vec::new()),
        ("store_write.journal_unflushed_64", "ns/step", Vec::new()),
    ];
    for _ in 0..passes {
        let (events, sink) = runtime.block_on(run_events(rows / 2))?;
        let times = [
            runtime.block_on(tool_calls(rows))?,
            runtime.block_on(metrics(rows))?,
            events,
            sink,
            runtime.block_on(journal(Durability::PowerLoss, steps / 10, 1))?,
            runtime.block_on(journal(Durability::PowerLoss, steps, 64))?,
            runtime.block_on(journal(Durability::ProcessDeath, steps, 1))?,
            runtime.block_on(journal(Durability::ProcessDeath, steps, 64))?,
        ];
        for ((_, _, samples), time) in figures.iter_mut().zip(times) {
            samples.push(time);
        }
    }
    for (name, unit, samples) in figures {
        report.record(name, unit, samples);
    }
    report.finish()?;
    Ok(())
}

/// A store on a new file, which goes with the folder.
fn store(options: StoreOptions) -> Result<(tempfile::TempDir, Store)> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path().join("bench.db"), options)?;
    Ok((folder, store))
}

fn per(time: Duration, n: u64) -> f64 {
    time.as_nanos() as f64 / n as f64
}

/// Plans of 15 calls, 64 at a time: a row for the plan and each call.
async fn tool_calls(rows: u64) -> Result<f64> {
    let (_folder, store) = store(StoreOptions::default())?;
    let call = |i: u64| ToolCallRecord {
        id: format!("call_{i}"),
        tool: "file_read".to_owned(),
        outcome: OutcomeKind::Succeeded,
        started: Duration::from_micros(i * 10),
        ended: Duration::from_micros(i * 10 + 2_000),
        attempts: 1,
        error: None,
    };
    let batch = ToolBatch {
        session: "session-1".to_owned(),
        plan: "plan".to_owned(),
        started_ms: 1_700_000_000_000,
        wall: Duration::from_millis(3),
        work: Duration::from_millis(30),
        success: true,
        calls: (0..15).map(call).collect(),
    };
    let plans = rows / 16;
    let began = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for lane in 0..64 {
        let (store, batch) = (store.clone(), batch.clone());
        let mine = plans / 64 + u64::from(lane < plans % 64);
        writers.spawn(async move {
            for _ in 0..mine {
                store.record_tool_batch(batch.clone()).await?;
            }
            Ok::<_, throng_store::StoreError>(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    store.flush().await?;
    Ok(per(began.elapsed(), plans * 16))
}

/// Metrics, 256 at a time.
async fn metrics(rows: u64) -> Result<f64> {
    let (_folder, store) = store(StoreOptions::default())?;
    let some: Vec<Metric> = (0..256)
        .map(|i| Metric {
            session: "session-1".to_owned(),
            name: "parallel_overlap".to_owned(),
            value: f64::from(i) / 7.0,
            unit: "x".to_owned(),
            at_ms: 1_700_000_000_000 + i64::from(i),
        })
        .collect();
    let times = rows.div_ceil(256);
    let began = Instant::now();
    for _ in 0..times {
        store.record_metrics(some.clone()).await?;
    }
    Ok(per(began.elapsed(), times * 256))
}

/// Jobs of one attempt through a sink: a row for the job and one for the attempt. Returns the time of a row until all are
/// written, and that of an event in the thread of the run.
async fn run_events(jobs: u64) -> Result<(f64, f64)> {
    let queue = std::num::NonZeroUsize::new(1 << 22).unwrap_or(std::num::NonZeroUsize::MIN);
    let (_folder, store) = store(StoreOptions::default().queue(queue))?;
    let sink = store.sink("bench", "");
    let run = RunId::from_parts(1_700_000_000_000, [1; 10]);
    let first = std::num::NonZeroU32::MIN;
    let send = |at: u64, kind| sink.record(&Event::new(run, Duration::from_micros(at), kind));
    let began = Instant::now();
    send(0, EventKind::RunStarted);
    for i in 0..jobs {
        let job = JobId::new(i);
        send(i, EventKind::JobAdmitted { job });
        send(i, EventKind::AttemptStarted { job, attempt: first });
        send(
            i + 5,
            EventKind::JobFinished {
                job,
                attempts: 1,
                outcome: OutcomeKind::Succeeded,
            },
        );
    }
    send(jobs + 5, EventKind::RunFinished);
    let sent = began.elapsed();
    store.flush().await?;
    let written = began.elapsed();
    if sink.lost() > 0 {
        return Err(format!("{} events were left out", sink.lost()).into());
    }
    Ok((per(written, jobs * 2), per(sent, jobs * 3)))
}

/// Steps that begin, `lanes` of them at a time.
async fn journal(durability: Durability, steps: u64, lanes: u64) -> Result<f64> {
    let (_folder, store) = store(StoreOptions::default().journal(durability))?;
    let journal = Arc::new(store.journal());
    let began = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for lane in 0..lanes {
        let journal = Arc::clone(&journal);
        let mine = steps / lanes;
        writers.spawn(async move {
            for i in 0..mine {
                journal
                    .begin("run", &format!("{lane}-{i}"), "{\"path\":\"a/b\"}")
                    .await?;
            }
            Ok::<_, throng_core::JournalError>(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(per(began.elapsed(), (steps / lanes) * lanes))
}
