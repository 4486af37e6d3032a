//! A server over HTTP that misbehaves on cue: the name of a tool says what happens when it is called.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::ErrorClass;
use throng_mcp::{Limits, McpConfig, McpErrorKind, McpServer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::call;

/// What the server has seen: the head and the body of each request.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(String, Value)>>>);

impl Seen {
    fn count(&self, method: &str) -> usize {
        let seen = self.0.lock().unwrap();
        seen.iter().filter(|(_, body)| body["method"] == method).count()
    }

    fn calls(&self, name: &str) -> usize {
        let seen = self.0.lock().unwrap();
        seen.iter()
            .filter(|(_, body)| body["params"]["name"] == name)
            .count()
    }
}

async fn serve() -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let seen = Seen::default();
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(connection(socket, shared.clone()));
        }
    });
    (url, seen)
}

async fn connection(socket: TcpStream, seen: Seen) {
    let mut socket = BufReader::new(socket);
    while let Some((head, body)) = request(&mut socket).await {
        seen.0.lock().unwrap().push((head.clone(), body.clone()));
        let answer = answer(&head, &body, &seen);
        if socket.write_all(answer.as_bytes()).await.is_err() || answer.contains("connection: close") {
            return;
        }
    }
}

async fn request(socket: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if socket.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await.ok()?;
    Some((head, serde_json::from_slice(&body).unwrap_or_default()))
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

const JSON: &str = "content-type: application/json\r\n";

fn answer(head: &str, body: &Value, seen: &Seen) -> String {
    let id = &body["id"];
    let result = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    let text = |text: &str| result(json!({"content": [{"type": "text", "text": text}]}));
    if head.starts_with("GET") {
        return http("405 Method Not Allowed", "", "");
    }
    match body["method"].as_str().unwrap_or_default() {
        "server/discover" => {
            let error =
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "Method not found"}});
            http("200 OK", JSON, &error.to_string())
        }
        "initialize" => {
            let result = result(json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "scripted", "version": "7"}
            }));
            http("200 OK", &format!("{JSON}mcp-session-id: s1\r\n"), &result)
        }
        "tools/list" => {
            let names = [
                "echo",
                "stream",
                "busy",
                "limited",
                "cut",
                "cut_stream",
                "locked",
                "big",
                "expired",
                "broken",
            ];
            let tools: Vec<_> = names
                .iter()
                .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
                .collect();
            http("200 OK", JSON, &result(json!({ "tools": tools })))
        }
        "tools/call" => match body["params"]["name"].as_str().unwrap_or_default() {
            "echo" => http("200 OK", JSON, &text("echo")),
            "stream" => {
                let events = format!("event: message\ndata: {}\n\n", text("streamed"));
                http("200 OK", "content-type: text/event-stream\r\n", &events)
            }
            "busy" => http("503 Service Unavailable", "retry-after: 7\r\n", "come back"),
            "limited" => http("429 Too Many Requests", "retry-after: 3\r\n", ""),
            "cut" => format!(
                "HTTP/1.1 200 OK\r\n{JSON}content-length: 900\r\nconnection: close\r\n\r\n{{\"jsonrpc\":"
            ),
            "cut_stream" => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                format!("{head}: nothing yet\n\n")
            }
            "locked" => http(
                "401 Unauthorized",
                "www-authenticate: Bearer error=\"the token sk-very-secret is old\"\r\n",
                "",
            ),
            "big" => http("200 OK", JSON, &text(&"x".repeat(100_000))),
            "expired" if seen.count("initialize") == 1 => http("404 Not Found", "", ""),
            "expired" => http("200 OK", JSON, &text("in a new session")),
            _ => http("500 Internal Server Error", "", "oops"),
        },
        _ => http("202 Accepted", "", ""),
    }
}

#[tokio::test]
async fn calls_and_headers_go_over_http() {
    let (url, seen) = serve().await;
    let config = McpConfig::http("web", url)
        .bearer_token("sk-very-secret")
        .header("x-team", "blue");
    let server = McpServer::connect(config).await.unwrap();
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
    assert_eq!(call(&server, "stream").await.unwrap(), "streamed");
    for (head, body) in seen
        .0
        .lock()
        .unwrap()
        .iter()
        .filter(|(head, _)| head.starts_with("POST"))
    {
        assert!(
            head.contains("authorization: Bearer sk-very-secret"),
            "{head}{body}"
        );
        assert!(head.contains("x-team: blue"), "{head}{body}");
    }
    assert_eq!(server.stderr().await, None);
}

#[tokio::test]
async fn what_http_says_is_told_apart() {
    let (url, seen) = serve().await;
    let config = McpConfig::http("web", url).bearer_token("sk-very-secret");
    let server = McpServer::connect(config).await.unwrap();
    let error = call(&server, "busy").await.unwrap_err();
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(error.class, ErrorClass::Overloaded { retry_after }, "{error}");
    assert!(error.had_no_effect());
    let error = call(&server, "limited").await.unwrap_err();
    let retry_after = Some(Duration::from_secs(3));
    assert_eq!(error.class, ErrorClass::Throttled { retry_after }, "{error}");
    let error = call(&server, "locked").await.unwrap_err();
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, false),
        "{error}"
    );
    assert!(
        error.to_string().contains("the token [redacted] is old"),
        "{error}"
    );
    for name in ["cut", "cut_stream", "broken"] {
        let error = call(&server, name).await.unwrap_err();
        assert!(error.outcome_unknown, "{name}: {error:?}");
        assert_eq!(error.class, ErrorClass::Transient, "{name}: {error:?}");
        assert_eq!(seen.calls(name), 1, "{name} was sent again");
    }
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
}

#[tokio::test]
async fn a_session_that_is_gone_is_begun_anew() {
    let (url, seen) = serve().await;
    let server = McpServer::connect(McpConfig::http("web", url)).await.unwrap();
    assert_eq!(call(&server, "expired").await.unwrap(), "in a new session");
    assert_eq!(seen.count("initialize"), 2);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_refused() {
    let (url, _) = serve().await;
    let mut limits = Limits::default();
    limits.message_bytes = 50_000;
    let server = McpServer::connect(McpConfig::http("web", url).limits(limits))
        .await
        .unwrap();
    let error = call(&server, "big").await.unwrap_err();
    assert!(error.outcome_unknown, "{error:?}");
    assert!(error.to_string().contains("50000 bytes"), "{error}");
    assert_eq!(call(&server, "echo").await.unwrap(), "echo");
}

#[tokio::test]
async fn addresses_that_cannot_be_used_are_errors() {
    let port = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let fails = async |config: McpConfig| McpServer::connect(config).await.unwrap_err();
    let error = fails(McpConfig::http("web", format!("http://127.0.0.1:{port}/mcp"))).await;
    assert_eq!(error.kind(), &McpErrorKind::Connect);
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
    for (url, what) in [
        ("not a url", "its URL is none"),
        ("ftp://x/", "neither http:// nor https://"),
    ] {
        let error = fails(McpConfig::http("web", url)).await;
        assert!(error.to_string().contains(what), "{error}");
    }
    let error = fails(McpConfig::http("web", "http://127.0.0.1/").header("a b", "c")).await;
    assert!(
        error.to_string().contains("`a b` is no name of a header"),
        "{error}"
    );
}
