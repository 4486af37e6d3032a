//! One call of the model for some agents: the executor's job, and what is told while the answer comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use throng_core::Usage;
use throng_exec::{Attempt, Runner};
use throng_json::Ending;
use throng_llm::{CallContext, Clock, ErrorKind, FinishReason, LlmClient, LlmError, Request, StreamEvent};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::AgentPlan;
use crate::alias::Aliases;
use crate::collect::{Collector, Duplicates, Found, Lack};
use crate::report::CallEnding;
use crate::{AgentId, Tier};

/// A call that is to be made.
pub(crate) struct Ask<P> {
    /// Which call of the batch it is.
    pub(crate) number: u32,
    pub(crate) tier: Tier,
    /// The agents by their place in the batch, in the order of the prompt.
    pub(crate) agents: Vec<usize>,
    pub(crate) ids: Vec<AgentId>,
    pub(crate) aliases: Aliases,
    pub(crate) request: Arc<Request>,
    pub(crate) how: How,
    pub(crate) client: Arc<dyn LlmClient>,
    /// How many plans were told, by any attempt.
    pub(crate) given: AtomicUsize,
    /// Cancelled when nobody waits for it any longer.
    pub(crate) cancel: CancellationToken,
    /// Unbounded: an answer is bounded by the limits of the client, and the batch reads as fast as it comes.
    pub(crate) told: UnboundedSender<Told<P>>,
}

/// How answers are read.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) acts: Vec<String>,
    pub(crate) duplicates: Duplicates,
    pub(crate) positional: bool,
    pub(crate) early_stop: bool,
    pub(crate) stream: bool,
}

/// What is told while the answers come.
#[derive(Debug)]
pub(crate) struct Told<P> {
    pub(crate) call: u32,
    /// The agent's place in the call.
    pub(crate) found: Found<P>,
    /// Since the call began.
    pub(crate) after: Duration,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) ending: CallEnding,
    pub(crate) stopped_early: bool,
    pub(crate) first_chunk: Option<Duration>,
    pub(crate) took: Duration,
    pub(crate) usage: Usage,
    pub(crate) lacks: Vec<Option<Lack>>,
    pub(crate) unknown: Vec<serde_json::Value>,
    pub(crate) repairs: usize,
    pub(crate) plans: usize,
    /// The error that ended an answer which had begun.
    pub(crate) error: Option<LlmError>,
}

/// Makes calls.
pub(crate) struct Asker;

impl<P: AgentPlan> Runner<Arc<Ask<P>>> for Asker {
    type Output = Reply;
    type Error = LlmError;

    async fn run(&self, ask: &Arc<Ask<P>>, cx: Attempt) -> Result<Reply, LlmError> {
        let mut reading = Reading {
            ask,
            began: Instant::now(),
            collector: Collector::new(
                ask.ids.clone(),
                ask.aliases.clone(),
                ask.how.acts.clone(),
                ask.how.duplicates,
                ask.how.positional,
            ),
            held: Vec::new(),
            usage: Usage::NONE,
            first_chunk: None,
        };
        if !cx.is_hedge() && ask.given.load(Ordering::SeqCst) > 0 {
            // The attempt before this one ran out of time with some plans told. Those agents need not be asked about again.
            let message = "ran out of time within the answer";
            let error = LlmError::new(ErrorKind::Timeout(Clock::Total), ask.client.provider(), message);
            return Ok(reading.end(&Stop::Broken, Some(error)));
        }
        let answer = tokio::select! {
            biased;
            () = ask.cancel.cancelled() => Ok(Stop::Abandoned),
            answer = reading.read(&cx) => answer,
        };
        match answer {
            // Nothing has come, so that the same call can be made again.
            Err(error) if reading.first_chunk.is_none() => Err(error),
            Err(error) => Ok(reading.end(&Stop::Broken, Some(error))),
            Ok(stop) => Ok(reading.end(&stop, None)),
        }
    }
}

