//! Four questions at a time to simulated agents of about 100 ms; what is printed was measured in this run.
//!
//! `cargo run -p throng-exec --example basic`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use throng_core::Outcome;
use throng_exec::{Attempt, Executor, OutputOrder};
use tokio::time::sleep;

const QUESTIONS: [&str; 4] = [
    "What is the capital of France?",
    "What is 2 + 2?",
    "Who wrote Romeo and Juliet?",
    "What is the speed of light?",
];

/// Stands for a call of a model: it takes 95 to 105 ms, the same for the same question.
async fn agent(question: &str) -> Result<String, Infallible> {
    let millis = 95 + question.bytes().map(u64::from).sum::<u64>() % 11;
    sleep(Duration::from_millis(millis)).await;
    Ok(format!("a simulated answer to {question:?}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let executor = Executor::builder()
        .max_concurrent(NonZeroUsize::new(4).ok_or("zero")?)
        .attempt_timeout(Duration::from_secs(30))
        .order(OutputOrder::Submission)
        .build()?;

    // Outcomes come in the order of the questions, each as soon as those before it have ended.
    let mut run = executor.start(QUESTIONS, |question: &'static str, _: Attempt| agent(question));
    while let Some(job) = run.next().await {
        let number = job.id.index() + 1;
        match job.outcome {
            Outcome::Succeeded(answer) => println!("{number}. {answer} (took {:.0?})", job.timing.running),
            other => println!("{number}. no answer: {}", other.kind()),
        }
    }

    let summary = run.finish().await?;
    let times = summary.running_time;
    println!("\n{} jobs in {:.0?}", summary.ended(), summary.wall);
    println!(
        "per job: min {:.0?}, mean {:.0?}, max {:.0?}",
        times.min, times.mean, times.max
    );
    println!("throughput {:.1} jobs/s", summary.throughput());
    Ok(())
}
