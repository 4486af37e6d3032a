//! The executor: tools, limits and policies that plans share.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use throng_core::JournalError;
use throng_exec::{InvalidConfig, RetryPolicy};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::core::PlanCore;
use super::handle::PlanRun;
use super::hub::Hub;
use super::settings::{Settings, ToolExecutorBuilder, bad_pool};
use super::share::Cache;
use super::state::Prepared;
use super::stats::{ExecutorStats, Totals};
use super::streaming::PlanStream;
use super::{RunOptions, journal};
use crate::schedule::PlanId;
use crate::{AnalyzeError, Declared, Dependencies, DryRun, Estimates, Plan, PlanPolicy, PlanReport, Tools};

/// Runs plans of tool calls: each call as soon as what it waits for has ended and there is room. Cheap to clone; clones
/// mean the same limits.
///
/// Serializable: every result, and what the calls leave behind, is as if they had run one by one in the order of emission,
/// as far as the tools' declarations are true.
///
/// # Examples
///
/// ```
/// use serde_json::{Value, json};
/// use throng_tools::{Call, Plan, ToolExecutor, ToolFn, ToolSpec, Tools};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let spec = ToolSpec::new("double").read_only().touches_nothing();
/// let double = ToolFn::new(spec, |args: Value| async move { Ok(args["of"].as_i64().map(|of| 2 * of)) });
/// let executor = ToolExecutor::builder(Tools::new().with(double)?).build()?;
///
/// let plan = Plan::new([
///     Call::new("a", "double", json!({ "of": 21 })),
///     Call::new("b", "double", json!({ "of": "$a" })),
/// ])?;
/// let report = executor.run(plan).await?;
/// assert_eq!(report.results[1].outcome.value(), Some(&json!(84)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ToolExecutor(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) tools: Tools,
    pub(super) settings: Settings,
    pub(super) began: Instant,
    pub(super) is_threaded: bool,
    hub: Mutex<Hub>,
    plans: Mutex<HashMap<PlanId, Weak<PlanCore>>>,
    totals: Mutex<Totals>,
}

impl ToolExecutor {
    /// Begins to set up an executor for these tools.
    pub fn builder(tools: Tools) -> ToolExecutorBuilder {
        ToolExecutorBuilder::new(tools)
    }

    pub(super) fn new(tools: Tools, settings: Settings) -> Result<Self, InvalidConfig> {
        for (at, (name, _)) in settings.pools.iter().enumerate() {
            if settings.pools.iter().take(at).any(|(other, _)| other == name) {
                return Err(bad_pool(name, "there is one of that name"));
            }
        }
        let limit = settings.max_concurrent.get() as u64;
        let mut hub = Hub::new(limit, &settings.pools, &tools)?;
        for (pool, _) in tools.iter().flat_map(|entry| &entry.takes) {
            if !hub.has_pool(pool) {
                return Err(bad_pool(
                    pool,
                    "a tool takes of it, and the executor has none of that name",
                ));
            }
        }
        hub.cache = settings.cache.map(Cache::new);
        Ok(Self(Arc::new(Inner {
            tools,
            settings,
            began: Instant::now(),
            is_threaded: Handle::try_current().is_ok_and(|handle| handle.metrics().num_workers() > 1),
            hub: Mutex::new(hub),
            plans: Mutex::default(),
            totals: Mutex::default(),
        })))
    }

    /// Runs a plan to its end.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the plan could not begin. What fails while it runs is in the report.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the plan, and its results are lost. To keep them, cancel it and wait.
    pub async fn run(&self, plan: Plan) -> Result<PlanReport, StartError> {
        self.run_with(plan, RunOptions::new()).await
    }

    /// Runs a plan to its end, with options.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the plan could not begin.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropping the future aborts the plan, and its results are lost.
    pub async fn run_with(&self, plan: Plan, options: RunOptions) -> Result<PlanReport, StartError> {
        Ok(self.start_with(plan, options).await?.finish().await)
    }

    /// Starts a plan.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the plan could not begin.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the plan has not begun then.
    pub async fn start(&self, plan: Plan) -> Result<PlanRun, StartError> {
        self.start_with(plan, RunOptions::new()).await
    }

    /// Starts a plan, with options.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the plan could not begin.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the plan has not begun then, unless it is measured one call at a time first.
    pub async fn start_with(&self, plan: Plan, options: RunOptions) -> Result<PlanRun, StartError> {
        let sequential = if options.measure_sequential {
            Some(self.measure(&plan, &options).await?)
        } else {
            None
        };
        let known = match &options.journal {
            Some((journal, run)) => journal::open(journal, run, &plan).await?,
            None => HashMap::new(),
        };
        let core = self.0.begin(plan, &options, known, false)?;
        Ok(PlanRun::new(core, options.cancel, sequential))
    }

    /// Starts a plan whose calls come one by one while a model still writes them.
    ///
    /// A journal and a sequential measurement need the whole plan, and are left out.
    pub fn start_streaming(&self, policy: PlanPolicy, options: RunOptions) -> PlanStream {
        PlanStream::new(&self.0, policy, options)
    }

    /// Returns what would run when, without running anything.
    ///
    /// # Errors
    ///
    /// [`AnalyzeError`] if the plan has too many arrows.
    pub fn dry_run(&self, plan: &Plan) -> Result<DryRun, AnalyzeError> {
        Ok(self.dependencies(plan)?.dry_run())
    }

