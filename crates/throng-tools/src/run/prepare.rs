//! From a plan to a running one: what can be known before anything runs is found out here.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_core::JournalEntry;
use tokio::time::Instant;

use super::core::{PlanCore, invalid, tick};
use super::executor::{Inner, StartError};
use super::hub::Hub;
use super::journal;
use super::options::RunOptions;
use super::state::{PlanState, Prepared, refers_to};
use crate::schedule::{Because, ClassId, CounterId, EdgeKind as Kind, Lock, NodeSpec, Schedule};
use crate::schema::{may_refer, open_places, reaches};
use crate::{
    Access, Call, CallOutcome, Cycle, Dependencies, EdgeKind, Effect, FailureKind, FailurePolicy, Mode, Plan,
    PlanEventKind, PlanPolicy, Reference, Source, ToolEntry, ToolError,
};

/// Puts a plan's nodes together, one by one.
pub(super) struct Nodes<'a> {
    exec: &'a Inner,
    policy: &'a PlanPolicy,
    /// The classes of the tools, and of what is no tool.
    classes: HashMap<Option<u32>, ClassId>,
    medians: HashMap<Option<u32>, Option<Duration>>,
    /// The counters of the limits that the plan sets for tools.
    pub(super) counters: HashMap<u32, CounterId>,
}

impl<'a> Nodes<'a> {
    pub(super) fn new(exec: &'a Inner, policy: &'a PlanPolicy) -> Self {
        Self {
            exec,
            policy,
            classes: HashMap::new(),
            medians: HashMap::new(),
            counters: HashMap::new(),
        }
    }

    /// Adds the node of a call.
    pub(super) fn add(
        &mut self,
        schedule: &mut Schedule,
        hub: &mut Hub,
        call: &Call,
        tool: Option<&(Arc<ToolEntry>, u32)>,
        locks: Vec<Lock>,
        held: bool,
    ) {
        let key = tool.map(|(_, index)| *index);
        let class = match self.classes.get(&key) {
            Some(class) => *class,
            None => {
                let mut needs = tool.map_or_else(Vec::new, |(entry, _)| hub.needs(entry));
                let limit = self.policy.per_tool.get(&call.name);
                if let (Some(limit), Some(key)) = (limit, key) {
                    let counter = hub.admission.add_counter(limit.get() as u64);
                    self.counters.insert(key, counter);
                    needs.push((counter, 1));
                }
                let class = schedule.class(&hub.admission, &needs);
                self.classes.insert(key, class);
                class
            }
        };
        let estimates = &self.exec.settings.estimates;
        let median = self
            .medians
            .entry(key)
            .or_insert_with(|| estimates.median(&call.name));
        let on_failure = tool
            .and_then(|(entry, _)| entry.on_failure)
            .or(self.policy.on_failure)
            .unwrap_or(self.exec.settings.on_failure);
        let mut spec = NodeSpec::new(class);
        spec.priority = call.priority;
        spec.estimate = call.expected.or(*median).map(tick);
        spec.on_failure = on_failure;
        spec.locks = locks;
        spec.held = held;
        schedule.add(spec);
    }
}

