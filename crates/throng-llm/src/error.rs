//! Why a call failed: one error type, and what each of its kinds means for a retry.
//!
//! The kinds are facts about the failure. Texts of servers are bounded, cleaned of control characters, and the keys
//! of the client are cut out of them before anybody sees them.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use throng_core::{Classify, ErrorClass};
#[cfg(feature = "http")]
use throng_core::{Secret, scrub};

use crate::{Clock, ErrorKind, Overflow, RateLimits, Received, Started};

/// How many bytes of a server's answer an error keeps.
pub(crate) const RAW_BODY_BYTES: usize = 8 * 1024;

/// How many bytes of a server's message an error's text shows.
const MESSAGE_BYTES: usize = 1024;

/// Why a call failed.
///
/// The text is one sentence that names the provider, the status, the provider's code and its message.
#[derive(Clone)]
pub struct LlmError(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    provider: Arc<str>,
    origin: Origin,
    status: Option<u16>,
    code: Option<String>,
    message: String,
    request_id: Option<String>,
    raw_body: Option<String>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    limits: RateLimits,
    received: Received,
    overflow: Overflow,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Who found the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// This side: the message completes a sentence that begins with the provider's name.
    Local,
    /// The server, by the status of its answer.
    Status,
    /// The server, within an answer that began well.
    InStream,
}

impl LlmError {
    /// Makes an error that this side found. The message completes a sentence that begins with the provider's name,
    /// such as `closed the connection`.
    pub fn new(kind: ErrorKind, provider: impl Into<Arc<str>>, message: impl AsRef<str>) -> Self {
        Self(Box::new(Inner {
            kind,
            provider: provider.into(),
            origin: Origin::Local,
            status: None,
            code: None,
            message: clean(message.as_ref(), MESSAGE_BYTES),
            request_id: None,
            raw_body: None,
            retry_after: None,
            should_retry: None,
            limits: RateLimits::default(),
            received: Received::default(),
            overflow: Overflow::default(),
            source: None,
        }))
    }

    /// Makes an error that the server reported by the status of its answer.
    pub fn from_status(
        kind: ErrorKind,
        provider: impl Into<Arc<str>>,
        status: u16,
        message: impl AsRef<str>,
    ) -> Self {
        let mut error = Self::new(kind, provider, message);
        error.0.origin = Origin::Status;
        error.0.status = Some(status);
        error
    }

    /// Makes an error that the server reported within an answer that began well.
    pub fn in_stream(kind: ErrorKind, provider: impl Into<Arc<str>>, message: impl AsRef<str>) -> Self {
        let mut error = Self::new(kind, provider, message);
        error.0.origin = Origin::InStream;
        error
    }

    /// Sets the provider's code.
    #[must_use]
    pub fn with_code(mut self, code: Option<String>) -> Self {
        self.0.code = code.map(|code| clean(&code, 128));
        self
    }

