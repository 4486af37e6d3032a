//! A client that answers from recorded calls, through the same decoder and the same reading of statuses and headers as
//! the client that recorded them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::StreamExt;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::answer::status_error;
use super::cassette::{Cassette, How, Label, VERSION};
use super::headers::{Facts, location_host};
use super::transport::{ERROR_BODY_BYTES, Peer, within};
use crate::reply::Reply;
use crate::span::{CallSpan, record_failure};
use crate::wire::Decoder;
use crate::{
    CallContext, ErrorKind, EventStream, Fingerprint, Limits, LlmClient, LlmError, Request, Timeouts, Wire,
};

/// Answers calls from the files that a [`Recorder`](crate::Recorder) wrote, without a network.
///
/// A call finds its recording by its [`Fingerprint`] and its [`repeat`](CallContext::repeat). Of several recorded calls
/// (retries) the first call gets the first, and so on; after the last, the last is given again. A call that was not
/// recorded fails with [`ErrorKind::NotRecorded`].
///
/// The events are those of the recorded call, and an error has its kind, text, status, code, request id, limits and retry
/// advice; its source is a text. A timeout or a cancellation that was recorded comes again; a call that the caller had dropped
/// fails with [`ErrorKind::NotRecorded`] where the recording stops. Texts that were scrubbed read `[redacted]`. No clock
/// runs but the caller's deadline.
///
/// A replay needs the feature `http`, for the reading of headers.
#[derive(Clone)]
pub struct Replay(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    dir: PathBuf,
    provider: Arc<str>,
    calls: HashMap<(Fingerprint, u32), Arc<Recorded>>,
    limits: Limits,
    recorded_timing: bool,
}

/// The recordings of one request and repeat.
struct Recorded {
    /// In the order of their attempts.
    files: Vec<PathBuf>,
    next: Mutex<usize>,
}

/// A directory of recorded calls cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecording {
    /// The directory or a file cannot be read.
    #[error("recorded calls cannot be read at {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not a recorded call.
    #[error("{} is not a recorded call", path.display())]
    Format {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A file is of another version or of a wire that is not known.
    #[error("{} has version {version} and wire `{wire}`, which are not known", path.display())]
    Unknown {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Its wire.
        wire: String,
    },
}

impl Replay {
    /// Opens a directory of recorded calls. Every `.json` file in it is looked at, and read again when a call needs it.
    /// The provider is that of the recordings, or `replay` if they have several. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// [`InvalidRecording`] if the directory cannot be read or a file in it is not a recorded call.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, InvalidRecording> {
        let dir = dir.as_ref();
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| InvalidRecording::Read { path, source }
        };
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        let mut providers = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
            let path = entry.map_err(unreadable(dir))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let bytes = std::fs::read(&path).map_err(unreadable(&path))?;
            let label: Label = match serde_json::from_slice(&bytes) {
                Ok(label) => label,
                Err(source) => return Err(InvalidRecording::Format { path, source }),
            };
            if label.v != VERSION || label.wire().is_none() {
                let (version, wire) = (label.v, label.wire);
                return Err(InvalidRecording::Unknown { path, version, wire });
            }
            let files = found.entry((label.fingerprint, label.repeat)).or_default();
            files.push((label.attempt, path));
            providers.push(label.provider);
        }
        providers.sort_unstable();
        providers.dedup();
        let provider = match &providers[..] {
            [one] => one.as_str(),
            _ => "replay",
        };
        let calls = found.into_iter().map(|(key, mut files)| {
            files.sort_unstable();
            let files = files.into_iter().map(|(_, path)| path).collect();
            let next = Mutex::new(0);
            (key, Arc::new(Recorded { files, next }))
        });
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            provider: provider.into(),
            calls: calls.collect(),
            limits: Limits::default(),
            recorded_timing: false,
        })))
    }

    /// Gives answers with the delays with which they were recorded. By default they come at once.
    #[must_use]
    pub fn with_recorded_timing(mut self) -> Self {
        Arc::make_mut(&mut self.0).recorded_timing = true;
        self
    }

    /// Sets how much an answer may say: what the recording client had set, if it is not the default.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        Arc::make_mut(&mut self.0).limits = limits;
        self
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("dir", &self.0.dir)
            .field("provider", &self.0.provider)
            .field("calls", &self.0.calls.len())
            .finish_non_exhaustive()
    }
}

impl LlmClient for Replay {
    fn provider(&self) -> &str {
        &self.0.provider
    }

    fn call(
        &self,
        request: Arc<Request>,
        cx: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let inner = Arc::clone(&self.0);
        let span = CallSpan::open(&inner.provider, &request.model, "", &cx);
        let call = async move {
            let start = Instant::now();
            let answered = inner.answer(&request, &cx, start).await;
            answered.inspect_err(|error| record_failure(&Span::current(), error))
        };
        Box::pin(call.instrument(span))
    }
}

