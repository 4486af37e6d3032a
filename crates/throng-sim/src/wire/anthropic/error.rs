//! Writes the errors and the rate limit headers of Anthropic's Messages.

use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::limit::{Counted, Standing};

/// Writes an error; one in a stream has no id. A masked one has the fields of a message without content beside it.
pub(super) fn error(error: &ApiError, request_id: Option<&str>, masked: bool) -> Value {
    let (kind, message): (&str, String) = match error {
        ApiError::BadRequest { message, .. } => ("invalid_request_error", message.clone()),
        ApiError::Unauthorized => ("authentication_error", "invalid x-api-key".into()),
        ApiError::UnknownModel(model) => ("not_found_error", format!("model: {model}")),
        ApiError::UnknownPath => ("not_found_error", "Not Found".into()),
        ApiError::WrongMethod => ("invalid_request_error", "Method Not Allowed".into()),
        ApiError::TooLarge { limit } => (
            "request_too_large",
            format!("Request exceeds the maximum size of {limit} bytes"),
        ),
        ApiError::BodyTimeout => ("timeout_error", "The request body did not arrive in time".into()),
        ApiError::RateLimited { exceeded, .. } => {
            let what = match exceeded.counted {
                Counted::Requests => "requests",
                Counted::Tokens => "tokens",
                Counted::InputTokens => "input tokens",
                Counted::OutputTokens => "output tokens",
            };
            let message = format!(
                "This request would exceed the rate limit for your organization of {} {what} per minute.",
                exceeded.limit
            );
            ("rate_limit_error", message)
        }
        ApiError::Busy { status: 429 } => (
            "rate_limit_error",
            "Number of concurrent connections has exceeded your rate limit. Please try again later.".into(),
        ),
        ApiError::QuotaExhausted { .. } => (
            "billing_error",
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or \
             purchase credits."
                .into(),
        ),
        ApiError::Server => ("api_error", "Internal server error".into()),
        ApiError::Unavailable | ApiError::Busy { .. } => ("api_error", "Service temporarily unavailable".into()),
        ApiError::Overloaded => ("overloaded_error", "Overloaded".into()),
        ApiError::ContextOverflow { n_tokens, limit } => (
            "invalid_request_error",
            format!("prompt is too long: {n_tokens} tokens > {limit} maximum"),
        ),
        ApiError::ContentFilter => (
            "invalid_request_error",
            "Output blocked by content filtering policy".into(),
        ),
    };
    let mut body = json!({"type": "error", "error": {"type": kind, "message": message}});
    if let Some(id) = request_id {
        body["request_id"] = json!(id);
    }
    if masked {
        body["content"] = json!([]);
    }
    body
}

/// Returns the three headers of one limit.
pub(super) fn limit_headers(standing: &Standing, now: SystemTime) -> [(HeaderName, HeaderValue); 3] {
    let [limit, remaining, reset] = match standing.counted {
        Counted::Requests => [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
        Counted::Tokens => [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
        Counted::InputTokens => [
            "anthropic-ratelimit-input-tokens-limit",
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ],
        Counted::OutputTokens => [
            "anthropic-ratelimit-output-tokens-limit",
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ],
    };
    let at = now.checked_add(standing.reset).unwrap_or(now);
    let at = HeaderValue::try_from(rfc3339(at)).expect("digits, dashes, colons and letters");
    [
        (HeaderName::from_static(limit), standing.limit.into()),
        (HeaderName::from_static(remaining), standing.remaining.into()),
        (HeaderName::from_static(reset), at),
    ]
}

/// Writes a time to the second, rounded up, as `2026-02-28T09:05:00Z`.
fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() + u64::from(since.subsec_nanos() > 0);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March, so that the day that a leap year adds is the last of its year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_to_the_second() {
        // Each as `date -u -d @SECONDS` writes it.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_772_323_200, "2026-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
        assert_eq!(
            rfc3339(UNIX_EPOCH + Duration::from_millis(1)),
            "1970-01-01T00:00:01Z"
        );
    }
}