    /// Sets the request's id in the provider's logs.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.0.request_id = id.map(|id| clean(&id, 256));
        self
    }

    /// Sets the server's answer; it is cut at 8 KiB.
    #[must_use]
    pub fn with_raw_body(mut self, body: impl Into<String>) -> Self {
        let mut body = body.into();
        body.truncate(boundary(&body, RAW_BODY_BYTES));
        self.0.raw_body = Some(body);
        self
    }

    /// Sets how long the server asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.0.retry_after = after;
        self
    }

    /// Sets what the server said about trying again (`x-should-retry`). It overrides what the kind means.
    #[must_use]
    pub fn with_should_retry(mut self, should: Option<bool>) -> Self {
        self.0.should_retry = should;
        self
    }

    /// Sets the rate limits that came with the answer.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Sets how much of the answer had arrived.
    #[must_use]
    pub fn with_received(mut self, received: Received) -> Self {
        self.0.received = received;
        self
    }

    /// Sets how large the prompt is and may be.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.0.overflow = overflow;
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Sets what the headers of the answer said, unless it is known already.
    #[must_use]
    pub(crate) fn with_started(mut self, started: &Started) -> Self {
        self.0.request_id = self.0.request_id.or_else(|| started.request_id.clone());
        if self.0.limits.is_empty() {
            self.0.limits = started.limits;
        }
        self
    }

    /// Cuts the secrets out of everything that the server said.
    #[cfg(feature = "http")]
    #[must_use]
    pub(crate) fn without_secrets(mut self, secrets: &[Secret]) -> Self {
        let clean = |text: &mut String| {
            let scrubbed = scrub(text, secrets).into_owned();
            *text = scrubbed;
        };
        clean(&mut self.0.message);
        [&mut self.0.code, &mut self.0.request_id, &mut self.0.raw_body]
            .into_iter()
            .flatten()
            .for_each(clean);
        self
    }

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// Returns the name of the provider.
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// Returns the HTTP status of an answer that was an error by its status.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Returns the provider's code or type of the error, such as `insufficient_quota`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns the server's message, or what this side has to say; cut at 1 KiB.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the request's id in the provider's logs.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns what the server answered, cut at 8 KiB.
    pub fn raw_body(&self) -> Option<&str> {
        self.0.raw_body.as_deref()
    }

    /// Returns how long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the rate limits that came with the answer.
    pub fn limits(&self) -> &RateLimits {
        &self.0.limits
    }

    /// Returns how much of the answer had arrived.
    pub fn received(&self) -> Received {
        self.0.received
    }

    /// Returns how large the prompt is and may be, as far as the provider said, of a prompt that does not fit.
    pub fn overflow(&self) -> Overflow {
        self.0.overflow
    }

    /// Returns true if nothing of the answer had arrived: the call can be repeated without repeating text.
    pub fn before_first_content(&self) -> bool {
        !self.0.received.content
    }
}

impl Classify for LlmError {
    fn classify(&self) -> ErrorClass {
        let retry_after = self.0.retry_after;
        let class = match self.0.kind {
            ErrorKind::Auth
            | ErrorKind::BadRequest
            | ErrorKind::NotFound
            | ErrorKind::ContextOverflow
            | ErrorKind::QuotaExhausted
            | ErrorKind::ContentFilter
            | ErrorKind::TooLarge(_)
            | ErrorKind::Cancelled
            | ErrorKind::CostLimit
            | ErrorKind::UnknownPrice
            | ErrorKind::NotRecorded => ErrorClass::Permanent,
            ErrorKind::RateLimited => ErrorClass::Throttled { retry_after },
            ErrorKind::Overloaded => ErrorClass::Overloaded { retry_after },
            ErrorKind::Timeout(_) => ErrorClass::Timeout,
            ErrorKind::Server
            | ErrorKind::Connect
            | ErrorKind::Transport
            | ErrorKind::Protocol
            | ErrorKind::Truncated => match retry_after {
                Some(_) => ErrorClass::Overloaded { retry_after },
                None => ErrorClass::Transient,
            },
        };
        match self.0.should_retry {
            Some(false) => ErrorClass::Permanent,
            Some(true) if !class.is_retryable() && retry_after.is_some() => {
                ErrorClass::Throttled { retry_after }
            }
            Some(true) if !class.is_retryable() => ErrorClass::Transient,
            _ => class,
        }
    }
}

impl fmt::Display for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            provider,
            origin,
            status,
            code,
            message,
            received,
            ..
        } = &*self.0;
        f.write_str(provider)?;
        match (origin, status) {
            (Origin::Status, Some(status)) => write!(f, " answered {status}")?,
            (Origin::InStream, _) => f.write_str(" reported an error in its answer")?,
            _ => return write!(f, " {message}{}", Progress(kind, *received)),
        }
        if let Some(code) = code {
            write!(f, " ({code})")?;
        }
        if !message.is_empty() {
            write!(f, ": {message}")?;
        }
        write!(f, "{}", Progress(kind, *received))
    }
}

