//! `server-filesystem`: structured results, hints, errors.

use serde_json::json;
use throng_core::ErrorClass;
use throng_mcp::McpConfig;
use throng_tools::{Effect, Tool};

use super::{NODE, call, connect, ok, program};

#[tokio::test]
async fn its_tools_write_read_and_refuse() {
    let Some(program) = program(NODE, "mcp-server-filesystem") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    // The server compares real paths; a temporary folder may be behind a link.
    let root = folder.path().canonicalize().unwrap();
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    let config = McpConfig::stdio("files", program).arg(path("")).trusted(true);
    let server = connect(config).await;
    assert_eq!(server.info().name.as_deref(), Some("secure-filesystem-server"));

    ok(&server, "create_directory", json!({"path": path("a")})).await;
    ok(
        &server,
        "write_file",
        json!({"path": path("a/x.txt"), "content": "1.50\n"}),
    )
    .await;
    let read = ok(&server, "read_text_file", json!({"path": path("a/x.txt")})).await;
    assert_eq!(read["content"], "1.50\n");
    let edits = json!([{"oldText": "1.50", "newText": "2.50"}]);
    ok(
        &server,
        "edit_file",
        json!({"path": path("a/x.txt"), "edits": edits}),
    )
    .await;
    ok(
        &server,
        "move_file",
        json!({"source": path("a/x.txt"), "destination": path("a/y.txt")}),
    )
    .await;
    assert_eq!(std::fs::read_to_string(path("a/y.txt")).unwrap(), "2.50\n");
    let listed = ok(&server, "list_directory", json!({"path": path("a")})).await;
    assert!(listed["content"].as_str().unwrap().contains("y.txt"), "{listed}");

    let error = call(&server, "read_text_file", json!({"path": "/etc/passwd"}))
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, false)
    );
    assert!(
        error.to_string().contains("outside allowed directories"),
        "{error}"
    );

    for tool in server.tools() {
        let effect = tool.spec().effect;
        match tool.remote_name() {
            "write_file" | "create_directory" => assert_eq!(effect, Effect::Idempotent, "{tool:?}"),
            "edit_file" | "move_file" => assert_eq!(effect, Effect::Once, "{tool:?}"),
            _ => assert_eq!(effect, Effect::ReadOnly, "{tool:?}"),
        }
        assert!(tool.spec().output.is_some(), "{tool:?}");
    }
    server.close().await;
}

#[tokio::test]
async fn what_it_reads_next_to_texts_is_described() {
    let Some(program) = program(NODE, "mcp-server-filesystem") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let picture = root.join("p.png");
    std::fs::write(&picture, b"\x89PNG, or so").unwrap();
    let server = connect(McpConfig::stdio("files", program).arg(root.to_string_lossy())).await;
    let media = ok(
        &server,
        "read_media_file",
        json!({"path": picture.to_string_lossy()}),
    )
    .await;
    assert_eq!(media["content"][0]["mimeType"], "image/png", "{media}");
}
