//! A small HTTP/1.1 client that shows what really came over the socket, broken ends included.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use throng_sim::{SimConfig, SimConfigBuilder, SimServer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as HTTP says that it must.
    pub(crate) ended: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|err| panic!("{err}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The data of the server-sent events; every event here has one line of it. Comments are passed over.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text().replace("\r\n", "\n");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let data = |event: &str| {
            let mut lines = event.lines().filter_map(|line| line.strip_prefix("data: "));
            lines.next().unwrap_or_else(|| panic!("{event:?}")).to_owned()
        };
        text.split("\n\n")
            .filter(|event| !event.is_empty() && !event.starts_with(':'))
            .map(data)
            .collect()
    }

    /// The text of the first choice of an answer that is not a stream.
    pub(crate) fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The deltas of a choice of a stream, joined.
    pub(crate) fn streamed(&self, choice: u64) -> String {
        let mut text = String::new();
        for event in self
            .events()
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        {
            for part in event["choices"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|part| part["index"] == choice)
            {
                text.push_str(part["delta"]["content"].as_str().unwrap_or_default());
            }
        }
        text
    }
}

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self {
            stream: BufReader::new(TcpStream::connect(addr).await.unwrap()),
        }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> io::Result<()> {
        let len = body.len();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: sim\r\ncontent-length: {len}\r\n{headers}\r\n{body}");
        self.stream.write_all(request.as_bytes()).await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the head of a response; an error means that there was none.
    pub(crate) async fn read_head(&mut self) -> io::Result<Reply> {
        let first = self.line().await?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut reply = Reply {
            status: status.expect("a status line"),
            headers: Vec::new(),
            body: Vec::new(),
            ended: false,
        };
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some((name, value)) => reply.headers.push((name.to_owned(), value.to_owned())),
                None => return Ok(reply),
            }
        }
    }

    /// Reads one chunk of a chunked body; `None` at its proper end.
    pub(crate) async fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = usize::from_str_radix(&self.line().await?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).await?;
        self.line().await?;
        Ok((size > 0).then_some(chunk))
    }

    /// Reads to the end of a response, whatever the end is.
    pub(crate) async fn read(&mut self) -> io::Result<Reply> {
        let mut reply = self.read_head().await?;
        if let Some(length) = reply.header("content-length") {
            let length: usize = length.parse().expect("a length");
            let mut rest = (&mut self.stream).take(length as u64);
            // A reset in the middle leaves what came before it.
            let _ = rest.read_to_end(&mut reply.body).await;
            reply.ended = reply.body.len() == length;
            return Ok(reply);
        }
        assert_eq!(reply.header("transfer-encoding"), Some("chunked"), "{reply:?}");
        loop {
            match self.read_chunk().await {
                Ok(Some(chunk)) => reply.body.extend(chunk),
                Ok(None) => {
                    reply.ended = true;
                    return Ok(reply);
                }
                Err(_) => return Ok(reply),
            }
        }
    }

    pub(crate) async fn post(&mut self, body: &Value) -> io::Result<Reply> {
        self.send("POST", CHAT, "", &body.to_string()).await?;
        self.read().await
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.send("GET", path, "", "").await?;
        self.read().await
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// A configuration without latency.
pub(crate) fn instant() -> SimConfigBuilder {
    SimConfig::builder().instant()
}

pub(crate) async fn start(builder: SimConfigBuilder) -> SimServer {
    SimServer::start(builder.build().unwrap()).await.unwrap()
}

pub(crate) fn request(prompt: &str) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": prompt}]})
}

pub(crate) fn stream_request(prompt: &str) -> Value {
    with(request(prompt), json!({"stream": true}))
}

pub(crate) fn with(mut request: Value, fields: Value) -> Value {
    let (Some(request_fields), Value::Object(fields)) = (request.as_object_mut(), fields) else {
        panic!("objects")
    };
    request_fields.extend(fields);
    request
}

/// Sends one request on a connection of its own.
pub(crate) async fn post(server: &SimServer, body: &Value) -> io::Result<Reply> {
    Client::connect(server.addr()).await.post(body).await
}

pub(crate) async fn ask(server: &SimServer, prompt: &str) -> Reply {
    post(server, &request(prompt)).await.unwrap()
}

pub(crate) async fn ask_stream(server: &SimServer, prompt: &str) -> Reply {
    post(server, &stream_request(prompt)).await.unwrap()
}

/// Fails a test that hangs, long after it should have ended.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("this should have ended long ago")
}