impl Inner {
    /// Makes a plan ready to run; whoever has it launches it.
    pub(super) fn begin(
        self: &Arc<Self>,
        plan: Plan,
        options: &RunOptions,
        mut known: HashMap<String, JournalEntry>,
        alone: bool,
    ) -> Result<Arc<PlanCore>, StartError> {
        let began = Instant::now();
        let policy = plan.policy_ref().clone();
        let assume = policy.assume.or(self.settings.assume);
        let mut declared = Vec::with_capacity(plan.calls().len());
        let dependencies = Dependencies::analyze(&plan, assume, |call| {
            let of_tool = self.declared(&call.name, &call.arguments);
            declared.push(call.accesses.is_some() || of_tool.accesses.is_some());
            of_tool
        })?;
        let names = Arc::new(plan.names().clone());
        let calls = plan.into_calls();
        let shares = if alone { Vec::new() } else { self.sharing(&calls) };

        let mut hub = self.lock_hub();
        let limit = policy.max_concurrent.map(|limit| limit.get() as u64);
        let mut schedule = Schedule::new(&mut hub.admission, limit);
        let mut nodes = Nodes::new(self, &policy);
        let mut prepared = Vec::with_capacity(calls.len());
        // The calls whose outcome is known before anything runs.
        let mut decided: Vec<(u32, CallOutcome, Source)> = Vec::new();
        let mut attempts = Vec::with_capacity(calls.len());
        for (index, call) in (0_u32..).zip(calls) {
            let tool = self.tool(&hub, &call.name);
            let accesses = dependencies.accesses(index);
            let references = dependencies.references(index);
            let entry = known.remove(&call.id);
            attempts.push(entry.as_ref().map_or(0, |entry| entry.attempts));
            let journaled = entry.and_then(|entry| earlier(&entry, tool.as_ref().map(|(tool, _)| tool)));
            if let Some(outcome) = journaled {
                decided.push((index, outcome, Source::Journal));
            } else if dependencies.is_blocked(index) {
                let outcome = cyclic(dependencies.cycles(), &call.id);
                decided.push((index, outcome, Source::Own));
            } else {
                let wrong = self.wrong(&call, tool.as_ref(), references, |of| {
                    let name = prepared_name(&prepared, of);
                    name.and_then(|name| self.tools.entry(name)).cloned()
                });
                if let Some(outcome) = wrong {
                    decided.push((index, outcome, Source::Own));
                }
            }
            let is_declared = declared.get(index as usize) == Some(&true);
            let locks = if is_declared { locks(accesses) } else { Vec::new() };
            nodes.add(&mut schedule, &mut hub, &call, tool.as_ref(), locks, false);
            let may_share = shares.get(index as usize) == Some(&true);
            prepared.push(self.prepared(index, call, tool, references, accesses, may_share));
        }
        let ended: Vec<bool> = {
            let mut ended = vec![false; prepared.len()];
            for (index, outcome, _) in &decided {
                ended[*index as usize] = outcome.is_success();
            }
            ended
        };
        for edge in dependencies.edges() {
            let skip =
                dependencies.is_blocked(edge.to) || ended[edge.from as usize] || ended[edge.to as usize];
            if !skip {
                schedule.edge(edge.from, edge.to, kind(edge.kind));
            }
        }
        let id = schedule.plan();
        // Calls on cycles have no arrows to them.
        let _ = schedule.start();
        drop(hub);

        let core = self.core(began, schedule, id, options, alone);
        let mut state = core.lock();
        let mut hub = self.lock_hub();
        state.counters = nodes.counters.into_values().collect();
        state.names = names;
        state.dependencies = Some(dependencies);
        let now = core.now(Instant::now());
        state.event(now, || PlanEventKind::PlanStarted);
        for (call, attempts) in prepared.into_iter().zip(attempts) {
            state.push(now, call, attempts);
        }
        for (index, outcome, source) in decided {
            core.conclude(&mut state, &mut hub, now, index, outcome, source);
        }
        core.settle(&mut state, &mut hub, now);
        drop(hub);
        drop(state);
        self.register(&core);
        Ok(core)
    }

    /// Makes the shell of a plan.
    pub(super) fn core(
        self: &Arc<Self>,
        began: Instant,
        schedule: Schedule,
        id: crate::schedule::PlanId,
        options: &RunOptions,
        alone: bool,
    ) -> Arc<PlanCore> {
        let own = self.settings.events.iter().filter(|_| !alone);
        let sinks = own.chain(&options.events).cloned().collect();
        let rng = match self.settings.seed {
            Some(seed) => fastrand::Rng::with_seed(seed),
            None => fastrand::Rng::new(),
        };
        let mut state = PlanState::new(schedule, sinks, rng);
        state.session.clone_from(&options.session);
        PlanCore::new(
            self,
            id,
            began,
            state,
            options.session.clone(),
            options.metadata.clone().unwrap_or_default(),
            options.journal.clone(),
            !options.unrecorded,
            alone,
        )
    }

