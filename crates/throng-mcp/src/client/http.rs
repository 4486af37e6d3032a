//! Streamable HTTP: the client with its TLS, and what a failed request means.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use rmcp::service::RoleClient;
use rmcp::transport::common::client_side_sse::ExponentialBackoff;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig, StreamableHttpError,
};
use rmcp::transport::{DynamicTransportError, Transport};
use rustls_platform_verifier::BuilderVerifierExt;
use throng_core::{Secret, scrub};

use super::Failure;
use super::health::Health;
use super::text::{causes, shorten};
use crate::config::Http;
use crate::{McpConfig, McpError, McpErrorKind};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a stream that broke off is asked for the rest. The server keeps what it says again, so nothing is done twice.
const RESUMES: usize = 3;

/// Makes the transport. Nothing is sent yet.
pub(super) fn transport(
    config: &McpConfig,
    http: &Http,
) -> Result<impl Transport<RoleClient> + 'static, McpError> {
    let invalid = |reason: String| McpError::new(&config.name, McpErrorKind::Address { reason });
    let uri: Uri = match http.url.parse() {
        Ok(uri) => uri,
        Err(error) => return Err(invalid("its URL is none".to_owned()).with_source(error)),
    };
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => {
            return Err(invalid(
                "its URL begins with neither http:// nor https://".to_owned(),
            ));
        }
    };
    let mut headers = HashMap::new();
    for (name, value) in &http.headers {
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| invalid(format!("`{name}` is no name of a header")))?;
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| invalid(format!("the value of the header `{name}` cannot be sent")))?;
        value.set_sensitive(true);
        headers.insert(parsed, value);
    }
    let limits = config.limits;
    let mut settings =
        StreamableHttpClientTransportConfig::with_uri(http.url.as_str()).custom_headers(headers);
    if let Some(token) = &http.bearer {
        if HeaderValue::from_str(token.expose()).is_err() {
            return Err(invalid("the bearer token cannot be sent in a header".to_owned()));
        }
        settings = settings.auth_header(token.expose());
    }
    settings.max_sse_event_size = limits.message_bytes;
    settings.max_json_response_size = limits.message_bytes;
    settings.allow_stateless = true;
    let mut resume = ExponentialBackoff::default();
    resume.max_times = Some(RESUMES);
    resume.base_duration = Duration::from_millis(250);
    settings.retry_config = Arc::new(resume);
    // The executor decides how many calls run at a time; what waits here would count as running.
    settings.max_concurrent_requests = 1024;
    let client = client(secure).map_err(|error| match error {
        ClientError::Tls(error) => invalid("TLS cannot be set up".to_owned()).with_source(error),
        ClientError::Http(error) => invalid("the HTTP client cannot be made".to_owned()).with_source(error),
    })?;
    Ok(StreamableHttpClientTransport::with_client(client, settings))
}

enum ClientError {
    Tls(rustls::Error),
    Http(reqwest::Error),
}

/// Makes the HTTP client: no redirects, no proxies from the environment, TLS by rustls with ring.
fn client(secure: bool) -> Result<reqwest::Client, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?;
    // For plain HTTP no certificates are loaded: a system may have none.
    let tls = if secure {
        tls.with_platform_verifier()
            .map_err(ClientError::Tls)?
            .with_no_client_auth()
    } else {
        tls.with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    };
    reqwest::Client::builder()
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .user_agent(concat!("throng-mcp/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| ClientError::Http(error.without_url()))
}

/// Finds what the HTTP transport said.
fn transport_error(error: &DynamicTransportError) -> Option<&StreamableHttpError<reqwest::Error>> {
    error.error.downcast_ref()
}

/// Says what a request of a call met, and whether the server may have seen it.
pub(super) fn failure(
    error: &DynamicTransportError,
    health: &Health,
    clean: impl Fn(&str) -> String,
) -> Failure {
    use StreamableHttpError as E;
    let text = || clean(&causes(error.error.as_ref()));
    match transport_error(error) {
        Some(E::Client(error)) if error.is_connect() => Failure::NotSent(text()),
        Some(E::SessionExpired) => {
            // The next call begins a new session.
            health.fail("the session is gone");
            Failure::NotSent(text())
        }
        Some(E::HttpStatus(status)) if matches!(status.status, 429 | 503) => Failure::Busy {
            message: text(),
            throttled: status.status == 429,
            retry_after: status
                .retry_after
                .as_deref()
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs),
        },
        Some(E::AuthRequired(_) | E::InsufficientScope(_) | E::ReservedHeaderConflict(_)) => {
            Failure::Refused {
                message: text(),
                internal: false,
            }
        }
        _ => Failure::Lost(text()),
    }
}

/// Says what the first request met.
pub(super) fn start_error(config: &McpConfig, error: &DynamicTransportError, secrets: &[Secret]) -> McpError {
    use StreamableHttpError as E;
    let text = shorten(&scrub(&causes(error.error.as_ref()), secrets));
    match transport_error(error) {
        Some(E::Client(_)) | None => {
            McpError::new(&config.name, McpErrorKind::Connect).with_source(Cause(text))
        }
        Some(_) => McpError::new(&config.name, McpErrorKind::Refused { message: text }),
    }
}

/// The text of an error whose secrets have been cut out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);
