//! What a tool is, and what an attempt of a call is told.

mod error;
mod func;
mod spec;

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::Access;

pub use error::ToolError;
pub use func::ToolFn;
pub use spec::{Effect, ToolSpec};

/// What a tool gives back.
pub type ToolFuture<'a> = Pin<Box<dyn Future<Output = Result<Value, ToolError>> + Send + 'a>>;

/// A tool that models can call.
///
/// [`ToolFn`] makes one of a closure. Implement the trait for a tool with a state or a declaration of its own.
///
/// # Examples
///
/// ```
/// use serde_json::{Value, json};
/// use throng_tools::{Tool, ToolContext, ToolFuture, ToolSpec};
///
/// struct Clock(ToolSpec);
///
/// impl Tool for Clock {
///     fn spec(&self) -> &ToolSpec {
///         &self.0
///     }
///
///     fn call(&self, _arguments: Value, _cx: ToolContext) -> ToolFuture<'_> {
///         Box::pin(async { Ok(json!({ "hour": 12 })) })
///     }
/// }
///
/// let clock = Clock(ToolSpec::new("clock").read_only().touches_nothing());
/// assert_eq!(&*clock.spec().name, "clock");
/// assert_eq!(clock.accesses(&json!({})), Some(Vec::new()));
/// ```
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

impl ToolContext {
    /// Makes the context of a first attempt without a deadline, for calling a tool outside a plan.
    pub fn new(call_id: impl Into<Arc<str>>) -> Self {
        Self {
            call_id: call_id.into(),
            attempt: NonZeroU32::MIN,
            cancel: CancellationToken::new(),
            deadline: None,
            session: None,
            metadata: Arc::new(Value::Null),
        }
    }
}
