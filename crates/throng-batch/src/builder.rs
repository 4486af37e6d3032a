//! The settings of an executor.

use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throng_exec::{Executor, RetryPolicy};
use throng_llm::Request;

use crate::executor::{BatchInferenceExecutor, Inner};
use crate::{
    Act, AdaptiveSize, AgentPlan, AgentSnapshot, Duplicates, Estimate, Instructions, Plan, Rules, Snapshot,
    Step, Tier, TokenCounter, Wording,
};

/// How many agents share a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BatchSize {
    /// At most this many.
    Fixed(NonZeroUsize),
    /// As many as come back in time, and never more than `max_batch_size`.
    Adaptive(AdaptiveSize),
}

/// What is done with a plan that comes after its agent's deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LatePlans {
    /// It is dropped, and a call for which nobody waits any longer is cancelled.
    #[default]
    Drop,
    /// It is told as [`BatchEvent::LatePlan`](crate::BatchEvent::LatePlan), and put into the cache if there is one.
    Deliver,
    /// It is put into the cache, if there is one.
    CacheOnly,
}

/// Configures a [`BatchInferenceExecutor`].
#[must_use]
pub struct BatchInferenceExecutorBuilder<S = AgentSnapshot, P = Plan> {
    pub(crate) template: Request,
    pub(crate) instructions: Instructions,
    pub(crate) acts: Vec<Act>,
    pub(crate) max_batch_size: NonZeroUsize,
    pub(crate) size: Option<BatchSize>,
    pub(crate) window: Option<usize>,
    pub(crate) max_output_tokens: Option<u32>,
    pub(crate) output_per_agent: usize,
    pub(crate) counter: Arc<dyn TokenCounter>,
    pub(crate) wording: Wording,
    pub(crate) duplicates: Duplicates,
    pub(crate) positional: bool,
    pub(crate) permute: bool,
    pub(crate) early_stop: bool,
    pub(crate) stream: bool,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) reasks: u32,
    pub(crate) rules: Rules,
    pub(crate) emergency: Vec<Step>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) late: LatePlans,
    pub(crate) cache: usize,
    pub(crate) executor: Option<Executor>,
    pub(crate) seed: u64,
    types: PhantomData<fn(S) -> P>,
}

impl<S: Snapshot, P: AgentPlan> BatchInferenceExecutorBuilder<S, P> {
    pub(crate) fn new(model: impl Into<String>) -> Self {
        Self {
            template: Request::new(model),
            instructions: Instructions::new(),
            acts: Vec::new(),
            max_batch_size: NonZeroUsize::MIN.saturating_add(9),
            size: None,
            window: None,
            max_output_tokens: None,
            output_per_agent: 200,
            counter: Arc::new(Estimate),
            wording: Wording::Full,
            duplicates: Duplicates::KeepFirst,
            positional: false,
            permute: false,
            early_stop: true,
            stream: true,
            tiers: vec![Tier::Full, Tier::Simplified, Tier::Single],
            reasks: 2,
            rules: Rules::default(),
            emergency: Vec::new(),
            deadline: None,
            late: LatePlans::Drop,
            cache: 0,
            executor: None,
            seed: 0,
            types: PhantomData,
        }
    }

    /// Sets what all requests have in common: the model, the temperature and so on. Messages are added to its own ones,
    /// and its limit of output tokens is replaced if [`max_output_tokens`](Self::max_output_tokens) is set.
    pub fn template(mut self, request: Request) -> Self {
        self.template = request;
        self
    }

    /// Sets what prompts say.
    pub fn instructions(mut self, instructions: Instructions) -> Self {
        self.instructions = instructions;
        self
    }

    /// Sets the tools that plans may use. A plan with another `act` is not taken. Default: none are listed, and every
    /// `act` is right.
    pub fn acts(mut self, acts: impl IntoIterator<Item = Act>) -> Self {
        self.acts = acts.into_iter().collect();
        self
    }

    /// Sets how many agents share a request at most. Default 10.
    pub fn max_batch_size(mut self, agents: NonZeroUsize) -> Self {
        self.max_batch_size = agents;
        self
    }

    /// Sets how many agents share a request. Default: as many as `max_batch_size` allows.
    pub fn size(mut self, size: BatchSize) -> Self {
        self.size = Some(size);
        self
    }

