//! The one place that knows rmcp: a connection to a server, in this crate's own words.
//!
//! A call that fails says whether the server may have seen it.

mod begin;
mod handler;
mod health;
#[cfg(feature = "http")]
mod http;
mod list;
mod pipe;
mod process;
mod text;

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, ErrorCode, ProtocolVersion, RequestId,
    ServerResult,
};
use rmcp::service::{PeerRequestOptions, RequestHandle, RoleClient, RunningService, ServiceError};
use serde_json::{Map, Value};
use throng_core::{Secret, scrub};
use tokio_util::sync::CancellationToken;

use self::begin::begin;
use self::handler::Handler;
use self::health::Health;
use self::process::{Process, how_it_broke};
use self::text::{causes, error_text, shorten};
use crate::config::{Endpoint, Stdio};
use crate::{McpConfig, McpError, McpErrorKind, ServerInfo};

pub(crate) use self::handler::Notices;
pub(crate) use self::list::{Hints, Listed};

/// How long a notice that a call is no longer awaited may take to be sent.
const CANCEL_WAIT: Duration = Duration::from_secs(1);

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    service: RunningService<RoleClient, Handler>,
    process: Option<Process>,
    health: Arc<Health>,
    secrets: Arc<[Secret]>,
    info: ServerInfo,
}

/// What a tool answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) content: Vec<Value>,
    pub(crate) structured: Option<Value>,
    pub(crate) is_error: bool,
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server has certainly not seen it.
    NotSent(String),
    /// The server refused it for its load, before it did anything.
    Busy {
        message: String,
        throttled: bool,
        retry_after: Option<Duration>,
    },
    /// The server answered with an error of the protocol.
    Refused { message: String, internal: bool },
    /// The connection broke before the answer came.
    Lost(String),
    /// The caller wanted it to stop.
    Cancelled,
    /// The server wants to be told more, by a person or a model, before it goes on.
    InputRequired,
    /// The server goes on with it in the background.
    Background,
}

impl Client {
    /// Connects and begins a session.
    pub(crate) async fn start(config: &McpConfig, notices: Arc<Notices>) -> Result<Self, McpError> {
        let health = Arc::new(Health::default());
        let handler = Handler::new(config, notices);
        match &config.endpoint {
            Endpoint::Stdio(stdio) => Self::start_process(config, stdio, handler, health).await,
            #[cfg(feature = "http")]
            Endpoint::Http(http) => {
                let transport = http::transport(config, http)?;
                let service = begin(config, handler, transport, None).await?;
                Self::new(config, service, None, health)
            }
            #[cfg(not(feature = "http"))]
            Endpoint::Http(_) => {
                let reason = "this build has no HTTP: the feature `http` is off".to_owned();
                Err(McpError::new(&config.name, McpErrorKind::Address { reason }))
            }
        }
    }

    async fn start_process(
        config: &McpConfig,
        stdio: &Stdio,
        handler: Handler,
        health: Arc<Health>,
    ) -> Result<Self, McpError> {
        let (process, stdin, stdout) = Process::start(stdio, &health).map_err(|error| {
            let program = stdio.program.display().to_string();
            McpError::new(&config.name, McpErrorKind::Spawn { program }).with_source(error)
        })?;
        let pipe = pipe::Pipe::new(stdout, stdin, config.limits.message_bytes, Arc::clone(&health));
        match begin(config, handler, pipe, Some((&process, &health))).await {
            Ok(service) => Self::new(config, service, Some(process), health),
            Err(error) => {
                let secrets = config.secrets();
                let stderr = process.stderr().await;
                Err(error.with_stderr(scrub(&stderr, &secrets).into_owned()))
            }
        }
    }

    fn new(
        config: &McpConfig,
        service: RunningService<RoleClient, Handler>,
        process: Option<Process>,
        health: Arc<Health>,
    ) -> Result<Self, McpError> {
        let peer = service.peer_info();
        let version = peer
            .as_ref()
            .map(|peer| peer.protocol_version.to_string())
            .unwrap_or_default();
        if !ProtocolVersion::KNOWN_VERSIONS
            .iter()
            .any(|known| known.as_str() == version)
        {
            let offered = shorten(&version);
            return Err(McpError::new(&config.name, McpErrorKind::Version { offered }));
        }
        let identity = peer.as_ref().and_then(|peer| peer.server_info.as_ref());
        let info = ServerInfo {
            name: identity.map(|identity| shorten(&identity.name)),
            version: identity.map(|identity| shorten(&identity.version)),
            protocol: version,
            instructions: peer
                .as_ref()
                .and_then(|peer| peer.instructions.as_deref())
                .map(shorten),
            has_tools: peer
                .as_ref()
                .is_some_and(|peer| peer.capabilities.tools.is_some()),
        };
        Ok(Self {
            service,
            process,
            health,
            secrets: config.secrets(),
            info,
        })
    }

    pub(crate) fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// Returns whether no more calls can be made over it.
    pub(crate) fn is_broken(&self) -> bool {
        self.health.is_broken() || self.service.is_transport_closed()
    }

