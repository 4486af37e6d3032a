//! Tools that make HTTP calls, as they are declared, against a server on this machine that sends what its script says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::ErrorClass;
use throng_tools::{Tool, ToolContext, ToolEntry, ToolError, Tools, declare};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "sk-very-secret";

/// What a server does with a request.
#[derive(Clone)]
enum Reply {
    /// Sends this and closes the connection.
    Send(String),
    /// Sends this, waits, and sends the rest.
    Slowly(String, String),
    /// Sends nothing and closes the connection.
    Close,
    /// Sends a head, and then bytes for as long as somebody takes them.
    Endless,
}

/// A server that answers the nth request with the nth reply, and the last one from then on.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let request = read(stream, &replies, &seen);
                tokio::spawn(request);
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Serves one connection.
fn read(
    mut stream: TcpStream,
    replies: &[Reply],
    seen: &Arc<Mutex<Vec<String>>>,
) -> impl Future<Output = ()> + use<> {
    let (replies, seen) = (replies.to_vec(), Arc::clone(seen));
    async move {
        let mut request = Vec::new();
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(String::from_utf8(request).unwrap());
            seen.len()
        };
        match &replies[number.min(replies.len()) - 1] {
            Reply::Close => {}
            Reply::Send(text) => stream.write_all(text.as_bytes()).await.unwrap(),
            Reply::Slowly(start, rest) => {
                stream.write_all(start.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
                let _ = stream.write_all(rest.as_bytes()).await;
            }
            Reply::Endless => {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).await.unwrap();
                while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
            }
        }
        let _ = stream.shutdown().await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")
            .map(str::to_owned)
    });
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

fn answer(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Send(format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ))
}

fn tool(keys: &str) -> Arc<dyn Tool> {
    let declared = declare::read(&format!("[tools.t]\n{keys}"), |name| {
        (name == "KEY").then(|| SECRET.to_owned())
    });
    let declared = declared.unwrap();
    assert_eq!(declared.warnings, Vec::<String>::new());
    let tools = declared
        .tools
        .into_iter()
        .fold(Tools::new(), |tools, tool| tools.with(tool).unwrap());
    Arc::clone(tools.get("t").map(ToolEntry::tool).unwrap())
}

/// Calls the tool; `SERVER` in the keys is the server's address.
async fn call(server: &Server, keys: &str, arguments: Value) -> Result<Value, ToolError> {
    let keys = keys.replace("SERVER", &format!("http://{}", server.address));
    tool(&keys).call(arguments, ToolContext::new("call_1")).await
}

#[tokio::test]
async fn a_request_is_filled_from_the_arguments() {
    let json = "content-type: application/json; charset=utf-8\r\n";
    let server = Server::start(vec![answer("200 OK", json, "{\"ok\":[1]}")]).await;
    let keys = r#"
        url = "SERVER/repos/{repo}/issues?state={state}"
        method = "POST"
        query = { page = "{page}", tag = "{tags}", none = "{none}" }
        headers = { X-Trace = "t-{trace}" }
        secret_headers = { Authorization = "Bearer {KEY}" }
        json = { title = "{title}", labels = "{tags}", body = "by {trace}", fixed = [1, true], none = "{none}" }
    "#;
    let arguments = json!({
        "repo": "a/b c", "state": "open&x", "page": 2, "tags": ["p", "q r"], "trace": "7", "title": { "t": null },
    });
    assert_eq!(
        call(&server, keys, arguments).await.unwrap(),
        json!({ "ok": [1] })
    );
    let requests = server.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /repos/a%2Fb%20c/issues?state=open%26x&page=2&tag=p&tag=q+r HTTP/1.1\r\n"),
        "{head}"
    );
    for header in [
        "x-trace: t-7",
        "authorization: Bearer sk-very-secret",
        "content-type: application/json",
    ] {
        assert!(head.contains(header), "{head}");
    }
    let expected = json!({
        "title": { "t": null }, "labels": ["p", "q r"], "body": "by 7", "fixed": [1, true],
    });
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
}

