//! The builder of a configuration: the settings with their defaults.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ApiKey, InvalidConfig, ParallelStatus, SimConfig, at_least_one};
use crate::fault::FaultMix;
use crate::latency::Latency;
use crate::limit::{Bucket, Counted, Rate};
use crate::script::{Behaviour, Match};
use crate::text::DEFAULT_OUTPUT_TOKENS;

/// The most tools that are called at once.
const MAX_PARALLEL_CALLS: NonZeroU32 = NonZeroU32::new(64).expect("64 is not 0");

/// Makes a [`SimConfig`].
#[derive(Clone, Debug)]
pub struct SimConfigBuilder {
    config: SimConfig,
    rpm: Option<u64>,
    rpm_burst: Option<u64>,
    tpm: Option<u64>,
    itpm: Option<u64>,
    otpm: Option<u64>,
    token_burst: Option<u64>,
    max_parallel: Option<(usize, ParallelStatus)>,
}

impl Default for SimConfigBuilder {
    fn default() -> Self {
        let config = SimConfig {
            seed: 0,
            first_token: Latency::LogNormal {
                median: Duration::from_millis(60),
                sigma: 0.4,
            },
            tokens_per_second: Some(400.0),
            output_tokens: DEFAULT_OUTPUT_TOKENS,
            reasoning_tokens: None,
            tool_rounds: 0,
            parallel_calls: NonZeroU32::MIN,
            variants: NonZeroU32::MIN,
            rates: Vec::new(),
            max_parallel: None,
            fail: 0.0,
            fault_mix: FaultMix::default(),
            slow_pause: Duration::from_millis(500),
            slow_pauses: 4,
            overload_retry_after: None,
            api_key: None,
            models: Vec::new(),
            script: Vec::new(),
            tracked_prompts: 1 << 20,
            log_entries: 100_000,
            log_prompt_chars: 80,
            log_file: None,
            max_body_bytes: 8 << 20,
            max_connections: 4096,
            read_timeout: Duration::from_secs(30),
        };
        Self {
            config,
            rpm: None,
            rpm_burst: None,
            tpm: None,
            itpm: None,
            otpm: None,
            token_burst: None,
            max_parallel: None,
        }
    }
}

impl SimConfigBuilder {
    /// Sets the seed of all decisions. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Sets the time to the first token. Default: log-normal with a median of 60 ms and a sigma of 0.4.
    #[must_use]
    pub fn first_token(mut self, latency: Latency) -> Self {
        self.config.first_token = latency;
        self
    }

    /// Sets how many tokens follow the first one in a second, for each choice; `None` sends them at once. Default
    /// 400.
    #[must_use]
    pub fn tokens_per_second(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.config.tokens_per_second = rate.into();
        self
    }

    /// Answers at once: no time to the first token and none between tokens.
    #[must_use]
    pub fn instant(self) -> Self {
        self.first_token(Latency::ZERO).tokens_per_second(None)
    }

    /// Sets how many tokens an answer has: every number of the range is as likely as any other. Default 8 to 60, at
    /// most 8,192.
    #[must_use]
    pub fn output_tokens(mut self, range: RangeInclusive<u32>) -> Self {
        self.config.output_tokens = range;
        self
    }

    /// Lets every answer begin with reasoning of so many tokens: every number of the range is as likely as any other.
    /// Default: no reasoning. At most 8,192.
    ///
    /// Requests that say that they want none (`thinking` of type `disabled`, `think` false, `includeThoughts` false)
    /// get none.
    #[must_use]
    pub fn reasoning_tokens(mut self, range: impl Into<Option<RangeInclusive<u32>>>) -> Self {
        self.config.reasoning_tokens = range.into();
        self
    }

    /// Lets the model call tools by itself: when a request has tools and leaves the choice to the model, `parallel` of
    /// them, at most 64, are called in each of the first `rounds` rounds, and then comes the text. Default 0 rounds.
    ///
    /// A round is a message with tool calls since the user last said something. The calls go through the tools in
    /// order, round by round; the arguments are what [`expected_arguments`](crate::expected_arguments) says.
    #[must_use]
    pub fn tool_rounds(mut self, rounds: u32, parallel: NonZeroU32) -> Self {
        self.config.tool_rounds = rounds;
        self.config.parallel_calls = parallel.min(MAX_PARALLEL_CALLS);
        self
    }

    /// Sets how many different answers a prompt has. Default 1.
    ///
    /// A request with the `seed` s gets number s mod `n`, from 0, and one without a seed gets number 0. For requests of
    /// one choice, number i is what [`SimConfig::expected_choice`] says of choice i.
    #[must_use]
    pub fn variants(mut self, n: NonZeroU32) -> Self {
        self.config.variants = n;
        self
    }

    /// Limits the requests per minute. Default: no limit.
    #[must_use]
    pub fn rpm(mut self, per_minute: impl Into<Option<u64>>) -> Self {
        self.rpm = per_minute.into();
        self
    }

    /// Sets how many requests may come at once within the limit. Default: one second's worth, at least 1.
    #[must_use]
    pub fn rpm_burst(mut self, burst: impl Into<Option<u64>>) -> Self {
        self.rpm_burst = burst.into();
        self
    }

    /// Limits input and output tokens together, per minute. A request is charged, when it is admitted, with the
    /// tokens of its prompt and of the whole answer. Default: no limit.
    #[must_use]
    pub fn tpm(mut self, per_minute: impl Into<Option<u64>>) -> Self {
        self.tpm = per_minute.into();
        self
    }

    /// Limits input tokens per minute. Default: no limit.
    #[must_use]
    pub fn itpm(mut self, per_minute: impl Into<Option<u64>>) -> Self {
        self.itpm = per_minute.into();
        self
    }

