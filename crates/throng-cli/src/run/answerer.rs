//! Who answers the calls of a command: the provider, or a simulated server that lives as long as the command.

use std::sync::Arc;
use std::time::Duration;

use throng_llm::LlmClient;
use throng_sim::{SimConfig, SimServer};
use tokio::runtime::Runtime;

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::provider::{self, Provider, Remote, SIM_MODEL};

/// The server that was started for a command, and the client of whoever answers.
pub(crate) struct Answerer {
    /// The client.
    pub(crate) client: Arc<dyn LlmClient>,
    /// What is said of the server.
    pub(crate) described: String,
    /// Keeps the simulated server alive.
    pub(crate) server: Option<SimServer>,
}

impl Answerer {
    /// Connects to the provider, or starts the simulated server.
    ///
    /// # Errors
    ///
    /// If the provider cannot be set up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future stops the server.
    pub(crate) async fn start(
        provider: &Provider,
        simulated: impl FnOnce() -> Result<SimConfig, throng_sim::InvalidConfig>,
        timeout: Option<Duration>,
    ) -> Result<Self, CliError> {
        match provider {
            Provider::OpenAi(remote) => Ok(Self {
                client: remote.client(timeout)?,
                described: format!("openai at {}", provider::redact_url(&remote.base_url)),
                server: None,
            }),
            Provider::Sim { .. } => {
                let failed = |cause: &(dyn std::error::Error + 'static)| {
                    CliError::new(ExitStatus::Provider, "cannot start the simulated server").cause(cause)
                };
                let config = simulated().map_err(|error| failed(&error))?;
                let server = SimServer::start(config).await.map_err(|error| failed(&error))?;
                let remote = Remote {
                    base_url: server.base_url(),
                    model: SIM_MODEL.to_owned(),
                    key: None,
                    origin: None,
                };
                Ok(Self {
                    client: remote.client(timeout)?,
                    described: format!("simulated server at {}", remote.base_url),
                    server: Some(server),
                })
            }
        }
    }
}

/// Makes the runtime of a command.
///
/// # Errors
///
/// If the system has no threads left.
pub(crate) fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage("cannot start the runtime").cause(&error))
}
