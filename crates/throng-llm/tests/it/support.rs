//! What the tests share: folding, a naive splitter, and a server that sends exactly the bytes of its script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use throng_llm::wire::Decoder;
use throng_llm::{
    CallContext, Completion, EventStream, HttpClient, HttpClientBuilder, Limits, LlmClient, LlmError,
    Request, StreamEvent, Wire,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a decoder or a call gave: the events and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) events: Vec<StreamEvent>,
    pub(crate) error: Option<LlmError>,
}

impl Ended {
    pub(crate) fn completion(&self) -> Completion {
        let mut completion = Completion::default();
        self.events
            .iter()
            .cloned()
            .for_each(|event| completion.push(event));
        completion
    }

    /// Returns the error, which there must be.
    #[track_caller]
    pub(crate) fn failed(self) -> LlmError {
        let finished = self
            .events
            .iter()
            .any(|event| matches!(event, StreamEvent::Finished { .. }));
        assert!(!finished, "finished and failed: {:?}", self.events);
        match self.error {
            Some(error) => error,
            None => panic!("must fail, but gave {:?}", self.events),
        }
    }

    /// Returns the whole answer, which there must be.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> Completion {
        assert!(self.error.is_none(), "must succeed: {:?}", self.error);
        let finished = self
            .events
            .iter()
            .filter(|event| matches!(event, StreamEvent::Finished { .. }))
            .count();
        assert_eq!(finished, 1, "{:?}", self.events);
        assert!(
            matches!(self.events.last(), Some(StreamEvent::Finished { .. })),
            "{:?}",
            self.events
        );
        self.completion()
    }

    /// Returns events and error as text, to compare how two decodings went.
    pub(crate) fn trace(&self) -> String {
        format!("{:?} {:?}", self.events, self.error)
    }
}

/// Decodes pieces of a body of Chat Completions.
pub(crate) fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Ended {
    decode_within(Wire::OpenAiChat, Limits::default(), pieces)
}

/// Decodes pieces of a body of any wire.
pub(crate) fn decode_of<'a>(wire: Wire, pieces: impl IntoIterator<Item = &'a [u8]>) -> Ended {
    decode_within(wire, Limits::default(), pieces)
}

pub(crate) fn decode_within<'a>(
    wire: Wire,
    limits: Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Ended {
    let mut decoder = Decoder::new(wire, "test", limits);
    let mut events = VecDeque::new();
    let mut error = None;
    for piece in pieces {
        error = error.or(decoder.push(piece, &mut events).err());
    }
    error = error.or(decoder.finish(&mut events).err());
    assert!(decoder.is_done());
    let given = events.len();
    assert!(
        decoder
            .push(
                b"data: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\n",
                &mut events
            )
            .is_ok()
    );
    assert!(decoder.finish(&mut events).is_ok());
    assert_eq!(events.len(), given, "nothing follows the end");
    Ended {
        events: events.into(),
        error,
    }
}

/// Writes frames as server-sent events.
pub(crate) fn sse(frames: &[&str]) -> String {
    frames.iter().map(|frame| format!("data: {frame}\n\n")).collect()
}

/// Writes frames as server-sent events with the name of their `type`.
pub(crate) fn named(frames: &[serde_json::Value]) -> String {
    let name = |frame: &serde_json::Value| frame["type"].as_str().unwrap().to_owned();
    frames
        .iter()
        .map(|frame| format!("event: {}\ndata: {frame}\n\n", name(frame)))
        .collect()
}

/// A frame with a text delta.
pub(crate) fn delta(text: &str) -> String {
    serde_json::json!({"id": "c1", "model": "m1", "choices": [{"index": 0, "delta": {"content": text}}]})
        .to_string()
}

/// A frame with a finish reason.
pub(crate) fn finish(reason: &str) -> String {
    serde_json::json!({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        .to_string()
}

/// A whole stream that says `Hello`.
pub(crate) fn hello() -> String {
    sse(&[
        &delta("Hel"),
        &delta("lo"),
        &finish("stop"),
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#,
        "[DONE]",
    ])
}

/// One step of a server's script.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Resets the connection.
    Reset,
    /// Reads until the client closes the connection, and reports that.
    AwaitClose,
    /// Reads the next request of the same connection.
    NextRequest,
}

pub(crate) fn send(bytes: impl Into<Vec<u8>>) -> Step {
    Step::Send(bytes.into())
}

pub(crate) fn pause(ms: u64) -> Step {
    Step::Wait(Duration::from_millis(ms))
}

/// What the server saw.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Connection,
    Request { head: String, body: String },
    Closed,
}

