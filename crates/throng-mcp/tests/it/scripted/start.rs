//! Servers that do not start, and lists of tools that are not right.

use std::time::Duration;

use throng_mcp::{Limits, McpConfig, McpErrorKind, McpServer, Protocol, ToolOverride, plain_names};
use throng_tools::{Effect, Tool};

use super::Log;

async fn fails(config: McpConfig, expect: &str) -> McpErrorKind {
    let error = match McpServer::connect(config).await {
        Ok(_) => panic!("connected, in the place of {expect:?}"),
        Err(error) => error,
    };
    assert!(
        error.to_string().contains(expect),
        "{expect:?} is not in: {error}"
    );
    error.kind().clone()
}

#[tokio::test]
async fn a_server_that_dies_is_named_with_its_code_and_its_standard_error() {
    let log = Log::new();
    let config = log.config("dies").env("KEY", "sk-very-secret");
    let error = McpServer::connect(config).await.unwrap_err();
    assert_eq!(error.server(), "scripted");
    assert_eq!(
        error.to_string(),
        "mcp server `scripted` ended before it was ready: it exited with code 3; its standard error ends with:\n\
         fatal: the config is missing; the key is [redacted]"
    );
}

#[tokio::test]
async fn a_program_that_is_no_server_is_quoted() {
    let log = Log::new();
    fails(log.config("speaks"), "it exited with code 0; it had written").await;
    let error = fails(log.config("speaks"), "usage: not a server at all").await;
    assert!(matches!(error, McpErrorKind::Ended { .. }), "{error:?}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = fails(
        McpConfig::stdio("x", "no-such-program-at-all"),
        "no-such-program-at-all",
    )
    .await;
    assert!(matches!(error, McpErrorKind::Spawn { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let log = Log::new();
    let after = Duration::from_millis(50);
    let error = fails(
        log.config("silent").startup_timeout(after),
        "was not ready after 50ms",
    )
    .await;
    assert_eq!(error, McpErrorKind::StartupTimeout { after });
}

#[tokio::test]
async fn what_a_server_says_against_a_session_is_told() {
    let log = Log::new();
    fails(log.config("refuses"), "no seats left").await;
    fails(
        log.config("refuses").protocol(Protocol::Initialize),
        "no seats left",
    )
    .await;
    fails(
        log.config("echo").protocol(Protocol::Discover),
        "Method not found",
    )
    .await;
}

#[tokio::test]
async fn an_unknown_version_of_the_protocol_is_refused() {
    let log = Log::new();
    let error = fails(log.config("version"), "1999-12-31").await;
    assert!(matches!(error, McpErrorKind::Version { .. }), "{error:?}");
}

#[tokio::test]
async fn all_pages_are_listed_up_to_the_limit() {
    let log = Log::new();
    let server = McpServer::connect(log.config("pages")).await.unwrap();
    let tools = server.tools();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.spec().name).collect();
    assert_eq!(names, ["scripted.one", "scripted.two", "scripted.three"]);
    let info = server.info();
    assert_eq!(
        (info.name.as_deref(), &*info.protocol),
        (Some("scripted"), "2025-06-18")
    );

    let mut limits = Limits::default();
    limits.tools = 2;
    let error = fails(log.config("pages").limits(limits), "more than 2 tools").await;
    assert_eq!(error, McpErrorKind::TooManyTools { limit: 2 });
}

#[tokio::test]
async fn lists_that_make_no_sense_are_refused() {
    let log = Log::new();
    fails(log.config("circles"), "more than 1000 pages").await;
    fails(log.config("twice"), "tool `echo` is there twice").await;
    fails(log.config("no-list"), "the list is gone").await;
    let mut limits = Limits::default();
    limits.schema_bytes = 10;
    fails(log.config("pages").limits(limits), "the schemas of tool `one`").await;
}

#[tokio::test]
async fn names_that_the_server_does_not_have_are_errors() {
    let log = Log::new();
    let known = ToolOverride::new().effect(Effect::ReadOnly);
    fails(
        log.config("x").tool("ecko", known),
        "has no tool `ecko`; the most similar is `echo`",
    )
    .await;
    fails(
        log.config("x").deny("dye"),
        "has no tool `dye`; the most similar is `die`",
    )
    .await;
    fails(log.config("x").allow("zzz"), "has no tool `zzz`").await;
    let server = McpServer::connect(log.config("x").allow("die*").deny("die_*"))
        .await
        .unwrap();
    assert_eq!(server.tools().len(), 1);
}

#[tokio::test]
async fn effects_come_from_hints_only_if_the_server_is_trusted() {
    let log = Log::new();
    for trusted in [false, true] {
        let put = ToolOverride::new()
            .effect(Effect::Once)
            .timeout(Duration::from_secs(9));
        let config = log
            .config("x")
            .trusted(trusted)
            .timeout(Duration::from_secs(5))
            .tool("put", put);
        let server = McpServer::connect(config).await.unwrap();
        let effect = |name| super::find(&server, name).spec().effect;
        let looks = if trusted {
            Effect::ReadOnly
        } else {
            Effect::Unknown
        };
        assert_eq!(effect("look"), looks, "trusted {trusted}");
        assert_eq!(effect("put"), Effect::Once);
        assert_eq!(effect("echo"), Effect::Unknown);
        let timeout = |name| super::find(&server, name).spec().timeout;
        assert_eq!(timeout("put"), Some(Duration::from_secs(9)));
        assert_eq!(timeout("echo"), Some(Duration::from_secs(5)));
    }
}

#[tokio::test]
async fn a_description_is_cut_at_a_character() {
    let log = Log::new();
    let mut limits = Limits::default();
    limits.description_bytes = 5;
    let server = McpServer::connect(log.config("x").limits(limits)).await.unwrap();
    assert_eq!(&*super::find(&server, "described").spec().description, "éé");
    assert_eq!(&*super::find(&server, "echo").spec().description, "echo");
}

#[tokio::test]
async fn names_are_plain_where_they_are_unique() {
    let log = Log::new();
    let one = McpServer::connect(log.config("pages")).await.unwrap();
    let two = log.config("pages").prefix("b__").allow("one").allow("two");
    let two = two.tool("two", ToolOverride::new().name("zwei"));
    let two = McpServer::connect(two).await.unwrap();
    let tools = plain_names(one.tools().into_iter().chain(two.tools()));
    let names: Vec<_> = tools.iter().map(|tool| &*tool.spec().name).collect();
    assert_eq!(names, ["scripted.one", "scripted.two", "three", "b__one", "zwei"]);
}