    /// Sets the tokens that prompt and answer may have together. Default: no limit, until the provider says one.
    pub fn window(mut self, tokens: usize) -> Self {
        self.window = Some(tokens);
        self
    }

    /// Sets the tokens that an answer may have. It is asked for so much, and agents are dealt out accordingly.
    pub fn max_output_tokens(mut self, tokens: NonZeroU32) -> Self {
        self.max_output_tokens = Some(tokens.get());
        self
    }

    /// Sets how many tokens a plan is taken to have until some have come. Default 200.
    pub fn output_per_agent(mut self, tokens: usize) -> Self {
        self.output_per_agent = tokens;
        self
    }

    /// Sets what counts tokens. Default [`Estimate`].
    pub fn counter(mut self, counter: impl TokenCounter + 'static) -> Self {
        self.counter = Arc::new(counter);
        self
    }

    /// Sets how much prompts of the tier [`Tier::Full`] say. Default [`Wording::Full`].
    pub fn wording(mut self, wording: Wording) -> Self {
        self.wording = wording;
        self
    }

    /// Sets what is done with several plans for one agent. Default [`Duplicates::KeepFirst`].
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// Says whether plans that name no agent are given to the agents in the order of the prompt, if none names one and
    /// there is one for each. Default false: a model that left an agent out gives the others' plans to the wrong ones.
    pub fn positional(mut self, positional: bool) -> Self {
        self.positional = positional;
        self
    }

    /// Says whether agents stand in the prompt in an order that is drawn by the seed, instead of by id. A model treats
    /// places differently; drawing them treats agents alike. Default false.
    pub fn permute(mut self, permute: bool) -> Self {
        self.permute = permute;
        self
    }

    /// Says whether the rest of an answer is left alone once every agent has its plan. Default true. The provider then
    /// says nothing of the tokens of that call.
    pub fn early_stop(mut self, stop: bool) -> Self {
        self.early_stop = stop;
        self
    }

    /// Says whether plans are given away as they come. Default true; otherwise at the end of their answer.
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// Sets which tiers with a model are tried, in this order. Default all: [`Tier::Full`], [`Tier::Simplified`],
    /// [`Tier::Single`]. Other tiers in it do not count.
    pub fn tiers(mut self, tiers: impl IntoIterator<Item = Tier>) -> Self {
        self.tiers = tiers
            .into_iter()
            .filter(|tier| matches!(tier, Tier::Full | Tier::Simplified | Tier::Single))
            .collect();
        self
    }

    /// Sets how often agents without a plan are asked for again within the first tier. Default 2; once within the others.
    pub fn reasks(mut self, reasks: u32) -> Self {
        self.reasks = reasks;
        self
    }

    /// Sets the rules that plan for agents for which no model did. Default: none.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the steps for agents to which no rule applies. Default: none, so that such agents get no plan.
    pub fn emergency(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.emergency = steps.into_iter().collect();
        self
    }

    /// Sets how long an agent waits for the model, from the batch's beginning, before rules plan for it. Default: no limit.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets what is done with plans that come too late. Default [`LatePlans::Drop`].
    pub fn late_plans(mut self, late: LatePlans) -> Self {
        self.late = late;
        self
    }

    /// Sets how many plans are remembered for equal snapshots, the oldest being forgotten first. Default 0.
    pub fn cache(mut self, plans: usize) -> Self {
        self.cache = plans;
        self
    }

    /// Sets what runs the calls, with its limits, rates and retries. By default at most 8 calls at a time, each tried 3
    /// times. A call is repeated only while nothing of its answer has come.
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Sets what aliases, orders and plan ids are drawn with. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Makes the executor.
    ///
    /// # Errors
    ///
    /// [`throng_exec::InvalidConfig`] if the executor of the calls could not be made.
    pub fn build(self) -> Result<BatchInferenceExecutor<S, P>, throng_exec::InvalidConfig> {
        let executor = match &self.executor {
            Some(executor) => executor.clone(),
            None => Executor::builder()
                .max_concurrent(NonZeroUsize::MIN.saturating_add(7))
                .retry(RetryPolicy::default())
                .build()?,
        };
        let size = self.size.clone().unwrap_or(BatchSize::Fixed(self.max_batch_size));
        Ok(BatchInferenceExecutor::new(Inner {
            size: Mutex::new(size),
            learned: Mutex::default(),
            cache: Mutex::default(),
            executor,
            settings: self,
        }))
    }
}
