//! A tool of a server, as a tool that can be scheduled.
//!
//! What a server says about effects counts only if the server is trusted; what the configuration says counts always.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;

use serde_json::{Map, Value};
use throng_tools::{
    AccessTemplate, Effect, InvalidTool, Tool, ToolContext, ToolEntry, ToolError, ToolFuture, ToolSpec, Tools,
};

use crate::client::{Failure, Hints, Listed, Reply};
use crate::server::Inner;
use crate::{McpConfig, McpErrorKind, ToolOverride, reply};

/// A tool of an MCP server. Cheap to clone; it keeps its server alive.
///
/// A call is sent again by itself only if it certainly had not reached the server. Where the connection broke while a call
/// ran, the error says that the outcome is unknown, unless the tool changes nothing; the next call starts the server anew.
#[derive(Clone)]
pub struct McpTool {
    server: Arc<Inner>,
    remote: Arc<str>,
    spec: ToolSpec,
    keep_text: bool,
    max_concurrent: Option<NonZeroUsize>,
}

impl McpTool {
    pub(crate) fn new(server: Arc<Inner>, listed: &Listed) -> Result<Self, McpErrorKind> {
        let config = &server.config;
        let known = config.known(&listed.name);
        let spec = spec(config, listed, known)?;
        Ok(Self {
            remote: Arc::from(listed.name.as_str()),
            spec,
            keep_text: known.is_some_and(|known| known.keep_text),
            max_concurrent: known.and_then(|known| known.max_concurrent),
            server,
        })
    }

    /// Returns the name of its server.
    pub fn server(&self) -> &str {
        self.server.config.name()
    }

    /// Returns the name that its server knows it by.
    pub fn remote_name(&self) -> &str {
        &self.remote
    }

    /// Returns how many calls may run at a time, as configured.
    pub fn max_concurrent(&self) -> Option<NonZeroUsize> {
        self.max_concurrent
    }

    /// Offers it under another name.
    #[must_use]
    pub fn renamed(mut self, name: impl Into<Arc<str>>) -> Self {
        self.spec.name = name.into();
        self
    }

    /// Makes an entry of a registry, with its limit on calls at a time.
    pub fn into_entry(self) -> ToolEntry {
        match self.max_concurrent {
            Some(max) => ToolEntry::new(self).limit(max),
            None => ToolEntry::new(self),
        }
    }

    async fn run(&self, arguments: Value, cx: ToolContext) -> Result<Value, ToolError> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            Value::Null => Map::new(),
            other => {
                let message = format!("mcp tools take an object of arguments, not {other}");
                return Err(ToolError::permanent(message));
            }
        };
        let mut may_repeat = true;
        loop {
            let client = tokio::select! {
                biased;
                () = cx.cancel.cancelled() => {
                    return Err(ToolError::transient("the call was cancelled before it was sent"));
                }
                client = self.server.client() => client,
            };
            let client = client.map_err(|error| ToolError::transient(error.to_string()))?;
            match client.call(&self.remote, arguments.clone(), &cx.cancel).await {
                Ok(reply) => return self.take(reply),
                // The connection broke since it was looked at, and the server saw nothing of this call.
                Err(Failure::NotSent(why)) if may_repeat => {
                    tracing::debug!(server = self.server(), tool = %self.remote, why, "Sending a call again.");
                    may_repeat = false;
                }
                Err(failure) => return Err(self.error(failure)),
            }
        }
    }

    fn take(&self, reply: Reply) -> Result<Value, ToolError> {
        let limit = self.server.config.limits.result_bytes;
        if reply.is_error {
            let mut text = reply::error_text(reply);
            if text.len() > limit {
                text.truncate(text.floor_char_boundary(limit));
            }
            return Err(ToolError::permanent(text));
        }
        let value = reply::value(reply, self.keep_text);
        let bytes = json_bytes(&value);
        if bytes > limit {
            let message = format!("the result has {bytes} bytes, more than the {limit} that are taken");
            return Err(ToolError::permanent(message));
        }
        Ok(value)
    }

    fn error(&self, failure: Failure) -> ToolError {
        let server = self.server();
        let unknown = |error: ToolError| match self.spec.effect {
            Effect::ReadOnly => error,
            _ => error.unknown_outcome(),
        };
        match failure {
            Failure::NotSent(why) => {
                ToolError::transient(format!("mcp server `{server}` did not get the call: {why}"))
            }
            Failure::Busy {
                message,
                throttled,
                retry_after,
            } => {
                let message = format!("mcp server `{server}` refused the call: {message}");
                if throttled {
                    ToolError::throttled(message, retry_after)
                } else {
                    ToolError::overloaded(message, retry_after)
                }
            }
            Failure::Refused { message, internal } => {
                let message = format!("mcp server `{server}` answered: {message}");
                if internal {
                    ToolError::transient(message)
                } else {
                    ToolError::permanent(message)
                }
            }
            Failure::Lost(why) => unknown(ToolError::transient(format!(
                "mcp server `{server}` gave no answer: {why}"
            ))),
            Failure::Cancelled => unknown(ToolError::transient("the call was cancelled")),
            Failure::InputRequired => ToolError::permanent(format!(
                "mcp server `{server}` wants input from a person or a model, which is not supported"
            )),
            Failure::Background => unknown(ToolError::permanent(format!(
                "mcp server `{server}` made a task of the call, which is not supported"
            ))),
        }
    }
}

