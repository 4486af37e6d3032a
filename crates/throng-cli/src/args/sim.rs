//! The flags of `throng sim`.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use throng_sim::Fault;

const EXAMPLES: &str = "\
Examples:
  throng sim --port 8080
  throng sim --port 8080 --rpm 600 --fail 0.1
  throng sim --fail 0.3 --faults cut=2,server_error=1,slow=1 --request-log requests.jsonl
  throng sim --first-token 20ms --jitter 0 --tokens-per-second 0     answers after exactly 20 ms";

/// Run a simulated model server that speaks the APIs of five providers and misbehaves on cue
///
/// Prints its base URLs on standard output when it is ready, a line for each API: that of OpenAI's Chat Completions first
/// and alone, the others after their name. Serves until it is interrupted.
/// The answers are made up; the same seed and prompt give the same answer, and the same faults.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct SimArgs {
    /// Address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) port: u16,
    /// Seed of all answers, latencies and faults
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) seed: u64,
    /// Median time to the first token
    #[arg(long, value_name = "DURATION", default_value = "60ms", value_parser = humantime::parse_duration)]
    pub(crate) first_token: Duration,
    /// Spread of the time to the first token: the sigma of a log-normal distribution; 0 is constant
    #[arg(long, value_name = "X", default_value = "0.4")]
    pub(crate) jitter: f64,
    /// Tokens that follow in a second; 0 sends them at once
    #[arg(long, value_name = "X", default_value = "400")]
    pub(crate) tokens_per_second: f64,
    /// Length of the answers in tokens
    #[arg(long, value_name = "MIN..MAX", default_value = "8..60", value_parser = range)]
    pub(crate) output_tokens: RangeInclusive<u32>,
    /// Tokens of reasoning ahead of an answer; none if absent
    #[arg(long, value_name = "MIN..MAX", value_parser = range)]
    pub(crate) reasoning_tokens: Option<RangeInclusive<u32>>,
    /// How many times a request with tools is answered by a tool call before it is answered by text
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) tool_rounds: u32,
    /// How many different answers a prompt has; a request with the `seed` S gets number S mod N
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) variants: NonZeroU32,
    /// Requests per minute, over which requests get 429 with Retry-After
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) rpm: Option<u64>,
    /// Tokens per minute, input and output together
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) tpm: Option<u64>,
    /// Input tokens per minute
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) itpm: Option<u64>,
    /// Output tokens per minute
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) otpm: Option<u64>,
    /// Requests that may come at once within --rpm; one second's worth if absent
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) burst: Option<u64>,
    /// Requests that are worked on at a time, over which requests get 429
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_parallel: Option<usize>,
    /// Share of the requests that meet a fault, from 0 to 1
    #[arg(long, value_name = "X", default_value = "0", help_heading = "Faults")]
    pub(crate) fail: f64,
    /// Which faults, with weights; a mix as in life if absent
    #[arg(long, value_name = "NAME=WEIGHT,…", value_delimiter = ',', value_parser = fault, help_heading = "Faults")]
    pub(crate) faults: Vec<(Fault, u32)>,
    /// Answer only requests that bring the key in this environment variable
    #[arg(long, value_name = "NAME", help_heading = "Faults")]
    pub(crate) require_key_env: Option<String>,
    /// Know only these models; others get 404
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = "Faults")]
    pub(crate) models: Vec<String>,
    /// Append one JSON line for each request to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) request_log: Option<PathBuf>,
}

fn range(text: &str) -> Result<RangeInclusive<u32>, String> {
    let parse = |part: &str| {
        part.trim()
            .parse::<u32>()
            .map_err(|_| "it must be MIN..MAX, such as 8..60".to_owned())
    };
    match text.split_once("..") {
        Some((min, max)) => Ok(parse(min)?..=parse(max.trim_start_matches('='))?),
        None => parse(text).map(|n| n..=n),
    }
}

fn fault(text: &str) -> Result<(Fault, u32), String> {
    let (name, weight) = text.split_once('=').unwrap_or((text, "1"));
    let name = name.trim().replace('-', "_");
    let fault = Fault::from_name(&name).ok_or_else(|| {
        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.as_str()).collect();
        format!("there is no fault {name:?}; there are {}", names.join(", "))
    })?;
    let weight = weight
        .trim()
        .parse()
        .map_err(|_| format!("the weight of {name} must be a whole number"))?;
    Ok((fault, weight))
}
