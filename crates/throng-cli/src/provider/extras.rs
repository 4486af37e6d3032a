//! What stands between a run and its providers: recordings, a cache, and the bill with its limit.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use throng_llm::{
    Cache, CacheStore, Cost, LlmClient, Metered, Price, PriceTable, Recorder, Replay, Spending,
};
use tokio::sync::Notify;

use super::remote::{Remote, cannot};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Layers, Settings, Value};

/// What stands between a run and its providers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    recorder: Option<Recorder>,
    replay: Option<(Replay, String)>,
    store: Option<CacheStore>,
    prices: Arc<PriceTable>,
    /// What was spent so far.
    pub(crate) spending: Spending,
    /// Ends a run that has spent enough.
    pub(crate) stop: Option<Arc<Stop>>,
}

/// Ends a run when a sum is spent.
#[derive(Debug)]
pub(crate) struct Stop {
    max: Cost,
    spending: Spending,
    /// Calls that were not sent because of it.
    unsent: AtomicU64,
    reached: Notify,
}

impl Stop {
    /// Takes the end of a call; `refused` if it was not sent.
    pub(crate) fn observe(&self, refused: bool) {
        if refused {
            self.unsent.fetch_add(1, Ordering::SeqCst);
        }
        if self.is_reached() {
            self.reached.notify_one();
        }
    }

    /// Returns true if the sum is spent.
    pub(crate) fn is_reached(&self) -> bool {
        self.spending.total().cost >= self.max
    }

    /// Waits until the sum is spent.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Returns how many calls were not sent because of it.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::SeqCst)
    }

    /// Returns the sum.
    pub(crate) const fn max(&self) -> Cost {
        self.max
    }
}

impl Extras {
    /// Reads the settings and opens what they name. `models` are those that will be asked.
    ///
    /// # Errors
    ///
    /// If settings contradict each other, a directory or file cannot be used, or a limit is set and a price is not known.
    pub(crate) fn of(
        settings: &Settings,
        layers: &Layers,
        remotes: &[Remote],
        model: &str,
    ) -> Result<Self, CliError> {
        let spending = Spending::new();
        let mut extras = Self {
            prices: prices(settings)?,
            spending: spending.clone(),
            ..Self::default()
        };
        let (record, replay) = (settings.path("run.record"), settings.path("run.replay"));
        let cache = match settings.get("run.cache") {
            Some((Value::Path(path), _)) => Some(path.clone()),
            Some((Value::Switch(true), _)) => Some(layers.cache_folder.clone().ok_or_else(|| {
                CliError::usage("--cache finds no folder for caches of this user")
                    .hint("name one: --cache=DIR")
            })?),
            _ => None,
        };
        if replay.is_some() && (record.is_some() || cache.is_some()) {
            let other = if record.is_some() { "--record" } else { "--cache" };
            return Err(
                CliError::usage(format!("--replay and {other} contradict each other"))
                    .hint("--replay answers from recordings alone: keep one of them"),
            );
        }
        if let Some(max) = settings.cost("run.max-cost") {
            let unknown = |provider: &str, model: &str| {
                CliError::usage(format!("the price of the model {model:?} of {provider} is not known, so --max-cost cannot be kept"))
                    .hint("give its prices in a file: --prices FILE, such as \
                           {\"MODEL\": {\"input_cost_per_token\": 1e-7, \"output_cost_per_token\": 4e-7}}")
            };
            for remote in remotes {
                if remote.price(&extras.prices).is_none() {
                    return Err(unknown(&remote.name, &remote.model));
                }
            }
            if remotes.is_empty() && extras.prices.price("", model).is_none() {
                return Err(unknown("the simulated server", model));
            }
            extras.stop = Some(Arc::new(Stop {
                max,
                spending,
                unsent: AtomicU64::new(0),
                reached: Notify::new(),
            }));
        }
        if let Some(path) = replay {
            let replay = Replay::open(path).map_err(|error| {
                CliError::usage(format!("cannot replay {}", path.display()))
                    .cause(&error)
                    .hint("name a folder that --record has filled")
            })?;
            extras.replay = Some((replay, path.display().to_string()));
        }
        if let Some(path) = record {
            let recorder = Recorder::create(path).map_err(|error| {
                CliError::usage(format!("cannot record into {}", path.display()))
                    .cause(&error)
                    .hint("name a folder that can be written to")
            })?;
            extras.recorder = Some(recorder);
        }
        if let Some(path) = cache {
            let store = CacheStore::in_dir(&path).map_err(|error| {
                CliError::usage(format!("cannot use {} as a cache", path.display()))
                    .cause(&error)
                    .hint("name a folder that can be written to: --cache=DIR")
            })?;
            extras.store = Some(store);
        }
        Ok(extras)
    }