impl Inner {
    async fn answer(
        &self,
        request: &Request,
        cx: &CallContext,
        start: Instant,
    ) -> Result<EventStream, LlmError> {
        let fingerprint = request.fingerprint();
        let (model, repeat, dir) = (&request.model, cx.repeat(), self.dir.display());
        let not_recorded = |what: &str| {
            let message =
                format!("{what}: fingerprint {fingerprint}, model `{model}`, repeat {repeat}, in {dir}");
            LlmError::new(ErrorKind::NotRecorded, Arc::clone(&self.provider), message)
        };
        let calls = self.calls.get(&(fingerprint, repeat));
        let path = calls.and_then(|calls| calls.take());
        let path = path.ok_or_else(|| not_recorded("has no recording of this call"))?;
        let cassette = read(path)
            .await
            .map_err(|error| not_recorded("has lost its recording of this call").with_source(error))?;
        let Some(wire) = Wire::from_name(&cassette.wire) else {
            return Err(not_recorded("has a recording of a wire that is not known"));
        };
        let provider: Arc<str> = cassette.provider.as_str().into();
        let at = |ms| self.recorded_timing.then(|| start + Duration::from_millis(ms));
        let end = cassette
            .end(|| not_recorded("has only a part of this call, which was dropped when it was recorded"));
        let end_at = at(cassette.ended.at_ms);
        let Some(response) = &cassette.response else {
            wait(end_at, cx, &provider).await?;
            let error = end.unwrap_or_else(|| not_recorded("has no answer to this call"));
            return Err(error);
        };
        wait(at(response.at_ms), cx, &provider).await?;
        let headers = cassette.headers();
        let facts = Facts::read(response.status, &headers);
        let mut chunks = Vec::with_capacity(response.chunks.len());
        for chunk in &response.chunks {
            let bytes = chunk.bytes.bytes();
            let bytes = bytes.ok_or_else(|| not_recorded("has a recording with wrong base64"))?;
            chunks.push((at(chunk.at_ms), bytes));
        }
        if !(200..300).contains(&facts.status) {
            wait(end_at, cx, &provider).await?;
            if cassette.ended.how == How::Failed || cassette.ended.how == How::Dropped {
                return Err(end.unwrap_or_else(|| not_recorded("has no answer to this call")));
            }
            let mut body: Vec<u8> = chunks.iter().flat_map(|(_, bytes)| bytes).copied().collect();
            body.truncate(ERROR_BODY_BYTES);
            // It was recorded in full: the base does not matter.
            let location = Url::parse("http://localhost/")
                .ok()
                .and_then(|base| location_host(&headers, &base));
            return Err(status_error(&peer(provider), &facts, &body, location));
        }
        let decoder = Decoder::new(wire, provider, self.limits).with_headers(facts.request_id, facts.limits);
        let reply = Reply::new(body(chunks, end_at, end), decoder, no_clocks(), cx, start)
            .with_span(CallSpan::of(Span::current(), start));
        Ok(Box::pin(reply))
    }
}

impl Recorded {
    /// Returns the file for the next call.
    fn take(&self) -> Option<PathBuf> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.files.get(*next).cloned();
        *next = (*next + 1).min(self.files.len().saturating_sub(1));
        path
    }
}

impl Cassette {
    /// Returns the error with which the bytes end, if they do not end by themselves.
    fn end(&self, dropped: impl FnOnce() -> LlmError) -> Option<LlmError> {
        let error = match self.ended.how {
            How::Whole | How::Stopped => return None,
            How::Dropped => return Some(dropped()),
            How::Broken => LlmError::new(
                ErrorKind::Transport,
                self.provider.as_str(),
                "broke the connection",
            ),
            How::Failed => self.ended.failure.as_ref()?.error(&self.provider)?,
        };
        Some(match &self.ended.cause {
            Some(cause) => error.with_source(cause.clone()),
            None => error,
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in self.response.iter().flat_map(|response| &response.headers) {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.append(name, value);
            }
        }
        // Points in time are read against the server's clock, or else against that of the recording, not today's.
        if let Ok(date) = HeaderValue::from_str(&self.recorded_at) {
            headers.entry("date").or_insert(date);
        }
        headers
    }
}

fn no_clocks() -> Timeouts {
    Timeouts::default()
        .with_first_content(Duration::MAX)
        .with_idle(Duration::MAX)
        .with_total(Duration::MAX)
}

fn peer(provider: Arc<str>) -> Peer {
    Peer {
        provider,
        host: String::new(),
        secrets: Arc::new([]),
    }
}

async fn read(path: PathBuf) -> io::Result<Cassette> {
    let read = tokio::task::spawn_blocking(move || Ok(serde_json::from_slice(&std::fs::read(path)?)?));
    read.await.map_err(io::Error::other)?
}

/// Waits until a time that was recorded, unless the caller's deadline or cancellation comes first.
async fn wait(until: Option<Instant>, cx: &CallContext, provider: &Arc<str>) -> Result<(), LlmError> {
    let Some(until) = until else { return Ok(()) };
    let sleep = tokio::time::sleep_until(until);
    within(
        &peer(Arc::clone(provider)),
        sleep,
        &no_clocks(),
        cx,
        Instant::now(),
    )
    .await
}

/// Makes a body of recorded pieces, with the error that follows them.
fn body(
    chunks: Vec<(Option<Instant>, Bytes)>,
    end_at: Option<Instant>,
    end: Option<LlmError>,
) -> BoxStream<'static, Result<Bytes, LlmError>> {
    let pieces = chunks.into_iter().map(|(at, bytes)| (at, Some(Ok(bytes))));
    let pieces = pieces.chain([(end_at, end.map(Err))]);
    futures_util::stream::iter(pieces)
        .then(|(at, piece)| async move {
            if let Some(at) = at {
                tokio::time::sleep_until(at).await;
            }
            piece
        })
        .filter_map(std::future::ready)
        .boxed()
}
