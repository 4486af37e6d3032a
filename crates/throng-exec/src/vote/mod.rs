//! Consensus voting: several agents answer one question, and the vote ends as soon as more answers would not help. The
//! rules, the count and the decision to go on are pure; only `run` knows of tasks and clocks.

mod ballot;
mod builder;
mod panel;
mod policy;
mod run;
mod stop;
mod tally;
mod verdict;

pub use ballot::Ballot;
pub use builder::VoteBuilder;
pub use panel::Panel;
pub use policy::{Release, Stop, Tie, Vote};
pub use stop::StopReason;
pub use tally::{Choice, Decision, NotOpen, Tally};
pub use verdict::{Failure, Verdict};