    /// Finds out which calls of a plan wait for which, with what the tools of this executor declare.
    ///
    /// # Errors
    ///
    /// [`AnalyzeError`] if the plan has too many arrows.
    pub fn dependencies(&self, plan: &Plan) -> Result<Dependencies, AnalyzeError> {
        let assume = plan.policy_ref().assume.or(self.0.settings.assume);
        Dependencies::analyze(plan, assume, |call| self.0.declared(&call.name, &call.arguments))
    }

    /// Returns the tools.
    pub fn tools(&self) -> &Tools {
        &self.0.tools
    }

    /// Returns what is known of how long calls take.
    pub fn estimates(&self) -> &Estimates {
        &self.0.settings.estimates
    }

    /// Returns what the plans that have ended come to; those that are not recorded are left out.
    pub fn stats(&self) -> ExecutorStats {
        self.0.lock_totals().stats()
    }

    /// Returns how many attempts run now.
    pub fn running(&self) -> usize {
        let hub = self.0.lock_hub();
        usize::try_from(hub.admission.used(hub.admission.global())).unwrap_or(usize::MAX)
    }

    /// Sets how many attempts run at the same time at most, over all plans, from now on.
    pub fn set_max_concurrent(&self, limit: NonZeroUsize) {
        self.0.change(|hub| {
            let global = hub.admission.global();
            hub.admission.set_limit(global, limit.get() as u64);
        });
    }

    /// Sets how many attempts of a tool run at the same time at most, over all plans, from now on; 0 pauses it. A learned
    /// limit is no longer learned. Returns false if there is no such tool.
    pub fn set_limit(&self, tool: &str, limit: usize) -> bool {
        self.0.change(|hub| hub.set_tool_limit(tool, limit as u64))
    }

    /// Returns how many attempts of a tool may run at the same time, if that is limited.
    pub fn limit(&self, tool: &str) -> Option<u64> {
        self.0.lock_hub().tool_limit(tool)
    }

    /// Runs a plan one call at a time, and returns how long that took.
    async fn measure(&self, plan: &Plan, options: &RunOptions) -> Result<Duration, StartError> {
        let repeats = |name: &str| {
            let entry = self.0.tools.get(name);
            entry.is_none_or(|entry| entry.effect_of().may_repeat())
        };
        if let Some(call) = plan.calls().iter().find(|call| !repeats(&call.name)) {
            return Err(StartError::NotRepeatable {
                call: call.id.clone(),
                tool: call.name.clone(),
            });
        }
        let policy = plan.policy_ref().clone().sequential();
        let options = RunOptions {
            unrecorded: true,
            journal: None,
            measure_sequential: false,
            events: None,
            ..options.clone()
        };
        let core = self
            .0
            .begin(plan.clone().policy(policy), &options, HashMap::new(), true)?;
        let report = PlanRun::new(core, options.cancel, None).finish().await;
        Ok(report.total)
    }
}

impl Inner {
    pub(super) fn lock_hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known of a call: what its tool declares, as far as it is believed.
    pub(super) fn declared(&self, name: &str, arguments: &serde_json::Value) -> Declared {
        match self.tools.get(name) {
            Some(entry) => entry.declared(arguments),
            None => Declared::nothing(),
        }
    }

    pub(super) fn retry_of<'a>(&'a self, call: &'a Prepared) -> &'a RetryPolicy {
        let own = call.tool.as_ref().and_then(|(entry, _)| entry.retry.as_ref());
        own.unwrap_or(&self.settings.retry)
    }

    pub(super) fn register(&self, core: &Arc<PlanCore>) {
        self.lock_plans().insert(core.id, Arc::downgrade(core));
    }

    pub(super) fn unregister(&self, id: PlanId) {
        self.lock_plans().remove(&id);
    }

    /// Has plans look again at what they can start.
    pub(super) fn wake(&self, plans: &[PlanId]) {
        for id in plans {
            let plan = self.lock_plans().get(id).and_then(Weak::upgrade);
            if let Some(plan) = plan {
                plan.launch();
            }
        }
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Hub) -> T) -> T {
        let mut wakes = Vec::new();
        let mut hub = self.lock_hub();
        let result = change(&mut hub);
        while let Some(plan) = hub.admission.pop_wake() {
            wakes.push(plan);
        }
        drop(hub);
        self.wake(&wakes);
        result
    }

    fn lock_plans(&self) -> MutexGuard<'_, HashMap<PlanId, Weak<PlanCore>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ToolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolExecutor")
            .field("tools", &self.0.tools.len())
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}

/// A plan could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It has too many arrows.
    #[error(transparent)]
    Analyze(#[from] AnalyzeError),
    /// The journal could not be read or written.
    #[error("the journal could not be opened")]
    Journal(#[source] JournalError),
    /// The journal has another plan under this name.
    #[error("the journal has another plan under the name `{run}`: give the changed plan a name of its own")]
    PlanChanged {
        /// The name.
        run: Arc<str>,
    },
    /// A plan cannot be measured one call at a time, because a call of it must not run twice.
    #[error(
        "call `{call}` of `{tool}` must not run twice, so that the plan cannot be measured one call at a time first"
    )]
    NotRepeatable {
        /// The id of the call.
        call: String,
        /// Its tool.
        tool: String,
    },
}