#[tokio::test]
async fn a_header_cannot_be_split_by_an_argument() {
    let server = Server::start(vec![answer("200 OK", "", "")]).await;
    let keys = "url = \"SERVER/\"\nheaders = { X-A = \"{a}\" }";
    let error = call(&server, keys, json!({ "a": "x\r\nX-Evil: 1" }))
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "the header `x-a` cannot hold what the arguments make of it"
    );
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn an_answer_becomes_a_result() {
    let json = "content-type: application/problem+json\r\n";
    let check = |headers: &'static str, body: &'static str, keys: &'static str, expected: Value| async move {
        let server = Server::start(vec![answer("200 OK", headers, body)]).await;
        let keys = format!("url = \"SERVER/\"\n{keys}");
        assert_eq!(call(&server, &keys, json!({})).await.unwrap(), expected, "{body}");
    };
    check(json, "[1]", "", json!([1])).await;
    check("", "[1]", "", json!("[1]")).await;
    check("", "", "", Value::Null).await;
    check("", "[1]", "output = \"json\"", json!([1])).await;
    check("", "a\nb\n", "output = \"lines\"", json!(["a", "b"])).await;
    check(json, "[1]", "output = \"text\"", json!("[1]")).await;
    let server = Server::start(vec![answer("200 OK", json, "<html>")]).await;
    let error = call(&server, "url = \"SERVER/\"", json!({})).await.unwrap_err();
    assert_eq!(
        error.message,
        "the answer is no JSON: expected value at line 1 column 1: <html>"
    );
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, false)
    );
}

#[tokio::test]
async fn a_status_says_what_it_means_for_a_retry() {
    let after = |seconds| Some(Duration::from_secs(seconds));
    let unknown = true;
    let check = |status: &'static str, headers: &'static str, class: ErrorClass, outcome_unknown: bool| async move {
        let server = Server::start(vec![answer(status, headers, "say why")]).await;
        let error = call(&server, "url = \"SERVER/\"", json!({})).await.unwrap_err();
        let code = status.split_once(' ').unwrap().0;
        assert!(
            error.message.contains(code) && error.message.ends_with(": say why"),
            "{}",
            error.message
        );
        assert_eq!(
            (error.class, error.outcome_unknown),
            (class, outcome_unknown),
            "{status}"
        );
    };
    check("400 Bad Request", "", ErrorClass::Permanent, false).await;
    check("404 Not Found", "", ErrorClass::Permanent, false).await;
    check("408 Request Timeout", "", ErrorClass::Transient, false).await;
    let throttled = |retry_after| ErrorClass::Throttled { retry_after };
    check("429 Too Many Requests", "", throttled(None), false).await;
    check(
        "429 Too Many Requests",
        "retry-after: 7\r\n",
        throttled(after(7)),
        false,
    )
    .await;
    let date = "date: Wed, 21 Oct 2015 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2015 07:28:09 GMT\r\n";
    check("429 Too Many Requests", date, throttled(after(9)), false).await;
    check(
        "429 Too Many Requests",
        "retry-after: soon\r\n",
        throttled(None),
        false,
    )
    .await;
    let overloaded = |retry_after| ErrorClass::Overloaded { retry_after };
    check(
        "503 Service Unavailable",
        "retry-after: 1\r\n",
        overloaded(after(1)),
        false,
    )
    .await;
    check("503 Service Unavailable", "", overloaded(None), unknown).await;
    check("500 Internal Server Error", "", ErrorClass::Transient, unknown).await;
    check("504 Gateway Timeout", "", ErrorClass::Transient, unknown).await;
}

