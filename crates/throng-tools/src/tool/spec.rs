//! The declaration of a tool.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::AccessTemplate;

/// What repeating a call does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// Changes nothing: may be repeated, shared among equal calls, started early and cached.
    ReadOnly,
    /// Changes something, and doing it twice is the same as doing it once: may be repeated.
    Idempotent,
    /// Changes something each time: never repeated unless it is known not to have happened.
    Once,
    /// Nothing is known: taken as [`Effect::Once`], and keeps its place in the order of all calls.
    #[default]
    Unknown,
}

impl Effect {
    /// Returns true for [`Effect::ReadOnly`] and [`Effect::Idempotent`].
    pub const fn may_repeat(self) -> bool {
        matches!(self, Self::ReadOnly | Self::Idempotent)
    }
}

/// The declaration of a tool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolSpec {
    /// The name that calls use.
    pub name: Arc<str>,
    /// What the model is told.
    pub description: Arc<str>,
    /// JSON schema of the arguments.
    pub parameters: Arc<Value>,
    /// JSON schema of the result, if the tool declares one. References into the result are checked against it.
    pub output: Option<Arc<Value>>,
    /// What repeating a call does.
    pub effect: Effect,
    /// How long one attempt may take. `None` leaves it to the executor.
    pub timeout: Option<Duration>,
    /// What calls touch. `None`: nothing is declared; an empty list: nothing that is shared.
    pub touches: Option<Vec<AccessTemplate>>,
    /// Whether calls of this tool run one at a time, in the order of emission.
    pub sequential: bool,
}

impl ToolSpec {
    /// Makes the declaration of a tool that takes any object and of which nothing else is known.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            description: Arc::from(""),
            parameters: Arc::new(json!({ "type": "object" })),
            output: None,
            effect: Effect::Unknown,
            timeout: None,
            touches: None,
            sequential: false,
        }
    }

    /// Sets what the model is told.
    #[must_use]
    pub fn description(mut self, description: impl Into<Arc<str>>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets the JSON schema of the arguments. Default: any object.
    #[must_use]
    pub fn parameters(mut self, schema: Value) -> Self {
        self.parameters = Arc::new(schema);
        self
    }

    /// Sets the JSON schema of the result.
    #[must_use]
    pub fn output(mut self, schema: Value) -> Self {
        self.output = Some(Arc::new(schema));
        self
    }

    /// Sets what repeating a call does. Default [`Effect::Unknown`].
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Says that the tool changes nothing: [`Effect::ReadOnly`].
    #[must_use]
    pub fn read_only(self) -> Self {
        self.effect(Effect::ReadOnly)
    }

    /// Says that doing it twice is the same as doing it once: [`Effect::Idempotent`].
    #[must_use]
    pub fn idempotent(self) -> Self {
        self.effect(Effect::Idempotent)
    }

    /// Sets how long one attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}
