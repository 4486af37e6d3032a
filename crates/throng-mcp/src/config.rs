//! How a server is reached, how far it is trusted, and what its tools may take: built in code or read from TOML.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use throng_core::Secret;

use crate::ToolOverride;

/// Which server to use and how.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use throng_mcp::{McpConfig, ToolOverride};
/// use throng_tools::Effect;
///
/// let files = McpConfig::stdio("files", "mcp-server-filesystem")
///     .arg("/srv/data")
///     .trusted(true)
///     .tool("write_file", ToolOverride::new().effect(Effect::Idempotent).writes("file:{path}"))
///     .startup_timeout(Duration::from_secs(10));
/// assert_eq!(files.name(), "files");
/// ```
#[derive(Clone, Debug)]
pub struct McpConfig {
    pub(crate) name: Arc<str>,
    pub(crate) endpoint: Endpoint,
    pub(crate) trusted: bool,
    pub(crate) prefix: Option<String>,
    pub(crate) allow: Option<Vec<String>>,
    pub(crate) deny: Vec<String>,
    pub(crate) tools: BTreeMap<String, ToolOverride>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) startup_timeout: Duration,
    pub(crate) roots: Vec<String>,
    pub(crate) protocol: Protocol,
    pub(crate) limits: Limits,
    pub(crate) restarts: Restarts,
}

/// Where the server is.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Stdio(Stdio),
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "without `http` it is only refused")
    )]
    Http(Http),
}

/// A server that is a child process.
#[derive(Clone, Debug)]
pub(crate) struct Stdio {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// Values are kept from view: servers get their keys through them.
    pub(crate) env: BTreeMap<String, Secret>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) inherit_env: bool,
}

/// A server behind a URL.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) url: String,
    pub(crate) headers: BTreeMap<String, Secret>,
    pub(crate) bearer: Option<Secret>,
}

/// Which way a session begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// Asks by `server/discover`, as protocol 2026-07-28 has it, and falls back to `initialize` if the server does not
    /// know that, or says nothing within 10 seconds.
    #[default]
    Auto,
    /// `initialize` only, as up to protocol 2025-11-25.
    Initialize,
    /// `server/discover` only.
    Discover,
}

/// What a server may send. What is above is refused, or cut where that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Tools of one server. Default 512.
    pub tools: usize,
    /// Bytes of the description of a tool. It is cut there. Default 16 KiB.
    pub description_bytes: usize,
    /// Bytes of the schemas of one tool, written as JSON. Default 256 KiB.
    pub schema_bytes: usize,
    /// Bytes of the result of a call, as it is given on. Default 4 MiB.
    pub result_bytes: usize,
    /// Bytes of one message. A server that sends a longer one over stdio is taken for broken. Default 16 MiB.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tools: 512,
            description_bytes: 16 * 1024,
            schema_bytes: 256 * 1024,
            result_bytes: 4 * 1024 * 1024,
            message_bytes: 16 * 1024 * 1024,
        }
    }
}

/// How often a server whose connection broke is started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restarts {
    /// How many times within [`Restarts::window`]. Default 3; 0 leaves a broken server alone.
    pub max: usize,
    /// Default 60 seconds.
    pub window: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            max: 3,
            window: Duration::from_secs(60),
        }
    }
}

impl McpConfig {
    /// A server that is started as a child process, and is spoken to through its standard input and output.
    pub fn stdio(name: impl Into<Arc<str>>, program: impl Into<PathBuf>) -> Self {
        Self::new(
            name.into(),
            Endpoint::Stdio(Stdio {
                program: program.into(),
                args: Vec::new(),
                env: BTreeMap::new(),
                cwd: None,
                inherit_env: true,
            }),
        )
    }

    /// A server that is reached over streamable HTTP. Needs the feature `http`.
    pub fn http(name: impl Into<Arc<str>>, url: impl Into<String>) -> Self {
        Self::new(
            name.into(),
            Endpoint::Http(Http {
                url: url.into(),
                headers: BTreeMap::new(),
                bearer: None,
            }),
        )
    }