#[tokio::test]
async fn a_broken_connection_leaves_the_outcome_unknown() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this".to_owned();
    let server = Server::start(vec![Reply::Close, Reply::Send(cut)]).await;
    for said in [
        "broke the connection before it answered",
        "the answer broke off after 9 bytes",
    ] {
        let error = call(&server, "url = \"SERVER/\"", json!({})).await.unwrap_err();
        assert!(error.message.contains(said), "{}", error.message);
        assert_eq!(
            (error.class, error.outcome_unknown),
            (ErrorClass::Transient, true)
        );
    }
    let nobody = Server {
        address: "127.0.0.1:1".parse().unwrap(),
        requests: Arc::default(),
    };
    let error = call(&nobody, "url = \"SERVER/\"", json!({})).await.unwrap_err();
    assert!(
        error.message.starts_with("127.0.0.1:1 cannot be reached: "),
        "{}",
        error.message
    );
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Transient, false)
    );
}

#[tokio::test]
async fn a_slow_answer_is_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nslow".to_owned();
    let server = Server::start(vec![Reply::Slowly(head, "ness".to_owned())]).await;
    assert_eq!(
        call(&server, "url = \"SERVER/\"", json!({})).await.unwrap(),
        json!("slowness")
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_cut_off() {
    let server = Server::start(vec![
        Reply::Endless,
        answer("200 OK", "", "123456"),
        answer("200 OK", "", "12345"),
    ])
    .await;
    let keys = "url = \"SERVER/\"\noutput_bytes = 5";
    for _ in 0..2 {
        let error = call(&server, keys, json!({})).await.unwrap_err();
        assert_eq!(error.message, "the answer is longer than 5 bytes");
        assert_eq!(error.class, ErrorClass::Permanent);
    }
    assert_eq!(call(&server, keys, json!({})).await.unwrap(), json!("12345"));
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let hop = |status: &str, to: &str| answer(status, &format!("location: {to}\r\n"), "");
    let server = Server::start(vec![
        hop("307 Temporary Redirect", "/b?c"),
        answer("200 OK", "", "there"),
    ])
    .await;
    let keys =
        "url = \"SERVER/a\"\nmethod = \"POST\"\nbody = \"x{y}\"\nsecret_headers = { X-Key = \"{KEY}\" }";
    assert_eq!(
        call(&server, keys, json!({ "y": 1 })).await.unwrap(),
        json!("there")
    );
    let requests = server.requests();
    assert!(requests[1].starts_with("POST /b?c HTTP/1.1\r\n") && requests[1].ends_with("\r\n\r\nx1"));
    assert!(requests[1].contains("x-key: sk-very-secret"), "{}", requests[1]);

    let server = Server::start(vec![hop("303 See Other", "/b"), answer("200 OK", "", "there")]).await;
    call(&server, keys, json!({ "y": 1 })).await.unwrap();
    assert!(server.requests()[1].starts_with("GET /b HTTP/1.1\r\n"));
    assert!(server.requests()[1].ends_with("\r\n\r\n"), "without the body");

    let server = Server::start(vec![hop("302 Found", "/again")]).await;
    let error = call(&server, "url = \"SERVER/a\"", json!({})).await.unwrap_err();
    assert!(
        error.message.ends_with("/a` led to more than 10 redirects"),
        "{}",
        error.message
    );
    assert_eq!(server.requests().len(), 11);
}

#[tokio::test]
async fn redirects_to_other_hosts_need_leave_and_carry_no_secrets() {
    let other = Server::start(vec![answer("200 OK", "", "other")]).await;
    let to = format!("location: http://{}/x\r\n", other.address);
    let server = Server::start(vec![answer("302 Found", &to, "")]).await;
    let keys = "url = \"SERVER/a\"\nsecret_headers = { X-Key = \"{KEY}\" }";
    let error = call(&server, keys, json!({})).await.unwrap_err();
    let expected = format!(
        "{} redirects to http://{}, where this tool may not go",
        server.address, other.address
    );
    assert_eq!(error.message, expected);
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(other.requests().is_empty());

    let keys = format!("{keys}\nallow_hosts = [\"{}\"]", other.address);
    assert_eq!(call(&server, &keys, json!({})).await.unwrap(), json!("other"));
    assert!(
        !other.requests()[0].contains("sk-very"),
        "{}",
        other.requests()[0]
    );

    let scheme = Server::start(vec![answer("302 Found", "location: file:///etc/passwd\r\n", "")]).await;
    let error = call(&scheme, "url = \"SERVER/\"\nallow_hosts = [\"*\"]", json!({}))
        .await
        .unwrap_err();
    assert!(
        error.message.ends_with("where this tool may not go"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_secret_that_is_echoed_is_cut_out() {
    let server = Server::start(vec![
        answer("200 OK", "", "you sent sk-very-secret"),
        answer("400 Bad Request", "", "no: sk-very-secret"),
    ])
    .await;
    let keys = "url = \"SERVER/\"\nsecret_headers = { X-Key = \"Key {KEY}\" }";
    assert_eq!(
        call(&server, keys, json!({})).await.unwrap(),
        json!("you sent [redacted]")
    );
    let error = call(&server, keys, json!({})).await.unwrap_err();
    assert!(error.message.ends_with("no: [redacted]"), "{}", error.message);
    assert!(server.requests()[0].contains("x-key: Key sk-very-secret"));
}

#[tokio::test]
async fn a_url_that_is_an_argument_goes_to_allowed_hosts_only() {
    let server = Server::start(vec![answer("200 OK", "", "here")]).await;
    let keys = format!("url = \"{{url}}\"\nallow_hosts = [\"{}\"]", server.address);
    let url = format!("http://{}/x", server.address);
    assert_eq!(
        call(&server, &keys, json!({ "url": url })).await.unwrap(),
        json!("here")
    );
    let error = call(&server, &keys, json!({ "url": "http://169.254.169.254/meta" }))
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "`http://169.254.169.254/meta` is no address to which this tool may go"
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_declaration_that_makes_no_sense_is_named() {
    let check = |keys: &str, expected: &str| {
        let error = declare::read(&format!("[tools.t]\n{keys}"), |_| None).unwrap_err();
        assert_eq!(error.to_string(), expected, "{keys}");
    };
    check(
        "url = \"http://{host}/\"",
        "line 2: tools.t.url: `http://{host}/` has a hole in its host",
    );
    check(
        "url = \"ftp://h/\"",
        "line 2: tools.t.url: `ftp://h/` is no HTTP URL",
    );
    check(
        "url = \"http://h/\"\nmethod = \"A B\"",
        "line 3: tools.t.method: `A B` is no HTTP method",
    );
    check(
        "url = \"http://h/\"\nheaders = { Host = \"x\" }",
        "line 3: tools.t.headers: `Host` is set by the client itself",
    );
    check(
        "url = \"http://h/\"\nsecret_headers = { A = \"Bearer {KEY}\" }",
        "line 3: tools.t.secret_headers.A: the secret `KEY` is not set",
    );
    check(
        "url = \"http://h/\"\nsecret_headers = { A = \"Bearer sk\" }",
        "line 3: tools.t.secret_headers.A: expected a text that ends in the name of a secret, such as \"Bearer {API_KEY}\"",
    );
    check(
        "url = \"http://h/\"\njson = 1\nbody = \"x\"",
        "line 4: tools.t.body: a tool has either `json` or `body`",
    );
}

#[test]
fn a_schema_is_made_of_the_holes() {
    let keys = "url = \"http://h/{a}\"\nquery = { b = \"{b}\", c = \"x{c}\" }\njson = { d = \"{d}\", e = \"{e.f}!\" }";
    let expected = json!({
        "type": "object",
        "properties": {
            "a": { "type": ["string", "number", "boolean"] }, "b": {},
            "c": { "type": ["string", "number", "boolean"] }, "d": {}, "e": {},
        },
        "required": ["a", "c", "e"],
        "additionalProperties": false,
    });
    assert_eq!(*tool(keys).spec().parameters, expected);
}
