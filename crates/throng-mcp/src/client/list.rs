//! The list of a server's tools: all of its pages, within the limits.

use std::collections::HashSet;
use std::sync::Arc;

use rmcp::model::{ClientRequest, ListToolsRequest, PaginatedRequestParams, ServerResult, Tool};
use rmcp::service::ServiceError;
use serde_json::Value;

use super::Client;
use super::text::{causes, error_text, shorten};
use crate::{McpConfig, McpError, McpErrorKind};

/// More pages than this are a server that turns in circles.
const MAX_PAGES: usize = 1000;

/// A tool as its server declares it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) title: Option<String>,
    pub(crate) description: String,
    pub(crate) input: Value,
    pub(crate) output: Option<Value>,
    /// `None` if it says nothing about its effects.
    pub(crate) hints: Option<Hints>,
}

/// What a server says about the effects of a tool; a hint that is not there has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) read_only: bool,
    pub(crate) idempotent: bool,
}

impl Client {
    /// Lists the tools: all pages, or an error if there are too many.
    pub(crate) async fn list(&self, config: &McpConfig) -> Result<Vec<Listed>, McpError> {
        if !self.info.has_tools {
            return Ok(Vec::new());
        }
        let listing = tokio::time::timeout(config.startup_timeout, self.list_pages(config));
        match listing.await {
            Ok(Err(ListFailure::Error(kind))) => {
                let mut error = McpError::new(&config.name, kind);
                if self.is_broken() {
                    error = error.with_stderr(self.stderr().await);
                }
                Err(error)
            }
            Ok(Err(ListFailure::Broken)) => {
                let reason = self.why_broken().await;
                Err(McpError::new(&config.name, McpErrorKind::List { reason }))
            }
            Ok(Ok(tools)) => Ok(tools),
            Err(_) => {
                let after = config.startup_timeout;
                let error = McpError::new(&config.name, McpErrorKind::StartupTimeout { after });
                Err(error.with_stderr(self.stderr().await))
            }
        }
    }

    async fn list_pages(&self, config: &McpConfig) -> Result<Vec<Listed>, ListFailure> {
        let limits = config.limits;
        let mut tools: Vec<Listed> = Vec::new();
        let mut names = HashSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            // Past the cache of rmcp: who lists again wants to know what is there now.
            let request = ClientRequest::ListToolsRequest(ListToolsRequest {
                method: Default::default(),
                params: Some(PaginatedRequestParams::default().with_cursor(cursor)),
                extensions: Default::default(),
            });
            let page = match self.service.send_request(request).await {
                Ok(ServerResult::ListToolsResult(page)) => page,
                Ok(_) => return Err(list_error("the answer is not a list of tools")),
                Err(ServiceError::McpError(error)) => {
                    return Err(list_error(&self.clean(&error_text(&error))));
                }
                Err(_) if self.is_broken() => return Err(ListFailure::Broken),
                Err(error) => return Err(list_error(&self.clean(&causes(&error)))),
            };
            for tool in page.tools {
                if tools.len() == limits.tools {
                    return Err(ListFailure::Error(McpErrorKind::TooManyTools {
                        limit: limits.tools,
                    }));
                }
                let tool = listed(tool);
                if tool.name.is_empty() {
                    return Err(list_error("a tool has no name"));
                }
                let schemas = [Some(&tool.input), tool.output.as_ref()];
                let bytes: usize = schemas
                    .iter()
                    .flatten()
                    .map(|schema| schema.to_string().len())
                    .sum();
                if bytes > limits.schema_bytes {
                    let (name, limit) = (shorten(&tool.name), limits.schema_bytes);
                    return Err(list_error(&format!(
                        "the schemas of tool `{name}` have {bytes} bytes, more than {limit}"
                    )));
                }
                if !names.insert(tool.name.clone()) {
                    return Err(list_error(&format!(
                        "tool `{}` is there twice",
                        shorten(&tool.name)
                    )));
                }
                tools.push(tool);
            }
            match page.next_cursor {
                Some(next) if !next.is_empty() => cursor = Some(next),
                _ => return Ok(tools),
            }
        }
        Err(list_error(&format!("it has more than {MAX_PAGES} pages")))
    }
}

enum ListFailure {
    Error(McpErrorKind),
    Broken,
}

fn list_error(reason: &str) -> ListFailure {
    ListFailure::Error(McpErrorKind::List {
        reason: reason.to_owned(),
    })
}

fn listed(tool: Tool) -> Listed {
    let title = tool
        .title
        .or_else(|| tool.annotations.as_ref().and_then(|hints| hints.title.clone()));
    let hints = tool.annotations.filter(|hints| {
        hints.read_only_hint.is_some() || hints.idempotent_hint.is_some() || hints.destructive_hint.is_some()
    });
    Listed {
        name: tool.name.into_owned(),
        title,
        description: tool.description.unwrap_or_default().into_owned(),
        input: Value::Object(Arc::unwrap_or_clone(tool.input_schema)),
        output: tool
            .output_schema
            .map(|schema| Value::Object(Arc::unwrap_or_clone(schema))),
        hints: hints.map(|hints| Hints {
            read_only: hints.read_only_hint.unwrap_or(false),
            idempotent: hints.idempotent_hint.unwrap_or(false),
        }),
    }
}
