//! `server-memory`: a graph in a file.

use serde_json::json;
use throng_mcp::McpConfig;

use super::{NODE, connect, ok, program};

#[tokio::test]
async fn its_graph_outlives_the_process() {
    let Some(program) = program(NODE, "mcp-server-memory") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("graph.jsonl").to_string_lossy().into_owned();
    let config = McpConfig::stdio("memory", program).env("MEMORY_FILE_PATH", file);
    let server = connect(config.clone()).await;
    let entities = json!([
        {"name": "Ada", "entityType": "person", "observations": ["writes"]},
        {"name": "Engine", "entityType": "machine", "observations": []}
    ]);
    let made = ok(&server, "create_entities", json!({ "entities": entities })).await;
    assert_eq!(made["entities"].as_array().unwrap().len(), 2, "{made}");
    let relations = json!([{"from": "Ada", "to": "Engine", "relationType": "programs"}]);
    ok(&server, "create_relations", json!({ "relations": relations })).await;
    let observations = json!([{"entityName": "Ada", "contents": ["counts"]}]);
    ok(
        &server,
        "add_observations",
        json!({ "observations": observations }),
    )
    .await;
    server.close().await;

    let server = connect(config).await;
    let found = ok(&server, "search_nodes", json!({"query": "counts"})).await;
    assert_eq!(
        found["entities"][0]["observations"],
        json!(["writes", "counts"]),
        "{found}"
    );
    ok(&server, "delete_entities", json!({"entityNames": ["Engine"]})).await;
    let graph = ok(&server, "read_graph", json!({})).await;
    assert_eq!(graph["relations"], json!([]), "{graph}");
    let opened = ok(&server, "open_nodes", json!({"names": ["Ada"]})).await;
    assert_eq!(opened["entities"][0]["name"], "Ada");
}