    /// Returns the end of what the server wrote to its standard error.
    pub(crate) async fn stderr(&self) -> Option<String> {
        match &self.process {
            Some(process) => Some(scrub(&process.stderr().await, &self.secrets).into_owned()),
            None => None,
        }
    }

    /// Returns why it broke, with the end of the standard error.
    pub(crate) async fn why_broken(&self) -> String {
        let mut why = match &self.process {
            Some(process) => how_it_broke(process, &self.health).await,
            None => self
                .health
                .cause()
                .unwrap_or("the connection was closed")
                .to_owned(),
        };
        let stderr = self.stderr().await.unwrap_or_default();
        if !stderr.trim().is_empty() {
            why.push_str("; its standard error ends with:\n");
            why.push_str(stderr.trim_end());
        }
        scrub(&why, &self.secrets).into_owned()
    }

    /// Calls a tool. When the future is dropped, the server is told that nobody waits any more.
    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        cancel: &CancellationToken,
    ) -> Result<Reply, Failure> {
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let sending = self
            .service
            .send_request_with_option(request, PeerRequestOptions::no_options());
        let Ok(handle) = sending.await else {
            return Err(Failure::NotSent(self.why_broken().await));
        };
        let mut pending = Pending(Some(handle));
        let answer = tokio::select! {
            biased;
            answer = pending.answer() => answer,
            () = cancel.cancelled() => {
                pending.cancel().await;
                return Err(Failure::Cancelled);
            }
        };
        let id = pending.done();
        let was_sent = id.is_some_and(|id| self.health.was_sent(&id)) || self.process.is_none();
        match answer {
            Ok(result) => self.reply(result),
            Err(error) => Err(self.failure(error, was_sent).await),
        }
    }

    fn reply(&self, result: ServerResult) -> Result<Reply, Failure> {
        let result = match result {
            ServerResult::CallToolResult(result) => {
                return Ok(Reply {
                    content: result.content.iter().map(to_value).collect(),
                    structured: result.structured_content,
                    is_error: result.is_error.unwrap_or(false),
                });
            }
            ServerResult::InputRequiredResult(_) => return Err(Failure::InputRequired),
            ServerResult::CreateTaskResult(_) => return Err(Failure::Background),
            ServerResult::EmptyResult(_) | ServerResult::TaskAckResult(_) => return Ok(Reply::default()),
            // A kind of content that rmcp does not know makes it take the result for something else.
            other => to_value(&other),
        };
        let Some(content) = result.get("content").and_then(Value::as_array) else {
            let message = format!(
                "the answer is no result of a tool: {}",
                self.clean(&result.to_string())
            );
            return Err(Failure::Lost(message));
        };
        Ok(Reply {
            content: content.clone(),
            structured: result.get("structuredContent").cloned(),
            is_error: result.get("isError").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    async fn failure(&self, error: ServiceError, was_sent: bool) -> Failure {
        match error {
            ServiceError::McpError(error) => Failure::Refused {
                message: self.clean(&error_text(&error)),
                internal: error.code == ErrorCode::INTERNAL_ERROR,
            },
            ServiceError::TransportSend(_) if self.process.is_some() => {
                Failure::NotSent(self.why_broken().await)
            }
            #[cfg(feature = "http")]
            ServiceError::TransportSend(error) => {
                http::failure(&error, &self.health, |text| self.clean(text))
            }
            _ if !was_sent => Failure::NotSent(self.why_broken().await),
            ServiceError::TransportClosed => Failure::Lost(self.why_broken().await),
            other => Failure::Lost(self.clean(&causes(&other))),
        }
    }

    /// Cuts secrets out of a text, and shortens it.
    fn clean(&self, text: &str) -> String {
        shorten(&scrub(text, &self.secrets))
    }

    /// Ends the session and waits until the process is gone.
    pub(crate) async fn close(&self) {
        self.health.fail("it was closed");
        self.service.cancellation_token().cancel();
        if let Some(process) = &self.process {
            process.shut_down().await;
        }
    }
}

/// A call that waits for its answer.
struct Pending(Option<RequestHandle<RoleClient>>);

impl Pending {
    /// Cancel safe.
    async fn answer(&mut self) -> Result<ServerResult, ServiceError> {
        match &mut self.0 {
            Some(handle) => (&mut handle.rx)
                .await
                .unwrap_or(Err(ServiceError::TransportClosed)),
            None => Err(ServiceError::TransportClosed),
        }
    }

    async fn cancel(&mut self) {
        if let Some(handle) = self.0.take() {
            give_up(handle).await;
        }
    }

    fn done(&mut self) -> Option<RequestId> {
        self.0.take().map(|handle| handle.id)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(give_up(handle));
        }
    }
}

async fn give_up(handle: RequestHandle<RoleClient>) {
    let reason = Some("nobody waits for the answer any more".to_owned());
    let _ = tokio::time::timeout(CANCEL_WAIT, handle.cancel(reason)).await;
}

fn to_value(value: &impl serde::Serialize) -> Value {
    // What came as JSON can be written as JSON.
    serde_json::to_value(value).unwrap_or_default()
}
