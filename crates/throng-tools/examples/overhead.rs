//! What a call costs that does nothing: `cargo run --release -p throng-tools --example overhead`.
//!
//! Retries, timeouts, limits and events are on. The time from the plan to the report is printed, and that of starting alone.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use throng_tools::{Call, Effect, Plan, PlanEvent, ToolEntry, ToolExecutor, ToolFn, ToolSpec, Tools};

/// Makes `n` calls; each call depends on those that `parents` gives.
fn calls(n: usize, parents: impl Fn(usize) -> Vec<usize>) -> Vec<Call> {
    (0..n)
        .map(|at| {
            let call = Call::new(format!("c{at}"), "nothing", json!({}));
            parents(at)
                .into_iter()
                .fold(call, |call, parent| call.after(format!("c{parent}")))
        })
        .collect()
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = ToolSpec::new("nothing")
        .effect(Effect::Idempotent)
        .touches_nothing();
    let nothing = ToolFn::new(spec, |_: Value| async { Ok(Value::Null) });
    let limit = NonZeroUsize::new(64).ok_or("zero")?;
    let events = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&events);
    let executor = ToolExecutor::builder(Tools::new().with(ToolEntry::new(nothing).limit(limit))?)
        .max_concurrent(limit)
        .events(move |_: &PlanEvent| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .build()?;
    let n = 100_000;
    for (shape, calls) in [
        ("wide", calls(n, |_| Vec::new())),
        ("chain", calls(n, |at| at.checked_sub(1).into_iter().collect())),
        (
            "layers",
            calls(n, |at| match at / 100 {
                0 => Vec::new(),
                layer => (0..3).map(|k| (layer - 1) * 100 + (at + k * 7) % 100).collect(),
            }),
        ),
    ] {
        let plan = Plan::new(calls)?;
        let executor = executor.clone();
        let (began, started, ended, report) = tokio::spawn(async move {
            let began = Instant::now();
            let run = executor.start(plan).await?;
            let started = Instant::now();
            let report = run.finish().await;
            Ok::<_, throng_tools::StartError>((began, started, Instant::now(), report))
        })
        .await??;
        assert!(report.is_success());
        let per_call = |time: std::time::Duration| time.as_secs_f64() * 1e6 / n as f64;
        println!(
            "{shape:7} {:.2} us a call, of which preparing {:.2} us, running and the report {:.2} us (the plan alone {:.2} us)",
            per_call(ended - began),
            per_call(started - began),
            per_call(ended - started),
            per_call(report.total),
        );
    }
    println!("{} events", events.load(Ordering::Relaxed));
    Ok(())
}
