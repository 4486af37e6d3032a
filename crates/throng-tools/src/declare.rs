//! Tools that are declared in TOML: tables `[tools.NAME]` with a `command` or a `url`.
//!
//! Keys of every tool:
//!
//! | Key | Meaning |
//! |---|---|
//! | `description` | What the model is told. |
//! | `parameters` | JSON schema of the arguments. Default: made of the holes in `command`, `url` and the rest. |
//! | `effect` | `read-only`, `idempotent`, `once` or `unknown` (default): what repeating a call does. |
//! | `reads`, `writes`, `exclusive` | Resources that a call touches, such as `["file:{path}"]`. `reads = []` alone says: nothing that is shared. |
//! | `sequential` | `true`: calls run one at a time, in the order of emission. |
//! | `timeout` | How long an attempt may take: `"30s"`, or seconds. Default 60 s. |
//! | `max_concurrent` | How many attempts of the tool run at the same time. |
//! | `pools` | Units of pools that each attempt takes, such as `{ gpu = 1, memory = 512 }`. |
//! | `retries` | How often a failed attempt is tried again, as far as the effect allows. |
//! | `on_failure` | `continue`, `skip_dependents` or `fail_fast`, in the place of the plan's policy. |
//! | `output` | `text`, `json` or `lines`; for a `url` also `auto`, its default. |
//! | `output_bytes` | How much of the output is taken. Default 1 MiB. |
//!
//! Keys of a tool with `command`:
//!
//! | Key | Meaning |
//! |---|---|
//! | `command` | The program and its arguments, as [`CommandArg`](crate::CommandArg) reads them; an array within it is a group. |
//! | `dashes` | Arguments of the call that may begin with `-` where the program might take them for an option. |
//! | `stdin`, `stdin_json` | A text with holes for the standard input; or `true` for all arguments as one JSON object. |
//! | `env`, `set_env` | Names of variables that are handed on, or `"inherit"` for all; and variables that are set. Default of `env`: `PATH`, `HOME`, `LANG`, `LC_ALL`, `LC_CTYPE`, `TMPDIR`, `TZ`, `USER`. |
//! | `cwd` | The working directory. |
//! | `cpu_s`, `memory_mb`, `file_mb`, `open_files` | Limits that the kernel holds, for each process by itself. |
//! | `grace` | How long it has to end after `SIGTERM`. Default 2 s. |
//! | `ok_codes`, `transient_codes` | Exit codes of success (default 0), and of failures that may pass (default 75). |
//!
//! Keys of a tool with `url` (feature `http`): see [`HttpTool`](crate::HttpTool).
//!
//! | Key | Meaning |
//! |---|---|
//! | `url`, `method` | The address, with holes in its path and its query; default method `GET`. |
//! | `query`, `headers` | Tables of texts with holes. |
//! | `secret_headers` | A table of texts that end in the name of a secret: `Authorization = "Bearer {GITHUB_TOKEN}"`. |
//! | `json`, `body` | The body: JSON whose texts have holes, or a text. |
//! | `allow_hosts` | Other hosts to which redirects may lead, and those of a URL that is an argument. |
//!
//! # Examples
//!
//! ```
//! let text = r#"
//!     [tools.grep]
//!     description = "Searches files for a pattern"
//!     command = ["grep", "-n", ["{?ignore_case}", "-i"], "-e", "{pattern}", "--", "{files...}"]
//!     dashes = ["pattern"]
//!     ok_codes = [0, 1]
//!     output = "lines"
//!     effect = "read-only"
//!     reads = ["file:{files}"]
//! "#;
//! let declared = throng_tools::declare::read(text, |_| None)?;
//! assert!(declared.warnings.is_empty());
//! assert_eq!(declared.tools[0].name(), "grep");
//! # Ok::<(), throng_tools::declare::DeclareError>(())
//! ```

mod command;
#[cfg(feature = "http")]
mod http;
mod parameters;
mod table;

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_exec::RetryPolicy;
use toml::de::DeTable;

use crate::{Effect, FailurePolicy, InvalidResource, Tool, ToolEntry, ToolSpec};

use table::Table;

/// How long an attempt may take, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The tools that a text declares.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Declarations {
    /// The tools, in the order of the text.
    pub tools: Vec<ToolEntry>,
    /// What is odd but no error, such as keys that nobody knows; each with its line.
    pub warnings: Vec<String>,
}

/// A declaration makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {message}")]
#[non_exhaustive]
pub struct DeclareError {
    /// The key, such as `tools.grep.timeout`; of a text that is no TOML, `tools`.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
    /// Its line, from 1.
    pub line: usize,
    /// Its bytes in the text.
    pub span: Range<usize>,
}

