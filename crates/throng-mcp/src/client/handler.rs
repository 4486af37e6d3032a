//! What a server may ask of its client, and what it tells: all but roots is refused in words.

#![expect(
    deprecated,
    reason = "servers of protocols up to 2025-11-25 still ask for what the newer ones dropped"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
    ElicitResult, ErrorCode, ErrorData, Implementation, ListRootsResult, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProtocolVersion, Root, RootsCapabilities,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};

use crate::McpConfig;

/// What servers have told, over all connections to one.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    tools_changed: AtomicBool,
}

impl Notices {
    /// Returns whether a server said that its tools are others now.
    pub(crate) fn tools_changed(&self) -> bool {
        self.tools_changed.load(Ordering::Acquire)
    }

    /// Forgets it, before the tools are listed anew.
    pub(crate) fn listing_tools(&self) {
        self.tools_changed.store(false, Ordering::Release);
    }
}

/// Answers the server.
#[derive(Debug)]
pub(super) struct Handler {
    server: Arc<str>,
    roots: Vec<Root>,
    notices: Arc<Notices>,
    version: ProtocolVersion,
}

impl Handler {
    pub(super) fn new(config: &McpConfig, notices: Arc<Notices>) -> Self {
        Self {
            server: Arc::clone(&config.name),
            roots: config.roots.iter().map(|root| named_root(root)).collect(),
            notices,
            version: ProtocolVersion::LATEST,
        }
    }

    /// Asks for the newest version that still has `initialize`.
    pub(super) fn only_initialize(&mut self) {
        self.version = ProtocolVersion::LATEST_WITH_INITIALIZE;
    }

    fn refuse(&self, what: &str) -> ErrorData {
        tracing::debug!(server = %self.server, what, "Refused a request of an MCP server.");
        ErrorData::new(
            ErrorCode::METHOD_NOT_FOUND,
            format!("{what} is not supported by this client"),
            None,
        )
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if !self.roots.is_empty() {
            capabilities.roots = Some(RootsCapabilities::default());
        }
        ClientConfig::new(
            capabilities,
            Implementation::new("throng", env!("CARGO_PKG_VERSION")),
        )
        .with_protocol_version(self.version.clone())
    }

    async fn create_message(
        &self,
        _params: CreateMessageRequestParams,
        _cx: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        Err(self.refuse("sampling"))
    }

    async fn list_roots(&self, _cx: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        if self.roots.is_empty() {
            return Err(self.refuse("listing roots"));
        }
        Ok(ListRootsResult::new(self.roots.clone()))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _cx: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Err(self.refuse("elicitation"))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _cx: NotificationContext<RoleClient>) {
        tracing::debug!(
            server = %self.server,
            token = ?params.progress_token.0,
            progress = params.progress,
            total = params.total,
            "Progress of a call to an MCP server."
        );
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _cx: NotificationContext<RoleClient>,
    ) {
        // What it says may hold arguments and results, which are not logged.
        tracing::debug!(server = %self.server, level = ?params.level, logger = params.logger, "An MCP server logs.");
    }

    async fn on_tool_list_changed(&self, _cx: NotificationContext<RoleClient>) {
        tracing::debug!(server = %self.server, "An MCP server has other tools now.");
        self.notices.tools_changed.store(true, Ordering::Release);
    }
}

/// Makes a root of a path or a URI.
fn named_root(root: &str) -> Root {
    if root.contains("://") {
        return Root::new(root);
    }
    let mut uri = String::from("file://");
    for byte in root.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    let name = root.trim_end_matches('/').rsplit('/').next().unwrap_or(root);
    Root::new(uri).with_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri_and_a_uri_stays() {
        let root = named_root("/srv/my data/ä/");
        assert_eq!(root.uri, "file:///srv/my%20data/%C3%A4/");
        assert_eq!(root.name.as_deref(), Some("ä"));
        assert_eq!(named_root("file:///a").uri, "file:///a");
    }
}
