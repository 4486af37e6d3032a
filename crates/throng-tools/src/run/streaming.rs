//! A plan that runs while a model still writes it.
//!
//! A call is pushed when it is sealed: when nothing can change it any more. One that changes nothing begins as soon as what
//! it waits for has ended; others wait for the end of the message, because a message that is cut must leave nothing behind.
//! Invariant: a call that may refer to one that has not come yet, and whatever waits for such a call, has no arrows and is
//! held until the plan is whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::RunOptions;
use super::core::PlanCore;
use super::executor::Inner;
use super::handle::{PlanHandle, PlanRun};
use super::prepare::{Nodes, kind, locks};
use crate::schedule::Schedule;
use crate::{
    Call, CallOutcome, CallResult, Dependencies, FailureKind, Growing, PlanError, PlanEventKind, PlanPolicy,
    Source, ToolError,
};

/// A plan that runs while it is written. Dropping it aborts the plan.
///
/// # Examples
///
/// ```
/// use serde_json::{Value, json};
/// use throng_tools::{Call, PlanPolicy, RunOptions, ToolExecutor, ToolFn, ToolSpec, Tools};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let look = ToolFn::new(ToolSpec::new("look").read_only(), |_: Value| async { Ok(1) });
/// let executor = ToolExecutor::builder(Tools::new().with(look)?).build()?;
///
/// let mut stream = executor.start_streaming(PlanPolicy::default(), RunOptions::new());
/// stream.push(Call::new("a", "look", json!({})))?;
/// // `a` runs while the model writes `b`.
/// stream.push(Call::new("b", "look", json!({ "after": "$a" })))?;
/// let report = stream.finish().finish().await;
/// assert!(report.is_success());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it aborts the plan"]
pub struct PlanStream {
    run: PlanRun,
    growing: Growing,
    policy: PlanPolicy,
    early_effects: bool,
    counters: HashMap<u32, crate::schedule::CounterId>,
    /// The calls that wait for the end of the message, and whether they have their arrows.
    held: Vec<(u32, bool)>,
    /// The calls that are held because they may wait for a call that has not come yet.
    open: Vec<u32>,
    declared: Vec<crate::Declared>,
}

impl PlanStream {
    pub(super) fn new(exec: &Arc<Inner>, policy: PlanPolicy, options: RunOptions) -> Self {
        let options = RunOptions {
            journal: None,
            ..options
        };
        let schedule = {
            let mut hub = exec.lock_hub();
            let limit = policy.max_concurrent.map(|limit| limit.get() as u64);
            let mut schedule = Schedule::new(&mut hub.admission, limit);
            // There are no nodes yet, and so no cycle.
            let _ = schedule.start();
            schedule
        };
        let id = schedule.plan();
        let core = exec.core(Instant::now(), schedule, id, &options, false);
        {
            let mut state = core.lock();
            state.open = true;
            state.event(std::time::Duration::ZERO, || PlanEventKind::PlanStarted);
        }
        exec.register(&core);
        let assume = policy.assume.or(exec.settings.assume);
        Self {
            growing: Growing::new(policy.clone(), assume),
            run: PlanRun::new(core, options.cancel, None),
            policy,
            early_effects: options.early_effects,
            counters: HashMap::new(),
            held: Vec::new(),
            open: Vec::new(),
            declared: Vec::new(),
        }
    }

    /// Adds a call that is sealed. It begins at once if it changes nothing and waits for nothing.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if there is a call with its id, or if the id or the name cannot be one. The call is not added then.
    pub fn push(&mut self, call: Call) -> Result<(), PlanError> {
        let core = Arc::clone(self.run.core());
        let exec = Arc::clone(&core.exec);
        let declared = exec.declared(&call.name, &call.arguments);
        let is_declared = call.accesses.is_some() || declared.accesses.is_some();
        let added = self.growing.add(call.clone(), declared.clone())?;
        self.declared.push(declared);
        let index = added.index;
        let references = call.references(self.growing.names(), index);
        let waits_for_open = added
            .edges
            .iter()
            .any(|edge| self.open.binary_search(&edge.from).is_ok());
        let is_open = added.open || waits_for_open;
        let at = Instant::now();
        let now = core.now(at);
        let mut state = core.lock();
        let mut hub = exec.lock_hub();
        let tool = exec.tool(&hub, &call.name);
        let starts_early = self.early_effects
            || tool
                .as_ref()
                .is_some_and(|(entry, _)| entry.starts_early || entry.effect_of() == crate::Effect::ReadOnly);
        let wrong = exec.wrong(&call, tool.as_ref(), &references, |of| {
            let name = &self.growing.calls().get(of as usize)?.name;
            exec.tools.entry(name).cloned()
        });
        let accesses = self.growing.accesses(index).to_vec();
        let mut nodes = Nodes::new(&exec, &self.policy);
        nodes.counters = std::mem::take(&mut self.counters);
        if let Some(schedule) = &mut state.schedule {
            let locks = if is_declared { locks(&accesses) } else { Vec::new() };
            nodes.add(schedule, &mut hub, &call, tool.as_ref(), locks, true);
            if !is_open {
                for edge in &added.edges {
                    schedule.edge(edge.from, edge.to, kind(edge.kind));
                }
            }
        }
        self.counters = nodes.counters;
        state.counters = self.counters.values().copied().collect();
        Arc::make_mut(&mut state.names).push(call.id.as_str());
        let may_share = exec.changes_nothing(&call.name);
        let prepared = exec.prepared(index, call, tool, &references, &accesses, may_share);
        state.push(now, prepared, 0);
        if let Some(outcome) = wrong.filter(|_| !is_open) {
            core.conclude(&mut state, &mut hub, now, index, outcome, Source::Own);
        } else if is_open {
            self.open.push(index);
            self.held.push((index, false));
        } else if starts_early {
            if let Some(schedule) = &mut state.schedule {
                schedule.release(index);
            }
        } else {
            self.held.push((index, true));
        }
        core.settle(&mut state, &mut hub, now);
        core.leave(state, hub);
        core.launch();
        Ok(())
    }

