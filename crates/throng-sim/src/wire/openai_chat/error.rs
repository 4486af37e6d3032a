//! Writes the errors and the rate limit headers of OpenAI's Chat Completions.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;

use crate::call::ApiError;
use crate::limit::{Counted, Standing};

/// Writes the body of an error.
pub(in crate::wire) fn error(error: &ApiError, beside_choices: bool) -> Bytes {
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
        ApiError::RateLimited { message, kind } => {
            (message.clone(), *kind, None, Some("rate_limit_exceeded"))
        }
        ApiError::Busy { status: 429 } => (
            "Too many requests are being worked on. Please try again later.".into(),
            "requests",
            None,
            Some("rate_limit_exceeded"),
        ),
        ApiError::Server => (
            "The server had an error while processing your request. Sorry about that!".into(),
            "server_error",
            None,
            None,
        ),
        ApiError::Unavailable | ApiError::Busy { .. } => (
            "The engine is currently overloaded, please try again later.".into(),
            "server_error",
            None,
            Some("service_unavailable"),
        ),
        ApiError::Overloaded => ("Overloaded.".into(), "overloaded_error", None, Some("overloaded")),
    };
    let body = ErrorBody {
        message: &message,
        r#type: kind,
        param,
        code,
    };
    to_json(&ErrorReply {
        error: body,
        choices: beside_choices.then_some([]),
    })
    .into()
}

#[derive(Serialize)]
struct ErrorReply<'a> {
    error: ErrorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<[(); 0]>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// Returns the three headers of one limit. Those of separate input and output limits are not OpenAI's own.
pub(in crate::wire) fn limit_headers(standing: &Standing) -> [(HeaderName, HeaderValue); 3] {
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

/// Writes a value that JSON can always say.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("what is written holds nothing that JSON cannot say")
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
