//! The executor: a queue of agents, and batches that are started from it or from anywhere.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use throng_exec::Executor;
use throng_llm::LlmClient;
use tokio::sync::mpsc;

use crate::builder::{BatchInferenceExecutorBuilder, BatchSize};
use crate::drive::Batch;
use crate::report::AttemptFailure;
use crate::run::BatchRun;
use crate::{Act, AgentId, AgentPlan, AgentSnapshot, BatchReport, Plan, Snapshot};

/// Plans for many agents with few calls of a model.
///
/// Agents share requests, as many as [`max_batch_size`](BatchInferenceExecutorBuilder::max_batch_size), tokens and time
/// allow. Every agent gets exactly one result: each plan goes to the agent whose alias it has as soon as its closing brace
/// is there, agents without a usable plan are asked for again, alone among themselves, and if no model helps, the caller's
/// rules plan for them. Results are in the order of the agents' ids.
///
/// Clones share what was learned, and have queues of their own.
pub struct BatchInferenceExecutor<S = AgentSnapshot, P = Plan> {
    inner: Arc<Inner<S, P>>,
    queue: Vec<S>,
}

/// What the batches of an executor share.
pub(crate) struct Inner<S, P> {
    pub(crate) settings: BatchInferenceExecutorBuilder<S, P>,
    pub(crate) executor: Executor,
    pub(crate) size: Mutex<BatchSize>,
    pub(crate) learned: Mutex<Learned>,
    pub(crate) cache: Mutex<PlanCache<P>>,
}

/// What answers have taught.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learned {
    /// The model's window, once a prompt did not fit.
    pub(crate) window: Option<usize>,
    /// Tokens of a plan.
    pub(crate) output_per_agent: Option<f64>,
}

/// Plans of snapshots that were planned for before.
#[derive(Debug)]
pub(crate) struct PlanCache<P> {
    plans: HashMap<String, P>,
    order: VecDeque<String>,
}

