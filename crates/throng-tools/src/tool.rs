//! What a tool is: its declaration, and how it is called.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::{Classify, ErrorClass};
use tokio_util::sync::CancellationToken;

use crate::{Access, AccessTemplate};

/// What a tool gives back.
pub type ToolFuture<'a> = Pin<Box<dyn Future<Output = Result<Value, ToolError>> + Send + 'a>>;

/// A tool that models can call.
pub trait Tool: Send + Sync + 'static {
    /// Returns the declaration of the tool. It must always be the same.
    fn spec(&self) -> &ToolSpec;

    /// Returns what a call with these arguments reads and writes, or `None` if that is not known.
    ///
    /// References to calls that have not ended yet are still in the arguments. The default takes what
    /// [`ToolSpec`] declares.
    fn accesses(&self, arguments: &Value) -> Option<Vec<Access>> {
        self.spec().accesses(arguments)
    }

    /// Calls the tool. The arguments have been validated, and hold no more references.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the call is cancelled or takes too long; a tool with effects has to bear that.
    fn call(&self, arguments: Value, cx: ToolContext) -> ToolFuture<'_>;
}

/// What an attempt of a call is told besides its arguments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ToolContext {
    /// The id of the call.
    pub call_id: Arc<str>,
    /// Which try, from 1.
    pub attempt: NonZeroU32,
    /// Cancelled when the call is to stop; dropped soon after.
    pub cancel: CancellationToken,
    /// When the attempt is cut off.
    pub deadline: Option<tokio::time::Instant>,
    /// The session that the plan belongs to, as its caller named it.
    pub session: Option<Arc<str>>,
    /// What the caller of the plan wants carried through.
    pub metadata: Arc<Value>,
}

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
            effect: Effect::Unknown,
            timeout: None,
            touches: None,
            sequential: false,
        }
    }
}

/// Why a call of a tool failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct ToolError {
    /// What the model is told.
    pub message: String,
    /// What the error means for a retry.
    pub class: ErrorClass,
    /// Whether it is unknown if the effect happened: the connection broke, the process was killed.
    pub outcome_unknown: bool,
}

impl ToolError {
    /// Makes an error that a repeated call would meet again.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            class: ErrorClass::Permanent,
            outcome_unknown: false,
        }
    }

    /// Makes an error that may pass.
    pub fn transient(message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Transient,
            ..Self::permanent(message)
        }
    }

    /// Says that it is not known whether the effect happened.
    #[must_use]
    pub fn unknown_outcome(mut self) -> Self {
        self.outcome_unknown = true;
        self
    }
}

impl Classify for ToolError {
    fn classify(&self) -> ErrorClass {
        self.class
    }
}
