//! Lets agents vote on each record of a run. Every call goes through one shared run, so that the limits hold over the
//! calls of all votes; a vote that is dropped drops its calls.

use std::sync::Arc;

use throng_core::Outcome;
use throng_exec::{
    Attempt, Decision, Equivalence, Finished, NotServed, Panel, Runner, StopReason, Submitter,
};
use throng_llm::{CallContext, Completion, LlmError};
use tokio::task::JoinSet;

use super::failure::{Failure, NoConsensus};
use super::poll::{Poll, VoteLine};
use super::rules::Rules;
use crate::input::Task;
use crate::run::{Caller, Shape};

/// The call of one agent.
#[derive(Clone, Debug)]
pub(crate) struct AgentCall {
    /// What is asked.
    pub(crate) task: Arc<Task>,
    /// Where the calls of the vote are counted.
    pub(crate) poll: Arc<Poll>,
    /// Which agent is asked, from 0.
    pub(crate) agent: usize,
}

/// Calls the model for one agent.
pub(crate) struct AgentCaller(pub(crate) Caller);

impl Runner<AgentCall> for AgentCaller {
    type Output = Completion;
    type Error = LlmError;

    async fn run(&self, call: &AgentCall, cx: Attempt) -> Result<Completion, LlmError> {
        // The seed makes the agents differ, and the same agent the same again, where the server can do that.
        let seed = i64::try_from(call.agent).ok();
        let repeat = u32::try_from(call.agent).unwrap_or(u32::MAX);
        let context = CallContext::new().with_repeat(repeat);
        let attempt = call.poll.begin(call.agent);
        let report = |usage: &_| call.poll.used(attempt, usage);
        self.0.call(&call.task, seed, context, &cx, &report).await
    }
}

/// The run that takes the calls of all votes.
pub(crate) type Calls = Submitter<AgentCall, Completion, LlmError>;

/// Runs the votes of a run.
pub(crate) struct Voter {
    /// The rules.
    pub(crate) rules: Rules,
    /// What the requests have in common.
    pub(crate) shape: Shape,
    /// Takes the calls.
    pub(crate) calls: Calls,
}

impl Runner<Task> for Voter {
    type Output = Completion;
    type Error = Failure;

    async fn run(&self, task: &Task, cx: Attempt) -> Result<Completion, Failure> {
        let poll = task.poll.clone().unwrap_or_default();
        let mut count = Count {
            panel: Panel::new(&self.rules.vote),
            equivalence: self.rules.equivalence,
            error: None,
            stopped: false,
        };
        let shared = Arc::new(task.clone());
        let mut running = JoinSet::new();
        let stop = loop {
            if let Some(reason) = count.panel.stop() {
                break reason;
            }
            if count.stopped {
                break StopReason::RunEnded;
            }
            for agent in count.panel.release() {
                let call = AgentCall {
                    task: Arc::clone(&shared),
                    poll: Arc::clone(&poll),
                    agent,
                };
                let job = self.shape.terms(task).job(call);
                let calls = self.calls.clone();
                running.spawn(async move { (agent, calls.submit(job).await) });
            }
            match running.join_next().await {
                Some(Ok((agent, ended))) => count.take(agent, ended),
                Some(Err(_)) | None => count.stopped = true,
            }
            while let Some(Ok((agent, ended))) = running.try_join_next() {
                count.take(agent, ended);
            }
        };
        // Nobody waits for the calls that still run.
        running.shutdown().await;
        cx.report_usage(&poll.usage());
        count.close(&poll, stop, self.rules.agents().get())
    }
}

/// What has come of the agents so far.
struct Count {
    panel: Panel<Completion>,
    equivalence: Equivalence,
    /// The last error of an agent.
    error: Option<LlmError>,
    /// The run takes no more calls.
    stopped: bool,
}

impl Count {
    fn take(&mut self, agent: usize, ended: Result<Finished<AgentCall, Completion, LlmError>, NotServed>) {
        let counted = match ended.map(|finished| finished.outcome) {
            Ok(Outcome::Succeeded(answer)) => {
                let key = self.equivalence.key(&answer.text).into_owned();
                self.panel.answer(agent, &key, answer)
            }
            Ok(Outcome::Failed(error)) => {
                self.error = Some(error);
                self.panel.fail(agent)
            }
            Ok(Outcome::TimedOut(_) | Outcome::Panicked(_) | Outcome::Shed) => self.panel.fail(agent),
            _ => {
                self.stopped = true;
                self.panel.fail(agent)
            }
        };
        debug_assert!(counted.is_ok(), "each agent is asked once");
    }

    fn close(self, poll: &Poll, stop: StopReason, agents: usize) -> Result<Completion, Failure> {
        let tally = self.panel.into_tally();
        let (decision, agreement, valid) = (tally.decision(), tally.agreement(), tally.valid());
        let winner = tally.leader().map(|choice| choice.answer.clone());
        poll.close(VoteLine::new(tally, stop, poll.asked(), agents));
        match (decision, winner, self.error) {
            // The answers that are in might have been outvoted.
            _ if self.stopped => Err(Failure::Vote(NoConsensus::stopped())),
            (Decision::Consensus, Some(winner), _) => Ok(winner),
            (Decision::NoQuorum, None, Some(error)) => Err(Failure::Call(error)),
            _ => Err(Failure::Vote(NoConsensus::of(decision, agreement, valid, agents))),
        }
    }
}
