//! The HTTP client of the providers: one connection per call or a pooled one, no redirects, no retries, no proxies
//! from the environment, TLS by rustls with ring.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Url;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::Instant;

use crate::error::RAW_BODY_BYTES;
use crate::reply::timeout_message;
use crate::{CallContext, Clock, ErrorKind, InvalidConfig, LlmError, Secret, Timeouts};

use super::answer::status_error;
use super::headers::{self, Facts};
use super::tape::{Body, Tape};

/// How much of the body of an error is read; it is parsed before it is cut for the error.
pub(super) const ERROR_BODY_BYTES: usize = 8 * RAW_BODY_BYTES;

/// How long the body of an error is waited for: its status says enough.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// Makes the HTTP client for one server.
pub(super) fn client(
    url: &Url,
    connect: Duration,
    proxy: Option<&Secret>,
    reuse_connections: bool,
) -> Result<reqwest::Client, InvalidConfig> {
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .connect_timeout(connect)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .user_agent(concat!("throng-llm/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    if !reuse_connections {
        builder = builder.pool_max_idle_per_host(0);
    }
    let mut secure = url.scheme() == "https";
    if let Some(proxy) = proxy {
        let address = Url::parse(proxy.expose()).map_err(|_| InvalidConfig::Proxy)?;
        if !matches!(address.scheme(), "http" | "https") {
            return Err(InvalidConfig::Proxy);
        }
        secure |= address.scheme() == "https";
        builder = builder.proxy(reqwest::Proxy::all(address).map_err(|_| InvalidConfig::Proxy)?);
    }
    let tls = tls(secure).map_err(|error| InvalidConfig::Client {
        source: Arc::new(error),
    })?;
    let client = builder.tls_backend_preconfigured(tls).build();
    client.map_err(|error| InvalidConfig::Client {
        source: Arc::new(error.without_url()),
    })
}

/// Makes the TLS settings. For plain HTTP no certificates are loaded: a system may have none.
fn tls(secure: bool) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(if secure {
        builder.with_platform_verifier()?.with_no_client_auth()
    } else {
        builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    })
}

/// Who is called, for errors.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) provider: Arc<str>,
    /// `host:port`, and nothing else of the address.
    pub(super) host: String,
    pub(super) secrets: Arc<[Secret]>,
}

impl Peer {
    pub(super) fn error(&self, kind: ErrorKind, message: &str) -> LlmError {
        LlmError::new(kind, Arc::clone(&self.provider), message)
    }
}

/// Sends a request and waits for the beginning of the answer. An error status is an error.
///
/// # Errors
///
/// Every kind that can come before an answer begins. Secrets are not yet cut out.
pub(super) async fn send(
    peer: &Peer,
    request: reqwest::RequestBuilder,
    timeouts: &Timeouts,
    cx: &CallContext,
    start: Instant,
    tape: Option<&Tape>,
) -> Result<(Facts, Body), LlmError> {
    let sending = async {
        request
            .send()
            .await
            .map_err(|error| send_error(peer, timeouts, error))
    };
    let response = within(peer, sending, timeouts, cx, start).await??;
    let facts = Facts::read(response.status().as_u16(), response.headers());
    let location = headers::location_host(response.headers(), response.url());
    if let Some(tape) = tape {
        tape.head(facts.status, response.headers());
    }
    let mut body = Body::new(response, tape.cloned());
    if (200..300).contains(&facts.status) {
        return Ok((facts, body));
    }
    let mut error = Vec::new();
    let reading = tokio::time::timeout(ERROR_BODY_WAIT, async {
        while let Some(Ok(bytes)) = body.next().await {
            error.extend_from_slice(&bytes[..bytes.len().min(ERROR_BODY_BYTES - error.len())]);
            if error.len() == ERROR_BODY_BYTES {
                break;
            }
        }
    });
    // A body that breaks off or is late still leaves the status and what came of it.
    let _ = within(peer, reading, timeouts, cx, start).await?;
    Err(status_error(peer, &facts, &error, location))
}

fn send_error(peer: &Peer, timeouts: &Timeouts, error: reqwest::Error) -> LlmError {
    let error = error.without_url();
    let failure = if error.is_connect() && error.is_timeout() {
        let kind = ErrorKind::Timeout(Clock::Connect);
        let message = timeout_message(Clock::Connect, Some(timeouts.connect));
        peer.error(kind, &format!("{message} at {}", peer.host))
    } else if error.is_connect() {
        peer.error(ErrorKind::Connect, &format!("cannot be reached at {}", peer.host))
    } else if error.is_builder() {
        peer.error(ErrorKind::BadRequest, "request cannot be sent over HTTP")
    } else {
        peer.error(
            ErrorKind::Transport,
            &format!("at {} broke the connection before it answered", peer.host),
        )
    };
    failure.with_source(error)
}

/// Waits for a future under the clocks that run before an answer begins.
pub(super) async fn within<F: Future>(
    peer: &Peer,
    future: F,
    timeouts: &Timeouts,
    cx: &CallContext,
    start: Instant,
) -> Result<F::Output, LlmError> {
    let clocks = [
        start
            .checked_add(timeouts.first_content)
            .map(|at| (at, Clock::FirstContent, Some(timeouts.first_content))),
        start
            .checked_add(timeouts.total)
            .map(|at| (at, Clock::Total, Some(timeouts.total))),
        cx.deadline().map(|at| (at, Clock::Deadline, None)),
    ];
    let first = clocks.into_iter().flatten().min_by_key(|(at, _, _)| *at);
    let expired = async {
        match first {
            Some((at, clock, limit)) => {
                tokio::time::sleep_until(at).await;
                (clock, limit)
            }
            None => std::future::pending().await,
        }
    };
    let cancelled = async {
        match cx.cancellation() {
            Some(token) => token.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = cancelled => Err(peer.error(ErrorKind::Cancelled, "call was cancelled")),
        (clock, limit) = expired => {
            Err(peer.error(ErrorKind::Timeout(clock), &timeout_message(clock, limit)))
        }
        output = future => Ok(output),
    }
}
