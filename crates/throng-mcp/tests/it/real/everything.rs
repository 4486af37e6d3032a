//! `server-everything`: every kind of content, progress, long calls, over stdio and over streamable HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use throng_mcp::{McpConfig, McpServer};
use throng_tools::{Tool, ToolContext};

use super::{NODE, call, connect, ok, program};

#[tokio::test]
async fn every_kind_of_content_over_stdio() {
    let Some(program) = program(NODE, "mcp-server-everything") else {
        return;
    };
    let server = connect(
        McpConfig::stdio("everything", program)
            .arg("stdio")
            .root("/srv/data"),
    )
    .await;
    exercise(&server).await;
    let info = server.info();
    assert!(
        info.instructions.unwrap().contains("Everything"),
        "it has instructions"
    );
    // It offers this tool only to clients that have roots.
    let roots = ok(&server, "get-roots-list", json!({})).await;
    assert!(roots.to_string().contains("file:///srv/data"), "{roots}");
    server.close().await;
}

#[cfg(feature = "http")]
#[tokio::test]
async fn every_kind_of_content_over_http() {
    use std::process::{Command, Stdio};

    let Some(program) = program(NODE, "mcp-server-everything") else {
        return;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut child = Command::new(program)
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let server = connect(McpConfig::http(
            "everything",
            format!("http://127.0.0.1:{port}/mcp"),
        ))
        .await;
        exercise(&server).await;
        server
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let server = ended.expect("it answers in time");
    let error = call(&server, "echo", json!({"message": "anybody there?"}))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("everything"), "{error}");
}

async fn exercise(server: &McpServer) {
    let echo = ok(server, "echo", json!({"message": "{\"a\": 1.50}"})).await;
    assert_eq!(echo, "Echo: {\"a\": 1.50}");
    let weather = ok(server, "get-structured-content", json!({"location": "Chicago"})).await;
    assert!(weather["temperature"].is_number(), "{weather}");
    let image = ok(server, "get-tiny-image", json!({})).await;
    assert_eq!(image["attachments"][0]["mime_type"], "image/png", "{image}");
    assert!(image["attachments"][0]["bytes"].as_u64() > Some(100), "{image}");
    let links = ok(server, "get-resource-links", json!({"count": 2})).await;
    assert_eq!(links["attachments"].as_array().map(Vec::len), Some(2), "{links}");
    assert_eq!(links["attachments"][0]["type"], "resource_link", "{links}");
    let arguments = json!({"resourceType": "Text", "resourceId": 1});
    let resource = ok(server, "get-resource-reference", arguments).await;
    assert_eq!(resource["attachments"][0]["type"], "resource", "{resource}");
    let error = call(server, "get-sum", json!({"a": "one", "b": 2}))
        .await
        .unwrap_err();
    assert!(!error.outcome_unknown, "{error:?}");

    // Progress is reported on the way, and calls run side by side.
    let long = find(server, "trigger-long-running-operation");
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let long = long.clone();
            let arguments = json!({"duration": 0.04, "steps": 2});
            tokio::spawn(async move { long.call(arguments, ToolContext::new("c")).await })
        })
        .collect();
    for call in calls {
        let done: Value = call.await.unwrap().unwrap();
        assert!(done.as_str().unwrap().contains("completed"), "{done}");
    }

    // A call that nobody waits for any more leaves the server as it was.
    let long = long.call(json!({"duration": 600, "steps": 1}), ToolContext::new("c"));
    assert!(
        tokio::time::timeout(Duration::from_millis(50), long)
            .await
            .is_err()
    );
    assert_eq!(
        ok(server, "get-sum", json!({"a": 1, "b": 2})).await,
        "The sum of 1 and 2 is 3."
    );
}

fn find(server: &McpServer, name: &str) -> throng_mcp::McpTool {
    let mut tools = server.tools().into_iter();
    tools.find(|tool| tool.remote_name() == name).unwrap()
}