impl Tool for McpTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, cx: ToolContext) -> ToolFuture<'_> {
        Box::pin(self.run(arguments, cx))
    }
}

impl fmt::Debug for McpTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpTool")
            .field("server", &self.server())
            .field("remote_name", &self.remote)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// Offers tools under their plain names, as far as no other tool among them has the same one.
pub fn plain_names(tools: impl IntoIterator<Item = McpTool>) -> Vec<McpTool> {
    let tools: Vec<McpTool> = tools.into_iter().collect();
    let mut uses: HashMap<Arc<str>, usize> = HashMap::new();
    for tool in &tools {
        *uses.entry(Arc::clone(&tool.remote)).or_default() += 1;
        if tool.spec.name != tool.remote {
            *uses.entry(Arc::clone(&tool.spec.name)).or_default() += 1;
        }
    }
    let plain = |tool: McpTool| {
        let own = tool.server.config.known(&tool.remote);
        let renamed = own.is_some_and(|own| own.name.is_some());
        if !renamed && uses.get(&tool.remote) == Some(&1) {
            let name = Arc::clone(&tool.remote);
            tool.renamed(name)
        } else {
            tool
        }
    };
    tools.into_iter().map(plain).collect()
}

/// Adds tools to a registry, each with its limit on calls at a time.
///
/// # Errors
///
/// [`InvalidTool`] if the registry has a tool of that name, or if a schema makes no sense. The tools before it have been
/// added.
pub fn register(tools: impl IntoIterator<Item = McpTool>, registry: &mut Tools) -> Result<(), InvalidTool> {
    tools
        .into_iter()
        .try_for_each(|tool| registry.add(tool.into_entry()))
}

fn spec(config: &McpConfig, listed: &Listed, known: Option<&ToolOverride>) -> Result<ToolSpec, McpErrorKind> {
    let mut description = listed.description.clone();
    if description.is_empty() {
        description.clone_from(listed.title.as_ref().unwrap_or(&listed.name));
    }
    let limit = config.limits.description_bytes;
    if description.len() > limit {
        description.truncate(description.floor_char_boundary(limit));
        tracing::warn!(
            server = config.name(),
            tool = listed.name,
            limit,
            "Cut the description of an MCP tool."
        );
    }
    let mut spec = ToolSpec::new(config.offered_name(&listed.name))
        .description(description)
        .parameters(listed.input.clone())
        .effect(effect(config.trusted, listed.hints, known));
    if let Some(output) = &listed.output {
        spec = spec.output(output.clone());
    }
    if let Some(timeout) = known.and_then(|known| known.timeout).or(config.timeout) {
        spec = spec.timeout(timeout);
    }
    if let Some(known) = known {
        spec.sequential = known.sequential;
        if known.touches_nothing {
            spec = spec.touches_nothing();
        }
        for (mode, template) in &known.accesses {
            let template = AccessTemplate::new(template, *mode).map_err(|error| McpErrorKind::Override {
                tool: listed.name.clone(),
                reason: error.to_string(),
            })?;
            spec.touches.get_or_insert_default().push(template);
        }
    }
    Ok(spec)
}

/// Returns what is believed about the effect of a tool.
fn effect(trusted: bool, hints: Option<Hints>, known: Option<&ToolOverride>) -> Effect {
    if let Some(effect) = known.and_then(|known| known.effect) {
        return effect;
    }
    match hints {
        Some(hints) if trusted => match hints {
            Hints { read_only: true, .. } => Effect::ReadOnly,
            Hints { idempotent: true, .. } => Effect::Idempotent,
            _ => Effect::Once,
        },
        _ => Effect::Unknown,
    }
}

/// Returns how long a value is as JSON.
fn json_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_count_only_if_the_server_is_trusted() {
        let hints = |read_only, idempotent| {
            Some(Hints {
                read_only,
                idempotent,
            })
        };
        assert_eq!(effect(true, hints(true, false), None), Effect::ReadOnly);
        assert_eq!(effect(true, hints(false, true), None), Effect::Idempotent);
        assert_eq!(effect(true, hints(false, false), None), Effect::Once);
        assert_eq!(effect(true, None, None), Effect::Unknown);
        assert_eq!(effect(false, hints(true, true), None), Effect::Unknown);
        let known = ToolOverride::new().effect(Effect::Once);
        assert_eq!(effect(true, hints(true, true), Some(&known)), Effect::Once);
        assert_eq!(effect(false, None, Some(&known)), Effect::Once);
    }

    #[test]
    fn the_length_of_json_is_counted() {
        let value = serde_json::json!({"a": [1, "ä\n"], "b": null});
        assert_eq!(json_bytes(&value), value.to_string().len());
    }
}
