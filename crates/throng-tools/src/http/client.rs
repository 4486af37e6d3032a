//! The HTTP client of tools: no redirects of its own, no retries, no proxies from the environment, TLS by rustls with ring.

use std::sync::Arc;
use std::time::Duration;

use rustls_platform_verifier::BuilderVerifierExt;

use crate::InvalidSetting;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes a client.
///
/// # Errors
///
/// If the certificates of the system cannot be loaded, and `secure` says that they will be needed.
pub(crate) fn client(secure: bool) -> Result<reqwest::Client, InvalidSetting> {
    let wrong =
        |error: &dyn std::fmt::Display| InvalidSetting::new("url", format!("TLS cannot be set up: {error}"));
    let tls = tls(secure).map_err(|error| wrong(&error))?;
    reqwest::Client::builder()
        .http1_only()
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .tcp_nodelay(true)
        .user_agent(concat!("throng-tools/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| wrong(&error.without_url()))
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
