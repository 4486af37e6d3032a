//! The tools that calls may name, and what the caller knows better than the tools themselves.
//!
//! Invariant: names are unique, and every schema has been compiled.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_exec::{Limit, RetryPolicy};

use crate::schema::{BadSchema, Schema};
use crate::{Access, Declared, Effect, FailurePolicy, Tool, ToolSpec};

/// The tools that calls may name. Cheap to clone.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use serde_json::{Value, json};
/// use throng_tools::{Effect, ToolEntry, ToolFn, ToolSpec, Tools};
///
/// let search = ToolFn::new(ToolSpec::new("search").read_only(), |_: Value| async { Ok(json!(["a"])) });
/// let mail = ToolFn::new(ToolSpec::new("mail"), |_: Value| async { Ok(Value::Null) });
/// let tools = Tools::new()
///     .with(search)?
///     .with(ToolEntry::new(mail).effect(Effect::Once).limit(NonZeroUsize::MIN))?;
/// assert_eq!(tools.names().collect::<Vec<_>>(), ["search", "mail"]);
///
/// let again = ToolFn::new(ToolSpec::new("mail"), |_: Value| async { Ok(Value::Null) });
/// assert_eq!(tools.with(again).unwrap_err().to_string(), "tool `mail` is there twice");
/// # Ok::<(), throng_tools::InvalidTool>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Tools {
    entries: Vec<Arc<ToolEntry>>,
    by_name: HashMap<Arc<str>, usize>,
}

impl Tools {
    /// Makes a registry without tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool, or an entry with what the caller knows better.
    ///
    /// # Errors
    ///
    /// [`InvalidTool`] if there is a tool of that name, or if a schema of the tool makes no sense.
    pub fn with(mut self, tool: impl Into<ToolEntry>) -> Result<Self, InvalidTool> {
        self.add(tool)?;
        Ok(self)
    }

    /// Adds a tool in place; see [`Self::with`].
    ///
    /// # Errors
    ///
    /// [`InvalidTool`] if there is a tool of that name, or if a schema of the tool makes no sense.
    pub fn add(&mut self, tool: impl Into<ToolEntry>) -> Result<(), InvalidTool> {
        let mut entry = tool.into();
        let name = Arc::clone(&entry.tool.spec().name);
        if self.by_name.contains_key(&name) {
            return Err(InvalidTool::Duplicate { name });
        }
        match Schema::new(&entry.tool.spec().parameters) {
            Ok(schema) => entry.schema = Some(schema),
            Err(BadSchema(message)) => return Err(InvalidTool::Schema { name, message }),
        }
        self.by_name.insert(name, self.entries.len());
        self.entries.push(Arc::new(entry));
        Ok(())
    }

    /// Returns the entry of a tool.
    pub fn get(&self, name: &str) -> Option<&ToolEntry> {
        self.entry(name).map(AsRef::as_ref)
    }

    /// Returns the entries in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &ToolEntry> {
        self.entries.iter().map(AsRef::as_ref)
    }

    /// Returns the names in the order in which the tools were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name())
    }

    /// Returns how many tools there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        self.by_name.get(name).and_then(|&at| self.entries.get(at))
    }
}

/// A tool, and what the caller knows better than the tool itself.
pub struct ToolEntry {
    tool: Arc<dyn Tool>,
    schema: Option<Schema>,
    trusted: bool,
    effect: Option<Effect>,
    accesses: Option<AccessRule>,
    pub(crate) limit: Option<Limit>,
    timeout: Option<Duration>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) on_failure: Option<FailurePolicy>,
    pub(crate) takes: Vec<(Arc<str>, u64)>,
    pub(crate) starts_early: bool,
    sequential: bool,
}

type AccessRule = Box<dyn Fn(&Value) -> Option<Vec<Access>> + Send + Sync>;

impl ToolEntry {
    /// Takes a tool as it declares itself.
    pub fn new(tool: impl Tool) -> Self {
        Self::shared(Arc::new(tool))
    }

    /// Takes a tool that is shared.
    pub fn shared(tool: Arc<dyn Tool>) -> Self {
        Self {
            tool,
            schema: None,
            trusted: true,
            effect: None,
            accesses: None,
            limit: None,
            timeout: None,
            retry: None,
            on_failure: None,
            takes: Vec::new(),
            starts_early: false,
            sequential: false,
        }
    }

    /// Sets whether what the tool says of its effect and its accesses is believed. Default true. Of a tool that is not
    /// trusted nothing is known but what this entry says.
    #[must_use]
    pub fn trusted(mut self, trusted: bool) -> Self {
        self.trusted = trusted;
        self
    }

