//! A batch from its first call to its last result: tiers, rounds, deadlines.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use serde_json::Value;
use throng_core::Outcome;
use throng_exec::Finished;
use throng_llm::{ErrorKind, LlmClient, LlmError, Message};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::alias::Aliases;
use crate::ask::{Ask, Asker, How, Reply, Told};
use crate::builder::{BatchSize, LatePlans};
use crate::collect::{Found, Lack};
use crate::executor::{Inner, lock};
use crate::prompt::{self, Prompt};
use crate::report::{AttemptFailure, CallEnding, CallReport, TierAttempt};
use crate::{
    Act, AgentId, AgentPlan, AgentResult, BatchError, BatchEvent, BatchReport, Ending, Load, Room, Snapshot,
    Tier, Wording, pack,
};

/// Tokens that wires add around two messages.
const FRAME: usize = 16;

/// A batch.
pub(crate) struct Batch<S, P> {
    inner: Arc<Inner<S, P>>,
    client: Arc<dyn LlmClient>,
    acts: Vec<Act>,
    events: UnboundedSender<BatchEvent<P>>,
    began: Instant,
    /// The agents, in the order of their ids.
    slots: Vec<Slot<P>>,
    calls: Vec<CallReport>,
    /// No request has more agents than this: it is halved when an answer was cut or a prompt did not fit.
    cap: usize,
    /// Why the model need not be asked any more.
    hopeless: bool,
}

/// One agent.
struct Slot<P> {
    id: AgentId,
    role: Option<String>,
    /// The snapshot without its id.
    snapshot: Value,
    /// The snapshot as the caller gave it, for rules.
    whole: Value,
    input: usize,
    deadline: Option<Instant>,
    /// Its own prompt did not fit in this tier.
    too_large: Option<Tier>,
    attempts: Vec<TierAttempt>,
    result: Option<AgentResult<P>>,
}

impl<P> Slot<P> {
    /// Returns under which name plans for it are remembered.
    fn key(&self) -> String {
        format!("{:?} {}", self.id, self.snapshot)
    }
}