/// Reads the tables `[tools.NAME]` of a text of TOML; all its other tables are passed over.
///
/// `secret` returns the secret of a name that `secret_headers` uses: the library reads no environment variables.
///
/// # Errors
///
/// If the text is no TOML, or if a value of a tool makes no sense.
pub fn read(
    text: &str,
    mut secret: impl FnMut(&str) -> Option<String>,
) -> Result<Declarations, DeclareError> {
    let document = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        table::error(text, "tools".to_owned(), span, error.message())
    })?;
    let mut reader = Reader {
        warnings: Vec::new(),
        secret: &mut secret,
        #[cfg(feature = "http")]
        client: None,
    };
    let mut root = Table::new(text, String::new(), 0..0, document.into_inner());
    let mut tools = Vec::new();
    if let Some(all) = root.table("tools")? {
        for (name, table) in all.tables()? {
            tools.push(reader.tool(&name, table)?);
        }
    }
    Ok(Declarations {
        tools,
        warnings: reader.warnings,
    })
}

struct Reader<'r> {
    warnings: Vec<String>,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "only HTTP headers have secrets")
    )]
    secret: &'r mut dyn FnMut(&str) -> Option<String>,
    /// The connections that all tools share.
    #[cfg(feature = "http")]
    client: Option<reqwest::Client>,
}

impl Reader<'_> {
    fn tool(&mut self, name: &str, mut table: Table<'_>) -> Result<ToolEntry, DeclareError> {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(table.wrong("", "a tool needs a name without spaces"));
        }
        let spec = spec(name, &mut table)?;
        let settings = Settings::read(&mut table)?;
        let tool: Arc<dyn Tool> = match (table.has("command"), table.has("url")) {
            (true, true) => return Err(table.wrong("url", "a tool has either `command` or `url`")),
            (true, false) => self.command(spec, &mut table)?,
            #[cfg(feature = "http")]
            (false, true) => self.http(spec, &mut table)?,
            #[cfg(not(feature = "http"))]
            (false, true) => {
                return Err(table.wrong("url", "this program is built without the feature `http`"));
            }
            (false, false) => return Err(table.wrong("", "a tool needs `command` or `url`")),
        };
        table.finish(&mut self.warnings);
        Ok(settings.apply(ToolEntry::shared(tool)))
    }
}

/// What a declaration says beside the tool itself.
struct Settings {
    max_concurrent: Option<NonZeroUsize>,
    retries: Option<u32>,
    on_failure: Option<FailurePolicy>,
    pools: Vec<(String, NonZeroU32)>,
}

impl Settings {
    fn read(table: &mut Table<'_>) -> Result<Self, DeclareError> {
        Ok(Self {
            max_concurrent: table.get("max_concurrent", "a number above 0")?,
            retries: table.get("retries", "a number of retries")?,
            on_failure: table.get("on_failure", "`continue`, `skip_dependents` or `fail_fast`")?,
            pools: table.counts("pools")?,
        })
    }

    fn apply(self, mut entry: ToolEntry) -> ToolEntry {
        if let Some(most) = self.max_concurrent {
            entry = entry.limit(most);
        }
        if let Some(retries) = self.retries {
            let attempts = NonZeroU32::MIN.saturating_add(retries);
            entry = entry.retry(RetryPolicy::exponential(attempts));
        }
        if let Some(policy) = self.on_failure {
            entry = entry.on_failure(policy);
        }
        for (pool, units) in self.pools {
            entry = entry.takes(pool, u64::from(units.get()));
        }
        entry
    }
}

/// Reads what every tool declares.
fn spec(name: &str, table: &mut Table<'_>) -> Result<ToolSpec, DeclareError> {
    let mut spec = ToolSpec::new(name);
    if let Some(description) = table.text("description")? {
        spec = spec.description(description);
    }
    if let Some(schema) = table.get::<Value>("parameters", "a JSON schema as a table")? {
        if !schema.is_object() {
            return Err(table.wrong("parameters", "expected a JSON schema as a table"));
        }
        spec = spec.parameters(schema);
    }
    if let Some(word) = table.text("effect")? {
        spec = spec.effect(match word.replace('_', "-").as_str() {
            "read-only" => Effect::ReadOnly,
            "idempotent" => Effect::Idempotent,
            "once" => Effect::Once,
            "unknown" => Effect::Unknown,
            _ => {
                let message =
                    format!("expected `read-only`, `idempotent`, `once` or `unknown`, found `{word}`");
                return Err(table.wrong("effect", &message));
            }
        });
    }
    type Declare = fn(ToolSpec, &str) -> Result<ToolSpec, InvalidResource>;
    let modes: [(&'static str, Declare); 3] = [
        ("reads", ToolSpec::reads),
        ("writes", ToolSpec::writes),
        ("exclusive", ToolSpec::exclusive),
    ];
    if modes.iter().any(|(key, _)| table.has(key)) {
        spec = spec.touches_nothing();
    }
    for (key, declare) in modes {
        for template in table.texts(key)?.unwrap_or_default() {
            spec = declare(spec, &template).map_err(|error| table.wrong(key, &error.to_string()))?;
        }
    }
    if table.get("sequential", "true or false")?.unwrap_or(false) {
        spec = spec.sequential();
    }
    let timeout = table.duration("timeout")?.unwrap_or(TIMEOUT);
    if timeout.is_zero() {
        return Err(table.wrong("timeout", "expected a time above zero"));
    }
    Ok(spec.timeout(timeout))
}
