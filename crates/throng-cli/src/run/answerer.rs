//! Who answers the calls of a command: the providers, or a simulated server that lives as long as the command.

use std::sync::Arc;
use std::time::Duration;

use throng_llm::{LlmClient, Price, Wire};
use throng_sim::{SimConfig, SimServer};
use tokio::runtime::Runtime;

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::provider::{Extras, Provider, Remote, SIM_MODEL, redact_url};
use crate::ui::Ui;

/// The server that was started for a command, and the clients of whoever answers.
pub(crate) struct Answerer {
    /// Who is asked first, and who is fallen back to, in order. Never empty.
    pub(crate) steps: Vec<Step>,
    /// What is said of the server.
    pub(crate) described: String,
    /// Keeps the simulated server alive.
    pub(crate) server: Option<SimServer>,
}

/// One of those who answer.
#[derive(Clone)]
pub(crate) struct Step {
    /// The client.
    pub(crate) client: Arc<dyn LlmClient>,
    /// The name of the provider; `None` of a simulated one.
    pub(crate) name: Option<String>,
    /// The model that is asked for.
    pub(crate) model: String,
    /// How it is spoken to.
    pub(crate) wire: Wire,
    /// What its tokens cost, if that is known.
    pub(crate) price: Option<Price>,
}

impl Answerer {
    /// Connects to the providers, or starts the simulated server.
    ///
    /// # Errors
    ///
    /// If a provider cannot be set up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future stops the server.
    pub(crate) async fn start(
        provider: &Provider,
        extras: &Extras,
        simulated: impl FnOnce() -> Result<SimConfig, throng_sim::InvalidConfig>,
        timeout: Option<Duration>,
    ) -> Result<Self, CliError> {
        let step = |remote: &Remote| {
            Ok::<_, CliError>(Step {
                client: extras.client(remote, timeout)?,
                name: Some(remote.name.clone()),
                model: remote.model.clone(),
                wire: remote.wire,
                price: extras.price(remote),
            })
        };
        let replayed = extras.replayed_from().map(|path| format!("recordings in {path}"));
        match provider {
            Provider::Remote(remotes) => {
                let names: Vec<String> = remotes
                    .iter()
                    .map(|remote| format!("{} at {}", remote.name, redact_url(&remote.base_url)))
                    .collect();
                Ok(Self {
                    steps: remotes.iter().map(step).collect::<Result<_, _>>()?,
                    described: replayed.unwrap_or_else(|| names.join(", else ")),
                    server: None,
                })
            }
            Provider::Sim { .. } => {
                let failed = |cause: &(dyn std::error::Error + 'static)| {
                    CliError::new(ExitStatus::Provider, "cannot start the simulated server").cause(cause)
                };
                let mut server = None;
                let mut remote = Remote::local("http://127.0.0.1/v1".to_owned(), SIM_MODEL);
                if replayed.is_none() {
                    let config = simulated().map_err(|error| failed(&error))?;
                    let started = SimServer::start(config).await.map_err(|error| failed(&error))?;
                    remote = Remote::local(started.base_url(), SIM_MODEL);
                    server = Some(started);
                }
                Ok(Self {
                    steps: vec![Step {
                        name: None,
                        ..step(&remote)?
                    }],
                    described: replayed.unwrap_or_else(|| format!("simulated server at {}", remote.base_url)),
                    server,
                })
            }
        }
    }

    /// Says who is asked, and warns of keys that go over the network unencrypted.
    pub(crate) fn announce(&self, provider: &Provider, extras: &Extras, ui: &Ui) {
        if extras.replayed_from().is_some() || provider.is_simulated() {
            ui.note(&self.described);
            return;
        }
        for (index, remote) in provider.remotes().iter().enumerate() {
            let line = remote.describe();
            ui.note(&if index == 0 {
                line
            } else {
                format!("falling back: {line}")
            });
            if remote.exposes_key() {
                ui.warn("the key goes over the network unencrypted, because the address begins with http://");
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
