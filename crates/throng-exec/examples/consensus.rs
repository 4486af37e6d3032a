//! Five agents answer one question, and the vote ends as soon as three of them agree. The agents are simulated: each
//! waits for a while and says what stands in a table. An agent's number chooses its row and is no part of its answer.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::num::NonZeroUsize;
use std::time::Duration;

use throng_exec::{Attempt, Ballot, Executor, Release, Vote};
use tokio::time::sleep;

/// Milliseconds, and the answer.
const AGENTS: [(u64, &str); 5] = [
    (120, "Paris"),
    (40, "Lyon"),
    (80, "**Paris**"),
    (100, "paris."),
    (60, " PARIS\n"),
];

async fn ask(ballot: Ballot<&'static str>, _cx: Attempt) -> Result<String, String> {
    let (wait, answer) = AGENTS
        .get(ballot.agent)
        .ok_or_else(|| format!("nobody answers `{}`", ballot.question))?;
    sleep(Duration::from_millis(*wait)).await;
    Ok((*answer).to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let question = "Which city is the capital of France?";
    let executor = Executor::builder()
        .attempt_timeout(Duration::from_secs(10))
        .build()?;
    let agents = NonZeroUsize::new(AGENTS.len()).ok_or("there are no agents")?;
    println!("{question}");
    for release in [Release::Needed, Release::Rolling] {
        let vote = Vote::builder(agents).release(release).build()?;
        let verdict = vote.run(&executor, question, ask).await;
        let winner = verdict.winner().map_or("none", |answer| answer.trim());
        println!("\n{release:?}: {:?}, winner: {winner}", verdict.decision);
        println!("  agreement {:.0} %", 100.0 * verdict.agreement);
        for choice in &verdict.choices {
            println!(
                "  {:<6} {} votes, agents {:?}",
                choice.key,
                choice.votes(),
                choice.agents
            );
        }
        println!(
            "  {} asked, {} saved, {} cancelled, after {} ms: {:?}",
            verdict.asked,
            verdict.saved,
            verdict.cancelled,
            verdict.wall.as_millis(),
            verdict.stop
        );
    }
    Ok(())
}