    pub(super) fn tool(&self, hub: &Hub, name: &str) -> Option<(Arc<ToolEntry>, u32)> {
        Some((Arc::clone(self.tools.entry(name)?), hub.tool_index(name)?))
    }

    /// Returns what is wrong with a call, as far as that can be known before anything runs.
    pub(super) fn wrong(
        &self,
        call: &Call,
        tool: Option<&(Arc<ToolEntry>, u32)>,
        references: &[Reference],
        tool_of: impl Fn(u32) -> Option<Arc<ToolEntry>>,
    ) -> Option<CallOutcome> {
        let Some((entry, _)) = tool else {
            let names: Vec<_> = self.tools.names().map(|name| format!("`{name}`")).collect();
            let known = if names.is_empty() {
                "there are none".to_owned()
            } else {
                format!("there are {}", names.join(", "))
            };
            let message = format!("there is no tool `{}`; {known}", call.name);
            return Some(CallOutcome::Failed {
                kind: FailureKind::UnknownTool,
                error: ToolError::permanent(message),
            });
        };
        let open = if references.is_empty() {
            Vec::new()
        } else {
            open_places(&call.arguments)
        };
        let mut messages: Vec<_> = entry.check(&call.arguments, &open).err().into_iter().collect();
        for reference in references {
            let schema = tool_of(reference.call).and_then(|entry| entry.spec().output.clone());
            if let Some(Err(message)) = schema.map(|schema| reaches(&schema, reference)) {
                messages.push(message);
            }
        }
        (!messages.is_empty()).then(|| CallOutcome::Failed {
            kind: FailureKind::InvalidArguments,
            error: invalid(&call.name, &messages.join("; ")),
        })
    }

    pub(super) fn prepared(
        &self,
        index: u32,
        call: Call,
        tool: Option<(Arc<ToolEntry>, u32)>,
        references: &[Reference],
        accesses: &[Access],
        may_share: bool,
    ) -> Prepared {
        let fills = !call.literal && may_refer(&call.arguments);
        let entry = tool.as_ref().map(|(entry, _)| entry);
        let effect = entry.map_or(Effect::Unknown, |entry| entry.effect_of());
        let timeout = call
            .timeout
            .or_else(|| entry.and_then(|entry| entry.timeout_of()))
            .or(self.settings.timeout);
        Prepared {
            index,
            id: call.id.into(),
            name: entry.map_or_else(|| call.name.into(), |entry| Arc::clone(&entry.spec().name)),
            arguments: call.arguments,
            tool,
            effect,
            timeout,
            refers_to: refers_to(references),
            fills,
            may_share,
            accesses: self.settings.cache.is_some().then(|| accesses.into()),
        }
    }

    /// Returns for each call whether it may be served by another call or by the cache.
    fn sharing(&self, calls: &[Call]) -> Vec<bool> {
        if self.settings.cache.is_some() {
            return calls
                .iter()
                .map(|call| self.changes_nothing(&call.name))
                .collect();
        }
        if !self.settings.single_flight {
            return Vec::new();
        }
        let mut seen: HashMap<u64, u32> = HashMap::new();
        let hashes: Vec<_> = calls
            .iter()
            .map(|call| {
                if !self.changes_nothing(&call.name) {
                    return None;
                }
                let mut hasher = DefaultHasher::new();
                call.name.hash(&mut hasher);
                let plain = hash(&call.arguments, &mut hasher);
                // What arguments with references become is not known: they may equal any.
                let hash = plain.then(|| hasher.finish());
                if let Some(hash) = hash {
                    *seen.entry(hash).or_default() += 1;
                }
                Some(hash)
            })
            .collect();
        let any_open = hashes.iter().any(|hash| matches!(hash, Some(None)));
        let shares = |hash: &Option<Option<u64>>| match hash {
            None => false,
            Some(None) => true,
            Some(Some(hash)) => any_open || seen.get(hash).is_some_and(|n| *n > 1),
        };
        hashes.iter().map(shares).collect()
    }

