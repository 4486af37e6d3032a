//! Servers declared in TOML, as tables `[mcp.NAME]`.
//!
//! `${NAME}` in a text is filled by the caller, who knows the environment; `$${NAME}` stays `${NAME}`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};
use throng_tools::{Effect, Mode};

use crate::{Limits, McpConfig, Protocol, ToolOverride};

/// A declaration of servers is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDeclaration {
    /// The text is no TOML, or has a key or a value that does not belong there.
    #[error("line {line}, column {column}: {message}")]
    Toml {
        /// What is wrong.
        message: String,
        /// The line, from 1.
        line: usize,
        /// The column, in characters from 1.
        column: usize,
        /// The bytes that it is about.
        span: Range<usize>,
    },
    /// A server is declared in a way that makes no sense.
    #[error("`mcp.{server}` {message}")]
    Server {
        /// The name of the server.
        server: String,
        /// What is wrong.
        message: String,
    },
    /// A variable is asked for that the caller does not have.
    #[error("`mcp.{server}` asks for the variable `{variable}`, which is not set")]
    Variable {
        /// The name of the server.
        server: String,
        /// The name of the variable.
        variable: String,
    },
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    mcp: BTreeMap<String, Server>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    command: Option<String>,
    args: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    inherit_env: Option<bool>,
    cwd: Option<String>,
    url: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    bearer_token: Option<String>,
    #[serde(default)]
    trusted: bool,
    prefix: Option<String>,
    allow: Option<Vec<String>>,
    #[serde(default)]
    deny: Vec<String>,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    startup_timeout: Option<Duration>,
    #[serde(default)]
    roots: Vec<String>,
    #[serde(default)]
    protocol: ProtocolWord,
    #[serde(default)]
    limits: LimitTable,
    max_restarts: Option<usize>,
    #[serde(default)]
    tools: BTreeMap<String, ToolTable>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitTable {
    tools: Option<usize>,
    description_bytes: Option<usize>,
    schema_bytes: Option<usize>,
    result_bytes: Option<usize>,
    message_bytes: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProtocolWord {
    #[default]
    Auto,
    Initialize,
    Discover,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolTable {
    name: Option<String>,
    effect: Option<EffectWord>,
    reads: Option<Vec<String>>,
    writes: Option<Vec<String>>,
    exclusive: Option<Vec<String>>,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<Duration>,
    max_concurrent: Option<NonZeroUsize>,
    #[serde(default)]
    sequential: bool,
    #[serde(default)]
    keep_text: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EffectWord {
    ReadOnly,
    Idempotent,
    Once,
    Unknown,
}

impl McpConfig {
    /// Reads the servers that a TOML text declares, in the order of their names. Other tables are passed over.
    ///
    /// `lookup` gives the values of variables.
    ///
    /// # Errors
    ///
    /// [`InvalidDeclaration`] names the line, or the server and what is wrong with it.
    ///
    /// # Examples
    ///
    /// ```
    /// use throng_mcp::McpConfig;
    ///
    /// let text = r#"
    /// [mcp.files]
    /// command = "mcp-server-filesystem"
    /// args = ["${ROOT}/data"]
    /// trusted = true
    /// deny = ["move_file"]
    ///
    /// [mcp.files.tools.write_file]
    /// effect = "idempotent"
    /// writes = ["file:{path}"]
    /// timeout = "5s"
    ///
    /// [mcp.search]
    /// url = "https://search.example/mcp"
    /// bearer_token = "${SEARCH_TOKEN}"
    /// "#;
    /// let lookup = |name: &str| match name {
    ///     "ROOT" => Some("/srv".to_owned()),
    ///     "SEARCH_TOKEN" => Some("sk-1".to_owned()),
    ///     _ => None,
    /// };
    /// let servers = McpConfig::all_from_toml(text, lookup)?;
    /// assert_eq!(servers.len(), 2);
    /// assert_eq!(servers[0].name(), "files");
    /// # Ok::<(), throng_mcp::InvalidDeclaration>(())
    /// ```
    pub fn all_from_toml(
        text: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Self>, InvalidDeclaration> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let before = text.get(..span.start).unwrap_or_default();
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            InvalidDeclaration::Toml {
                message: error.message().to_owned(),
                line: before.matches('\n').count() + 1,
                column,
                span,
            }
        })?;
        let servers = document.mcp.into_iter();
        servers
            .map(|(name, server)| config(&name, server, &lookup))
            .collect()
    }
}

fn config(
    name: &str,
    server: Server,
    lookup: &impl Fn(&str) -> Option<String>,
) -> Result<McpConfig, InvalidDeclaration> {
    let invalid = |message: &str| InvalidDeclaration::Server {
        server: name.to_owned(),
        message: message.to_owned(),
    };
    let fill = |text: &str| {
        fill(text, lookup).map_err(|variable| InvalidDeclaration::Variable {
            server: name.to_owned(),
            variable,
        })
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || !name.chars().all(is_word) {
        return Err(invalid("is not a name of letters, digits, `_` and `-`"));
    }
    let mut config = match (server.command, server.url) {
        (Some(_), Some(_)) => return Err(invalid("has both `command` and `url`")),
        (None, None) => return Err(invalid("has neither `command` nor `url`")),
        (Some(command), None) => {
            if server.headers.is_some() || server.bearer_token.is_some() {
                return Err(invalid(
                    "has `command`, so `headers` and `bearer_token` have no place in it",
                ));
            }
            let mut config = McpConfig::stdio(name, fill(&command)?);
            for arg in server.args.unwrap_or_default() {
                config = config.arg(fill(&arg)?);
            }
            for (variable, value) in server.env.unwrap_or_default() {
                config = config.env(variable, fill(&value)?);
            }
            if let Some(cwd) = server.cwd {
                config = config.cwd(fill(&cwd)?);
            }
            config.inherit_env(server.inherit_env.unwrap_or(true))
        }
        (None, Some(url)) => {
            if server.args.is_some()
                || server.env.is_some()
                || server.cwd.is_some()
                || server.inherit_env.is_some()
            {
                return Err(invalid(
                    "has `url`, so `args`, `env`, `inherit_env` and `cwd` have no place in it",
                ));
            }
            let mut config = McpConfig::http(name, fill(&url)?);
            for (header, value) in server.headers.unwrap_or_default() {
                config = config.header(header, fill(&value)?);
            }
            if let Some(token) = server.bearer_token {
                config = config.bearer_token(fill(&token)?);
            }
            config
        }
    };
    for root in &server.roots {
        config = config.root(fill(root)?);
    }
    config.trusted = server.trusted;
    config.prefix = server.prefix;
    config.allow = server.allow;
    config.deny = server.deny;
    config.timeout = server.timeout;
    if let Some(timeout) = server.startup_timeout {
        config.startup_timeout = timeout;
    }
    config.protocol = match server.protocol {
        ProtocolWord::Auto => Protocol::Auto,
        ProtocolWord::Initialize => Protocol::Initialize,
        ProtocolWord::Discover => Protocol::Discover,
    };
    config.limits = limits(&server.limits);
    if let Some(max) = server.max_restarts {
        config.restarts.max = max;
    }
    config.tools = server
        .tools
        .into_iter()
        .map(|(name, tool)| (name, tool.into()))
        .collect();
    Ok(config)
}

fn limits(table: &LimitTable) -> Limits {
    let default = Limits::default();
    Limits {
        tools: table.tools.unwrap_or(default.tools),
        description_bytes: table.description_bytes.unwrap_or(default.description_bytes),
        schema_bytes: table.schema_bytes.unwrap_or(default.schema_bytes),
        result_bytes: table.result_bytes.unwrap_or(default.result_bytes),
        message_bytes: table.message_bytes.unwrap_or(default.message_bytes),
    }
}

impl From<ToolTable> for ToolOverride {
    fn from(table: ToolTable) -> Self {
        let lists = [
            (Mode::Read, table.reads),
            (Mode::Write, table.writes),
            (Mode::Exclusive, table.exclusive),
        ];
        let declared = lists.iter().any(|(_, list)| list.is_some());
        let accesses: Vec<_> = lists
            .into_iter()
            .flat_map(|(mode, list)| list.into_iter().flatten().map(move |resource| (mode, resource)))
            .collect();
        Self {
            name: table.name,
            effect: table.effect.map(|effect| match effect {
                EffectWord::ReadOnly => Effect::ReadOnly,
                EffectWord::Idempotent => Effect::Idempotent,
                EffectWord::Once => Effect::Once,
                EffectWord::Unknown => Effect::Unknown,
            }),
            touches_nothing: declared && accesses.is_empty(),
            accesses,
            sequential: table.sequential,
            timeout: table.timeout,
            max_concurrent: table.max_concurrent,
            keep_text: table.keep_text,
        }
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let duration = humantime::parse_duration(&text)
        .map_err(|error| de::Error::custom(format!("`{text}` is no duration such as `30s`: {error}")))?;
    Ok(Some(duration))
}

/// Fills the variables of a text; an error is the name of one that is not there.
fn fill(text: &str, lookup: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((variable, tail)) = after.split_once('}') else {
            break;
        };
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(&format!("{before}${{{variable}}}"));
        } else {
            filled.push_str(before);
            filled.push_str(&lookup(variable).ok_or_else(|| variable.to_owned())?);
        }
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;

    fn read(text: &str) -> Result<Vec<McpConfig>, InvalidDeclaration> {
        McpConfig::all_from_toml(text, |name| (name == "HOME").then(|| "/home/me".to_owned()))
    }

    fn fails(text: &str, expect: &str) {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expect), "{expect:?} is not in {error:?}");
    }

    #[test]
    fn everything_that_can_be_said() {
        let text = r#"
            [tools.other]
            command = ["of", "no", "interest"]

            [mcp.fs]
            command = "server"
            args = ["${HOME}/data", "$${HOME}", "$5"]
            env = { TOKEN = "${HOME}" }
            inherit_env = false
            cwd = "/tmp"
            trusted = true
            prefix = "fs__"
            allow = ["read_*", "write_file"]
            deny = ["read_media_file"]
            timeout = "1m 30s"
            startup_timeout = "5s"
            roots = ["${HOME}"]
            protocol = "initialize"
            max_restarts = 0
            limits = { result_bytes = 100 }

            [mcp.fs.tools.write_file]
            name = "write"
            effect = "idempotent"
            reads = ["file:/etc"]
            writes = ["file:{path}"]
            timeout = "250ms"
            max_concurrent = 2
            sequential = true

            [mcp.fs.tools."read_*"]
            effect = "read-only"
            reads = []
            keep_text = true
        "#;
        let config = read(text).unwrap().remove(0);
        let Endpoint::Stdio(stdio) = &config.endpoint else {
            panic!("{config:?}");
        };
        assert_eq!(stdio.args, ["/home/me/data", "${HOME}", "$5"]);
        assert_eq!(stdio.env["TOKEN"].expose(), "/home/me");
        assert!(!stdio.inherit_env && config.trusted);
        assert_eq!(config.timeout, Some(Duration::from_secs(90)));
        assert_eq!(config.startup_timeout, Duration::from_secs(5));
        assert_eq!((config.restarts.max, config.limits.result_bytes), (0, 100));
        assert_eq!(
            (config.protocol, config.roots.as_slice()),
            (Protocol::Initialize, &["/home/me".to_owned()][..])
        );
        assert!(config.offers("read_file") && !config.offers("read_media_file"));
        let write = ToolOverride::new()
            .name("write")
            .effect(Effect::Idempotent)
            .reads("file:/etc")
            .writes("file:{path}")
            .timeout(Duration::from_millis(250))
            .max_concurrent(NonZeroUsize::new(2).unwrap())
            .sequential();
        assert_eq!(config.known("write_file"), Some(&write));
        let read = ToolOverride::new()
            .effect(Effect::ReadOnly)
            .touches_nothing()
            .keep_text();
        assert_eq!(config.known("read_file"), Some(&read));
        assert_eq!(config.known("other"), None);
    }

    #[test]
    fn a_text_without_servers_has_none() {
        assert_eq!(read("").unwrap().len(), 0);
        assert_eq!(read("[run]\nlimit = 3\n").unwrap().len(), 0);
    }

    #[test]
    fn errors_say_where_and_what() {
        fails(
            "[mcp.a]\ncomand = \"x\"\n",
            "line 2, column 1: unknown field `comand`",
        );
        fails("[mcp.a]\ncommand = 5\n", "line 2, column 11:");
        fails("[mcp.a\n", "line 1");
        fails(
            "[mcp.a]\ncommand = \"x\"\ntimeout = \"soon\"\n",
            "`soon` is no duration such as `30s`",
        );
        fails(
            "[mcp.a]\ncommand = \"x\"\n[mcp.a.tools.t]\neffect = \"none\"\n",
            "line 4, column 10: unknown variant `none`",
        );
        fails("[mcp.a]\n", "`mcp.a` has neither `command` nor `url`");
        fails("[mcp.a]\ncommand = \"x\"\nurl = \"y\"\n", "`mcp.a` has both");
        fails(
            "[mcp.a]\ncommand = \"x\"\nheaders = {}\n",
            "`headers` and `bearer_token` have no place",
        );
        fails(
            "[mcp.a]\nurl = \"x\"\nargs = []\n",
            "`args`, `env`, `inherit_env` and `cwd` have no place",
        );
        fails(
            "[mcp.\"a b\"]\ncommand = \"x\"\n",
            "`mcp.a b` is not a name of letters",
        );
        fails(
            "[mcp.a]\nurl = \"${NOPE}\"\n",
            "`mcp.a` asks for the variable `NOPE`, which is not set",
        );
    }

    #[test]
    fn a_variable_is_filled_once() {
        let lookup = |name: &str| (name == "A").then(|| "${A}".to_owned());
        assert_eq!(fill("x${A}y", &lookup).as_deref(), Ok("x${A}y"));
        assert_eq!(fill("$${A}${A}", &lookup).as_deref(), Ok("${A}${A}"));
        assert_eq!(fill("${A", &lookup).as_deref(), Ok("${A"));
        assert_eq!(fill("${B}", &lookup), Err("B".to_owned()));
    }
}