impl<P> Default for PlanCache<P> {
    fn default() -> Self {
        Self {
            plans: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<P: Clone> PlanCache<P> {
    pub(crate) fn get(&self, key: &str) -> Option<P> {
        self.plans.get(key).cloned()
    }

    pub(crate) fn put(&mut self, key: String, plan: P, capacity: usize) {
        if capacity == 0 {
            return;
        }
        if self.plans.insert(key.clone(), plan).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.plans.remove(&oldest);
            }
        }
    }
}

/// A batch could not be made, or gave nobody a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// No agent was queued.
    #[error("there is no agent to plan for")]
    EmptyBatch,
    /// Two agents have the same id.
    #[error("agent `{id}` is in the batch twice")]
    DuplicateAgent {
        /// The id.
        id: AgentId,
    },
    /// A snapshot is not JSON that a prompt can hold.
    #[error("the snapshot of agent `{id}` cannot be sent: {reason}")]
    InvalidSnapshot {
        /// The agent.
        id: AgentId,
        /// What is wrong with it.
        reason: String,
    },
    /// The model could not be asked. The agents are still in the queue.
    #[error("none of the {agents} agents has a plan, because the call failed: {reason}")]
    CallFailed {
        /// How many agents there are.
        agents: usize,
        /// What the last call said.
        reason: String,
    },
    /// No plan could be read from any answer. The agents are still in the queue.
    #[error("none of the {agents} agents has a plan, because none could be read from the answer: {reason}")]
    ParseFailed {
        /// How many agents there are.
        agents: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The task that runs the batch panicked, in the caller's types or rules.
    #[error("the batch ended by a panic: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

impl BatchInferenceExecutor {
    /// Begins to configure an executor for snapshots and plans of the types of this crate.
    pub fn builder(model: impl Into<String>) -> BatchInferenceExecutorBuilder {
        BatchInferenceExecutorBuilder::new(model)
    }
}

impl<S: Snapshot, P: AgentPlan> BatchInferenceExecutor<S, P> {
    /// Begins to configure an executor for the caller's own types.
    pub fn typed(model: impl Into<String>) -> BatchInferenceExecutorBuilder<S, P> {
        BatchInferenceExecutorBuilder::new(model)
    }

    pub(crate) fn new(inner: Inner<S, P>) -> Self {
        Self {
            inner: Arc::new(inner),
            queue: Vec::new(),
        }
    }

    /// Puts an agent into the queue.
    ///
    /// # Errors
    ///
    /// [`BatchError::DuplicateAgent`] if an agent of this id is in it already; the queue stays as it is.
    pub fn queue_agent(&mut self, snapshot: S) -> Result<(), BatchError> {
        let id = snapshot.id();
        if self.queue.iter().any(|queued| queued.id() == id) {
            return Err(BatchError::DuplicateAgent { id });
        }
        self.queue.push(snapshot);
        Ok(())
    }

    /// Returns how many agents are in the queue.
    pub fn batch_size(&self) -> usize {
        self.queue.len()
    }

    /// Returns true if the queue fills a request.
    pub fn is_ready(&self) -> bool {
        self.queue.len() >= self.inner.settings.max_batch_size.get()
    }

    /// Takes all agents out of the queue, in the order of their ids.
    pub fn flush_batch(&mut self) -> Vec<S> {
        let mut agents = std::mem::take(&mut self.queue);
        agents.sort_by_key(Snapshot::id);
        agents
    }

    /// Returns how many agents the next request has at most.
    pub fn next_size(&self) -> NonZeroUsize {
        self.inner.next_size()
    }

    /// Plans for the agents in the queue. `acts` are the tools that plans may use; if it is empty, those of the settings.
    ///
    /// Agents that got a plan leave the queue; the others stay in it for the next time.
    ///
    /// # Errors
    ///
    /// [`BatchError::EmptyBatch`] if the queue is empty; [`BatchError::CallFailed`] and [`BatchError::ParseFailed`] if not
    /// a single agent got a plan. The queue is then as it was.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the calls; the queue is then as it was.
    pub async fn execute_batch(
        &mut self,
        client: Arc<dyn LlmClient>,
        acts: &[Act],
    ) -> Result<BatchReport<P>, BatchError> {
        let acts = if acts.is_empty() {
            self.inner.settings.acts.clone()
        } else {
            acts.to_vec()
        };
        let report = self.start_with(client, &self.queue, acts)?.finish().await?;
        if report.n_planned() == 0 {
            return Err(nobody(&report));
        }
        let planned: BTreeSet<&AgentId> = report
            .results
            .iter()
            .filter(|result| result.plan.is_some())
            .map(|result| &result.id)
            .collect();
        self.queue.retain(|snapshot| !planned.contains(&snapshot.id()));
        Ok(report)
    }

    /// Plans for agents and returns one result for each, whether there is one agent, which is then asked about alone, or
    /// many.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the batch cannot be made. That an agent gets no plan is said by its result.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the calls; what had come is lost. Use [`start`](Self::start) to keep it.
    pub async fn plan(
        &self,
        client: Arc<dyn LlmClient>,
        agents: impl IntoIterator<Item = S>,
    ) -> Result<BatchReport<P>, BatchError> {
        self.start(client, agents)?.finish().await
    }

    /// Starts to plan for agents and tells the results as they come. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if the batch cannot be made.
    pub fn start(
        &self,
        client: Arc<dyn LlmClient>,
        agents: impl IntoIterator<Item = S>,
    ) -> Result<BatchRun<P>, BatchError> {
        self.start_with(
            client,
            &agents.into_iter().collect::<Vec<S>>(),
            self.inner.settings.acts.clone(),
        )
    }

    fn start_with(
        &self,
        client: Arc<dyn LlmClient>,
        agents: &[S],
        acts: Vec<Act>,
    ) -> Result<BatchRun<P>, BatchError> {
        // Unbounded: a batch tells a few events an agent, and must not wait for whoever listens.
        let (events, listener) = mpsc::unbounded_channel();
        let batch = Batch::new(Arc::clone(&self.inner), client, agents, acts, events)?;
        Ok(BatchRun::new(tokio::spawn(batch.run()), listener))
    }
}

impl<S, P> Clone for BatchInferenceExecutor<S, P> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            queue: Vec::new(),
        }
    }
}

impl<S, P> Inner<S, P> {
    pub(crate) fn next_size(&self) -> NonZeroUsize {
        let size = match &*lock(&self.size) {
            BatchSize::Fixed(size) => *size,
            BatchSize::Adaptive(size) => size.size(),
        };
        size.min(self.settings.max_batch_size)
    }
}

/// Locks what no panic can leave half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says why a batch gave nobody a plan.
fn nobody<P>(report: &BatchReport<P>) -> BatchError {
    let agents = report.results.len();
    let failures = || {
        let attempts = report.results.iter().flat_map(|result| &result.attempts);
        attempts.filter_map(|attempt| attempt.failure.as_ref())
    };
    let unread = failures().find(|failure| {
        matches!(
            failure,
            AttemptFailure::Missing
                | AttemptFailure::Invalid(_)
                | AttemptFailure::Ambiguous
                | AttemptFailure::Truncated
        )
    });
    match unread {
        Some(failure) => BatchError::ParseFailed {
            agents,
            reason: failure.to_string(),
        },
        None => BatchError::CallFailed {
            agents,
            reason: failures()
                .find(|failure| !matches!(failure, AttemptFailure::NoRule))
                .map_or_else(|| "no tier is allowed".to_owned(), ToString::to_string),
        },
    }
}