    fn new(name: Arc<str>, endpoint: Endpoint) -> Self {
        Self {
            name,
            endpoint,
            trusted: false,
            prefix: None,
            allow: None,
            deny: Vec::new(),
            tools: BTreeMap::new(),
            timeout: None,
            startup_timeout: Duration::from_secs(30),
            roots: Vec::new(),
            protocol: Protocol::default(),
            limits: Limits::default(),
            restarts: Restarts::default(),
        }
    }

    /// Returns the name of the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds an argument of the program. Does nothing for a server behind a URL.
    #[must_use]
    pub fn arg(self, arg: impl Into<String>) -> Self {
        self.with_stdio(|stdio| stdio.args.push(arg.into()))
    }

    /// Adds arguments of the program. Does nothing for a server behind a URL.
    #[must_use]
    pub fn args(self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with_stdio(|stdio| stdio.args.extend(args.into_iter().map(Into::into)))
    }

    /// Sets a variable of the program's environment. Does nothing for a server behind a URL.
    #[must_use]
    pub fn env(self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.with_stdio(|stdio| {
            stdio.env.insert(name.into(), value.into());
        })
    }

    /// Sets whether the program also gets the environment of this process. Default true.
    #[must_use]
    pub fn inherit_env(self, inherit: bool) -> Self {
        self.with_stdio(|stdio| stdio.inherit_env = inherit)
    }

    /// Sets the working directory of the program. Default that of this process.
    #[must_use]
    pub fn cwd(self, dir: impl Into<PathBuf>) -> Self {
        self.with_stdio(|stdio| stdio.cwd = Some(dir.into()))
    }

    /// Sends a header with every request. Does nothing for a child process.
    #[must_use]
    pub fn header(self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.with_http(|http| {
            http.headers.insert(name.into(), value.into());
        })
    }

    /// Sends `authorization: Bearer TOKEN` with every request. Does nothing for a child process.
    #[must_use]
    pub fn bearer_token(self, token: impl Into<Secret>) -> Self {
        self.with_http(|http| http.bearer = Some(token.into()))
    }

    /// Sets whether what the server says about the effects of its tools is believed. Default false: its tools have
    /// [`Effect::Unknown`](throng_tools::Effect::Unknown) unless [`ToolOverride::effect`] says otherwise.
    #[must_use]
    pub fn trusted(mut self, trusted: bool) -> Self {
        self.trusted = trusted;
        self
    }

    /// Sets what stands before the names of the tools. Default the name of the server and a dot; providers such as
    /// OpenAI take no dots, and want a prefix such as `files__`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Offers only the tools of this name, besides those that are allowed already. `*` stands for any text.
    #[must_use]
    pub fn allow(mut self, name: impl Into<String>) -> Self {
        self.allow.get_or_insert_default().push(name.into());
        self
    }

    /// Does not offer the tools of this name. `*` stands for any text. It wins over [`McpConfig::allow`].
    #[must_use]
    pub fn deny(mut self, name: impl Into<String>) -> Self {
        self.deny.push(name.into());
        self
    }