    /// Sets what repeating a call does, whatever the tool says.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }

    /// Sets what a call reads and writes, as a function of its arguments, whatever the tool says.
    #[must_use]
    pub fn accesses(mut self, rule: impl Fn(&Value) -> Option<Vec<Access>> + Send + Sync + 'static) -> Self {
        self.accesses = Some(Box::new(rule));
        self
    }

    /// Sets how many attempts of the tool may run at the same time, over all plans of an executor. Default: no limit.
    #[must_use]
    pub fn limit(mut self, limit: impl Into<Limit>) -> Self {
        self.limit = Some(limit.into());
        self
    }

    /// Sets how long one attempt may take, whatever the tool says.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets when a failed attempt is followed by another. The effect of the tool still decides which may be.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
        self
    }

    /// Sets what a failure of the tool means for other calls, in the place of the plan's policy.
    #[must_use]
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.on_failure = Some(policy);
        self
    }

    /// Has each attempt take so many units of a pool of the executor; see
    /// [`ToolExecutorBuilder::pool`](crate::ToolExecutorBuilder::pool).
    #[must_use]
    pub fn takes(mut self, pool: impl Into<Arc<str>>, units: u64) -> Self {
        self.takes.push((pool.into(), units));
        self
    }

    /// Has each attempt take so many units of the pool `cpu`.
    #[must_use]
    pub fn cpu(self, units: u64) -> Self {
        self.takes("cpu", units)
    }

    /// Has each attempt take so many units of the pool `memory`.
    #[must_use]
    pub fn memory(self, units: u64) -> Self {
        self.takes("memory", units)
    }

    /// Has calls of the tool run one at a time, in the order of emission.
    #[must_use]
    pub fn sequential(mut self) -> Self {
        self.sequential = true;
        self
    }

    /// Says that calls of the tool may begin before the message which they are in is complete, whatever their effect. See
    /// [`PlanStream`](crate::PlanStream).
    #[must_use]
    pub fn starts_early(mut self) -> Self {
        self.starts_early = true;
        self
    }

    /// Returns the tool.
    pub fn tool(&self) -> &Arc<dyn Tool> {
        &self.tool
    }

    /// Returns the declaration of the tool, as the tool gives it.
    pub fn spec(&self) -> &ToolSpec {
        self.tool.spec()
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.spec().name
    }

    /// Returns what repeating a call does, as far as it is believed.
    pub fn effect_of(&self) -> Effect {
        self.effect.unwrap_or(if self.trusted {
            self.spec().effect
        } else {
            Effect::Unknown
        })
    }

    /// Returns what a call with these arguments reads and writes, as far as it is believed.
    pub fn accesses_of(&self, arguments: &Value) -> Option<Vec<Access>> {
        match &self.accesses {
            Some(rule) => rule(arguments),
            None if self.trusted => self.tool.accesses(arguments),
            None => None,
        }
    }

    /// Returns what is known of a call with these arguments, as far as it is believed.
    pub fn declared(&self, arguments: &Value) -> Declared {
        let sequential = self.trusted && self.spec().sequential;
        let accesses = self.accesses_of(arguments);
        match accesses {
            Some(accesses) => Declared::accesses(accesses),
            None => Declared::nothing(),
        }
        .sequential(sequential || self.sequential)
    }

    /// Returns how long one attempt may take, if that is set.
    pub fn timeout_of(&self) -> Option<Duration> {
        self.timeout.or(self.spec().timeout)
    }

    /// Checks arguments against the schema of the tool; `open` are JSON pointers of places that are not known yet.
    ///
    /// # Errors
    ///
    /// All that is wrong, in one text: for each error the path and what was expected there.
    pub fn check(&self, arguments: &Value, open: &[String]) -> Result<(), String> {
        match &self.schema {
            Some(schema) => schema.check(arguments, open),
            None => Ok(()),
        }
    }
}

impl<T: Tool> From<T> for ToolEntry {
    fn from(tool: T) -> Self {
        Self::new(tool)
    }
}

impl fmt::Debug for ToolEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolEntry")
            .field("name", &self.name())
            .field("effect", &self.effect_of())
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}

/// A tool cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTool {
    /// There is a tool of that name.
    #[error("tool `{name}` is there twice")]
    Duplicate {
        /// The name.
        name: Arc<str>,
    },
    /// The schema of its arguments makes no sense.
    #[error("tool `{name}` has a schema of its arguments that makes no sense: {message}")]
    Schema {
        /// The name.
        name: Arc<str>,
        /// What is wrong.
        message: String,
    },
}
