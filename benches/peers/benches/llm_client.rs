//! What a whole client costs over loopback HTTP: the CPU of the client's thread for each event of a streamed answer, and how
//! much later than the bytes the first content comes. throng-llm beside reqwest's bytes, async-openai and genai.

use std::sync::Arc;
use std::time::Instant;

use async_openai::config::OpenAIConfig;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use cpu_time::ThreadTime;
use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatRequest, ChatStreamEvent};
use genai::resolver::{AuthData, Endpoint};
use genai::{ModelIden, ServiceTarget};
use throng_bench_peers::allocations::{self, Counting};
use throng_bench_peers::{PIECE, Server, frames};
use throng_benches::{Report, is_quick};
use throng_llm::{CallContext, HttpClient, LlmClient, Request, StreamEvent, Wire};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Error = Box<dyn std::error::Error>;

/// What a call is measured by: the text that came, and when the first of it came.
struct Called {
    text: usize,
    first: Option<Instant>,
}

struct Clients {
    reqwest: reqwest::Client,
    url: String,
    throng: HttpClient,
    request: Arc<Request>,
    openai: async_openai::Client<OpenAIConfig>,
    openai_request: CreateChatCompletionRequest,
    genai: genai::Client,
    genai_request: ChatRequest,
}

const SUBJECTS: [&str; 4] = ["reqwest_bytes", "throng", "async_openai", "genai"];

fn main() -> Result<(), Error> {
    // The clients and what they spawn run on this thread, the server on another.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::default();
    let n = if is_quick() { 200 } else { 5_000 };
    let rounds = if is_quick() { 2 } else { 25 };
    let server = Server::start(&frames(n))?;
    let clients = Clients::new(&server.url())?;
    runtime.block_on(async {
        let mut times = vec![Vec::new(); SUBJECTS.len()];
        let mut allocated = vec![Vec::new(); SUBJECTS.len()];
        for round in 0..=rounds {
            for at in 0..SUBJECTS.len() {
                let before = allocations::so_far();
                let began = ThreadTime::now();
                let called = clients.call(at).await?;
                let time = began.elapsed().as_nanos() as f64 / n as f64;
                assert!(called.text == n * PIECE.len() || at == 0, "{}: {} bytes", SUBJECTS[at], called.text);
                // The first round makes the connections.
                if round > 0 {
                    times[at].push(time);
                    allocated[at].push((allocations::so_far() - before) as f64 / n as f64);
                }
            }
        }
        for (at, name) in SUBJECTS.iter().enumerate() {
            report.record(name, "ns/event", times[at].clone());
            report.record(&format!("{name}.allocations"), "per event", allocated[at].clone());
        }
        // Round by round, so that both meet the same speed of the machine.
        let over = |mine: &[f64], base: &[f64]| mine.iter().zip(base).map(|(mine, base)| mine - base).collect();
        report.record("throng_over_reqwest_bytes", "ns/event", over(&times[1], &times[0]));
        report.record("throng_over_reqwest_bytes.allocations", "per event", over(&allocated[1], &allocated[0]));
        report.ratio("throng_vs_async_openai", "throng", "async_openai");
        report.ratio("throng_vs_genai", "throng", "genai");
        Ok::<_, Error>(())
    })?;

    let server = Server::start(&frames(1))?;
    let clients = Clients::new(&server.url())?;
    let calls = if is_quick() { 50 } else { 5_000 };
    runtime.block_on(async {
        let mut waits = vec![Vec::new(); 2];
        for _ in 0..calls {
            for (at, waits) in waits.iter_mut().enumerate() {
                let began = Instant::now();
                let first = clients.call(at).await?.first.ok_or("no content came")?;
                waits.push((first - began).as_nanos() as f64 / 1_000.0);
            }
        }
        let p99 = |waits: &mut Vec<f64>| {
            waits.sort_by(f64::total_cmp);
            waits[waits.len() * 99 / 100]
        };
        let (bytes, ours) = (p99(&mut waits[0]), p99(&mut waits[1]));
        report.record("first_content_p99.reqwest_bytes", "us", vec![bytes]);
        report.record("first_content_p99.throng", "us", vec![ours]);
        report.record("first_content_p99.added", "us", vec![ours - bytes]);
        Ok::<_, Error>(())
    })?;
    report.finish()?;
    Ok(())
}

impl Clients {
    fn new(url: &str) -> Result<Self, Error> {
        let endpoint = format!("{url}/");
        let message = ChatCompletionRequestUserMessageArgs::default().content("Say something.").build()?;
        Ok(Self {
            reqwest: reqwest::Client::builder().tcp_nodelay(true).no_proxy().build()?,
            url: format!("{url}/chat/completions"),
            throng: HttpClient::builder(Wire::OpenAiChat).base_url(url).api_key("k").build()?,
            request: Arc::new(Request::new("m").user("Say something.")),
            openai: async_openai::Client::with_config(OpenAIConfig::new().with_api_base(url).with_api_key("k")),
            openai_request: CreateChatCompletionRequestArgs::default()
                .model("m")
                .messages(vec![message.into()])
                .build()?,
            genai: genai::Client::builder()
                .with_service_target_resolver_fn(move |target: ServiceTarget| {
                    Ok::<_, genai::resolver::Error>(ServiceTarget {
                        endpoint: Endpoint::from_owned(endpoint.clone()),
                        auth: AuthData::from_single("k"),
                        model: ModelIden::new(AdapterKind::OpenAI, target.model.model_name),
                    })
                })
                .build()?,
            genai_request: ChatRequest::new(vec![ChatMessage::user("Say something.")]),
        })
    }

    async fn call(&self, subject: usize) -> Result<Called, Error> {
        let mut called = Called { text: 0, first: None };
        match subject {
            0 => {
                let body = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Say something.\"}],\"stream\":true}";
                let sent = self.reqwest.post(&self.url).bearer_auth("k").header("content-type", "application/json");
                let mut bytes = sent.body(body).send().await?.bytes_stream();
                let mut n = 0;
                while let Some(bytes) = bytes.next().await {
                    // The second frame is the first with content.
                    n += bytes?.len();
                    if called.first.is_none() && n > 400 {
                        called.first = Some(Instant::now());
                    }
                }
                called.text = n;
            }
            1 => {
                let mut events = self.throng.call(Arc::clone(&self.request), CallContext::new()).await?;
                while let Some(event) = events.next().await {
                    if let StreamEvent::TextDelta(text) = event? {
                        called.add(&text);
                    }
                }
            }
            2 => {
                let mut chunks = self.openai.chat().create_stream(self.openai_request.clone()).await?;
                while let Some(chunk) = chunks.next().await {
                    for choice in chunk?.choices {
                        called.add(choice.delta.content.as_deref().unwrap_or_default());
                    }
                }
            }
            _ => {
                let stream = self.genai.exec_chat_stream("m", self.genai_request.clone(), None).await?;
                let mut events = stream.stream;
                while let Some(event) = events.next().await {
                    if let ChatStreamEvent::Chunk(chunk) = event? {
                        called.add(&chunk.content);
                    }
                }
            }
        }
        Ok(called)
    }
}

impl Called {
    fn add(&mut self, text: &str) {
        if !text.is_empty() && self.first.is_none() {
            self.first = Some(Instant::now());
        }
        self.text += text.len();
    }
}
