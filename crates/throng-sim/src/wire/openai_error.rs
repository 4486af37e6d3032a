//! Writes the errors and the rate limit headers of OpenAI, the same on both of its wires.

use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::limit::{Counted, Exceeded, Standing};

/// What a server says that failed.
pub(super) const SERVER: &str = "The server had an error while processing your request. Sorry about that!";

/// Writes the body of an error, with an empty list of this name beside it if one is given.
pub(super) fn error(error: &ApiError, prompt_field: &str, beside: Option<&str>) -> Value {
    let (message, kind, param, code): (String, &str, Option<&str>, Option<&str>) = match error {
        ApiError::BadRequest { message, param } => (message.clone(), "invalid_request_error", *param, None),
        ApiError::Unauthorized => (
            "Incorrect API key provided. The simulated server was started with another one.".into(),
            "invalid_request_error",
            None,
            Some("invalid_api_key"),
        ),
        ApiError::UnknownModel(model) => (
            format!("The model `{model}` does not exist or you do not have access to it."),
            "invalid_request_error",
            None,
            Some("model_not_found"),
        ),
        ApiError::UnknownPath => (
            "Unknown request URL.".into(),
            "invalid_request_error",
            None,
            Some("unknown_url"),
        ),
        ApiError::WrongMethod => (
            "Not allowed to use this method on this URL.".into(),
            "invalid_request_error",
            None,
            Some("method_not_supported"),
        ),
        ApiError::TooLarge { limit } => (
            format!("The request body is larger than {limit} bytes."),
            "invalid_request_error",
            None,
            Some("request_too_large"),
        ),
        ApiError::BodyTimeout => (
            "The request body did not arrive in time.".into(),
            "invalid_request_error",
            None,
            Some("request_timeout"),
        ),
        ApiError::RateLimited { model, exceeded } => {
            let (message, kind) = rate_limited(model, exceeded);
            (message, kind, None, Some("rate_limit_exceeded"))
        }
        ApiError::QuotaExhausted { .. } => (
            "You exceeded your current quota, please check your plan and billing details.".into(),
            "insufficient_quota",
            None,
            Some("insufficient_quota"),
        ),
        ApiError::Busy { status: 429 } => (
            "Too many requests are being worked on. Please try again later.".into(),
            "requests",
            None,
            Some("rate_limit_exceeded"),
        ),
        ApiError::Server => (SERVER.into(), "server_error", None, None),
        ApiError::Unavailable | ApiError::Busy { .. } => (
            "The engine is currently overloaded, please try again later.".into(),
            "server_error",
            None,
            Some("service_unavailable"),
        ),
        ApiError::Overloaded => ("Overloaded.".into(), "overloaded_error", None, Some("overloaded")),
        ApiError::ContextOverflow { n_tokens, limit } => (
            format!(
                "This model's maximum context length is {limit} tokens. However, your messages resulted in {n_tokens} \
                 tokens. Please reduce the length of the messages."
            ),
            "invalid_request_error",
            Some(prompt_field),
            Some("context_length_exceeded"),
        ),
        ApiError::ContentFilter => (
            "The response was filtered due to the prompt triggering the content management policy.".into(),
            "invalid_request_error",
            Some(prompt_field),
            Some("content_filter"),
        ),
    };
    let mut body = json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
    if let Some(list) = beside {
        body[list] = json!([]);
    }
    body
}

fn rate_limited(model: &str, exceeded: &Exceeded) -> (String, &'static str) {
    let (what, short, kind) = match exceeded.counted {
        Counted::Requests => ("requests", "RPM", "requests"),
        Counted::Tokens => ("tokens", "TPM", "tokens"),
        Counted::InputTokens => ("input tokens", "ITPM", "input_tokens"),
        Counted::OutputTokens => ("output tokens", "OTPM", "output_tokens"),
    };
    let message = format!(
        "Rate limit reached for {model} on {what} per min ({short}): Limit {}. Please try again in {}ms.",
        exceeded.limit,
        exceeded.wait_millis()
    );
    (message, kind)
}

/// Returns the three headers of one limit. Those of separate input and output limits are not OpenAI's own.
pub(super) fn limit_headers(standing: &Standing) -> [(HeaderName, HeaderValue); 3] {
    let [limit, remaining, reset] = match standing.counted {
        Counted::Requests => [
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ],
        Counted::Tokens => [
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
        ],
        Counted::InputTokens => [
            "x-ratelimit-limit-input-tokens",
            "x-ratelimit-remaining-input-tokens",
            "x-ratelimit-reset-input-tokens",
        ],
        Counted::OutputTokens => [
            "x-ratelimit-limit-output-tokens",
            "x-ratelimit-remaining-output-tokens",
            "x-ratelimit-reset-output-tokens",
        ],
    };
    let reset_value = HeaderValue::try_from(go_duration(standing.reset)).expect("digits, dots and letters");
    [
        (HeaderName::from_static(limit), standing.limit.into()),
        (HeaderName::from_static(remaining), standing.remaining.into()),
        (HeaderName::from_static(reset), reset_value),
    ]
}

/// Writes a duration as Go does, rounded up to a millisecond: `17ms`, `1.5s`, `6m0s`, `1h0m3s`.
fn go_duration(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (hours, minutes, rest) = (millis / 3_600_000, millis / 60_000 % 60, millis % 60_000);
    let fraction = format!(".{:03}", rest % 1000);
    let seconds = format!(
        "{}{}s",
        rest / 1000,
        fraction.trim_end_matches('0').trim_end_matches('.')
    );
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let cases = [
            (0, "0s"),
            (17_000, "17ms"),
            (16_001, "17ms"),
            (1_000_000, "1s"),
            (1_500_000, "1.5s"),
            (1_204_000, "1.204s"),
            (10_000_000, "10s"),
            (360_000_000, "6m0s"),
            (61_050_000, "1m1.05s"),
            (3_603_000_000, "1h0m3s"),
        ];
        for (micros, text) in cases {
            assert_eq!(go_duration(Duration::from_micros(micros)), text);
        }
    }
}
