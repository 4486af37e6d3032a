//! An agent: a model, its tools, and its limits.

use std::sync::Arc;

use throng_exec::{Executor, InvalidConfig};
use throng_llm::{LlmClient, Message, PriceTable, Request, Role, ToolSpec};
use throng_tools::{RunOptions, ToolExecutor, Tools};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::drive::Drive;
use crate::{AgentReport, AgentRun, Limits};

/// A model that calls tools until it answers. Cheap to clone; runs of all clones share the tools' limits.
#[derive(Clone)]
pub struct Agent(pub(crate) Arc<Settings>);

/// What all runs of an agent have in common.
pub(crate) struct Settings {
    pub(crate) client: Arc<dyn LlmClient>,
    pub(crate) template: Request,
    pub(crate) tools: ToolExecutor,
    pub(crate) limits: Limits,
    pub(crate) prices: Arc<PriceTable>,
    pub(crate) executor: Executor,
    pub(crate) early: bool,
    pub(crate) options: Box<dyn Fn() -> RunOptions + Send + Sync>,
}

/// Configures an [`Agent`].
#[must_use]
pub struct AgentBuilder {
    client: Arc<dyn LlmClient>,
    template: Request,
    tools: Option<ToolExecutor>,
    limits: Limits,
    prices: Arc<PriceTable>,
    executor: Option<Executor>,
    early: bool,
    options: Box<dyn Fn() -> RunOptions + Send + Sync>,
}

impl Agent {
    /// Begins to configure an agent that asks a model.
    pub fn builder(client: Arc<dyn LlmClient>, model: impl Into<String>) -> AgentBuilder {
        AgentBuilder {
            client,
            template: Request::new(model),
            tools: None,
            limits: Limits::new(),
            prices: PriceTable::builtin(),
            executor: None,
            early: true,
            options: Box::new(RunOptions::new),
        }
    }

    /// Answers a prompt.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the run, and what was done is lost.
    pub async fn run(&self, prompt: impl Into<String>) -> AgentReport {
        self.start([Message::user(prompt)]).finish().await
    }

    /// Goes on with a conversation, and tells what happens. The messages come after those of the
    /// [`template`](AgentBuilder::template). Needs a tokio runtime.
    pub fn start(&self, messages: impl IntoIterator<Item = Message>) -> AgentRun {
        let mut conversation = self.0.template.messages.clone();
        conversation.extend(messages);
        // Unbounded: the limits of the run bound what it tells, and it must not wait for whoever listens.
        let (events, listener) = mpsc::unbounded_channel();
        let cancel = CancellationToken::new();
        let drive = Drive::new(Arc::clone(&self.0), conversation, events, cancel.clone());
        AgentRun::new(tokio::spawn(drive.run()), listener, cancel)
    }

    /// Returns what runs the tools.
    pub fn tools(&self) -> &ToolExecutor {
        &self.0.tools
    }
}

impl AgentBuilder {
    /// Sets what runs the tools. Default: there are none.
    pub fn tools(mut self, tools: ToolExecutor) -> Self {
        self.tools = Some(tools);
        self
    }

    /// Sets what the model is told first.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        let message = Message::system(text);
        self.template
            .messages
            .retain(|message| message.role != Role::System);
        self.template.messages.insert(0, message);
        self
    }

    /// Sets what all requests have in common: model, temperature, first messages and so on. Its tools are replaced by those
    /// of the agent.
    pub fn template(mut self, request: Request) -> Self {
        self.template = request;
        self
    }

    /// Sets what a run may use up. Default [`Limits::new`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the prices, for [`Limits::max_cost`] and the report. Default [`PriceTable::builtin`].
    pub fn prices(mut self, prices: impl Into<Arc<PriceTable>>) -> Self {
        self.prices = prices.into();
        self
    }

    /// Sets what asks the model, with its retries, rates and timeouts. Default: three attempts, with the pauses of
    /// [`RetryPolicy::default`](throng_exec::RetryPolicy::default).
    pub fn executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Says whether calls that change nothing begin while the model still writes. Default true.
    pub fn early_start(mut self, early: bool) -> Self {
        self.early = early;
        self
    }

    /// Sets what every run of tools is told: its session, its metadata, a sink for its events. Its cancellation is the
    /// agent's own.
    pub fn tool_options(mut self, options: impl Fn() -> RunOptions + Send + Sync + 'static) -> Self {
        self.options = Box::new(options);
        self
    }

    /// Makes the agent.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if what asks the model or what runs the tools could not be made.
    pub fn build(self) -> Result<Agent, InvalidConfig> {
        let executor = match self.executor {
            Some(executor) => executor,
            None => Executor::builder()
                .retry(throng_exec::RetryPolicy::default())
                .build()?,
        };
        let tools = match self.tools {
            Some(tools) => tools,
            None => ToolExecutor::builder(Tools::new()).build()?,
        };
        let mut template = self.template;
        template.tools = tools
            .tools()
            .iter()
            .map(|entry| {
                let spec = entry.spec();
                let told = ToolSpec::new(&*spec.name, (*spec.parameters).clone());
                if spec.description.is_empty() {
                    told
                } else {
                    told.with_description(&*spec.description)
                }
            })
            .collect();
        Ok(Agent(Arc::new(Settings {
            client: self.client,
            template,
            tools,
            limits: self.limits,
            prices: self.prices,
            executor,
            early: self.early,
            options: self.options,
        })))
    }
}
