//! 32 jobs one by one and 2, 4, 8 and 16 at a time: measured throughput, and the speed-up against the first of them.
//!
//! `cargo run -p throng-exec --example throughput`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use throng_exec::{Attempt, Executor, RunSummary};
use tokio::time::sleep;

const JOBS: u64 = 32;

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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{JOBS} jobs of about 100 ms\n");
    println!("at a time    duration     throughput   speed-up   efficiency");
    let mut alone = None;
    for concurrent in [1, 2, 4, 8, 16] {
        let summary = run(concurrent).await?;
        let wall = summary.wall.as_secs_f64();
        let speed_up = *alone.get_or_insert(wall) / wall;
        println!(
            "{concurrent:>9}{:>10.0} ms{:>9.2} jobs/s{speed_up:>11.2}{:>13.2}",
            wall * 1e3,
            summary.throughput(),
            speed_up / concurrent as f64
        );
    }
    Ok(())
}