    /// Says what is known about the tool of this name, in the place of what the server says. `*` stands for any text; a
    /// tool that has an entry under its own name takes nothing from such an entry.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, tool: ToolOverride) -> Self {
        self.tools.insert(name.into(), tool);
        self
    }

    /// Sets how long one attempt of a call may take, for tools without a time of their own.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long the server may take to start and to list its tools. Default 30 seconds.
    #[must_use]
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        self.startup_timeout = timeout;
        self
    }

    /// Adds a folder, as a path or a `file:` URI, that the server is told of when it asks for roots.
    #[must_use]
    pub fn root(mut self, root: impl Into<String>) -> Self {
        self.roots.push(root.into());
        self
    }

    /// Sets which way a session begins. Default [`Protocol::Auto`].
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets what the server may send.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how often the server is started anew.
    #[must_use]
    pub fn restarts(mut self, restarts: Restarts) -> Self {
        self.restarts = restarts;
        self
    }

    fn with_stdio(mut self, change: impl FnOnce(&mut Stdio)) -> Self {
        if let Endpoint::Stdio(stdio) = &mut self.endpoint {
            change(stdio);
        }
        self
    }

    fn with_http(mut self, change: impl FnOnce(&mut Http)) -> Self {
        if let Endpoint::Http(http) = &mut self.endpoint {
            change(http);
        }
        self
    }

    /// Returns what must not show in errors: the server may echo what it was given.
    pub(crate) fn secrets(&self) -> Arc<[Secret]> {
        match &self.endpoint {
            Endpoint::Stdio(stdio) => stdio.env.values().cloned().collect(),
            Endpoint::Http(http) => http.headers.values().chain(&http.bearer).cloned().collect(),
        }
    }

    /// Returns the name under which a tool is offered.
    pub(crate) fn offered_name(&self, tool: &str) -> String {
        let renamed = self.known(tool).and_then(|tool| tool.name.as_deref());
        match (renamed, &self.prefix) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}{tool}"),
            (None, None) => format!("{}.{tool}", self.name),
        }
    }

    /// Returns what the user says about a tool.
    pub(crate) fn known(&self, tool: &str) -> Option<&ToolOverride> {
        let fits = || self.tools.iter().find(|(pattern, _)| matches(pattern, tool));
        self.tools.get(tool).or_else(|| fits().map(|(_, known)| known))
    }

    /// Returns whether a tool is offered.
    pub(crate) fn offers(&self, tool: &str) -> bool {
        let allowed = self
            .allow
            .as_ref()
            .is_none_or(|allow| allow.iter().any(|pattern| matches(pattern, tool)));
        allowed && !self.deny.iter().any(|pattern| matches(pattern, tool))
    }

    /// Returns the names that are spoken of and have to exist: those with a `*` may match nothing.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        let names = self
            .allow
            .iter()
            .flatten()
            .chain(&self.deny)
            .chain(self.tools.keys());
        names.map(String::as_str).filter(|name| !name.contains('*'))
    }
}

/// Returns whether a name fits a pattern in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, mut rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(before) else {
        return false;
    };
    // Between two stars the first place that fits leaves the most for what follows.
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = name.get(at + part.len()..).unwrap_or_default();
        rest = after;
    }
    name.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, name: &str, expect: bool) {
        assert_eq!(matches(pattern, name), expect, "{pattern} {name}");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        check("read", "read", true);
        check("read", "reads", false);
        check("read_*", "read_file", true);
        check("read_*", "read_", true);
        check("read_*", "write_file", false);
        check("*_file", "read_file", true);
        check("*_file", "read_files", false);
        check("a*b*c", "axxbyyc", true);
        check("a*b*c", "acb", false);
        check("ab*ba", "aba", false);
        check("*", "", true);
        check("**", "anything", true);
    }

    #[test]
    fn deny_wins_over_allow_and_a_tool_may_have_a_name_of_its_own() {
        let config = McpConfig::stdio("fs", "x").allow("read_*").deny("read_all");
        assert!(config.offers("read_one") && !config.offers("read_all") && !config.offers("write"));
        assert_eq!(config.offered_name("read_one"), "fs.read_one");
        let config = config
            .prefix("fs__")
            .tool("read_one", ToolOverride::new().name("one"));
        assert_eq!(config.offered_name("read_two"), "fs__read_two");
        assert_eq!(config.offered_name("read_one"), "one");
    }

    #[test]
    fn keys_show_in_no_debug_text() {
        let config = McpConfig::http("a", "http://x")
            .bearer_token("sk-12345")
            .header("x-key", "sk-67890");
        let config = format!(
            "{config:?} {:?}",
            McpConfig::stdio("b", "y").env("KEY", "sk-abcde")
        );
        assert!(!config.contains("sk-"), "{config}");
    }
}