/// A server that plays one script per connection, the last one again and again.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) seen: mpsc::Receiver<Seen>,
}

impl Server {
    pub(crate) async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (tell, seen) = mpsc::channel(1_000);
        tokio::spawn(async move {
            let mut scripts = VecDeque::from(scripts);
            while let Ok((socket, _)) = listener.accept().await {
                let script = if scripts.len() > 1 {
                    scripts.pop_front()
                } else {
                    scripts.front().cloned()
                };
                tokio::spawn(play(socket, script.unwrap_or_default(), tell.clone()));
            }
        });
        Self { addr, seen }
    }

    /// A server that answers every request with these bytes and closes.
    pub(crate) async fn answering(bytes: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![vec![send(bytes)]]).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    pub(crate) fn builder(&self) -> HttpClientBuilder {
        self.builder_of(Wire::OpenAiChat)
    }

    /// Returns the settings of a client that speaks another wire.
    pub(crate) fn builder_of(&self, wire: Wire) -> HttpClientBuilder {
        HttpClient::builder(wire)
            .base_url(self.url())
            .api_key("sk-very-secret-key")
    }

    pub(crate) fn client(&self) -> HttpClient {
        self.builder().build().unwrap()
    }

    /// Returns head and body of the next request.
    pub(crate) async fn request(&mut self) -> (String, serde_json::Value) {
        loop {
            match self.seen.recv().await.expect("the server has gone") {
                Seen::Request { head, body } => {
                    return (head, serde_json::from_str(&body).expect("a JSON body"));
                }
                _ => continue,
            }
        }
    }

    /// Waits until the server saw something.
    pub(crate) async fn wait_for(&mut self, what: Seen) {
        let wait = async { while self.seen.recv().await.expect("the server has gone") != what {} };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .expect("the server waits in vain");
    }
}

async fn play(mut socket: TcpStream, script: Vec<Step>, tell: mpsc::Sender<Seen>) {
    let _ = tell.send(Seen::Connection).await;
    if !read_request(&mut socket, &tell).await {
        return;
    }
    for step in script {
        match step {
            Step::Send(bytes) => {
                if socket.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Step::Wait(wait) => tokio::time::sleep(wait).await,
            Step::Reset => {
                socket.set_zero_linger().unwrap();
                return;
            }
            Step::AwaitClose => {
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
                let _ = tell.send(Seen::Closed).await;
                return;
            }
            Step::NextRequest => {
                if !read_request(&mut socket, &tell).await {
                    return;
                }
            }
        }
    }
    let _ = socket.shutdown().await;
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
}

async fn read_request(socket: &mut TcpStream, tell: &mpsc::Sender<Seen>) -> bool {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                let _ = tell.send(Seen::Request { head, body }).await;
                return true;
            }
        }
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

/// The head and body of an answer that ends with the connection.
pub(crate) fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// The head and body of a stream of events that ends with the connection.
pub(crate) fn stream(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(200, &["content-type: text/event-stream; charset=utf-8"], body)
}

/// A chunked stream on a connection that stays open.
pub(crate) fn chunked(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()
}

pub(crate) fn question() -> Arc<Request> {
    Arc::new(Request::new("m1").user("Say hello."))
}

/// Calls and collects everything.
pub(crate) async fn call(client: &dyn LlmClient) -> Ended {
    call_with(client, question(), CallContext::new()).await
}

pub(crate) async fn call_with(client: &dyn LlmClient, request: Arc<Request>, cx: CallContext) -> Ended {
    match client.call(request, cx).await {
        Ok(events) => collect(events).await,
        Err(error) => Ended {
            events: Vec::new(),
            error: Some(error),
        },
    }
}

/// Collects a stream, and checks that nothing follows its end.
pub(crate) async fn collect(mut stream: EventStream) -> Ended {
    let mut events = Vec::new();
    let mut error = None;
    while let Some(item) = stream.next().await {
        assert!(error.is_none(), "something follows an error: {item:?}");
        match item {
            Ok(event) => events.push(event),
            Err(found) => error = Some(found),
        }
    }
    for _ in 0..3 {
        assert!(stream.next().await.is_none(), "something follows the end");
    }
    Ended { events, error }
}

