//! The answer to an HTTP call: how it becomes a result, and what its status means for a retry.

use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use throng_core::ErrorClass;
use tokio::time::timeout;

use crate::output::excerpt;
use crate::{OutputKind, ToolError};

/// How much of the body of an error is read, and how long it is waited for: its status says enough.
const ERROR_BYTES: usize = 8 * 1024;
const ERROR_WAIT: Duration = Duration::from_secs(5);
/// How much of it is put into the error.
const SAID_BYTES: usize = 1024;
/// A longer wait than this is taken for nonsense.
const MAX_WAIT: Duration = Duration::from_secs(366 * 86_400);
/// A shorter secret is not looked for in answers: it would match ordinary words.
const MIN_SCRUBBED: usize = 4;

/// How the body of an answer becomes the result of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnswerKind {
    /// JSON if the answer says that it is, else text. An empty body is null.
    #[default]
    Auto,
    /// As the output of a command would.
    As(OutputKind),
}

/// Reads answers.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) kind: AnswerKind,
    pub(super) max_bytes: usize,
    pub(super) secrets: Vec<String>,
}

/// Why the body of an answer was not read to its end.
enum Cut {
    Long,
    Broken(reqwest::Error),
}

impl Reader {
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// If its status is no success, if its body breaks off or is too long, or if it is no JSON and has to be.
    pub(super) async fn read(&self, response: Response) -> Result<Value, ToolError> {
        let status = response.status();
        if !status.is_success() {
            return Err(self.failure(status, response).await);
        }
        let says_json = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.to_ascii_lowercase().contains("json"));
        let (body, cut) = bytes(response, self.max_bytes).await;
        match cut {
            None => {}
            Some(Cut::Long) => {
                let text = format!("the answer is longer than {} bytes", self.max_bytes);
                return Err(ToolError::permanent(text));
            }
            Some(Cut::Broken(error)) => {
                let text = format!(
                    "the answer broke off after {} bytes: {}",
                    body.len(),
                    causes(&error)
                );
                return Err(ToolError::transient(text).unknown_outcome());
            }
        }
        let text = self.scrub(&body);
        let kind = match self.kind {
            AnswerKind::Auto if text.is_empty() => return Ok(Value::Null),
            AnswerKind::Auto if says_json => OutputKind::Json,
            AnswerKind::Auto => OutputKind::Text,
            AnswerKind::As(kind) => kind,
        };
        kind.read(&text).map_err(|error| {
            let said = excerpt(&text, 200);
            ToolError::permanent(format!("the answer is no JSON: {error}: {said}"))
        })
    }

    /// Makes the error of a request that got no answer.
    pub(super) fn send_error(&self, host: &str, error: &reqwest::Error) -> ToolError {
        let cause = self.scrub(causes(error).as_bytes());
        if error.is_connect() {
            ToolError::transient(format!("{host} cannot be reached: {cause}"))
        } else if error.is_builder() {
            ToolError::permanent(format!("the request to {host} cannot be made: {cause}"))
        } else {
            let text = format!("{host} broke the connection before it answered: {cause}");
            ToolError::transient(text).unknown_outcome()
        }
    }

    async fn failure(&self, status: StatusCode, response: Response) -> ToolError {
        let retry_after = retry_after(response.headers());
        let text = match timeout(ERROR_WAIT, bytes(response, ERROR_BYTES)).await {
            Ok((body, _)) => excerpt(&self.scrub(&body), SAID_BYTES),
            Err(_) => String::new(),
        };
        let mut message = format!("the server answered with status {status}");
        if !text.is_empty() {
            message.push_str(": ");
            message.push_str(&text);
        }
        let class = match status.as_u16() {
            429 => ErrorClass::Throttled { retry_after },
            503 | 529 => ErrorClass::Overloaded { retry_after },
            408 | 425 | 500.. => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        };
        let error = ToolError {
            class,
            ..ToolError::permanent(message)
        };
        // A server that says when to come back has not begun; a proxy before a broken one cannot say what it has done.
        let refused =
            matches!(class, ErrorClass::Throttled { .. }) || retry_after.is_some() && class.is_pushback();
        if status.is_server_error() && !refused {
            error.unknown_outcome()
        } else {
            error
        }
    }

    /// Returns the text of bytes, with secrets cut out that a server echoes.
    fn scrub(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.secrets
            .iter()
            .filter(|secret| secret.len() >= MIN_SCRUBBED)
            .fold(text, |text, secret| {
                if text.contains(secret.as_str()) {
                    text.replace(secret.as_str(), "[redacted]")
                } else {
                    text
                }
            })
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("kind", &self.kind)
            .field("max_bytes", &self.max_bytes)
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// Reads a body up to a length.
async fn bytes(mut response: Response, most: usize) -> (Vec<u8>, Option<Cut>) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return (body, None),
            Ok(Some(chunk)) => {
                let (taken, rest) = chunk.split_at(chunk.len().min(most - body.len()));
                body.extend_from_slice(taken);
                if !rest.is_empty() {
                    return (body, Some(Cut::Long));
                }
            }
            Err(error) => return (body, Some(Cut::Broken(error))),
        }
    }
}

/// Returns the causes of an error, and not the URL, which may hold what nobody should read.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Reads `retry-after-ms` (milliseconds), else `retry-after` (seconds or an HTTP date).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let get = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let seconds = |text: &str, unit: f64| {
        let wait = Duration::try_from_secs_f64(text.parse::<f64>().ok()? * unit).ok();
        wait.filter(|wait| *wait <= MAX_WAIT)
    };
    let ms = get(HeaderName::from_static("retry-after-ms"));
    if let Some(wait) = ms.and_then(|text| seconds(text, 1e-3)) {
        return Some(wait);
    }
    let text = get(RETRY_AFTER)?;
    seconds(text, 1.0).or_else(|| {
        let until = httpdate::parse_http_date(text).ok()?;
        // The server's own clock, if it says what it shows; the two clocks may differ.
        let now = get(DATE)
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .unwrap_or_else(SystemTime::now);
        Some(until.duration_since(now).unwrap_or_default()).filter(|wait| *wait <= MAX_WAIT)
    })
}
