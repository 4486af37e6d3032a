//! Writes the errors of Gemini. How long to wait stands in the body, not in a header.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::limit::Counted;

/// Returns the status and its name.
pub(super) fn code(error: &ApiError) -> (u16, &'static str) {
    match error {
        ApiError::BadRequest { .. }
        | ApiError::Unauthorized
        | ApiError::ContextOverflow { .. }
        | ApiError::ContentFilter
        | ApiError::TooLarge { .. } => (400, "INVALID_ARGUMENT"),
        ApiError::UnknownModel(_) | ApiError::UnknownPath | ApiError::WrongMethod => (404, "NOT_FOUND"),
        ApiError::BodyTimeout => (408, "DEADLINE_EXCEEDED"),
        ApiError::RateLimited { .. } | ApiError::QuotaExhausted { .. } | ApiError::Busy { status: 429 } => {
            (429, "RESOURCE_EXHAUSTED")
        }
        ApiError::Server => (500, "INTERNAL"),
        ApiError::Unavailable | ApiError::Overloaded | ApiError::Busy { .. } => (503, "UNAVAILABLE"),
    }
}

/// Writes an error; a masked one has an empty list of candidates beside it.
pub(super) fn error(error: &ApiError, masked: bool) -> Value {
    let (status, name) = code(error);
    let (message, details): (String, Vec<Value>) = match error {
        ApiError::BadRequest { message, .. } => (message.clone(), Vec::new()),
        ApiError::Unauthorized => (
            "API key not valid. Please pass a valid API key.".into(),
            vec![json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}
            })],
        ),
        ApiError::UnknownModel(model) => (
            format!(
                "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call \
                 ListModels to see the list of available models and their supported methods."
            ),
            Vec::new(),
        ),
        ApiError::UnknownPath => ("Requested entity was not found.".into(), Vec::new()),
        ApiError::WrongMethod => ("The method is not supported at this path.".into(), Vec::new()),
        ApiError::TooLarge { limit } => (
            format!("Request payload size exceeds the limit: {limit} bytes."),
            Vec::new(),
        ),
        ApiError::BodyTimeout => ("The request body did not arrive in time.".into(), Vec::new()),
        ApiError::RateLimited { model, exceeded } => {
            let (metric, unit) = match exceeded.counted {
                Counted::Requests => ("requests", "Requests"),
                Counted::Tokens => ("tokens", "Tokens"),
                Counted::InputTokens => ("input_token_count", "InputTokens"),
                Counted::OutputTokens => ("output_token_count", "OutputTokens"),
            };
            let wait = seconds(exceeded.wait);
            (
                quota_message(metric, exceeded.limit, model, &wait),
                vec![
                    quota_failure(
                        metric,
                        &format!("GenerateContent{unit}PerMinutePerProjectPerModel"),
                        exceeded.limit,
                        model,
                    ),
                    retry_info(&wait),
                ],
            )
        }
        ApiError::QuotaExhausted { model } => {
            let id = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
            (
                quota_message("generate_content_free_tier_requests", DAILY, model, "43s"),
                vec![
                    quota_failure("generate_content_free_tier_requests", id, DAILY, model),
                    retry_info("43s"),
                ],
            )
        }
        ApiError::Busy { status: 429 } => (
            "Resource has been exhausted (e.g. check quota).".into(),
            vec![retry_info("1s")],
        ),
        ApiError::Server => (
            "An internal error has occurred. Please retry or report in \
             https://developers.generativeai.google/guide/troubleshooting"
                .into(),
            Vec::new(),
        ),
        ApiError::Unavailable | ApiError::Busy { .. } => {
            ("The service is currently unavailable.".into(), Vec::new())
        }
        ApiError::Overloaded => (
            "The model is overloaded. Please try again later.".into(),
            Vec::new(),
        ),
        ApiError::ContextOverflow { n_tokens, limit } => (
            format!(
                "The input token count ({n_tokens}) exceeds the maximum number of tokens allowed ({limit})."
            ),
            Vec::new(),
        ),
        ApiError::ContentFilter => ("The prompt was blocked.".into(), Vec::new()),
    };
    let mut body = json!({"error": {"code": status, "message": message, "status": name}});
    if !details.is_empty() {
        body["error"]["details"] = Value::Array(details);
    }
    if masked {
        body["candidates"] = json!([]);
    }
    body
}

/// The requests that a day has on the free tier, as the error says it.
const DAILY: u64 = 50;

fn quota_message(metric: &str, limit: u64, model: &str, wait: &str) -> String {
    format!(
        "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: \
         generativelanguage.googleapis.com/{metric}, limit: {limit}, model: {model}\nPlease retry in {wait}."
    )
}

fn quota_failure(metric: &str, id: &str, limit: u64, model: &str) -> Value {
    json!({
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{
            "quotaMetric": format!("generativelanguage.googleapis.com/{metric}"), "quotaId": id,
            "quotaDimensions": {"location": "global", "model": model}, "quotaValue": limit.to_string()
        }]
    })
}

fn retry_info(wait: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": wait})
}

/// Writes a duration as JSON does for protocol buffers, rounded up to a millisecond: `37s`, `0.250s`.
fn seconds(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    match (millis / 1_000, millis % 1_000) {
        (whole, 0) => format!("{whole}s"),
        (whole, part) => format!("{whole}.{part:03}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_with_a_fraction_where_there_is_one() {
        for (micros, text) in [(37_000_000, "37s"), (250_000, "0.250s"), (1, "0.001s"), (0, "0s")] {
            assert_eq!(seconds(Duration::from_micros(micros)), text);
        }
    }
}
