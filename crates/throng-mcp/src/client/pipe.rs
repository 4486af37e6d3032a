//! One message a line, over the standard input and output of a child.
//!
//! A line that is too long breaks the connection: it held the answer to some call, and nobody can tell to which.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{ClientRequest, ErrorData, JsonRpcMessage, RequestId};
use rmcp::service::{RoleClient, RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::process::{CLOSED_INPUT, CLOSED_OUTPUT};

/// How long the output of a child that takes no more input is still read.
const LAST_WORDS: Duration = Duration::from_millis(200);

type Incoming = RxJsonRpcMessage<RoleClient>;

/// The pipes of a child.
pub(super) struct Pipe<R, W> {
    input: BufReader<R>,
    /// What was read of a line whose end has not come yet: reading can be dropped and taken up again.
    line: Vec<u8>,
    limit: usize,
    output: Arc<Mutex<Option<W>>>,
    /// Cancelled when the child takes no more input.
    deaf: CancellationToken,
    health: Arc<Health>,
}

enum Line {
    Whole,
    TooLong,
    End,
}

impl<R: AsyncRead + Send + Unpin, W> Pipe<R, W> {
    pub(super) fn new(input: R, output: W, limit: usize, health: Arc<Health>) -> Self {
        Self {
            input: BufReader::new(input),
            line: Vec::new(),
            limit,
            output: Arc::new(Mutex::new(Some(output))),
            deaf: CancellationToken::new(),
            health,
        }
    }

    async fn read_line(&mut self) -> io::Result<Line> {
        loop {
            let bytes = self.input.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(Line::End);
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(bytes.len(), |at| at + 1);
            if self.line.len() + taken > self.limit {
                return Ok(Line::TooLong);
            }
            self.line.extend(bytes.iter().take(taken));
            self.input.consume(taken);
            if end.is_some() {
                return Ok(Line::Whole);
            }
        }
    }

    /// Reads a message out of the line. What is none is passed over: servers print to their standard output by mistake.
    fn take_message(&mut self) -> Option<Incoming> {
        let line = self.line.trim_ascii();
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let message = match serde_json::from_slice(line) {
            Ok(message) => Some(message),
            Err(_) => broken_answer(line),
        };
        if message.is_none() && !line.is_empty() {
            tracing::debug!(
                bytes = line.len(),
                "An MCP server wrote a line that is no message."
            );
            self.health.stray(line);
        }
        self.line.clear();
        message
    }
}

impl<R, W> Transport<RoleClient> for Pipe<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let (output, health) = (Arc::clone(&self.output), Arc::clone(&self.health));
        let deaf = self.deaf.clone();
        async move {
            let mut bytes = serde_json::to_vec(&message)?;
            bytes.push(b'\n');
            let mut output = output.lock().await;
            let output = output.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let id = call_id(&message);
            if let Some(id) = id {
                health.sending(id.clone());
            }
            let written = match output.write_all(&bytes).await {
                Ok(()) => output.flush().await,
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                // Of a line that was not written to its end the child has read no message. What it said before it
                // closed its input is still to be read, so the connection ends there and not here.
                if let Some(id) = id {
                    health.was_sent(id);
                }
                health.fail(format!("{CLOSED_INPUT}: {error}"));
                deaf.cancel();
            }
            Ok(())
        }
    }

    async fn receive(&mut self) -> Option<Incoming> {
        loop {
            let deaf = self.deaf.clone();
            let line = tokio::select! {
                biased;
                line = self.read_line() => line,
                () = ends_after(&deaf) => return None,
            };
            match line {
                Ok(Line::Whole) => {
                    if let Some(message) = self.take_message() {
                        return Some(message);
                    }
                }
                Ok(Line::TooLong) => {
                    let limit = self.limit;
                    self.health
                        .fail(format!("it sent a message of more than {limit} bytes"));
                    return None;
                }
                Ok(Line::End) => {
                    self.health.fail(CLOSED_OUTPUT);
                    return None;
                }
                Err(error) => {
                    self.health
                        .fail(format!("its standard output cannot be read: {error}"));
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        self.output.lock().await.take();
        Ok(())
    }
}

/// Returns the id of a request that is a call of a tool.
fn call_id(message: &TxJsonRpcMessage<RoleClient>) -> Option<&RequestId> {
    match message {
        JsonRpcMessage::Request(request) if matches!(request.request, ClientRequest::CallToolRequest(_)) => {
            Some(&request.id)
        }
        _ => None,
    }
}

/// Waits a little longer than until the child takes no more input.
async fn ends_after(deaf: &CancellationToken) {
    deaf.cancelled().await;
    tokio::time::sleep(LAST_WORDS).await;
}

/// Makes an answer of a line that names a request and an error, but in no form that the protocol has: whoever waits for it
/// would wait for ever.
fn broken_answer(line: &[u8]) -> Option<Incoming> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let id: RequestId = serde_json::from_value(message.get("id")?.clone()).ok()?;
    let answer = message.get("error").or_else(|| message.get("result"))?;
    let text = format!("the answer is not in the form of the protocol: {answer}");
    Some(JsonRpcMessage::error(
        ErrorData::internal_error(text, None),
        Some(id),
    ))
}
