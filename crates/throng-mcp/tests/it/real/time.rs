//! `mcp-server-time`, which speaks protocol 2026-07-28.

use serde_json::json;
use throng_mcp::{McpConfig, McpErrorKind, McpServer, Protocol};
use throng_tools::{Effect, Tool};

use super::{PYTHON, call, connect, ok, program};

#[tokio::test]
async fn it_converts_times_in_both_protocols() {
    let Some(program) = program(PYTHON, "mcp-server-time") else {
        return;
    };
    for (protocol, version) in [
        (Protocol::Auto, "2026-07-28"),
        (Protocol::Discover, "2026-07-28"),
        (Protocol::Initialize, "2025-11-25"),
    ] {
        let config = McpConfig::stdio("time", &program)
            .protocol(protocol)
            .trusted(true);
        let server = connect(config).await;
        assert_eq!(server.info().protocol, version, "{protocol:?}");
        let arguments =
            json!({"source_timezone": "Europe/Warsaw", "time": "16:30", "target_timezone": "Asia/Tokyo"});
        let converted = ok(&server, "convert_time", arguments).await;
        assert_eq!(converted["target"]["timezone"], "Asia/Tokyo", "{converted}");
        let error = call(&server, "get_current_time", json!({"timezone": "Moon/Base"}))
            .await
            .unwrap_err();
        assert!(
            !error.outcome_unknown && error.to_string().contains("Moon/Base"),
            "{error:?}"
        );
        assert_eq!(server.tools()[0].spec().effect, Effect::ReadOnly);
    }
}

#[tokio::test]
async fn its_last_words_are_in_the_error() {
    let Some(program) = program(PYTHON, "mcp-server-time") else {
        return;
    };
    let config = McpConfig::stdio("time", program).arg("--no-such-option");
    let error = McpServer::connect(config).await.unwrap_err();
    assert!(matches!(error.kind(), McpErrorKind::Ended { .. }), "{error:?}");
    assert!(error.to_string().contains("exited with code 2"), "{error}");
    assert!(error.stderr().unwrap().contains("--no-such-option"), "{error}");
}