    /// Makes the client of a server.
    ///
    /// # Errors
    ///
    /// If the address or the key cannot be used.
    pub(crate) fn client(
        &self,
        remote: &Remote,
        attempt: Option<Duration>,
    ) -> Result<Arc<dyn LlmClient>, CliError> {
        let client: Arc<dyn LlmClient> = match &self.replay {
            Some((replay, _)) => Arc::new(replay.clone()),
            None => {
                let mut builder = remote.builder(attempt);
                if let Some(recorder) = &self.recorder {
                    builder = builder.record(recorder.clone());
                }
                Arc::new(builder.build().map_err(|error| cannot(&error))?)
            }
        };
        let metered = Metered::new(client, Arc::clone(&self.prices)).with_spending(self.spending.clone());
        let client: Arc<dyn LlmClient> = match &self.stop {
            Some(stop) => Arc::new(metered.with_max_cost(stop.max())),
            None => Arc::new(metered),
        };
        Ok(match &self.store {
            // The same model may be another at another address.
            Some(store) => {
                let namespace = format!("{} {}", remote.wire, remote.base_url);
                Arc::new(Cache::new(client, store.clone()).with_namespace(namespace))
            }
            None => client,
        })
    }

    /// Returns the price of a server's model.
    pub(crate) fn price(&self, remote: &Remote) -> Option<Price> {
        remote.price(&self.prices)
    }

    /// Says where answers come from instead of the provider.
    pub(crate) fn replayed_from(&self) -> Option<&str> {
        self.replay.as_ref().map(|(_, path)| path.as_str())
    }

    /// Returns what was spent, if a price was known.
    pub(crate) fn cost(&self) -> Option<Cost> {
        let total = self.spending.total();
        // The meter is behind the cache, so that what the cache answered is not on it.
        let all_kept = total.calls == 0 && self.cache_hits().is_some_and(|hits| hits > 0);
        (all_kept || total.cost > Cost::ZERO).then_some(total.cost)
    }

    /// Returns how many answers came from the cache, if there is one.
    pub(crate) fn cache_hits(&self) -> Option<u64> {
        self.store.as_ref().map(CacheStore::hits)
    }

    /// Waits until everything is recorded.
    ///
    /// # Errors
    ///
    /// If something could not be written.
    pub(crate) async fn flush(&self) -> Result<(), CliError> {
        let Some(recorder) = &self.recorder else {
            return Ok(());
        };
        recorder.flush().await.map_err(|error| {
            CliError::new(ExitStatus::SomeFailed, "not every call could be recorded")
                .cause(&error)
                .hint("the results are not affected; free some space and record again")
        })
    }
}

/// Returns the prices that are known: those of `--prices` win over those that the program carries.
pub(crate) fn prices(settings: &Settings) -> Result<Arc<PriceTable>, CliError> {
    const MAX_BYTES: u64 = 64 << 20;
    let known = PriceTable::builtin();
    let Some(path) = settings.path("run.prices") else {
        return Ok(known);
    };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        CliError::usage(format!("cannot read prices from {}", path.display()))
            .cause(error)
            .hint("it must be JSON as in {\"MODEL\": {\"input_cost_per_token\": 1e-7, \"output_cost_per_token\": 4e-7}}")
    };
    let data = fs::metadata(path).map_err(|error| failed(&error))?;
    if data.len() > MAX_BYTES {
        return Err(
            CliError::usage(format!("the file {} is over 64 MiB", path.display()))
                .hint("name a table of prices"),
        );
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    let own = PriceTable::from_json(&text).map_err(|error| failed(&error))?;
    Ok(Arc::new(known.merged(own)))
}