/// How many cases a random suite tries: `THRONG_CASES`, or a small number.
pub(crate) fn cases(default: u32) -> u32 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Checks that a body gives the same events however it is split: by single bytes, at random, and, if it is small, at
/// every place in two.
#[track_caller]
pub(crate) fn every_split(wire: Wire, body: &str) {
    let bytes = body.as_bytes();
    let whole = decode_of(wire, [bytes]).trace();
    assert_eq!(whole, decode_of(wire, bytes.chunks(1)).trace(), "bytewise");
    if bytes.len() <= 2_048 {
        for at in 1..bytes.len() {
            let (head, tail) = bytes.split_at(at);
            assert_eq!(whole, decode_of(wire, [head, tail]).trace(), "split at {at}");
        }
    }
    let mut state = 0x9e37_79b9_u32;
    for case in 0..cases(4) {
        let mut rest = bytes;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let (piece, after) = rest.split_at((state as usize % 400 + 1).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(whole, decode_of(wire, pieces).trace(), "random split {case}");
    }
}

/// A client that gives these answers, the last one again and again.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<ScriptedInner>);

type Answer = Vec<Result<StreamEvent, LlmError>>;

struct ScriptedInner {
    answers: std::sync::Mutex<VecDeque<Answer>>,
    calls: std::sync::atomic::AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self(Arc::new(ScriptedInner {
            answers: std::sync::Mutex::new(answers.into_iter().collect()),
            calls: 0.into(),
        }))
    }

    /// Returns how many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl LlmClient for Scripted {
    fn provider(&self) -> &str {
        "scripted"
    }

    fn call(
        &self,
        _: Arc<Request>,
        _: CallContext,
    ) -> futures_core::future::BoxFuture<'static, Result<EventStream, LlmError>> {
        self.0.calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut answers = self.0.answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front().unwrap()
        } else {
            answers[0].clone()
        };
        Box::pin(async move { Ok(futures_util::stream::iter(answer).boxed()) })
    }
}

/// The events of an answer with something of everything.
pub(crate) fn hello_events() -> Vec<StreamEvent> {
    use throng_llm::{FinishReason, RateLimits, Started, ToolCall};
    let mut limits = RateLimits::default();
    limits.requests.limit = Some(10);
    limits.requests.remaining = Some(0);
    limits.requests.reset = Some(Duration::from_millis(1_500));
    let mut usage = throng_core::Usage::of(1_000, 200);
    usage.cached_input_tokens = Some(400);
    usage.reasoning_tokens = Some(50);
    vec![
        StreamEvent::KeepAlive,
        StreamEvent::Started(Box::new(
            Started::new()
                .with_id("c1")
                .with_model("m1-2026")
                .with_request_id("r1")
                .with_limits(limits),
        )),
        StreamEvent::Usage(throng_core::Usage::of(1_000, 1)),
        StreamEvent::ReasoningDelta("Hm.".into()),
        StreamEvent::ReasoningOpaque(serde_json::json!({"signature": "abc"})),
        StreamEvent::TextDelta("Hel".into()),
        StreamEvent::KeepAlive,
        StreamEvent::TextDelta("lo \u{1f980}".into()),
        StreamEvent::RefusalDelta("no".into()),
        StreamEvent::ToolCallStart {
            slot: 0,
            id: "t1".into(),
            name: "look".into(),
        },
        StreamEvent::ToolArgsDelta {
            slot: 0,
            fragment: "{}".into(),
        },
        StreamEvent::ToolCallEnd {
            slot: 0,
            call: ToolCall::new("t1", "look", "{}"),
        },
        StreamEvent::Unknown { raw: "x".into() },
        StreamEvent::Finished {
            finish: FinishReason::Other("odd".into()),
            usage,
        },
    ]
}

/// Makes every span and event known to be of interest to somebody. Without that a test whose subscriber is its thread's own
/// may miss what another test's thread, which has none, came upon first.
pub(crate) fn listen_everywhere() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let all = tracing_subscriber::registry();
        tracing::subscriber::set_global_default(all).expect("the only global subscriber of these tests");
    });
}
