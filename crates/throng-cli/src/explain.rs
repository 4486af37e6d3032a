//! What errors of a provider mean to people: their name, their sentence, and what can be done.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;
use throng_core::Classify as _;
use throng_llm::{Clock, ErrorKind, LlmError};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Returns the sentence of an error with its causes.
pub(crate) fn chain(error: &LlmError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Returns true for an answer that no chat API gives: a redirect, a page or some other text with status 200, or a
/// status for "there is nothing at this path" without an error of the API. It says that the address is wrong.
pub(crate) fn is_no_api(error: &LlmError) -> bool {
    match error.status() {
        Some(300..=399) => true,
        Some(404 | 405 | 410 | 501) => !error.raw_body().is_some_and(is_api_error),
        Some(_) => false,
        None => *error.kind() == ErrorKind::Protocol && error.before_first_content(),
    }
}

/// Returns true if the body of an answer is an error as servers of the OpenAI family write it.
fn is_api_error(body: &str) -> bool {
    // A body that was cut is a long one, and errors of an API are short.
    match serde_json::from_str::<Value>(body) {
        Ok(value) => {
            let value = value.get(0).unwrap_or(&value);
            value.get("error").is_some_and(|error| !error.is_null()) || value["object"] == "error"
        }
        Err(_) => false,
    }
}

/// How long a job may be refused because of a limit, for what is said when it was not long enough.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Something is tried again at all: `--retries` is not 0.
    pub(crate) retries: bool,
    /// What is left of `--patience`.
    pub(crate) patience: Duration,
    /// What is left of `--deadline`.
    pub(crate) deadline: Option<Duration>,
}

/// Returns what the user can do about an error that ended a job.
pub(crate) fn hint(error: &LlmError, waiting: Waiting) -> Option<&'static str> {
    if !error.classify().is_pushback() {
        return general_hint(error);
    }
    let asked = error.retry_after();
    Some(match (error.kind(), asked) {
        _ if !waiting.retries => {
            "set --rpm, --itpm and --otpm to what the provider allows, or allow --retries: with 0 nothing is tried again"
        }
        (_, Some(asked)) if asked > waiting.patience => {
            "the provider asked to wait longer than --patience allows; raise it, or go on later with --resume"
        }
        (_, Some(asked)) if waiting.deadline.is_some_and(|left| asked >= left) => {
            "the provider asked to wait longer than --deadline allows; raise it, or go on later with --resume"
        }
        (ErrorKind::Overloaded, None) => return general_hint(error),
        _ => LIMITS,
    })
}

const BASE_URL: &str = "check that --base-url names the API of the provider, as a rule with /v1 at its end, with /v1beta for \
                        Gemini, and with nothing for Ollama";

const LIMITS: &str =
    "set --rpm, --itpm and --otpm to what the provider allows, lower --max-concurrent, or raise --patience";

fn general_hint(error: &LlmError) -> Option<&'static str> {
    if is_no_api(error) {
        return Some(BASE_URL);
    }
    Some(match error.kind() {
        ErrorKind::Auth => {
            "check the key: that of --api-key-file, --api-key-env, the profile, THRONG_API_KEY or the provider's usual \
             variable such as OPENAI_API_KEY, in this order"
        }
        ErrorKind::NotFound => "check --model, and that --base-url ends with the API's version, such as /v1",
        ErrorKind::QuotaExhausted => "the account has no credit left; add some, then go on with --resume",
        ErrorKind::RateLimited => LIMITS,
        ErrorKind::Overloaded => "lower --max-concurrent, or go on later with --resume",
        ErrorKind::ContextOverflow => "shorten the prompt, or choose a model with a larger context",
        ErrorKind::Connect if speaks_plainly(error) => {
            "the server does not speak TLS at this port: write the address with http:// in --base-url"
        }
        ErrorKind::Connect => "check that the server runs and that --base-url names its host and port",
        ErrorKind::Timeout(_) => "raise --timeout, or lower --max-concurrent",
        ErrorKind::Protocol => BASE_URL,
        ErrorKind::Server | ErrorKind::Transport | ErrorKind::Truncated => "go on later with --resume",
        ErrorKind::NotRecorded => {
            "record it first: the same command with --record in the place of --replay, or the same --model and parameters"
        }
        ErrorKind::CostLimit => "raise --max-cost, or go on later with --resume",
        ErrorKind::UnknownPrice => "give its price in a file: --prices FILE",
        ErrorKind::BadRequest => "the provider refuses this request; its message says why",
        _ => return None,
    })
}

/// Returns true if a TLS handshake was answered by something else than TLS.
fn speaks_plainly(error: &LlmError) -> bool {
    chain(error).contains("InvalidContentType")
}

/// Makes the error that ends a command because a provider cannot be used. `base_url` is what may be shown of it.
pub(crate) fn unusable(error: &LlmError, base_url: &str) -> CliError {
    let no_api = is_no_api(error);
    let message = match error.kind() {
        _ if no_api => format!("{base_url} is no chat API"),
        ErrorKind::Connect | ErrorKind::Timeout(Clock::Connect) => {
            "the provider cannot be reached".to_owned()
        }
        _ => "the provider refuses the calls".to_owned(),
    };
    let cli = CliError::new(ExitStatus::Provider, message).because(chain(error));
    if no_api {
        return cli.hint(format!(
            "--base-url or --provider is probably wrong: {base_url} should name the API of the provider, as a rule with \
             /v1 at its end"
        ));
    }
    match general_hint(error) {
        Some(hint) => cli.hint(hint),
        None => cli,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_an_api_is_told_from_an_error_of_the_api() {
        let status = |status, body: &str| {
            LlmError::from_status(ErrorKind::NotFound, "p", status, "no").with_raw_body(body)
        };
        assert!(is_no_api(&status(302, "")));
        assert!(is_no_api(&status(404, "<html>nginx</html>")));
        assert!(is_no_api(&status(405, "{\"detail\":\"Method Not Allowed\"}")));
        assert!(is_no_api(&status(501, "")));
        assert!(!is_no_api(&status(
            404,
            "{\"error\":{\"message\":\"no such model\"}}"
        )));
        assert!(!is_no_api(&status(
            404,
            "{\"object\":\"error\",\"message\":\"no such model\"}"
        )));
        assert!(!is_no_api(&status(500, "<html>")));
        assert!(is_no_api(&LlmError::new(ErrorKind::Protocol, "p", "sent a page")));
        assert!(!is_no_api(&LlmError::new(ErrorKind::Truncated, "p", "ended")));
    }

    #[test]
    fn a_refusal_says_which_bound_it_met() {
        let refused = |seconds| {
            LlmError::from_status(ErrorKind::RateLimited, "p", 429, "slow down")
                .with_retry_after(Some(Duration::from_secs(seconds)))
        };
        let waiting = Waiting {
            retries: true,
            patience: Duration::from_secs(100),
            deadline: Some(Duration::from_secs(50)),
        };
        assert!(hint(&refused(101), waiting).is_some_and(|hint| hint.contains("than --patience allows")));
        assert!(hint(&refused(51), waiting).is_some_and(|hint| hint.contains("than --deadline allows")));
        assert!(hint(&refused(1), waiting).is_some_and(|hint| hint.contains("or raise --patience")));
        let once = Waiting {
            retries: false,
            ..waiting
        };
        assert!(hint(&refused(1), once).is_some_and(|hint| hint.contains("allow --retries")));
        let overloaded = LlmError::from_status(ErrorKind::Overloaded, "p", 503, "busy");
        assert!(hint(&overloaded, waiting).is_some_and(|hint| !hint.contains("--patience")));
    }
}
