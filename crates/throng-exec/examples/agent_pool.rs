//! A pool of six workers answers eight questions. The model behind them is simulated: each call takes about a tenth of
//! a second. Everything that is printed was measured.
//!
//! ```text
//! cargo run -p throng-exec --example agent_pool
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Duration;

use throng_exec::{AgentPool, Attempt, Executor, Lease};

const QUESTIONS: [&str; 8] = [
    "What is the capital of France?",
    "What is 2 + 2?",
    "Who wrote Romeo and Juliet?",
    "What is the speed of light?",
    "What is the largest planet?",
    "Who painted the Mona Lisa?",
    "What is the boiling point of water?",
    "When did the Second World War end?",
];

/// What a worker keeps from one question to the next.
struct Agent {
    latency: Duration,
    answered: u32,
}

impl Agent {
    fn new(name: &str) -> Self {
        let number = name.bytes().map(u64::from).sum::<u64>() % 10;
        Self {
            latency: Duration::from_millis(95 + number),
            answered: 0,
        }
    }

    async fn ask(&mut self, name: &str, question: &str) -> Result<String, String> {
        tokio::time::sleep(self.latency).await;
        self.answered += 1;
        Ok(format!("{name}, its answer {} to '{question}'", self.answered))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let size = NonZeroUsize::new(6).ok_or("a pool needs a worker")?;
    let pool = AgentPool::builder(Agent::new).workers(size).build()?;
    let executor = Executor::builder().max_concurrent(size).build()?;
    println!("Agent pool size: {}", pool.size());
    println!("Processing {} questions...\n", QUESTIONS.len());

    let ask = |mut agent: Lease<Agent>, question: &'static str, _: Attempt| async move {
        let name = agent.name().to_owned();
        agent.ask(&name, question).await
    };
    let report = pool
        .execute_batch(&executor, QUESTIONS, ask)
        .await
        .into_result()?;

    println!("Results:");
    for job in &report.finished {
        let took = job.timing.running.as_millis();
        match job.outcome.as_success() {
            Some(answer) => println!("  {}. {answer} (took {took} ms)", job.id.index() + 1),
            None => println!("  {}. {}", job.id.index() + 1, job.outcome.kind().as_str()),
        }
    }

    let summary = &report.summary;
    println!("\nTotal execution time: {} ms", summary.wall.as_millis());
    println!(
        "Mean time of a question: {} ms",
        summary.running_time.mean.as_millis()
    );
    println!("Questions at the same time, on average: {:.1}", summary.overlap());
    println!("\nWorkers:");
    for worker in pool.stats() {
        println!(
            "  {}: {} checkouts, {} ms busy, {} failures, generation {}",
            worker.name,
            worker.checkouts,
            worker.busy.as_millis(),
            worker.failures,
            worker.generation
        );
    }
    Ok(())
}
