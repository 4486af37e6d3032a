//! Tools made of closures, async ones and ones that block a thread.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use throng_exec::{PermitPool, Request};
use tokio::task::spawn_blocking;
use tracing::Span;

use crate::{Tool, ToolContext, ToolError, ToolFuture, ToolSpec};

type Function = Box<dyn Fn(Value, ToolContext) -> ToolFuture<'static> + Send + Sync>;

/// A tool made of a closure with typed arguments.
///
/// The arguments are read by serde after they were checked against the schema; what serde refuses all the same is a
/// permanent error. Write the type of the closure's argument; [`Value`] takes them as they are.
///
/// # Examples
///
/// ```
/// use serde::Deserialize;
/// use serde_json::json;
/// use throng_tools::{ToolFn, ToolSpec};
///
/// #[derive(Deserialize)]
/// struct Add {
///     a: i64,
///     b: i64,
/// }
///
/// let spec = ToolSpec::new("add").read_only().touches_nothing().parameters(json!({
///     "type": "object",
///     "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
///     "required": ["a", "b"],
/// }));
/// let add = ToolFn::new(spec, |args: Add| async move { Ok(args.a + args.b) });
/// # let _ = add;
/// ```
pub struct ToolFn {
    spec: ToolSpec,
    function: Function,
}

impl ToolFn {
    /// Makes a tool of an async closure of the arguments.
    pub fn new<A, R, F>(spec: ToolSpec, function: impl Fn(A) -> F + Send + Sync + 'static) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Future<Output = Result<R, ToolError>> + Send + 'static,
    {
        Self::with_context(spec, move |arguments, _| function(arguments))
    }

    /// Makes a tool of an async closure of the arguments and of what the attempt is told.
    pub fn with_context<A, R, F>(
        spec: ToolSpec,
        function: impl Fn(A, ToolContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Future<Output = Result<R, ToolError>> + Send + 'static,
    {
        let function: Function = Box::new(move |arguments, cx| match read(arguments) {
            Ok(arguments) => {
                let future = function(arguments, cx);
                Box::pin(async move { write(future.await?) })
            }
            Err(error) => Box::pin(async { Err(error) }),
        });
        Self { spec, function }
    }

    /// Makes a tool of a closure that blocks its thread. At most `threads` calls run at a time.
    ///
    /// A thread cannot be stopped from outside: when an attempt times out or is dropped, its call goes on and keeps its
    /// place among the `threads` until it returns; what it returns is lost. A call that looks at
    /// [`ToolContext::cancel`] can return early. A call that is dropped while it waits for a thread never begins.
    pub fn blocking<A, R>(
        spec: ToolSpec,
        threads: NonZeroUsize,
        function: impl Fn(A, ToolContext) -> Result<R, ToolError> + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned + Send + 'static,
        R: Serialize,
    {
        let threads = PermitPool::new(threads);
        let function = std::sync::Arc::new(function);
        let function: Function = Box::new(move |arguments, cx| {
            let (threads, function) = (threads.clone(), std::sync::Arc::clone(&function));
            Box::pin(async move {
                let arguments = read(arguments)?;
                let thread = threads.acquire(Request::new()).await;
                let abandoned = cx.cancel.child_token();
                let waits = abandoned.clone().drop_guard();
                let span = Span::current();
                let call = spawn_blocking(move || {
                    let thread = thread;
                    // Nobody may have waited for as long as the runtime had no thread.
                    let result = if abandoned.is_cancelled() {
                        Err(ToolError::permanent("the call was dropped before it began"))
                    } else {
                        let cx = ToolContext {
                            cancel: abandoned,
                            ..cx
                        };
                        span.in_scope(|| function(arguments, cx).and_then(write))
                    };
                    drop(thread);
                    result
                });
                let result = call.await;
                drop(waits);
                match result {
                    Ok(result) => result,
                    Err(error) => match error.try_into_panic() {
                        Ok(payload) => resume_unwind(payload),
                        Err(_) => Err(ToolError::transient("the runtime is shutting down").unknown_outcome()),
                    },
                }
            })
        });
        Self { spec, function }
    }
}

impl Tool for ToolFn {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, cx: ToolContext) -> ToolFuture<'_> {
        (self.function)(arguments, cx)
    }
}

impl fmt::Debug for ToolFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolFn")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

fn read<A: DeserializeOwned>(arguments: Value) -> Result<A, ToolError> {
    serde_json::from_value(arguments)
        .map_err(|error| ToolError::permanent(format!("the arguments could not be read: {error}")))
}

fn write<R: Serialize>(result: R) -> Result<Value, ToolError> {
    serde_json::to_value(result)
        .map_err(|error| ToolError::permanent(format!("the result could not be written as json: {error}")))
}
