//! A server that misbehaves on cue, as a script for bash: `server.bash` says what it can do.

mod calls;
mod start;

#[cfg(feature = "http")]
mod over_http;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use throng_mcp::{McpConfig, McpServer, McpTool};
use throng_tools::{Tool, ToolContext, ToolError};

/// What the scripted server wrote down, and the folder that it is in.
struct Log(TempDir);

impl Log {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("log")
    }

    /// Returns the lines that the server has got so far.
    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until a line with this part has come.
    async fn wait_for(&self, part: &str) {
        let waiting = async {
            while self.count(part) == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .is_err()
        {
            panic!("no line with {part:?} among {:#?}", self.lines());
        }
    }

    fn config(&self, mode: &str) -> McpConfig {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/scripted/server.bash");
        let log = self.path().to_string_lossy().into_owned();
        McpConfig::stdio("scripted", "bash").args([script, mode, log.as_str()])
    }
}

fn find(server: &McpServer, name: &str) -> McpTool {
    let mut tools = server.tools().into_iter();
    tools
        .find(|tool| tool.remote_name() == name)
        .unwrap_or_else(|| panic!("no tool `{name}`"))
}

async fn call(server: &McpServer, name: &str) -> Result<Value, ToolError> {
    find(server, name)
        .call(serde_json::json!({}), ToolContext::new("c"))
        .await
}