/// Says how much had arrived, for failures in the middle of an answer.
struct Progress<'a>(&'a ErrorKind, Received);

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Received {
            frames, text_bytes, ..
        } = self.1;
        match self.0 {
            ErrorKind::Timeout(Clock::Connect) | ErrorKind::Connect => Ok(()),
            ErrorKind::Timeout(_) | ErrorKind::Truncated | ErrorKind::Transport => {
                write!(f, ", after {frames} frames with {text_bytes} bytes of text")
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for LlmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("LlmError")
            .field("kind", &inner.kind)
            .field("provider", &inner.provider)
            .field("status", &inner.status)
            .field("code", &inner.code)
            .field("message", &inner.message)
            .field("request_id", &inner.request_id)
            .field("raw_body", &inner.raw_body)
            .field("retry_after", &inner.retry_after)
            .field("should_retry", &inner.should_retry)
            .field("received", &inner.received)
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl Error for LlmError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

/// Returns the text on one line without control characters, cut at so many bytes.
fn clean(text: &str, max: usize) -> String {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let cut = boundary(text, max);
    let mut clean: String = text[..cut]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if cut < text.len() {
        clean.push('…');
    }
    clean
}

/// Returns the end of the last character that ends within the first `max` bytes.
fn boundary(text: &str, max: usize) -> usize {
    (0..=max.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_sentence_with_status_code_and_message() {
        let error = LlmError::from_status(
            ErrorKind::QuotaExhausted,
            "openai",
            429,
            "You exceeded\nyour quota.",
        )
        .with_code(Some("insufficient_quota".into()));
        assert_eq!(
            error.to_string(),
            "openai answered 429 (insufficient_quota): You exceeded your quota."
        );
        let received = Received {
            frames: 3,
            text_bytes: 12,
            content: true,
        };
        let error = LlmError::new(
            ErrorKind::Truncated,
            "openai",
            "ended the stream before a finish reason",
        );
        assert_eq!(
            error.with_received(received).to_string(),
            "openai ended the stream before a finish reason, after 3 frames with 12 bytes of text"
        );
        let error = LlmError::in_stream(ErrorKind::Server, "openai", "").with_code(Some("500".into()));
        assert_eq!(error.to_string(), "openai reported an error in its answer (500)");
    }

    #[test]
    fn the_servers_word_on_retries_overrides_the_kind() {
        let after = Some(Duration::from_secs(3));
        let error = |kind, should| {
            LlmError::new(kind, "p", "")
                .with_should_retry(should)
                .with_retry_after(after)
        };
        assert_eq!(
            error(ErrorKind::RateLimited, Some(false)).classify(),
            ErrorClass::Permanent
        );
        assert_eq!(
            error(ErrorKind::BadRequest, Some(true)).classify(),
            ErrorClass::Throttled { retry_after: after }
        );
        assert_eq!(
            error(ErrorKind::RateLimited, None).classify(),
            ErrorClass::Throttled { retry_after: after }
        );
        assert_eq!(
            error(ErrorKind::Overloaded, Some(true)).classify(),
            ErrorClass::Overloaded { retry_after: after }
        );
        assert_eq!(
            error(ErrorKind::QuotaExhausted, None).classify(),
            ErrorClass::Permanent
        );
    }

    #[cfg(feature = "http")]
    #[test]
    fn secrets_are_cut_out_of_all_texts() {
        let secrets = [Secret::new("sk-secret-key")];
        let error = LlmError::from_status(ErrorKind::Auth, "openai", 401, "bad key sk-secret-key")
            .with_code(Some("sk-secret-key".into()))
            .with_request_id(Some("sk-secret-key".into()))
            .with_raw_body("{\"k\":\"sk-secret-key\"}")
            .without_secrets(&secrets);
        assert!(!format!("{error} {error:?}").contains("secret-key"), "{error:?}");
    }
}
