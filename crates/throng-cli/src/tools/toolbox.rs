//! The tools of a command: those that files declare, and those of MCP servers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use throng_mcp::{McpConfig, McpServer, connect_all};
use throng_tools::{Estimates, InvalidTool, ToolEntry, ToolExecutor, Tools, declare};

use crate::app::Context;
use crate::args::ToolboxArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;

/// A longer file is refused.
const MAX_BYTES: u64 = 1 << 20;

/// The tools of a command, and the servers that some of them belong to.
pub(crate) struct Toolbox {
    pub(crate) tools: Tools,
    servers: Vec<McpServer>,
}

impl Toolbox {
    /// Reads files and connects to the servers that they declare.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or makes no sense, a server cannot be reached, or two tools have one name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the servers.
    pub(crate) async fn open(
        context: &Context,
        files: &[PathBuf],
        servers: Vec<McpConfig>,
    ) -> Result<Self, CliError> {
        let mut tools = Tools::new();
        let mut configs = servers;
        for path in files {
            let text = read(path)?;
            let declared = declare::read(&text, variable).map_err(|error| {
                CliError::usage(format!("{} declares a tool that makes no sense", path.display()))
                    .cause(&error)
                    .hint("`throng help tools` names the page that lists the keys of a tool")
            })?;
            for warning in &declared.warnings {
                context.ui.warn(&format!("{}: {warning}", path.display()));
            }
            for entry in declared.tools {
                add(&mut tools, entry)?;
            }
            let servers = McpConfig::all_from_toml(&text, variable).map_err(|error| {
                CliError::usage(format!(
                    "{} declares a server that makes no sense",
                    path.display()
                ))
                .cause(&error)
            })?;
            configs.extend(servers);
        }
        let mut connected = Vec::new();
        for server in connect_all(configs).await {
            let server = server.map_err(|error| {
                CliError::new(ExitStatus::Provider, "an MCP server cannot be used")
                    .cause(&error)
                    .hint("run its command by hand, or take its table out of the file")
            })?;
            for tool in server.tools() {
                let limit = tool.max_concurrent();
                let mut entry = ToolEntry::new(tool);
                if let Some(limit) = limit {
                    entry = entry.limit(limit);
                }
                add(&mut tools, entry)?;
            }
            connected.push(server);
        }
        Ok(Self {
            tools,
            servers: connected,
        })
    }

    /// Ends the servers.
    ///
    /// # Cancel safety
    ///
    /// The servers end all the same.
    pub(crate) async fn close(servers: Vec<McpServer>) {
        for server in servers {
            server.close().await;
        }
    }

    /// Takes the tools and the servers apart.
    pub(crate) fn into_parts(self) -> (Tools, Vec<McpServer>) {
        (self.tools, self.servers)
    }
}

/// Makes what runs the calls.
///
/// # Errors
///
/// If a limit or a pool makes no sense.
pub(crate) fn executor(
    tools: Tools,
    args: &ToolboxArgs,
    estimates: Option<Estimates>,
) -> Result<ToolExecutor, CliError> {
    let mut builder = ToolExecutor::builder(tools);
    if let Some(limit) = args.max_calls {
        builder = builder.max_concurrent(limit);
    }
    if let Some(assume) = args.assume {
        builder = builder.assume(assume.into());
    }
    if let Some(policy) = args.on_failure {
        builder = builder.on_failure(policy.into());
    }
    if let Some(estimates) = estimates {
        builder = builder.estimates(estimates);
    }
    for pool in &args.pools {
        let wrong = || {
            CliError::usage(format!("--pool {pool:?} is no pool"))
                .hint("write it as NAME=UNITS, such as gpu=2")
        };
        let (name, units) = pool.split_once('=').ok_or_else(wrong)?;
        let units: u64 = units.trim().parse().map_err(|_| wrong())?;
        builder = builder.pool(Arc::<str>::from(name.trim()), units);
    }
    builder
        .build()
        .map_err(|error| CliError::usage("the tools cannot be run so").cause(&error))
}

fn add(tools: &mut Tools, entry: ToolEntry) -> Result<(), CliError> {
    tools.add(entry).map_err(|error: InvalidTool| {
        CliError::usage("a tool cannot be used")
            .cause(&error)
            .hint("give it another name; a table [mcp.NAME] can set a `prefix` for its tools")
    })
}

/// Returns what an environment variable holds that a file names.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a file that is not too long.
pub(crate) fn read(path: &Path) -> Result<String, CliError> {
    let cannot =
        |error: std::io::Error| CliError::usage(format!("cannot read {}", path.display())).cause(&error);
    let size = std::fs::metadata(path).map_err(cannot)?.len();
    if size > MAX_BYTES {
        return Err(CliError::usage(format!("{} is over 1 MiB", path.display())));
    }
    std::fs::read_to_string(path).map_err(cannot)
}
