//! bcall's `batch_size` and BcallParams.

use serde_json::{Value, json};
use throng_exec::{ExecutorBuilder, OutputOrder};

use super::{Job, Probe, entry, job, recorded};
use crate::support::{n, once};

/// Runs jobs in batches of two and returns the outputs of each batch.
async fn in_twos(builder: ExecutorBuilder, jobs: Vec<Job>) -> (Probe, Value) {
    let executor = builder.order(OutputOrder::Submission).build().unwrap();
    let probe = Probe::new();
    let mut batches = executor.start(jobs, probe.runner()).batches(n(2));
    let mut entries = Vec::new();
    while let Some(batch) = batches.next().await {
        entries.push(batch.iter().map(entry).collect::<Value>());
    }
    (probe, Value::from(entries))
}

fn jobs() -> Vec<Job> {
    let steps = [4, 1, 1, 1, 1];
    (0..).zip(steps).map(|(n, steps)| job(n).steps(steps)).collect()
}

#[tokio::test(start_paused = true)]
async fn batch_size_with_a_barrier_is_bcall() {
    let was = recorded("batch_size");
    let (probe, batches) = in_twos(once(2).barrier(n(2)), jobs()).await;
    assert_eq!(batches, was["result"]);
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(probe.inputs(), was["inputs"]);
    assert_eq!(probe.wall_ms(), was["wall_ms"]);
}

/// A batch of bcall waits for the slowest of the batch before. Ours has the same batches at the same concurrency, without
/// the wait, unless a barrier is asked for.
#[tokio::test(start_paused = true)]
async fn batches_do_not_wait_for_each_other() {
    let was = recorded("batch_size");
    assert_eq!((&was["peak"], &was["wall_ms"]), (&json!(2), &json!(300)));
    let (probe, batches) = in_twos(once(2), jobs()).await;
    assert_eq!(batches, was["result"]);
    assert_eq!(probe.peak(), was["peak"]);
    assert_eq!(probe.starts_ms(), json!([0, 0, 50, 100, 150]));
    assert_eq!(probe.wall_ms(), json!(200));
}

/// bcall flattens its input and drops what is None, unasked. Ours takes the jobs as they are given, and `list::flatten`
/// where that is wanted.
#[tokio::test(start_paused = true)]
async fn batches_are_of_the_jobs_that_were_given() {
    let was = recorded("batch_size.nested_input");
    assert_eq!(
        (&was["inputs"], &was["result"]),
        (&json!([1, 2, 3]), &json!([[1, 2], [3]]))
    );
    let given = throng_exec::list::items(json!([1, null, [2, [3]]]));
    let jobs = throng_exec::list::flatten(given).filter_map(|value| value.as_u64());
    let (probe, batches) = in_twos(once(1), jobs.map(job).collect()).await;
    assert_eq!(
        (probe.inputs(), batches),
        (was["inputs"].clone(), was["result"].clone())
    );
}

/// bcall raises ValueError when it is first asked for a batch; a `NonZeroUsize` cannot be 0.
#[test]
fn a_batch_has_at_least_one_job() {
    let was = recorded("batch_size.0");
    assert_eq!(
        (&was["raised"], &was["calls"]),
        (&json!({"error": "ValueError"}), &json!(0))
    );
    assert!(std::num::NonZeroUsize::new(0).is_none());
}

/// An error in its first batch ends bcall: the other batches are never called. Ours goes on.
#[tokio::test(start_paused = true)]
async fn an_error_does_not_end_the_batches() {
    let was = recorded("batch_size.error");
    assert_eq!(
        (&was["raised"], &was["calls"]),
        (&json!({"error": "KeyError"}), &json!(2))
    );
    let failing = |n| {
        if n == 1 {
            job(n).fails(9).permanently()
        } else {
            job(n)
        }
    };
    let (_, batches) = in_twos(once(2), (0..4).map(failing).collect()).await;
    assert_eq!(batches, json!([[0, {"error": "KeyError"}], [2, 3]]));
}

/// BcallParams collects the batches; so does a report.
#[tokio::test(start_paused = true)]
async fn a_report_holds_every_batch() {
    let was = recorded("params.bcall");
    let executor = once(2).barrier(n(2)).build().unwrap();
    let (probe, report) = super::run(&executor, (0..3).map(|n| job(n).steps(1))).await;
    assert_eq!(super::result(&report), was["result"]);
    assert_eq!(
        (probe.starts_ms(), probe.calls()),
        (was["starts_ms"].clone(), was["calls"].clone())
    );
}
