//! The configuration of a server. It is checked once, when it is built.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::builder::SimConfigBuilder;
use crate::fault::FaultMix;
use crate::hash::prompt_hash;
use crate::latency::{LONGEST, Latency};
use crate::limit::Rate;
use crate::script::{Behaviour, Match};
use crate::text::{answer, reasoning};

/// The longest answer that can be configured, in tokens.
const MAX_OUTPUT_TOKENS: u32 = 8_192;

/// What a server does. Made by [`SimConfig::builder`].
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub(crate) seed: u64,
    pub(crate) first_token: Latency,
    pub(crate) tokens_per_second: Option<f64>,
    pub(crate) output_tokens: RangeInclusive<u32>,
    pub(crate) reasoning_tokens: Option<RangeInclusive<u32>>,
    pub(crate) tool_rounds: u32,
    pub(crate) parallel_calls: NonZeroU32,
    pub(crate) variants: NonZeroU32,
    pub(crate) rates: Vec<Rate>,
    pub(crate) max_parallel: Option<(NonZeroUsize, ParallelStatus)>,
    pub(crate) fail: f64,
    pub(crate) fault_mix: FaultMix,
    pub(crate) slow_pause: Duration,
    pub(crate) slow_pauses: u32,
    pub(crate) overload_retry_after: Option<Duration>,
    pub(crate) api_key: Option<ApiKey>,
    pub(crate) models: Vec<String>,
    pub(crate) script: Vec<(Match, Behaviour)>,
    pub(crate) tracked_prompts: usize,
    pub(crate) log_entries: usize,
    pub(crate) log_prompt_chars: usize,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_connections: usize,
    pub(crate) read_timeout: Duration,
}

impl SimConfig {
    /// Starts a configuration; every setting has a default.
    pub fn builder() -> SimConfigBuilder {
        SimConfigBuilder::default()
    }

    /// Returns the seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the text with which a server of this configuration answers a prompt.
    ///
    /// `prompt` is the text as [`prompt_text`](crate::prompt_text) gives it. The text follows from the seed, the
    /// prompt and the configured output length; faults and attempts do not change it. `stop`, `max_tokens` and a
    /// required form do: they cut or replace it.
    pub fn expected_text(&self, prompt: &str) -> String {
        self.expected_choice(prompt, 0)
    }

    /// Returns the text of one choice of the answer, from 0, for requests that ask for several.
    pub fn expected_choice(&self, prompt: &str, choice: u32) -> String {
        answer(self.seed, prompt_hash(prompt), choice, &self.output_tokens)
    }

    /// Returns the reasoning that comes before the answer to a prompt, in the first choice; none if the server is not
    /// configured to reason.
    ///
    /// Like the text, it follows from the seed, the prompt and the configured length. `max_tokens` cuts it, and some
    /// wires let a request do without it.
    pub fn expected_reasoning(&self, prompt: &str) -> Option<String> {
        let length = self.reasoning_tokens.as_ref()?;
        Some(reasoning(self.seed, prompt_hash(prompt), 0, length))
    }

    /// Returns which of the variants answers a request with this seed, from 0.
    pub(crate) fn variant(&self, seed: Option<i64>) -> u32 {
        let n = i64::from(self.variants.get());
        u32::try_from(seed.unwrap_or(0).rem_euclid(n)).unwrap_or(0)
    }
}

/// The status that answers a request when the server already has as many as it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParallelStatus {
    /// Status 429.
    TooManyRequests,
    /// Status 503.
    Unavailable,
}

/// A setting has a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}, but {rule}")]
#[non_exhaustive]
pub struct InvalidConfig {
    /// The builder's method.
    pub setting: &'static str,
    /// The value that was given.
    pub value: String,
    /// What the value has to be: `must be at least 1`.
    pub rule: &'static str,
}

