//! The server as a child process: where it is found, how it is started, and what it says of itself.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use throng_llm::{CallContext, Completion, HttpClient, HttpClientBuilder, Request, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::call_with;

/// The wires that the server speaks.
pub(super) const WIRES: [Wire; 3] = [Wire::OpenAiChat, Wire::OpenAiResponses, Wire::Anthropic];

/// A template for conversations without tools and without reasoning.
pub(super) const PLAIN: &str = "meta-llama-Llama-3.1-8B-Instruct";

/// How long the server may take for anything. A bound for a test that hangs, not a measurement.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The programs and files that the tests need.
struct Setup {
    server: PathBuf,
    model: PathBuf,
    templates: PathBuf,
}

impl Setup {
    /// Returns them, or `None` after having said that they are absent.
    fn find() -> Option<Self> {
        let var = |name: &str| -> Option<OsString> { std::env::var_os(name) };
        let Some(server) = var("THRONG_LLAMA_SERVER") else {
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                // Not by the macro, whose output the test harness swallows.
                let line = "SKIPPED: no real inference server (`cargo xtask slow llama` builds one and sets THRONG_LLAMA_SERVER)\n";
                std::io::stderr().write_all(line.as_bytes()).unwrap();
            });
            return None;
        };
        let needed = |name: &str| {
            PathBuf::from(
                var(name).unwrap_or_else(|| panic!("THRONG_LLAMA_SERVER is set, and {name} is not")),
            )
        };
        Some(Self {
            server: server.into(),
            model: needed("THRONG_LLAMA_MODEL"),
            templates: needed("THRONG_LLAMA_TEMPLATES"),
        })
    }
}

/// A server that runs until this is dropped.
pub(super) struct Llama {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Llama {
    /// Starts a server with a template for its conversations and more arguments, and waits until it answers. Without a
    /// server to start, that is said and there is none.
    pub(super) async fn start(template: &str, arguments: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let setup = Setup::find()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("throng-llama-{}-{number}.log", std::process::id()));
        let file = File::create(&log).unwrap();
        let child = Command::new(&setup.server)
            .arg("--model")
            .arg(&setup.model)
            .args(["--alias", "random", "--host", "127.0.0.1", "--port", "0"])
            .args(["--threads", "1", "--jinja", "--chat-template-file"])
            .arg(setup.templates.join(format!("{template}.jinja")))
            .args(["--slots", "--metrics"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", setup.server.display()));
        let mut this = Self {
            child,
            address: String::new(),
            log,
        };
        let start = Instant::now();
        while !this.is_up().await {
            let ended = this.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(start.elapsed() < PATIENCE, "the server does not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(this)
    }

    /// Reads the port that the system gave to the server out of its log, and asks whether the model is loaded.
    async fn is_up(&mut self) -> bool {
        if self.address.is_empty() {
            let log = read(&self.log);
            let rest = log.split_once("listening on http://").map(|(_, rest)| rest);
            // The line may still be in the writing.
            let Some((address, _)) = rest.and_then(|rest| rest.split_once('\n')) else {
                return false;
            };
            self.address = address.trim().to_owned();
        }
        self.get("/health").await.0 == 200
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(super) fn builder(&self, wire: Wire) -> HttpClientBuilder {
        HttpClient::builder(wire).base_url(self.url())
    }

    pub(super) fn client(&self, wire: Wire) -> HttpClient {
        self.builder(wire).build().unwrap()
    }

    /// Asks for an answer as a stream and for one in one piece, the server's cache being warm, and returns both.
    pub(super) async fn both(&self, wire: Wire, request: Request) -> [Completion; 2] {
        let whole = self.builder(wire).stream(false).build().unwrap();
        self.whole(&whole, request.clone()).await;
        let streamed = self.whole(&self.client(wire), request.clone()).await;
        [streamed, self.whole(&whole, request).await]
    }

    /// Returns a whole answer, which there must be.
    pub(super) async fn whole(&self, client: &HttpClient, request: Request) -> Completion {
        let call = call_with(client, request.into(), CallContext::new());
        let ended = tokio::time::timeout(PATIENCE, call)
            .await
            .expect("no answer came to its end");
        ended.succeeded()
    }

    /// Returns status and body of an answer to a plain GET.
    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let mut answer = Vec::new();
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        socket.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    /// Returns what the server says of its slots.
    pub(super) async fn slots(&self) -> Vec<Value> {
        let (status, body) = self.get("/slots").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("an array of slots")
    }

    /// Returns how many slots work.
    pub(super) async fn busy(&self) -> usize {
        let slots = self.slots().await;
        slots.iter().filter(|slot| slot["is_processing"] == true).count()
    }

    /// Returns one figure of the server's metrics.
    pub(super) async fn metric(&self, name: &str) -> f64 {
        let (_, body) = self.get("/metrics").await;
        let prefix = format!("llamacpp:{name} ");
        let value = body
            .lines()
            .find_map(|line| line.strip_prefix(&prefix)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {body}"))
    }

    /// Waits until a figure of the server's metrics has a value.
    pub(super) async fn wait_for(&self, name: &str, value: f64) {
        let wait = async { while self.metric(name).await != value {} };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{name} never becomes {value}");
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = read(&self.log);
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            let text = format!("the end of the server's log:\n{tail}\n");
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
        let _ = std::fs::remove_file(&self.log);
    }
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned()
}

/// A question to which the same answer comes each time.
pub(super) fn ask(max_output_tokens: u32) -> Request {
    Request::new("random")
        .system("You are a crab.")
        .user("Say hello.")
        .temperature(0.0)
        .max_output_tokens(max_output_tokens)
}
