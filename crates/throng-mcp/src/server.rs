//! A server that is in use: its connection, made anew when it broke, and its tools.
//!
//! Whoever needs the connection while it is made anew waits for the same attempt; how often that happens is bounded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Client, Listed, Notices};
use crate::{McpConfig, McpError, McpErrorKind, McpTool};

/// An MCP server that is connected. Cheap to clone.
///
/// When the last clone and the last of its tools are gone, the connection is closed, and the process, if it is one, ends
/// soon after; [`McpServer::close`] waits for that.
#[derive(Clone, Debug)]
pub struct McpServer {
    inner: Arc<Inner>,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerInfo {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The version of the protocol that is spoken.
    pub protocol: String,
    /// What it wants models to be told about its use.
    pub instructions: Option<String>,
    pub(crate) has_tools: bool,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: McpConfig,
    notices: Arc<Notices>,
    live: RwLock<Arc<Client>>,
    tools: RwLock<Arc<[Listed]>>,
    /// When the server was started anew; whoever holds it may do so.
    restarts: Mutex<VecDeque<Instant>>,
    closed: AtomicBool,
}

impl McpServer {
    /// Starts or reaches the server, begins a session, and lists the tools.
    ///
    /// Needs to be called within a Tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// [`McpError`] says what went wrong, and what the server wrote to its standard error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server.
    pub async fn connect(config: McpConfig) -> Result<Self, McpError> {
        let notices = Arc::<Notices>::default();
        let client = Client::start(&config, Arc::clone(&notices)).await?;
        let inner = Inner {
            config,
            notices,
            live: RwLock::new(Arc::new(client)),
            tools: RwLock::new(Arc::new([])),
            restarts: Mutex::new(VecDeque::new()),
            closed: AtomicBool::new(false),
        };
        let server = Self {
            inner: Arc::new(inner),
        };
        if let Err(error) = server.refresh().await {
            server.close().await;
            return Err(error);
        }
        Ok(server)
    }

    /// Returns the name of the server, as configured.
    pub fn name(&self) -> &str {
        self.inner.config.name()
    }

    /// Returns what the server said of itself when it was connected last.
    pub fn info(&self) -> ServerInfo {
        self.inner.live().info().clone()
    }

    /// Returns whether the connection works, as far as that is known. If it does not, the next call makes a new one.
    pub fn is_connected(&self) -> bool {
        !self.inner.closed.load(Ordering::Acquire) && !self.inner.live().is_broken()
    }

    /// Returns the tools that are offered, as they were listed last, in the order of the server.
    pub fn tools(&self) -> Vec<McpTool> {
        let listed = Arc::clone(&self.inner.tools.read().unwrap_or_else(PoisonError::into_inner));
        let tools = listed
            .iter()
            .map(|listed| McpTool::new(Arc::clone(&self.inner), listed));
        // Those that cannot be made were errors when they were listed.
        tools.filter_map(Result::ok).collect()
    }

    /// Returns whether the server said that its tools are others since they were listed.
    ///
    /// Servers of protocol 2026-07-28 say that only to those who subscribe, which this crate does not.
    pub fn tools_changed(&self) -> bool {
        self.inner.notices.tools_changed()
    }

    /// Lists the tools anew, and returns those that are offered. Tools that were given out before stay as they are.
    ///
    /// # Errors
    ///
    /// [`McpError`] if the server cannot be reached, if its list cannot be read, or if the configuration speaks of a tool
    /// that is not in it. What was listed before stays.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the list then stays as it was.
    pub async fn refresh(&self) -> Result<Vec<McpTool>, McpError> {
        let inner = &self.inner;
        let client = inner.client().await?;
        inner.notices.listing_tools();
        let mut listed = client.list(&inner.config).await?;
        check_names(&inner.config, &listed).map_err(|kind| inner.error(kind))?;
        listed.retain(|tool| inner.config.offers(&tool.name));
        let tools = listed
            .iter()
            .map(|listed| McpTool::new(Arc::clone(inner), listed))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|kind| inner.error(kind))?;
        *inner.tools.write().unwrap_or_else(PoisonError::into_inner) = listed.into();
        Ok(tools)
    }

