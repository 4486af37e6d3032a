//! Why a server cannot be used.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a server cannot be used. It names the server, and ends with what the server last wrote to its standard error.
#[derive(Clone, Debug)]
pub struct McpError {
    server: Arc<str>,
    kind: McpErrorKind,
    stderr: Option<Arc<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What went wrong with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum McpErrorKind {
    /// Its program could not be started.
    Spawn {
        /// The program.
        program: String,
    },
    /// Its address, or a header for it, cannot be used.
    Address {
        /// What is wrong.
        reason: String,
    },
    /// It cannot be reached over HTTP.
    Connect,
    /// It ended, or closed its connection, before it was ready.
    Ended {
        /// How, if that is known.
        how: String,
    },
    /// It was not ready in time.
    StartupTimeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// It refused to begin a session.
    Refused {
        /// What it said.
        message: String,
    },
    /// It speaks no version of the protocol that this crate knows.
    Version {
        /// What it speaks.
        offered: String,
    },
    /// Its list of tools cannot be read.
    List {
        /// What is wrong.
        reason: String,
    },
    /// It has more tools than allowed.
    TooManyTools {
        /// How many are allowed.
        limit: usize,
    },
    /// The configuration speaks of a tool that it does not have.
    NoSuchTool {
        /// The name that was looked for.
        tool: String,
        /// The most similar name that it has.
        nearest: Option<String>,
    },
    /// What the configuration says about a tool is not valid.
    Override {
        /// The tool.
        tool: String,
        /// What is wrong.
        reason: String,
    },
    /// It broke too often.
    TooManyRestarts {
        /// How often it was started anew.
        restarts: usize,
        /// In which time.
        window: Duration,
        /// Why it broke last.
        last: String,
    },
    /// It was closed by [`McpServer::close`](crate::McpServer::close).
    Closed,
}

impl McpError {
    pub(crate) fn new(server: &Arc<str>, kind: McpErrorKind) -> Self {
        Self {
            server: Arc::clone(server),
            kind,
            stderr: None,
            source: None,
        }
    }

    pub(crate) fn with_stderr(mut self, tail: impl Into<Option<String>>) -> Self {
        self.stderr = tail.into().filter(|tail| !tail.trim().is_empty()).map(Arc::from);
        self
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Returns the name of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns what went wrong.
    pub fn kind(&self) -> &McpErrorKind {
        &self.kind
    }

    /// Returns the end of what the server wrote to its standard error, if it is a process and wrote something.
    pub fn stderr(&self) -> Option<&str> {
        self.stderr.as_deref()
    }
}

impl fmt::Display for McpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mcp server `{}` {}", self.server, self.kind)?;
        match &self.stderr {
            Some(tail) => write!(f, "; its standard error ends with:\n{}", tail.trim_end()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for McpErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawn { program } => write!(f, "cannot be started: program `{program}`"),
            Self::Address { reason } => write!(f, "cannot be reached: {reason}"),
            Self::Connect => f.write_str("cannot be reached"),
            Self::Ended { how } => write!(f, "ended before it was ready: {how}"),
            Self::StartupTimeout { after } => write!(f, "was not ready after {after:?}"),
            Self::Refused { message } => write!(f, "refused to begin a session: {message}"),
            Self::Version { offered } => {
                write!(f, "speaks no known version of the protocol: {offered}")
            }
            Self::List { reason } => write!(f, "gave no list of tools that can be read: {reason}"),
            Self::TooManyTools { limit } => write!(f, "has more than {limit} tools"),
            Self::NoSuchTool { tool, nearest } => {
                write!(f, "has no tool `{tool}`")?;
                match nearest {
                    Some(nearest) => write!(f, "; the most similar is `{nearest}`"),
                    None => Ok(()),
                }
            }
            Self::Override { tool, reason } => write!(f, "cannot use tool `{tool}` as declared: {reason}"),
            Self::TooManyRestarts {
                restarts,
                window,
                last,
            } => {
                write!(
                    f,
                    "was started anew {restarts} times in {window:?} and broke again: {last}"
                )
            }
            Self::Closed => f.write_str("is closed"),
        }
    }
}

impl Error for McpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
