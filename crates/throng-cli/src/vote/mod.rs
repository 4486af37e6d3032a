//! Votes: several agents answer one prompt. `throng vote` asks one question; `throng run --vote` asks every record, all
//! calls within the limits of the run.

mod command;
mod failure;
mod poll;
mod report;
mod rules;
mod voter;

pub(crate) use command::vote;
pub(crate) use failure::Failure;
pub(crate) use poll::{Poll, VoteLine};
pub(crate) use rules::{Rules, RulesArgs};
pub(crate) use voter::{AgentCaller, Calls, Voter};
