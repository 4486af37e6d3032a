//! Calls whose server misbehaves.

use std::time::Duration;

use serde_json::{Value, json};
use throng_core::ErrorClass;
use throng_mcp::{Limits, McpServer, Restarts, ToolOverride};
use throng_tools::{Effect, Tool, ToolContext};

use super::{Log, call, find};

#[tokio::test]
async fn a_call_whose_server_dies_has_an_unknown_outcome_and_the_next_call_a_new_server() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let error = call(&server, "die").await.unwrap_err();
    assert!(error.outcome_unknown, "{error:?}");
    assert_eq!(error.class, ErrorClass::Transient);
    let text = error.to_string();
    assert!(
        text.contains("`scripted`") && text.contains("exited with code 3"),
        "{text}"
    );
    assert!(text.contains("fatal: out of cheese"), "{text}");
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(log.count("started"), 2);
    assert_eq!(log.count(r#""name":"die""#), 1, "the call must not be sent again");
}

#[tokio::test]
async fn a_call_of_a_tool_that_changes_nothing_has_no_unknown_outcome() {
    let log = Log::new();
    let config = log
        .config("x")
        .tool("die", ToolOverride::new().effect(Effect::ReadOnly));
    let server = McpServer::connect(config).await.unwrap();
    let error = call(&server, "die").await.unwrap_err();
    assert!(!error.outcome_unknown, "{error:?}");
}

#[tokio::test]
async fn a_server_that_ended_between_calls_is_started_anew_without_an_error() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    assert_eq!(call(&server, "die_idle").await.unwrap(), "last");
    while server.is_connected() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(log.count("started"), 2);
}

#[tokio::test]
async fn a_server_is_not_started_anew_for_ever() {
    let log = Log::new();
    let mut restarts = Restarts::default();
    restarts.max = 2;
    let server = McpServer::connect(log.config("x").restarts(restarts))
        .await
        .unwrap();
    for _ in 0..3 {
        let error = call(&server, "die").await.unwrap_err();
        assert!(error.outcome_unknown, "{error:?}");
    }
    let error = call(&server, "die").await.unwrap_err();
    assert!(!error.outcome_unknown, "{error:?}");
    assert!(
        error.to_string().contains("was started anew 2 times in 60s"),
        "{error}"
    );
    assert!(error.to_string().contains("out of cheese"), "{error}");
    assert_eq!(log.count("started"), 3);
}

#[tokio::test]
async fn a_server_that_does_not_start_again_says_why() {
    let log = Log::new();
    let server = McpServer::connect(log.config("dies-again")).await.unwrap();
    call(&server, "die").await.unwrap_err();
    let error = call(&server, "echo").await.unwrap_err();
    assert!(!error.outcome_unknown, "{error:?}");
    assert!(error.to_string().contains("the lock is held"), "{error}");
}

#[tokio::test]
async fn garbage_before_an_answer_is_passed_over() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    assert_eq!(call(&server, "garbage").await.unwrap(), "after the garbage");
    assert_eq!(call(&server, "twice").await.unwrap(), "once");
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(log.count("started"), 1);
}

#[tokio::test]
async fn a_line_that_is_too_long_breaks_the_connection_and_not_the_memory() {
    let log = Log::new();
    let mut limits = Limits::default();
    limits.message_bytes = 50_000;
    let server = McpServer::connect(log.config("x").limits(limits)).await.unwrap();
    let error = call(&server, "long").await.unwrap_err();
    assert!(error.outcome_unknown, "{error:?}");
    assert!(
        error.to_string().contains("a message of more than 50000 bytes"),
        "{error}"
    );
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(log.count("started"), 2);
}

#[tokio::test]
async fn a_result_that_is_too_large_is_an_error_and_the_server_goes_on() {
    let log = Log::new();
    let mut limits = Limits::default();
    limits.result_bytes = 10_000;
    let server = McpServer::connect(log.config("x").limits(limits)).await.unwrap();
    let error = call(&server, "big").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the result has 20002 bytes, more than the 10000 that are taken"
    );
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, false)
    );
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(log.count("started"), 1);
}

#[tokio::test]
async fn slow_calls_run_side_by_side() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let slow = find(&server, "slow");
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let slow = slow.clone();
            tokio::spawn(async move { slow.call(json!({}), ToolContext::new("c")).await })
        })
        .collect();
    // An answer to a later call comes while the slow ones are still worked on.
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "slow");
    }
}

#[tokio::test]
async fn an_answer_with_another_id_answers_nobody() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let wrong = tokio::time::timeout(Duration::from_millis(50), call(&server, "wrong_id"));
    assert!(wrong.await.is_err(), "somebody else's answer was taken");
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
}

