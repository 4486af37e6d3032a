//! The same eight jobs one by one and eight at a time, both of them run: the speed-up is a ratio of two measured times.
//!
//! `cargo run -p throng-exec --example against_sequential`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use throng_exec::{Attempt, Executor, RunSummary};
use tokio::time::sleep;

const JOBS: u64 = 8;

/// Runs the jobs, so many at a time. A job stands for a call of a model and takes 95 to 105 ms.
async fn run(max_concurrent: usize) -> Result<RunSummary, Box<dyn std::error::Error>> {
    let executor = Executor::builder()
        .max_concurrent(NonZeroUsize::new(max_concurrent).ok_or("zero")?)
        .build()?;
    let agent = |question: u64, _: Attempt| async move {
        sleep(Duration::from_millis(95 + question * 7 % 11)).await;
        Ok::<_, Infallible>(question)
    };
    Ok(executor.run(0..JOBS, agent).await.into_result()?.summary)
}

fn show(name: &str, summary: &RunSummary) {
    println!(
        "{name:<11}{:>10.1?}{:>12.2} jobs/s   {:.1?} per job on average",
        summary.wall,
        summary.throughput(),
        summary.running_time.mean
    );
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sequential = run(1).await?;
    let concurrent = run(8).await?;
    show("one by one", &sequential);
    show("8 at a time", &concurrent);

    let speed_up = sequential.wall.as_secs_f64() / concurrent.wall.as_secs_f64();
    let saved = sequential.wall.saturating_sub(concurrent.wall);
    println!("speed-up   {speed_up:.2}, of at most 8");
    println!("time saved {saved:.1?} ({:.1} %)", 100.0 * (1.0 - 1.0 / speed_up));
    Ok(())
}