    /// Returns the end of what the server wrote to its standard error, if it is a process.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub async fn stderr(&self) -> Option<String> {
        self.inner.live().stderr().await
    }

    /// Closes the connection and waits until the process, if it is one, has ended. Calls that run lose their answers, later
    /// ones fail.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the server ends all the same.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        self.inner.live().close().await;
    }
}

/// Connects to several servers at a time, and returns what came of each in the order in which they were given.
///
/// # Cancel safety
///
/// Dropping the future ends the servers.
pub async fn connect_all(configs: impl IntoIterator<Item = McpConfig>) -> Vec<Result<McpServer, McpError>> {
    let mut connecting = JoinSet::new();
    let mut results = Vec::new();
    for (at, config) in configs.into_iter().enumerate() {
        results.push(Err(McpError::new(&config.name, McpErrorKind::Closed)));
        connecting.spawn(async move { (at, McpServer::connect(config).await) });
    }
    while let Some(joined) = connecting.join_next().await {
        match joined {
            Ok((at, result)) => {
                if let Some(place) = results.get_mut(at) {
                    *place = result;
                }
            }
            Err(error) => {
                if let Ok(payload) = error.try_into_panic() {
                    std::panic::resume_unwind(payload);
                }
            }
        }
    }
    results
}

impl Inner {
    fn live(&self) -> Arc<Client> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn error(&self, kind: McpErrorKind) -> McpError {
        McpError::new(&self.config.name, kind)
    }

    /// Returns a connection that works, as far as that is known. Makes a new one if it has to.
    ///
    /// Cancel safe: what is begun is brought to its end by a task of its own.
    pub(crate) async fn client(self: &Arc<Self>) -> Result<Arc<Client>, McpError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.error(McpErrorKind::Closed));
        }
        let live = self.live();
        if !live.is_broken() {
            return Ok(live);
        }
        let this = Arc::clone(self);
        match tokio::spawn(async move { this.restart().await }).await {
            Ok(result) => result,
            Err(_) => Err(self.error(McpErrorKind::Closed)),
        }
    }

    async fn restart(&self) -> Result<Arc<Client>, McpError> {
        let mut restarts = self.restarts.lock().await;
        let live = self.live();
        if !live.is_broken() {
            return Ok(live);
        }
        let policy = self.config.restarts;
        let now = Instant::now();
        while restarts
            .front()
            .is_some_and(|at| now.duration_since(*at) > policy.window)
        {
            restarts.pop_front();
        }
        if restarts.len() >= policy.max {
            return Err(self.error(McpErrorKind::TooManyRestarts {
                restarts: restarts.len(),
                window: policy.window,
                last: live.why_broken().await,
            }));
        }
        restarts.push_back(now);
        tracing::warn!(server = %self.config.name, restarts = restarts.len(), "Starting an MCP server anew.");
        // Two processes of one server must not meet over the same files.
        live.close().await;
        let client = Arc::new(Client::start(&self.config, Arc::clone(&self.notices)).await?);
        if self.closed.load(Ordering::Acquire) {
            client.close().await;
            return Err(self.error(McpErrorKind::Closed));
        }
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&client);
        Ok(client)
    }
}

/// Looks for every tool that the configuration speaks of: a name that is misspelt must not switch nothing off.
fn check_names(config: &McpConfig, listed: &[Listed]) -> Result<(), McpErrorKind> {
    for name in config.named() {
        if listed.iter().any(|tool| tool.name == name) {
            continue;
        }
        let nearest = listed
            .iter()
            .map(|tool| (strsim::jaro_winkler(name, &tool.name), &tool.name))
            .filter(|(similar, _)| *similar > 0.7)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        return Err(McpErrorKind::NoSuchTool {
            tool: name.to_owned(),
            nearest: nearest.map(|(_, name)| name.clone()),
        });
    }
    Ok(())
}
