//! Who is planned for: ids, snapshots, and the plans that come back.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The id of an agent: a number or a text, as the caller's JSON has it.
///
/// Ids sort with numbers first, in their order, then texts in that of their bytes. `1` and `"1"` are two ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AgentId {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.pad(text),
        }
    }
}

impl From<i64> for AgentId {
    fn from(id: i64) -> Self {
        Self::Number(id)
    }
}

impl From<&str> for AgentId {
    fn from(id: &str) -> Self {
        Self::Text(id.to_owned())
    }
}

impl From<String> for AgentId {
    fn from(id: String) -> Self {
        Self::Text(id)
    }
}

/// What an agent sees and is, as the model is told it.
///
/// Whatever the type serializes to is sent, except for its members `id` and `agent_id`: the model knows an agent by an
/// alias only.
pub trait Snapshot: Clone + Serialize + Send + Sync + 'static {
    /// Returns the agent's id, which must be its own within a batch.
    fn id(&self) -> AgentId;

    /// Returns the agent's role, for the instructions that belong to it. Default: none.
    fn role(&self) -> Option<&str> {
        None
    }

    /// Returns how long the agent waits for the model, from the batch's beginning. Default: as long as the settings say.
    fn deadline(&self) -> Option<Duration> {
        None
    }
}

/// The snapshot of callers who have no type of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AgentSnapshot {
    /// The agent.
    pub id: AgentId,
    /// Its role.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// What it sees and is.
    #[serde(default)]
    pub state: Value,
    /// Whatever else the caller says of it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl AgentSnapshot {
    /// Makes a snapshot.
    pub fn new(id: impl Into<AgentId>, role: impl Into<String>, state: Value) -> Self {
        Self {
            id: id.into(),
            role: role.into(),
            state,
            more: Map::new(),
        }
    }
}

impl Snapshot for AgentSnapshot {
    fn id(&self) -> AgentId {
        self.id.clone()
    }

    fn role(&self) -> Option<&str> {
        Some(self.role.as_str()).filter(|role| !role.is_empty())
    }
}

/// What a model plans for an agent.
///
/// It is read from the model's JSON, in which the agent's own id has taken the place of its alias.
pub trait AgentPlan: DeserializeOwned + Clone + Send + Sync + 'static {
    /// Says what is wrong with the plan beyond its form. `acts` are the names of the tools that it may use; none means
    /// that any is right.
    ///
    /// # Errors
    ///
    /// What is wrong, for reports; the agent is asked for again.
    fn check(&self, acts: &[String]) -> Result<(), String> {
        let _ = acts;
        Ok(())
    }

    /// Makes a plan of steps, for the tiers that ask no model. `None` if the type has no such plans.
    fn from_steps(agent: &AgentId, plan_id: &str, steps: &[Step]) -> Option<Self> {
        let json = serde_json::json!({"agent_id": agent, "plan_id": plan_id, "steps": steps});
        serde_json::from_value(json).ok()
    }
}

/// The plan of callers who have no type of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The agent.
    pub agent_id: AgentId,
    /// The plan, as the model named it.
    #[serde(default, deserialize_with = "text_of_any")]
    pub plan_id: String,
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// Whatever else the model said.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// The tool.
    pub act: String,
    /// Its arguments.
    #[serde(flatten)]
    pub arguments: Map<String, Value>,
}

impl Step {
    /// Makes a step without arguments.
    pub fn new(act: impl Into<String>) -> Self {
        Self {
            act: act.into(),
            arguments: Map::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.into(), value.into());
        self
    }
}

impl AgentPlan for Plan {
    fn check(&self, acts: &[String]) -> Result<(), String> {
        let unknown = self
            .steps
            .iter()
            .find(|step| !acts.is_empty() && !acts.contains(&step.act));
        match unknown {
            Some(step) => Err(format!("`{}` is not in the list of tools", step.act)),
            None => Ok(()),
        }
    }
}

/// Any JSON of an agent is a plan.
impl AgentPlan for Value {}

/// Models write ids of plans as numbers too.
fn text_of_any<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    })
}