impl<S: Snapshot, P: AgentPlan> Batch<S, P> {
    pub(crate) fn new(
        inner: Arc<Inner<S, P>>,
        client: Arc<dyn LlmClient>,
        agents: &[S],
        acts: Vec<Act>,
        events: UnboundedSender<BatchEvent<P>>,
    ) -> Result<Self, BatchError> {
        if agents.is_empty() {
            return Err(BatchError::EmptyBatch);
        }
        let began = Instant::now();
        let mut slots = Vec::with_capacity(agents.len());
        for agent in agents {
            let id = agent.id();
            let invalid = |reason: String| BatchError::InvalidSnapshot {
                id: id.clone(),
                reason,
            };
            let whole = serde_json::to_value(agent).map_err(|error| invalid(error.to_string()))?;
            let Value::Object(mut members) = whole.clone() else {
                return Err(invalid("it is no JSON object".to_owned()));
            };
            members.remove("id");
            members.remove("agent_id");
            let snapshot = Value::Object(members);
            let deadline = agent.deadline().or(inner.settings.deadline);
            slots.push(Slot {
                role: agent.role().map(str::to_owned),
                input: inner.settings.counter.count(&snapshot.to_string()) + FRAME,
                deadline: deadline.and_then(|deadline| began.checked_add(deadline)),
                snapshot,
                whole,
                too_large: None,
                attempts: Vec::new(),
                result: None,
                id,
            });
        }
        slots.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(twice) = slots.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(BatchError::DuplicateAgent {
                id: twice[0].id.clone(),
            });
        }
        Ok(Self {
            inner,
            client,
            acts,
            events,
            began,
            slots,
            calls: Vec::new(),
            cap: usize::MAX,
            hopeless: false,
        })
    }

    /// Runs the batch to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the calls, and what had come is lost.
    pub(crate) async fn run(mut self) -> BatchReport<P> {
        self.take_from_cache();
        let tiers = self.inner.settings.tiers.clone();
        for (place, tier) in tiers.into_iter().enumerate() {
            let reasks = if place == 0 { self.inner.settings.reasks } else { 1 };
            for round in 0..=reasks {
                let waiting = self.waiting(tier);
                if waiting.is_empty() || self.hopeless {
                    break;
                }
                self.round(tier, round, &waiting).await;
            }
        }
        for agent in 0..self.slots.len() {
            self.plan_without_model(agent, false);
        }
        let results = self.slots.into_iter().filter_map(|slot| slot.result).collect();
        BatchReport {
            results,
            calls: self.calls,
            elapsed: self.began.elapsed(),
        }
    }

    fn take_from_cache(&mut self) {
        for agent in 0..self.slots.len() {
            let plan = lock(&self.inner.cache).get(&self.slots[agent].key());
            if let Some(plan) = plan {
                self.resolve(agent, Tier::Cache, None, Duration::ZERO, plan);
            }
        }
    }

    /// Returns the agents that a tier can still do something for.
    fn waiting(&self, tier: Tier) -> Vec<usize> {
        (0..self.slots.len())
            .filter(|&agent| {
                let slot = &self.slots[agent];
                slot.result.is_none() && slot.too_large != Some(tier)
            })
            .collect()
    }

    /// Asks once about all agents that wait, in as many calls as that takes.
    async fn round(&mut self, tier: Tier, round: u32, waiting: &[usize]) {
        let (told, mut listener) = mpsc::unbounded_channel();
        let mut asks = Vec::new();
        for group in self.groups(tier, waiting) {
            let ask = self.ask(tier, round, &group, &told);
            asks.push(Arc::new(ask));
        }
        let mut run = self.inner.executor.start(asks.clone(), Asker);
        loop {
            let deadline = self.next_deadline();
            let expiry = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(told) = listener.recv() => self.told(&asks, told),
                () = expiry => self.expire(&asks),
                finished = run.next() => {
                    // Whatever an answer brought was told before it ended.
                    while let Ok(told) = listener.try_recv() {
                        self.told(&asks, told);
                    }
                    match finished {
                        Some(finished) => self.ended(finished),
                        None => break,
                    }
                }
            }
        }
    }

    /// Deals agents out to requests.
    fn groups(&self, tier: Tier, waiting: &[usize]) -> Vec<Vec<usize>> {
        if tier == Tier::Single {
            return waiting.iter().map(|&agent| vec![agent]).collect();
        }
        let settings = &self.inner.settings;
        let learned = lock(&self.inner.learned).clone();
        let output = learned
            .output_per_agent
            .map_or(settings.output_per_agent, |tokens| tokens.ceil() as usize);
        let most = self.inner.next_size().get().min(self.cap).max(1);
        let mut room = Room::new(NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN));
        let window = match (settings.window, learned.window) {
            (Some(set), Some(learned)) => Some(set.min(learned)),
            (set, learned) => set.or(learned),
        };
        if let Some(window) = window {
            let frame = self.prompt(tier, waiting, &[]);
            let frame = settings.counter.count(&frame.system) + settings.counter.count(&frame.user) + FRAME;
            room = room.window(window.saturating_sub(frame));
        }
        if let Some(tokens) = settings.max_output_tokens {
            room = room.output(tokens as usize);
        }
        let loads: Vec<Load> = waiting
            .iter()
            .map(|&agent| Load::new(self.slots[agent].input, output))
            .collect();
        let groups = pack(&loads, &room);
        let named = |group: Vec<usize>| group.into_iter().map(|place| waiting[place]).collect();
        groups.into_iter().map(named).collect()
    }

    fn wording(&self, tier: Tier) -> Wording {
        match tier {
            Tier::Full => self.inner.settings.wording,
            _ => Wording::Short,
        }
    }

    fn prompt(&self, tier: Tier, agents: &[usize], snapshots: &[Value]) -> Prompt {
        let roles: BTreeSet<String> = agents
            .iter()
            .filter_map(|&agent| self.slots[agent].role.clone())
            .collect();
        let instructions = &self.inner.settings.instructions;
        prompt::write(instructions, &self.acts, &roles, snapshots, self.wording(tier))
    }

    fn ask(&mut self, tier: Tier, round: u32, group: &[usize], told: &UnboundedSender<Told<P>>) -> Ask<P> {
        let settings = &self.inner.settings;
        let mut agents = group.to_vec();
        let ids: Vec<String> = agents
            .iter()
            .map(|&agent| format!("{:?}", self.slots[agent].id))
            .collect();
        let name = format!("{} {} {round} {}", settings.seed, tier.as_str(), ids.join(" "));
        let seed = hash(&name);
        if settings.permute {
            fastrand::Rng::with_seed(seed).shuffle(&mut agents);
        }
        let aliases = Aliases::draw(agents.len(), seed);
        let snapshots: Vec<Value> = agents
            .iter()
            .zip(aliases.names())
            .map(|(&agent, alias)| {
                let mut snapshot = self.slots[agent].snapshot.clone();
                if let Value::Object(members) = &mut snapshot {
                    members.insert("agent_id".to_owned(), Value::from(alias.as_str()));
                }
                snapshot
            })
            .collect();
        let Prompt { system, user } = self.prompt(tier, &agents, &snapshots);
        let mut request = settings.template.clone();
        if let Some(tokens) = settings.max_output_tokens {
            request.max_output_tokens = Some(tokens);
        }
        request = request
            .message(Message::system(system))
            .message(Message::user(user));
        let number = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let ids: Vec<AgentId> = agents.iter().map(|&agent| self.slots[agent].id.clone()).collect();
        self.calls.push(CallReport {
            number,
            tier,
            agents: ids.clone(),
            began: self.began.elapsed(),
            first_chunk: None,
            first_plan: None,
            took: Duration::ZERO,
            ending: CallEnding::Abandoned,
            stopped_early: false,
            usage: throng_core::Usage::NONE,
            plans: 0,
            repairs: 0,
            unknown: Vec::new(),
            error: None,
        });
        self.tell(BatchEvent::CallStarted {
            number,
            tier,
            agents: ids.clone(),
        });
        let settings = &self.inner.settings;
        Ask {
            number,
            tier,
            agents,
            ids,
            aliases,
            request: Arc::new(request),
            how: How {
                acts: self.acts.iter().map(|act| act.name.clone()).collect(),
                duplicates: settings.duplicates,
                positional: settings.positional,
                early_stop: settings.early_stop,
                stream: settings.stream,
            },
            client: Arc::clone(&self.client),
            given: AtomicUsize::new(0),
            cancel: CancellationToken::new(),
            told: told.clone(),
        }
    }

    fn tell(&self, event: BatchEvent<P>) {
        // Whoever only waits for the report does not listen.
        let _ = self.events.send(event);
    }

    /// Takes what an answer has brought.
    fn told(&mut self, asks: &[Arc<Ask<P>>], told: Told<P>) {
        let Some(ask) = asks.iter().find(|ask| ask.number == told.call) else {
            return;
        };
        match told.found {
            Found::Step { place, index, value } => {
                let agent = ask.agents[place];
                if self.slots[agent].result.is_none() {
                    self.tell(BatchEvent::Step {
                        agent: self.slots[agent].id.clone(),
                        index,
                        value,
                    });
                }
            }
            Found::Plan { place, plan } => {
                let agent = ask.agents[place];
                if let Some(call) = self.calls.get_mut(ask.number as usize) {
                    call.first_plan.get_or_insert(told.after);
                }
                self.remember(agent, &plan);
                if self.slots[agent].result.is_none() {
                    self.resolve(agent, ask.tier, Some(ask.number), told.after, plan);
                } else if self.inner.settings.late == LatePlans::Deliver {
                    let agent = self.slots[agent].id.clone();
                    self.tell(BatchEvent::LatePlan { agent, plan });
                }
            }
        }
    }

    fn remember(&self, agent: usize, plan: &P) {
        let capacity = self.inner.settings.cache;
        if capacity > 0 {
            lock(&self.inner.cache).put(self.slots[agent].key(), plan.clone(), capacity);
        }
    }

    /// Gives an agent its plan.
    fn resolve(&mut self, agent: usize, tier: Tier, call: Option<u32>, took: Duration, plan: P) {
        let slot = &mut self.slots[agent];
        slot.attempts.push(TierAttempt {
            tier,
            call,
            took,
            failure: None,
        });
        self.settle(agent, Some((tier, plan)), false);
    }

    /// Gives an agent its one result.
    fn settle(&mut self, agent: usize, plan: Option<(Tier, P)>, late: bool) {
        let slot = &mut self.slots[agent];
        let (tier, plan) = plan.unzip();
        let result = AgentResult {
            id: slot.id.clone(),
            plan,
            tier,
            late,
            attempts: std::mem::take(&mut slot.attempts),
            at: self.began.elapsed(),
        };
        slot.result = Some(result.clone());
        self.tell(BatchEvent::Result(result));
    }

    /// Lets rules plan for an agent that has no result.
    fn plan_without_model(&mut self, agent: usize, late: bool) {
        if self.slots[agent].result.is_some() {
            return;
        }
        let rules = self.by_rules(agent, Tier::Heuristic);
        let plan = match rules {
            Some(plan) => Some((Tier::Heuristic, plan)),
            None if self.inner.settings.emergency.is_empty() => None,
            None => self
                .by_rules(agent, Tier::Emergency)
                .map(|plan| (Tier::Emergency, plan)),
        };
        self.settle(agent, plan, late);
    }

    /// Plans for an agent by a tier without a model.
    fn by_rules(&mut self, agent: usize, tier: Tier) -> Option<P> {
        let slot = &self.slots[agent];
        let settings = &self.inner.settings;
        let steps = match tier {
            Tier::Heuristic => settings.rules.plan(&slot.whole).unwrap_or_default(),
            _ => settings.emergency.as_slice(),
        };
        let seed = hash(&format!("{} {}", settings.seed, slot.key()));
        let plan_id = format!("{}-{seed:016x}", tier.as_str());
        let made = (!steps.is_empty()).then(|| P::from_steps(&slot.id, &plan_id, steps));
        let (plan, failure) = match made {
            Some(Some(plan)) => (Some(plan), None),
            Some(None) => {
                let reason = "plans of this type are not made of steps".to_owned();
                (None, Some(AttemptFailure::Invalid(reason)))
            }
            None => (None, Some(AttemptFailure::NoRule)),
        };
        self.slots[agent].attempts.push(TierAttempt {
            tier,
            call: None,
            took: Duration::ZERO,
            failure,
        });
        plan
    }

    fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.slots.iter().filter(|slot| slot.result.is_none());
        waiting.filter_map(|slot| slot.deadline).min()
    }

    /// Ends the wait of the agents whose deadline has passed.
    fn expire(&mut self, asks: &[Arc<Ask<P>>]) {
        let now = Instant::now();
        for agent in 0..self.slots.len() {
            let slot = &mut self.slots[agent];
            if slot.result.is_some() || slot.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            let ask = asks.iter().find(|ask| ask.agents.contains(&agent));
            if let Some(ask) = ask {
                let began = self.calls.get(ask.number as usize).map(|call| call.began);
                slot.attempts.push(TierAttempt {
                    tier: ask.tier,
                    call: Some(ask.number),
                    took: self.began.elapsed().saturating_sub(began.unwrap_or_default()),
                    failure: Some(AttemptFailure::Late),
                });
            }
            self.plan_without_model(agent, true);
        }
        if self.inner.settings.late == LatePlans::Drop {
            for ask in asks {
                let nobody_waits = |agent: &usize| self.slots[*agent].result.is_some();
                if ask.agents.iter().all(nobody_waits) {
                    ask.cancel.cancel();
                }
            }
        }
    }

    /// Takes note of the end of a call.
    fn ended(&mut self, finished: Finished<Arc<Ask<P>>, Reply, LlmError>) {
        let ask = finished.input;
        let outcome = match finished.outcome {
            Outcome::Succeeded(reply) => Ok(reply),
            Outcome::Failed(error) => Err((error.to_string(), Some(error))),
            Outcome::TimedOut(kind) => Err((kind.to_string(), None)),
            Outcome::Panicked(message) => Err((format!("the call panicked: {message}"), None)),
            other => Err((format!("the call was {}", other.kind()), None)),
        };
        let n = ask.agents.len();
        let number = ask.number as usize;
        let mut failures: Vec<Option<AttemptFailure>> = vec![None; n];
        match outcome {
            Ok(reply) => {
                self.judge(&ask, &reply);
                for (place, failure) in failures.iter_mut().enumerate() {
                    *failure = Some(failure_of(&reply, place));
                }
                if let Some(call) = self.calls.get_mut(number) {
                    call.ending = reply.ending;
                    call.stopped_early = reply.stopped_early;
                    call.first_chunk = reply.first_chunk;
                    call.took = reply.took;
                    call.usage = reply.usage;
                    call.plans = reply.plans;
                    call.repairs = reply.repairs;
                    call.unknown = reply.unknown;
                    call.error = reply.error.map(|error| error.to_string());
                }
            }
            Err((text, error)) => {
                let kind = error.as_ref().map(LlmError::kind);
                let ending = if kind == Some(&ErrorKind::ContextOverflow) {
                    CallEnding::TooLarge
                } else {
                    CallEnding::Failed
                };
                if let Some(error) = &error {
                    self.refused(&ask, error);
                }
                for failure in &mut failures {
                    *failure = Some(match ending {
                        CallEnding::TooLarge => AttemptFailure::TooLarge,
                        _ => AttemptFailure::Call(text.clone()),
                    });
                }
                let since = self.began.elapsed();
                if let Some(call) = self.calls.get_mut(number) {
                    call.ending = ending;
                    call.took = since.saturating_sub(call.began);
                    call.error = Some(text);
                }
            }
        }
        let took = self.calls.get(number).map_or(Duration::ZERO, |call| call.took);
        for (&agent, failure) in ask.agents.iter().zip(failures) {
            let slot = &mut self.slots[agent];
            if slot.result.is_none() {
                slot.attempts.push(TierAttempt {
                    tier: ask.tier,
                    call: Some(ask.number),
                    took,
                    failure,
                });
            }
        }
        if let Some(call) = self.calls.get(number).cloned() {
            self.tell(BatchEvent::CallEnded(call));
        }
    }

    /// Learns from an answer how large the next requests may be.
    fn judge(&mut self, ask: &Ask<P>, reply: &Reply) {
        let n = ask.agents.len();
        match reply.ending {
            CallEnding::Abandoned => return,
            CallEnding::Truncated => self.cap = self.cap.min(n / 2).max(1),
            CallEnding::TooLarge => self.too_large(ask, None),
            _ => {}
        }
        if let (Some(error), CallEnding::Failed) = (&reply.error, reply.ending) {
            self.refused(ask, error);
        }
        let whole = reply.plans == n;
        if whole
            && !reply.stopped_early
            && let Some(tokens) = reply.usage.output_tokens
        {
            let each = tokens as f64 / n as f64;
            let mut learned = lock(&self.inner.learned);
            let before = learned.output_per_agent.unwrap_or(each);
            learned.output_per_agent = Some(before + (each - before) * 0.2);
        }
        if let BatchSize::Adaptive(size) = &mut *lock(&self.inner.size) {
            let ending = match reply.ending {
                CallEnding::Truncated | CallEnding::TooLarge => Ending::Truncated,
                CallEnding::Failed => return,
                _ if whole => Ending::Whole,
                _ => Ending::Missing,
            };
            size.observe(n, reply.took, ending);
        }
    }

    /// Learns from a call that was refused.
    fn refused(&mut self, ask: &Ask<P>, error: &LlmError) {
        match error.kind() {
            ErrorKind::ContextOverflow => self.too_large(ask, Some(error)),
            // One agent may be the cause: the others get a request without it.
            ErrorKind::ContentFilter | ErrorKind::BadRequest | ErrorKind::TooLarge(_) => {
                self.cap = self.cap.min(ask.agents.len() / 2).max(1);
            }
            // These would end every other call too.
            ErrorKind::Auth
            | ErrorKind::NotFound
            | ErrorKind::QuotaExhausted
            | ErrorKind::Cancelled
            | ErrorKind::CostLimit
            | ErrorKind::UnknownPrice => self.hopeless = true,
            _ => {}
        }
    }

    fn too_large(&mut self, ask: &Ask<P>, error: Option<&LlmError>) {
        let n = ask.agents.len();
        self.cap = self.cap.min(n / 2).max(1);
        if let (1, Some(&agent)) = (n, ask.agents.first()) {
            self.slots[agent].too_large = Some(ask.tier);
        }
        if let Some(limit) = error.and_then(|error| error.overflow().limit) {
            lock(&self.inner.learned).window = usize::try_from(limit).ok();
        }
    }
}

/// Says why an answer has no plan for an agent.
fn failure_of(reply: &Reply, place: usize) -> AttemptFailure {
    match reply.lacks.get(place).and_then(Option::as_ref) {
        Some(Lack::Invalid(reason)) => return AttemptFailure::Invalid(reason.clone()),
        Some(Lack::Ambiguous) => return AttemptFailure::Ambiguous,
        None => {}
    }
    match (reply.ending, &reply.error) {
        (CallEnding::Truncated, _) => AttemptFailure::Truncated,
        (CallEnding::TooLarge, _) => AttemptFailure::TooLarge,
        (CallEnding::Failed, Some(error)) => AttemptFailure::Call(error.to_string()),
        (CallEnding::Abandoned, _) => AttemptFailure::Late,
        _ => AttemptFailure::Missing,
    }
}

/// FNV-1a of 64 bits: the same on every machine and in every version.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
