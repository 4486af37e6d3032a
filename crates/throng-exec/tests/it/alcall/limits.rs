//! alcall's `max_concurrent`, `throttle_period` and `delay_before_start`, its order, and the reuse of AlcallParams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use throng_exec::{Attempt, Executor};

use super::{STEP, job, least_gap, recorded, result, run};
use crate::support::{Fault, fixed, ms, n, once};

#[tokio::test(start_paused = true)]
async fn max_concurrent_is_max_concurrent() {
    let was = recorded("max_concurrent");
    let (probe, report) = run(&once(3).build().unwrap(), (0..7).map(|n| job(n).steps(2))).await;
    assert_eq!(probe.peak(), was["peak"]);
    assert_eq!(probe.inputs(), was["inputs"]);
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(result(&report), was["result"]);
}

/// alcall takes 0 for no limit, as it takes None. Ours has a limit always, 10 if none is set, and cannot be told 0.
#[tokio::test(start_paused = true)]
async fn there_is_always_a_limit() {
    for case in ["max_concurrent.none", "max_concurrent.0"] {
        let was = recorded(case);
        assert_eq!((&was["calls"], &was["peak"]), (&json!(7), &json!(7)), "{case}");
    }
    let executor = Executor::builder().build().unwrap();
    let (probe, _) = run(&executor, (0..50).map(|n| job(n).steps(2))).await;
    assert_eq!(probe.peak(), json!(10));
}

/// alcall reads its input to the end and makes a task for each item before the first call. Ours reads as far as the
/// window, whatever the length of the input.
#[tokio::test(start_paused = true)]
async fn the_input_is_read_as_far_as_the_window() {
    let was = recorded("max_concurrent.input_pulled_before_first_call");
    assert_eq!(was["result"], json!(100));
    let executor = once(2).window(n(4)).build().unwrap();
    let pulled = Arc::new(AtomicUsize::new(0));
    let (counter, seen) = (Arc::clone(&pulled), Arc::clone(&pulled));
    let source = (0..100_u64).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let runner = move |_: u64, _: Attempt| {
        let pulled = seen.load(Ordering::SeqCst);
        async move { Ok::<_, Fault>(pulled) }
    };
    let report = executor.run(source, runner).await;
    let at_first_call = report.finished[0].outcome.as_success().unwrap();
    assert!(
        *at_first_call <= 4,
        "{at_first_call} were read before the first call"
    );
    assert_eq!(pulled.load(Ordering::SeqCst), 100);
}

#[tokio::test(start_paused = true)]
async fn results_are_in_the_order_of_submission() {
    let was = recorded("order");
    let jobs = [job(0).steps(4), job(1).steps(1), job(2).steps(2)];
    let (probe, report) = run(&once(3).build().unwrap(), jobs).await;
    assert_eq!(result(&report), was["result"]);
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
}

#[tokio::test(start_paused = true)]
async fn an_executor_is_reused_like_params() {
    let was = recorded("params.reuse");
    let executor = once(2).retry(fixed(2, ms(0))).build().unwrap();
    let (first, one) = run(&executor, [job(0), job(1).fails(1)]).await;
    let (second, two) = run(&executor, (2..5).map(|n| job(n).steps(1))).await;
    assert_eq!(json!([result(&one), result(&two)]), was["result"]);
    assert_eq!(
        first.calls().as_u64().unwrap() + second.calls().as_u64().unwrap(),
        was["calls"]
    );
    assert_eq!(second.peak(), was["peak"]);
}

/// AlcallParams are frozen, and so is an executor: its builder is what changes. A keyword of a call is a builder that was
/// kept and cloned.
#[tokio::test(start_paused = true)]
async fn one_run_can_have_other_settings() {
    assert_eq!(
        recorded("params.frozen")["raised"],
        json!({"error": "FrozenInstanceError"})
    );
    let was = recorded("params.override");
    let builder = once(2);
    let wider = builder.clone().max_concurrent(n(4)).build().unwrap();
    let (probe, report) = run(&wider, (0..4).map(|n| job(n).steps(1))).await;
    assert_eq!(
        (probe.peak(), result(&report)),
        (was["peak"].clone(), was["result"].clone())
    );
    let (probe, _) = run(&builder.build().unwrap(), (0..4).map(|n| job(n).steps(1))).await;
    assert_eq!(probe.peak(), json!(2));
}

#[tokio::test(start_paused = true)]
async fn delay_before_start_is_start_delay() {
    let was = recorded("delay_before_start");
    let executor = once(2).start_delay(ms(3 * STEP)).build().unwrap();
    let (probe, report) = run(&executor, [job(0), job(1)]).await;
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(result(&report), was["result"]);
}

#[tokio::test(start_paused = true)]
async fn throttle_period_is_throttle() {
    let was = recorded("throttle_period");
    let executor = once(4).throttle(ms(2 * STEP)).build().unwrap();
    let (probe, report) = run(&executor, (0..4).map(job)).await;
    assert_eq!(probe.inputs(), was["inputs"]);
    assert_eq!(probe.starts_ms(), was["starts_ms"]);
    assert_eq!(result(&report), was["result"]);
}

/// alcall spaces the creation of tasks: a retry starts at once, and who is limited to one call in 100 ms gets two. Ours
/// spaces the starts of attempts.
#[tokio::test(start_paused = true)]
async fn a_retry_keeps_to_the_throttle() {
    let was = recorded("throttle_period.retries");
    assert_eq!(was["starts_ms"], json!([0, 0, 100, 100]));
    let executor = once(2)
        .throttle(ms(2 * STEP))
        .retry(fixed(2, ms(0)))
        .build()
        .unwrap();
    let (probe, report) = run(&executor, (0..2).map(|n| job(n).fails(1))).await;
    assert_eq!(probe.starts_ms(), json!([0, 100, 200, 300]));
    assert_eq!(
        (probe.calls(), result(&report)),
        (was["calls"].clone(), was["result"].clone())
    );
}

/// Two tasks of alcall that were created apart and wait for permits start together when two permits come free together.
#[tokio::test(start_paused = true)]
async fn jobs_that_waited_for_permits_keep_to_the_throttle() {
    let was = recorded("throttle_period.permits");
    assert_eq!(was["starts_ms"], json!([0, 50, 200, 200]));
    let executor = once(2).throttle(ms(STEP)).build().unwrap();
    let steps = [4, 3, 4, 3];
    let jobs = (0..).zip(steps).map(|(n, steps)| job(n).steps(steps));
    let (probe, report) = run(&executor, jobs).await;
    assert_eq!(probe.starts_ms(), json!([0, 50, 200, 250]));
    assert_eq!(least_gap(&probe.starts_ms()), STEP);
    assert_eq!(
        (probe.inputs(), result(&report)),
        (was["inputs"].clone(), was["result"].clone())
    );
}
