//! The beginning of a session, and what can go wrong with it.

use rmcp::model::ProtocolVersion;
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, RoleClient, RunningService, serve_client_with_lifecycle,
};
use rmcp::transport::Transport;
use throng_core::scrub;

use super::handler::Handler;
use super::health::Health;
use super::process::{Process, how_it_broke};
use super::text::{causes, error_text, shorten};
use crate::{McpConfig, McpError, McpErrorKind, Protocol};

/// Begins a session over a transport.
pub(super) async fn begin<T>(
    config: &McpConfig,
    handler: Handler,
    transport: T,
    process: Option<(&Process, &Health)>,
) -> Result<RunningService<RoleClient, Handler>, McpError>
where
    T: Transport<RoleClient> + 'static,
{
    let lifecycle = match config.protocol {
        Protocol::Auto => ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        },
        Protocol::Discover => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
        Protocol::Initialize => ClientLifecycleMode::Initialize,
    };
    let mut handler = handler;
    if config.protocol == Protocol::Initialize {
        handler.only_initialize();
    }
    let begun = Box::pin(serve_client_with_lifecycle(handler, transport, lifecycle));
    let after = config.startup_timeout;
    let error = match tokio::time::timeout(after, begun).await {
        Ok(Ok(service)) => return Ok(service),
        Ok(Err(error)) => error,
        Err(_) => {
            return Err(McpError::new(
                &config.name,
                McpErrorKind::StartupTimeout { after },
            ));
        }
    };
    let secrets = config.secrets();
    let kind = match innermost(error) {
        ClientInitializeError::JsonRpcError(error) => McpErrorKind::Refused {
            message: shorten(&scrub(&error_text(&error), &secrets)),
        },
        ClientInitializeError::NoCompatibleProtocolVersion { server_supported, .. } => {
            let offered: Vec<_> = server_supported.iter().map(ToString::to_string).collect();
            McpErrorKind::Version {
                offered: shorten(&offered.join(", ")),
            }
        }
        ClientInitializeError::ConnectionClosed(_) | ClientInitializeError::TransportError { .. }
            if process.is_some() =>
        {
            let how = match process {
                Some((process, health)) => how_it_broke(process, health).await,
                None => String::new(),
            };
            McpErrorKind::Ended {
                how: scrub(&how, &secrets).into_owned(),
            }
        }
        #[cfg(feature = "http")]
        ClientInitializeError::TransportError { error, .. } => {
            return Err(super::http::start_error(config, &error, &secrets));
        }
        other => McpErrorKind::Refused {
            message: shorten(&scrub(&causes(&other), &secrets)),
        },
    };
    Err(McpError::new(&config.name, kind))
}

/// Returns what the last attempt to begin a session met.
fn innermost(error: ClientInitializeError) -> ClientInitializeError {
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => innermost(*fallback),
        other => other,
    }
}