    /// Ends the plan, because the message is complete: what was held begins.
    pub fn finish(self) -> PlanRun {
        let Self {
            run,
            growing,
            mut held,
            declared,
            ..
        } = self;
        let core = Arc::clone(run.core());
        let assume = growing.assume();
        let plan = growing.finish().ok();
        let mut declared = declared.into_iter();
        let dependencies = plan.as_ref().and_then(|plan| {
            Dependencies::analyze(plan, Some(assume), |_| declared.next().unwrap_or_default()).ok()
        });
        let now = core.now(Instant::now());
        let mut state = core.lock();
        let mut hub = core.exec.lock_hub();
        state.open = false;
        held.sort_unstable();
        if let Some(dependencies) = &dependencies {
            self::connect(&core, &mut state, &mut hub, dependencies, &held, now);
        } else {
            for (index, has_arrows) in &held {
                if !has_arrows {
                    let error = ToolError::permanent("it depends on a call that never came");
                    let kind = FailureKind::InvalidArguments;
                    let outcome = CallOutcome::Failed { kind, error };
                    core.conclude(&mut state, &mut hub, now, *index, outcome, Source::Own);
                }
            }
        }
        if let Some(schedule) = &mut state.schedule {
            for (index, _) in held {
                schedule.release(index);
            }
            // What is wrong with the graph was found out before.
            let _ = schedule.reprioritise();
        }
        state.dependencies = dependencies;
        core.settle(&mut state, &mut hub, now);
        core.leave(state, hub);
        core.launch();
        run
    }

    /// Ends the plan, because the message was cut: what was held is cancelled, and so is what runs. Every call that was
    /// pushed has its result.
    pub fn cut(self) -> PlanRun {
        self.run.core().stop_all();
        self.run
    }

    /// Returns the next result in the order in which the calls end, or `None` if the plan was cancelled and has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no result is lost.
    pub async fn next(&mut self) -> Option<Arc<CallResult>> {
        self.run.next().await
    }

    /// Returns a handle that steers the plan.
    pub fn handle(&self) -> PlanHandle {
        self.run.handle()
    }
}

/// Gives the calls that have none their arrows, now that all calls are known.
fn connect(
    core: &PlanCore,
    state: &mut super::state::PlanState,
    hub: &mut super::hub::Hub,
    dependencies: &Dependencies,
    held: &[(u32, bool)],
    now: std::time::Duration,
) {
    let exec = &core.exec;
    let open: Vec<u32> = held
        .iter()
        .filter(|(_, has)| !has)
        .map(|(index, _)| *index)
        .collect();
    for &index in &open {
        let call = Arc::clone(&state.calls[index as usize]);
        let references = dependencies.references(index);
        state.refer(index, references);
        let outcome = if dependencies.is_blocked(index) {
            Some(super::prepare::cyclic(dependencies.cycles(), &call.id))
        } else {
            let asked = Call::new(&*call.id, &*call.name, call.arguments.clone());
            let names = &state.calls;
            exec.wrong(&asked, call.tool.as_ref(), references, |of| {
                let name = &names.get(of as usize)?.name;
                exec.tools.entry(name).cloned()
            })
        };
        if !dependencies.is_blocked(index)
            && let Some(schedule) = &mut state.schedule
        {
            for edge in dependencies.incoming(index) {
                schedule.edge(edge.from, edge.to, kind(edge.kind));
            }
        }
        if let Some(outcome) = outcome {
            core.conclude(state, hub, now, index, outcome, Source::Own);
        }
    }
}

impl fmt::Debug for PlanStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanStream")
            .field("calls", &self.growing.calls().len())
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}