#[tokio::test]
async fn a_dropped_call_is_cancelled_at_the_server() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let hang = tokio::time::timeout(Duration::from_millis(30), call(&server, "hang"));
    assert!(hang.await.is_err());
    log.wait_for("notifications/cancelled").await;
    let lines = log.lines();
    let id = |part: &str| {
        let line = lines.iter().find(|line| line.contains(part)).unwrap();
        serde_json::from_str::<Value>(line).unwrap()
    };
    assert_eq!(
        id("notifications/cancelled")["params"]["requestId"],
        id(r#""name":"hang""#)["id"]
    );
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once_and_tells_the_server() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let hang = find(&server, "hang");
    let cx = ToolContext::new("c");
    let cancel = cx.cancel.clone();
    let call = tokio::spawn(async move { hang.call(json!({}), cx).await });
    log.wait_for(r#""name":"hang""#).await;
    cancel.cancel();
    let error = call.await.unwrap().unwrap_err();
    assert!(error.outcome_unknown, "{error:?}");
    log.wait_for("notifications/cancelled").await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_before_it_is_sent_is_not_sent() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let cx = ToolContext::new("c");
    cx.cancel.cancel();
    let error = find(&server, "put").call(json!({}), cx).await.unwrap_err();
    assert!(!error.outcome_unknown, "{error:?}");
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(log.count(r#""name":"put""#), 0);
}

#[tokio::test]
async fn tools_that_changed_are_noticed_and_listed_anew() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let before = server.tools().len();
    assert!(!server.tools_changed());
    assert_eq!(call(&server, "change").await.unwrap(), "changed");
    while !server.tools_changed() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.refresh().await.unwrap().len(), before + 1);
    assert!(!server.tools_changed());
    assert_eq!(call(&server, "added").await.unwrap(), "added");
}

#[tokio::test]
async fn errors_of_tools_and_of_the_protocol_are_told_apart() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let check = |name: &'static str, class: ErrorClass, text: &'static str| {
        let server = server.clone();
        async move {
            let error = call(&server, name).await.unwrap_err();
            assert_eq!(
                (error.class, error.outcome_unknown),
                (class, false),
                "{name}: {error}"
            );
            assert!(error.to_string().contains(text), "{name}: {error}");
        }
    };
    check("fail", ErrorClass::Permanent, "no such row\nin table t").await;
    check(
        "internal",
        ErrorClass::Transient,
        "the disk is full (error -32603)",
    )
    .await;
    check(
        "odd",
        ErrorClass::Transient,
        "not in the form of the protocol: \"plain text\"",
    )
    .await;
    check("input", ErrorClass::Permanent, "wants input").await;
}

#[tokio::test]
async fn results_become_values() {
    let log = Log::new();
    let config = log.config("x").tool("put", ToolOverride::new().keep_text());
    let server = McpServer::connect(config).await.unwrap();
    assert_eq!(call(&server, "json").await.unwrap()["rows"][0]["id"], 7);
    assert_eq!(
        call(&server, "picture").await.unwrap(),
        json!({"text": "A picture.", "attachments": [
            {"type": "image", "mime_type": "image/png", "bytes": 2, "data": "aGk="},
            {"type": "hologram", "depth": 3}
        ]})
    );
}

#[tokio::test]
async fn what_servers_ask_for_is_refused_and_roots_are_told() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    for (name, what) in [("sample", "sampling"), ("roots", "listing roots")] {
        let answer = call(&server, name).await.unwrap();
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
        let text = format!("{what} is not supported by this client");
        assert_eq!(answer["error"]["message"], text, "{answer}");
    }
    let server = McpServer::connect(log.config("x").root("/srv/a b"))
        .await
        .unwrap();
    let answer = call(&server, "roots").await.unwrap();
    assert_eq!(
        answer["result"]["roots"],
        json!([{"uri": "file:///srv/a%20b", "name": "a b"}]),
        "{answer}"
    );
}

#[tokio::test]
async fn a_closed_server_takes_no_calls() {
    let log = Log::new();
    let server = McpServer::connect(log.config("x")).await.unwrap();
    let hang = find(&server, "hang");
    let running = tokio::spawn(async move { hang.call(json!({}), ToolContext::new("c")).await });
    log.wait_for(r#""name":"hang""#).await;
    server.close().await;
    assert!(running.await.unwrap().unwrap_err().outcome_unknown);
    let error = call(&server, "echo").await.unwrap_err();
    assert_eq!(error.to_string(), "mcp server `scripted` is closed");
    assert_eq!(log.count("started"), 1);
}