    pub(super) fn changes_nothing(&self, name: &str) -> bool {
        let entry = self.tools.get(name);
        entry.is_some_and(|entry| entry.effect_of() == Effect::ReadOnly)
    }
}

impl PlanCore {
    /// Gives a call its result that has not begun, and others what follows from it.
    pub(super) fn conclude(
        &self,
        state: &mut PlanState,
        hub: &mut Hub,
        now: Duration,
        index: u32,
        outcome: CallOutcome,
        source: Source,
    ) {
        let failed = !outcome.is_success();
        state.resolve(now, index, outcome, source);
        let Some(schedule) = &mut state.schedule else {
            return;
        };
        if failed && schedule.on_failure(index) == FailurePolicy::FailFast {
            self.stop(state, hub, now, Because::FailedFast(index));
        } else {
            schedule.cancel(&mut hub.admission, index);
        }
    }
}

fn prepared_name(prepared: &[Prepared], of: u32) -> Option<&str> {
    prepared.get(of as usize).map(|call| &*call.name)
}

/// Returns what the journal says of a call, if it is not to be run (again).
fn earlier(entry: &JournalEntry, tool: Option<&Arc<ToolEntry>>) -> Option<CallOutcome> {
    if let Some(ending) = &entry.ending {
        return Some(journal::outcome(ending).unwrap_or_else(|| interrupted("its end could not be read")));
    }
    let repeats = tool.is_some_and(|tool| tool.effect_of().may_repeat());
    let message = "it began in an earlier run of the plan, and nothing is known of its end";
    (!repeats).then(|| interrupted(message))
}

fn interrupted(message: &str) -> CallOutcome {
    CallOutcome::Failed {
        kind: FailureKind::Interrupted,
        error: ToolError::permanent(message).unknown_outcome(),
    }
}

/// Makes the outcome of a call that waits for itself.
pub(super) fn cyclic(cycles: &[Cycle], id: &str) -> CallOutcome {
    let cycle = cycles
        .iter()
        .find(|cycle| cycle.members.iter().any(|member| member == id));
    CallOutcome::Skipped {
        because: cycle
            .and_then(|cycle| cycle.members.first())
            .map_or(id, String::as_str)
            .into(),
        reason: match cycle {
            Some(cycle) => format!("is in a cycle: {cycle}"),
            None => "is in a cycle".to_owned(),
        },
    }
}

/// Returns what a call locks against the calls of other plans.
pub(super) fn locks(accesses: &[Access]) -> Vec<Lock> {
    accesses
        .iter()
        .map(|access| match access.mode {
            Mode::Exclusive => Lock::alone(access.resource.as_str()),
            _ => Lock::shared(access.resource.as_str()),
        })
        .collect()
}

pub(super) fn kind(kind: EdgeKind) -> Kind {
    match kind {
        EdgeKind::Explicit => Kind::Explicit,
        EdgeKind::Reference => Kind::Reference,
        EdgeKind::Conflict => Kind::Conflict,
        EdgeKind::Policy => Kind::Policy,
    }
}

/// Hashes a value. Returns false if it may hold references.
fn hash(value: &Value, hasher: &mut DefaultHasher) -> bool {
    let mut plain = true;
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => value.hash(hasher),
        Value::Number(value) => value.hash(hasher),
        Value::String(text) => {
            text.hash(hasher);
            plain = !text.contains(['$', '#']);
        }
        Value::Array(elements) => {
            elements.len().hash(hasher);
            for element in elements {
                plain &= hash(element, hasher);
            }
        }
        Value::Object(members) => {
            members.len().hash(hasher);
            for (key, member) in members {
                key.hash(hasher);
                plain &= hash(member, hasher);
            }
        }
    }
    plain
}