/// The key that clients have to send. Its text never appears in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiKey(pub(crate) String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl SimConfig {
    /// Checks what the types leave open.
    pub(crate) fn check(&self) -> Result<(), InvalidConfig> {
        if let Some(rule) = self.first_token.problem() {
            return Err(invalid("first_token", format!("{:?}", self.first_token), rule));
        }
        if let Some(rate) = self
            .tokens_per_second
            .filter(|rate| !(0.001..=1e6).contains(rate))
        {
            return Err(invalid(
                "tokens_per_second",
                rate.to_string(),
                "must be from 0.001 to 1000000",
            ));
        }
        let lengths = [
            ("output_tokens", Some(&self.output_tokens)),
            ("reasoning_tokens", self.reasoning_tokens.as_ref()),
        ];
        for (setting, length) in lengths {
            let Some((min, max)) = length.map(|length| (*length.start(), *length.end())) else {
                continue;
            };
            if min == 0 || min > max || max > MAX_OUTPUT_TOKENS {
                let rule = "must be a range from at least 1 to at most 8192";
                return Err(invalid(setting, format!("{min} to {max}"), rule));
            }
        }
        if !(0.0..=1.0).contains(&self.fail) {
            return Err(invalid("fail", self.fail.to_string(), "must be from 0 to 1"));
        }
        if self.fail > 0.0 && self.fault_mix.is_empty() {
            return Err(invalid(
                "fault_mix",
                "empty",
                "must hold a fault when fail is above 0",
            ));
        }
        for (setting, value) in [("slow", self.slow_pause), ("read_timeout", self.read_timeout)] {
            if value > LONGEST {
                return Err(invalid(setting, format!("{value:?}"), "must be at most an hour"));
            }
        }
        if self.read_timeout.is_zero() {
            return Err(invalid("read_timeout", "0", "must be above 0"));
        }
        if self.api_key.as_ref().is_some_and(|key| key.0.is_empty()) {
            return Err(invalid("api_key", "empty", "must hold at least one character"));
        }
        let counts = [
            ("tracked_prompts", self.tracked_prompts),
            ("log_entries", self.log_entries),
            ("max_body_bytes", self.max_body_bytes),
            ("max_connections", self.max_connections),
        ];
        match counts.into_iter().find(|(_, value)| *value == 0) {
            Some((setting, _)) => Err(at_least_one(setting)),
            None => Ok(()),
        }
    }
}

/// Says that a setting is 0 and must not be.
pub(crate) fn at_least_one(setting: &'static str) -> InvalidConfig {
    invalid(setting, "0", "must be at least 1")
}

fn invalid(setting: &'static str, value: impl Into<String>, rule: &'static str) -> InvalidConfig {
    InvalidConfig {
        setting,
        value: value.into(),
        rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(builder: SimConfigBuilder, message: &str) {
        assert_eq!(builder.build().unwrap_err().to_string(), message);
    }

    #[test]
    fn impossible_settings_are_named() {
        let base = SimConfig::builder;
        check(base().rpm(0), "rpm is 0, but must be at least 1");
        check(
            base().tpm(10).token_burst(0),
            "token_burst is 0, but must be at least 1",
        );
        check(base().fail(1.5), "fail is 1.5, but must be from 0 to 1");
        check(base().fail(f64::NAN), "fail is NaN, but must be from 0 to 1");
        check(
            base().fail(0.1).fault_mix(FaultMix::none()),
            "fault_mix is empty, but must hold a fault when fail is above 0",
        );
        check(
            base().tokens_per_second(0.0),
            "tokens_per_second is 0, but must be from 0.001 to 1000000",
        );
        check(
            base().output_tokens(0..=5),
            "output_tokens is 0 to 5, but must be a range from at least 1 to at most 8192",
        );
        check(
            base().reasoning_tokens(0..=8),
            "reasoning_tokens is 0 to 8, but must be a range from at least 1 to at most 8192",
        );
        check(
            base().max_parallel(0, ParallelStatus::Unavailable),
            "max_parallel is 0, but must be at least 1",
        );
        check(base().log_entries(0), "log_entries is 0, but must be at least 1");
        check(
            base().api_key(""),
            "api_key is empty, but must hold at least one character",
        );
    }

    #[test]
    fn a_key_does_not_show() {
        let builder = SimConfig::builder().api_key("sk-secret");
        assert!(!format!("{builder:?}").contains("sk-secret"));
        assert!(!format!("{:?}", builder.build().unwrap()).contains("sk-secret"));
    }
}
