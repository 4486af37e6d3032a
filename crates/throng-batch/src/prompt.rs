//! The prompt of a batch: instructions that are the same for all batches first, so that a provider's cache of prefixes
//! serves them, then what belongs to these agents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Compact;

/// A tool that plans may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Act {
    /// Its name, as the `act` of a step.
    pub name: String,
    /// What it does and which arguments it takes, for the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

impl Act {
    /// Makes a tool.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: description.into(),
        }
    }
}

/// What all prompts say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Instructions {
    task: String,
    form: String,
    roles: BTreeMap<String, String>,
    examples: Vec<String>,
}

impl Instructions {
    /// Makes the instructions for plans of [`Plan`](crate::Plan)'s form.
    pub fn new() -> Self {
        Self {
            task: "You plan for several agents at once. Plan for each of them by what it knows itself, as if the others were \
                   not there."
                .to_owned(),
            form: "{\"agent_id\": \"<the id of the agent, letter by letter>\", \"plan_id\": \"<a short name>\", \"steps\": \
                   [{\"act\": \"<the name of a tool>\", <the tool's arguments as further members>}]}"
                .to_owned(),
            roles: BTreeMap::new(),
            examples: Vec::new(),
        }
    }

    /// Sets what the model is to do.
    pub fn task(mut self, text: impl Into<String>) -> Self {
        self.task = text.into();
        self
    }

    /// Sets the form of the JSON object that is wanted for each agent. It must have the member `agent_id`.
    pub fn form(mut self, text: impl Into<String>) -> Self {
        self.form = text.into();
        self
    }

    /// Sets what holds for all agents of a role. It is said once, and only where agents of that role are asked about.
    pub fn role(mut self, role: impl Into<String>, text: impl Into<String>) -> Self {
        self.roles.insert(role.into(), text.into());
        self
    }

    /// Adds an example of a good plan, as JSON text.
    pub fn example(mut self, text: impl Into<String>) -> Self {
        self.examples.push(text.into());
        self
    }
}

impl Default for Instructions {
    fn default() -> Self {
        Self::new()
    }
}

/// How much a prompt says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wording {
    /// Everything, and each snapshot as it is.
    #[default]
    Full,
    /// Everything, with snapshots as [`Compact`] says them.
    Compact,
    /// The names of the tools without their descriptions, no examples, and snapshots as [`Compact`] says them.
    Short,
}

/// A prompt, as its two messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) system: String,
    pub(crate) user: String,
}

/// Writes the prompt for agents, whose snapshots have their aliases as `agent_id` already.
pub(crate) fn write(
    instructions: &Instructions,
    acts: &[Act],
    roles: &BTreeSet<String>,
    snapshots: &[Value],
    wording: Wording,
) -> Prompt {
    let mut system = instructions.task.clone();
    if !acts.is_empty() {
        system.push_str("\n\nTools:");
        for act in acts {
            let _ = write!(system, "\n- {}", act.name);
            if wording != Wording::Short && !act.description.is_empty() {
                let _ = write!(system, ": {}", act.description);
            }
        }
    }
    let _ = write!(
        system,
        "\n\nAnswer with one JSON array and nothing else. It has one object for each agent, in the order in which they are \
         listed:\n{}",
        instructions.form
    );
    if wording != Wording::Short {
        for example in &instructions.examples {
            let _ = write!(system, "\nExample: {example}");
        }
    }
    // What differs from batch to batch comes last.
    for role in roles {
        if let Some(text) = instructions.roles.get(role) {
            let _ = write!(system, "\n\nAgents of the role {role}: {text}");
        }
    }
    let listed = match wording {
        Wording::Full => {
            let lines: Vec<String> = snapshots.iter().map(Value::to_string).collect();
            lines.join("\n")
        }
        Wording::Compact | Wording::Short => Compact::new(snapshots).to_text(),
    };
    let user = format!("Agents: {}\n{listed}", snapshots.len());
    Prompt { system, user }
}
