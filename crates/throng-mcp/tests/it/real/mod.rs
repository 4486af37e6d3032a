//! Servers that this project did not write: npm's `@modelcontextprotocol/server-filesystem`, `server-memory` and
//! `server-everything`, and PyPI's `mcp-server-time` and `mcp-server-git`.
//!
//! `THRONG_MCP_NODE` names the folder `node_modules/.bin` that has the first three, `THRONG_MCP_PYTHON` the folder `bin` of a
//! virtual environment that has the others. Without them a test says so and passes, and fails under `THRONG_REQUIRE=1`.

mod everything;
mod files;
mod git;
mod memory;
mod plan;
mod time;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use throng_mcp::{McpConfig, McpServer};
use throng_tools::{Tool, ToolContext, ToolError};

/// The variable that names the folder of programs for Node.
const NODE: &str = "THRONG_MCP_NODE";
/// The variable that names the folder of programs for Python.
const PYTHON: &str = "THRONG_MCP_PYTHON";

/// Returns a program in the folder that the variable names, or says that its test is skipped.
fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os(variable) else {
        let required = std::env::var_os("THRONG_REQUIRE").is_some_and(|value| value == "1");
        assert!(
            !required,
            "{variable} is not set, and THRONG_REQUIRE=1 asks for it"
        );
        // Not by a macro, whose output a passing test keeps to itself.
        let line = format!("SKIPPED: {variable} is not set, so nothing is shown about {name}\n");
        let _ = std::io::stderr().write_all(line.as_bytes());
        return None;
    };
    let program = Path::new(&folder).join(name);
    assert!(program.exists(), "{variable} has no {name}");
    Some(program)
}

async fn connect(config: McpConfig) -> McpServer {
    match McpServer::connect(config).await {
        Ok(server) => server,
        Err(error) => panic!("{error}"),
    }
}

async fn call(server: &McpServer, name: &str, arguments: Value) -> Result<Value, ToolError> {
    let tools = server.tools();
    let tool = tools
        .iter()
        .find(|tool| tool.remote_name() == name)
        .unwrap_or_else(|| panic!("{} has no tool `{name}`", server.name()));
    tool.call(arguments, ToolContext::new("c")).await
}

/// Returns the result of a call that has to succeed.
async fn ok(server: &McpServer, name: &str, arguments: Value) -> Value {
    match call(server, name, arguments.clone()).await {
        Ok(value) => value,
        Err(error) => panic!("{name} {arguments}: {error}"),
    }
}

/// Makes a repository with one commit, which has the same hash each time.
fn repository(folder: &Path) {
    let git = |args: &[&str]| {
        let date = "1767225600 +0000";
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(args)
            .envs([("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)])
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {output:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["config", "user.name", "Test"]);
    git(&["config", "user.email", "test@example.invalid"]);
    std::fs::write(folder.join("first.txt"), "first\n").unwrap();
    git(&["add", "first.txt"]);
    git(&["commit", "--quiet", "--message", "first"]);
}