    /// Limits output tokens per minute. Default: no limit.
    #[must_use]
    pub fn otpm(mut self, per_minute: impl Into<Option<u64>>) -> Self {
        self.otpm = per_minute.into();
        self
    }

    /// Sets how many tokens may come at once within each token limit. Default: one second's worth, at least 1.
    #[must_use]
    pub fn token_burst(mut self, burst: impl Into<Option<u64>>) -> Self {
        self.token_burst = burst.into();
        self
    }

    /// Limits the requests that are worked on at a time; those beyond are answered with this status at once.
    /// Default: no limit.
    #[must_use]
    pub fn max_parallel(mut self, max: usize, status: ParallelStatus) -> Self {
        self.max_parallel = Some((max, status));
        self
    }

    /// Sets the share of the requests that meet a fault, from 0 to 1. Default 0.
    #[must_use]
    pub fn fail(mut self, share: f64) -> Self {
        self.config.fail = share;
        self
    }

    /// Sets which faults there are. Default: [`FaultMix::default`].
    #[must_use]
    pub fn fault_mix(mut self, mix: FaultMix) -> Self {
        self.config.fault_mix = mix;
        self
    }

    /// Sets how long and how often a reply with [`Fault::Slow`](crate::Fault::Slow) pauses: `times` pauses, spread
    /// over its tokens, as far as it has tokens. Default: 500 ms, 4 times.
    #[must_use]
    pub fn slow(mut self, pause: Duration, times: u32) -> Self {
        self.config.slow_pause = pause;
        self.config.slow_pauses = times;
        self
    }

    /// Sends `retry-after` with the faults that say the server is overloaded (503 and 529). Default: not sent.
    #[must_use]
    pub fn overload_retry_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.config.overload_retry_after = wait.into();
        self
    }

    /// Requires this key on every path but the one for health: as `authorization: Bearer KEY`, or as the wire has it
    /// (`x-api-key`, `x-goog-api-key`, the parameter `key`). Default: no key.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.config.api_key = Some(ApiKey(key.into()));
        self
    }

    /// Knows these models only; a request for another is answered with 404. Default: every name is accepted.
    #[must_use]
    pub fn models<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.config.models = names.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a rule of the script. The first rule that matches a request decides what it meets; see [`Match`].
    #[must_use]
    pub fn script(mut self, on: Match, behaviour: Behaviour) -> Self {
        self.config.script.push((on, behaviour));
        self
    }

    /// Sets of how many prompts the server counts the attempts. Default 1,048,576, which takes up to 40 MB.
    ///
    /// A prompt is forgotten at the earliest when half as many others have come since its last attempt; its next
    /// attempt then counts as its first.
    #[must_use]
    pub fn tracked_prompts(mut self, max: usize) -> Self {
        self.config.tracked_prompts = max;
        self
    }

    /// Sets how many requests the log in memory keeps, the oldest being dropped. Default 100,000. The counters of
    /// [`Stats`](crate::Stats) never drop anything.
    #[must_use]
    pub fn log_entries(mut self, max: usize) -> Self {
        self.config.log_entries = max;
        self
    }

    /// Sets how many characters of the prompt the log keeps. Default 80.
    #[must_use]
    pub fn log_prompt_chars(mut self, max: usize) -> Self {
        self.config.log_prompt_chars = max;
        self
    }

    /// Appends one JSON line to this file as each request ends. Default: no file.
    #[must_use]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config.log_file = Some(path.into());
        self
    }

    /// Sets the largest request body; a larger one is answered with 413. Default 8 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, max: usize) -> Self {
        self.config.max_body_bytes = max;
        self
    }

    /// Sets how many connections there may be; further ones wait to be accepted. Default 4,096.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.config.max_connections = max;
        self
    }

    /// Sets how long a client may take to send the head of a request, and again to send its body. An idle
    /// connection is closed after the same time. Default 30 s.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.config.read_timeout = timeout;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// Returns the first setting whose value is not possible.
    pub fn build(self) -> Result<SimConfig, InvalidConfig> {
        let Self {
            mut config,
            rpm,
            rpm_burst,
            tpm,
            itpm,
            otpm,
            token_burst,
            max_parallel,
        } = self;
        let rates = [
            rate("rpm", Counted::Requests, rpm, "rpm_burst", rpm_burst)?,
            rate("tpm", Counted::Tokens, tpm, "token_burst", token_burst)?,
            rate("itpm", Counted::InputTokens, itpm, "token_burst", token_burst)?,
            rate("otpm", Counted::OutputTokens, otpm, "token_burst", token_burst)?,
        ];
        config.rates = rates.into_iter().flatten().collect();
        if let Some((max, status)) = max_parallel {
            let max = NonZeroUsize::new(max).ok_or_else(|| at_least_one("max_parallel"))?;
            config.max_parallel = Some((max, status));
        }
        config.check()?;
        Ok(config)
    }
}

fn rate(
    setting: &'static str,
    counted: Counted,
    per_minute: Option<u64>,
    burst_setting: &'static str,
    burst: Option<u64>,
) -> Result<Option<Rate>, InvalidConfig> {
    let Some(per_minute) = per_minute else {
        return Ok(None);
    };
    let per_minute = NonZeroU64::new(per_minute).ok_or_else(|| at_least_one(setting))?;
    let burst = match burst {
        None => Bucket::default_burst(per_minute),
        Some(burst) => NonZeroU64::new(burst).ok_or_else(|| at_least_one(burst_setting))?,
    };
    Ok(Some(Rate {
        counted,
        per_minute,
        burst,
    }))
}