/// Why reading stopped.
#[derive(Debug)]
enum Stop {
    Finished(FinishReason),
    AllPlanned,
    Abandoned,
    Broken,
}

struct Reading<'a, P> {
    ask: &'a Ask<P>,
    began: Instant,
    collector: Collector<P>,
    /// What was found and is not told before the end.
    held: Vec<Found<P>>,
    usage: Usage,
    first_chunk: Option<Duration>,
}

impl<P: AgentPlan> Reading<'_, P> {
    async fn read(&mut self, cx: &Attempt) -> Result<Stop, LlmError> {
        let mut events = self
            .ask
            .client
            .call(Arc::clone(&self.ask.request), CallContext::new())
            .await?;
        while let Some(event) = events.next().await {
            match event? {
                StreamEvent::TextDelta(text) => {
                    if self.first_chunk.is_none() {
                        self.first_chunk = Some(self.began.elapsed());
                        cx.first_output();
                    }
                    let mut found = Vec::new();
                    self.collector.feed(&text, &mut found);
                    self.tell(found);
                    if self.ask.how.early_stop && self.collector.is_complete() {
                        return Ok(Stop::AllPlanned);
                    }
                }
                StreamEvent::Usage(usage) => {
                    self.usage.replace_with(&usage);
                    cx.report_usage(&self.usage);
                }
                StreamEvent::Finished { finish, usage } => {
                    self.usage.replace_with(&usage);
                    cx.report_usage(&self.usage);
                    return Ok(Stop::Finished(finish));
                }
                _ => {}
            }
        }
        let message = "ended its stream of events without a last event";
        let provider = self.ask.client.provider();
        Err(LlmError::new(ErrorKind::Truncated, provider, message))
    }

    fn tell(&mut self, found: Vec<Found<P>>) {
        if !self.ask.how.stream {
            self.held.extend(
                found
                    .into_iter()
                    .filter(|found| matches!(found, Found::Plan { .. })),
            );
            return;
        }
        for found in found {
            self.send(found);
        }
    }

    fn send(&self, found: Found<P>) {
        if matches!(found, Found::Plan { .. }) {
            self.ask.given.fetch_add(1, Ordering::SeqCst);
        }
        // A batch that no longer listens has been dropped, and this call with it.
        let _ = self.ask.told.send(Told {
            call: self.ask.number,
            found,
            after: self.began.elapsed(),
        });
    }

    fn end(mut self, stop: &Stop, error: Option<LlmError>) -> Reply {
        let mut found = std::mem::take(&mut self.held);
        let json = self.collector.finish(&mut found);
        for found in found {
            self.send(found);
        }
        let ending = match stop {
            Stop::AllPlanned => CallEnding::Whole,
            Stop::Abandoned => CallEnding::Abandoned,
            Stop::Broken => match error.as_ref().map(LlmError::kind) {
                Some(ErrorKind::Truncated | ErrorKind::TooLarge(_)) => CallEnding::Truncated,
                Some(ErrorKind::ContextOverflow) => CallEnding::TooLarge,
                _ => CallEnding::Failed,
            },
            Stop::Finished(FinishReason::Length | FinishReason::ContextOverflow) => CallEnding::Truncated,
            // Routers call an answer finished that was cut: an open element says otherwise.
            Stop::Finished(_) => match json {
                Ending::Truncated { .. } => CallEnding::Truncated,
                Ending::Malformed | Ending::Empty => CallEnding::Malformed,
                _ => CallEnding::Whole,
            },
        };
        Reply {
            ending,
            stopped_early: matches!(stop, Stop::AllPlanned),
            first_chunk: self.first_chunk,
            took: self.began.elapsed(),
            usage: self.usage,
            lacks: (0..self.ask.ids.len())
                .map(|place| self.collector.lack(place).cloned())
                .collect(),
            repairs: self.collector.repairs,
            plans: self
                .collector
                .plans_found
                .max(self.ask.given.load(Ordering::SeqCst)),
            unknown: std::mem::take(&mut self.collector.unknown),
            error,
        }
    }
}
