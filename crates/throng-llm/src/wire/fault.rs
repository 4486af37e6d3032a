//! Errors as servers report them: the shapes of their bodies, and what kind each is.

use std::time::Duration;

use serde_json::Value;

use crate::{ErrorKind, Overflow};

/// An error that a server reported, in the body of an answer or within a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fault {
    /// `code`, or else `type`: what tells errors of one status apart.
    pub(crate) code: Option<String>,
    /// `type`.
    type_: Option<String>,
    /// What it says.
    pub(crate) message: String,
    /// The HTTP status that the body names.
    status: Option<u16>,
    /// When the body says to come back.
    pub(crate) retry_after: Option<Duration>,
    /// The quota that is used up is that of a day.
    per_day: bool,
    /// How large the prompt is and may be, where members of the body say so.
    sizes: Overflow,
}

impl Fault {
    /// Reads the body of an answer with an error status. Anything can be in there.
    pub(crate) fn from_body(body: &str) -> Self {
        let body = body.trim_start_matches('\u{feff}').trim();
        match serde_json::from_str::<Value>(body) {
            Ok(value) => Self::from_value(&value),
            Err(_) if body.starts_with('<') => Self {
                message: "an HTML page".to_owned(),
                ..Self::default()
            },
            Err(_) => Self {
                message: body.to_owned(),
                ..Self::default()
            },
        }
    }

    /// Reads an error object, with or without a wrapper around it.
    ///
    /// Known: `{"error":{message,type,param,code}}`, `[{"error":{…}}]`, `{"error":"…"}`, `{object:"error",message,…}`,
    /// `{"detail":"…"}`, `{"errors":[…]}`, `{"message":"…"}`, `{"type":"error","error":{type,message}}`,
    /// `{"error":{code,message,status,details:[…]}}`.
    pub(crate) fn from_value(value: &Value) -> Self {
        let inner = match value {
            Value::Array(items) => items.first().unwrap_or(&Value::Null),
            value => value,
        };
        let inner = ["error", "errors", "detail"]
            .iter()
            .find_map(|name| inner.get(name).filter(|found| !found.is_null()))
            .unwrap_or(inner);
        let inner = match inner {
            Value::Array(items) => items.first().unwrap_or(&Value::Null),
            inner => inner,
        };
        let text = |name: &str| match inner.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let message = match inner {
            Value::String(text) => text.clone(),
            inner => text("message")
                .or_else(|| text("msg"))
                .unwrap_or_else(|| match inner {
                    Value::Null => String::new(),
                    other => other.to_string(),
                }),
        };
        let code = text("code");
        let word = text("status").filter(|status| status.parse::<u16>().is_err());
        let status = [&code, &text("status"), &text("raw_status_code")]
            .into_iter()
            .flatten()
            .find_map(|code| code.parse().ok().filter(|status| (400..600).contains(status)));
        let details = Details::read(inner.get("details"));
        let type_ = text("type").or_else(|| word.clone());
        let code = details.reason.or(word).or(code).or_else(|| type_.clone());
        let size = |name: &str| inner.get(name).and_then(Value::as_u64);
        Self {
            code,
            type_,
            message,
            status,
            retry_after: details.retry_after,
            per_day: details.per_day,
            sizes: Overflow {
                limit: size("n_ctx"),
                requested: size("n_prompt_tokens"),
            },
        }
    }

    /// Returns how large the prompt is and may be, if it is too large and the body says so.
    pub(crate) fn overflow(&self) -> Overflow {
        if self.sizes.limit.is_some() || !self.is_context_overflow() {
            return self.sizes;
        }
        overflow_in_words(&self.message)
    }

    /// Says what kind of failure it is. The status is that of the answer, if it was an error by its status.
    pub(crate) fn kind(&self, status: Option<u16>) -> ErrorKind {
        if self.per_day {
            return ErrorKind::QuotaExhausted;
        }
        let words = [self.code.as_deref(), self.type_.as_deref()];
        let by_word = words.into_iter().flatten().find_map(kind_of_word);
        let status = status.or(self.status);
        match (by_word, status) {
            // A full quota and an overlong prompt hide behind statuses that mean something else.
            (
                Some(
                    kind
                    @ (ErrorKind::QuotaExhausted | ErrorKind::ContextOverflow | ErrorKind::ContentFilter),
                ),
                _,
            ) => kind,
            (Some(kind @ (ErrorKind::NotFound | ErrorKind::Auth)), Some(400 | 404)) => kind,
            (_, Some(400 | 413 | 422)) if self.is_context_overflow() => ErrorKind::ContextOverflow,
            (_, Some(status)) => kind_of_status(status),
            (Some(ErrorKind::BadRequest), None) if self.is_context_overflow() => ErrorKind::ContextOverflow,
            (Some(kind), None) => kind,
            (None, None) => ErrorKind::Server,
        }
    }

    /// Several servers have no code for an overlong prompt, only words.
    fn is_context_overflow(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        [
            "maximum context length",
            "context size",
            "context window",
            "context length",
            "prompt is too long",
            "input token count",
        ]
        .iter()
        .any(|words| message.contains(words))
    }
}

/// What Google's servers say beside an error.
#[derive(Debug, Default)]
struct Details {
    reason: Option<String>,
    retry_after: Option<Duration>,
    per_day: bool,
}

impl Details {
    fn read(details: Option<&Value>) -> Self {
        let mut this = Self::default();
        for detail in details.and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| detail.get(name).and_then(Value::as_str);
            let kind = text("@type").unwrap_or_default();
            if kind.ends_with("google.rpc.RetryInfo") {
                this.retry_after = text("retryDelay").and_then(seconds);
            } else if kind.ends_with("google.rpc.ErrorInfo") {
                // Other reasons say less than the status.
                this.reason = text("reason")
                    .filter(|reason| kind_of_word(reason).is_some())
                    .map(str::to_owned);
            } else if kind.ends_with("google.rpc.QuotaFailure") {
                let violations = detail.get("violations").and_then(Value::as_array);
                this.per_day |= violations.into_iter().flatten().any(|violation| {
                    let id = violation.get("quotaId").and_then(Value::as_str);
                    id.is_some_and(|id| id.contains("PerDay"))
                });
            }
        }
        this
    }
}

/// Reads a duration as Google's servers write it: `37s`, `1.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|wait| *wait <= Duration::from_secs(366 * 86_400))
}

/// Reads the sizes out of sentences such as `maximum context length is 4096 tokens. However, your messages resulted in
/// 5000 tokens`, `prompt is too long: 5000 tokens > 4096 maximum` and `request (5000 tokens) exceeds the available
/// context size (4096 tokens)`.
fn overflow_in_words(message: &str) -> Overflow {
    let number = |text: &str| -> Option<u64> {
        let digits = text.find(|c: char| c.is_ascii_digit())?;
        let text = &text[digits..];
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != ',')
            .unwrap_or(text.len());
        text[..end].replace(',', "").parse().ok()
    };
    let after = |words: &str| {
        let at = message.find(words)?;
        number(&message[at + words.len()..])
    };
    if let Some(limit) = after("context length is") {
        return Overflow {
            limit: Some(limit),
            requested: after("resulted in").or_else(|| after("requested")),
        };
    }
    for words in ["exceeds", " > "] {
        if let Some(limit) = after(words) {
            let requested = message.split(words).next().and_then(number);
            return Overflow {
                limit: Some(limit),
                requested,
            };
        }
    }
    Overflow::default()
}

/// Returns whether the value of a member `error` stands for an error.
pub(super) fn says_error(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
}

/// Returns the kind of a status that is not a success.
pub(crate) fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Auth,
        402 => ErrorKind::QuotaExhausted,
        404 | 410 => ErrorKind::NotFound,
        // The official clients repeat 408 (the server waited for us) and 409 (a lock was taken).
        408 | 409 | 425 => ErrorKind::Server,
        429 => ErrorKind::RateLimited,
        501 => ErrorKind::BadRequest,
        503 | 529 => ErrorKind::Overloaded,
        500.. => ErrorKind::Server,
        _ => ErrorKind::BadRequest,
    }
}

/// Returns the kind that a code or a type stands for.
fn kind_of_word(word: &str) -> Option<ErrorKind> {
    Some(match word {
        "insufficient_quota"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "quota_exceeded"
        | "insufficient_balance"
        | "billing_error" => ErrorKind::QuotaExhausted,
        "context_length_exceeded"
        | "exceed_context_size_error"
        | "context_window_exceeded"
        | "model_context_window_exceeded"
        | "request_too_large" => ErrorKind::ContextOverflow,
        "content_filter"
        | "content_policy_violation"
        | "ResponsibleAIPolicyViolation"
        | "content_filter_error"
        | "image_content_policy_violation" => ErrorKind::ContentFilter,
        "model_not_found" | "not_found_error" | "NotFoundError" | "not_found" | "unknown_model"
        | "NOT_FOUND" => ErrorKind::NotFound,
        "invalid_api_key"
        | "authentication_error"
        | "permission_error"
        | "invalid_authentication"
        | "AuthenticationError"
        | "PermissionDeniedError"
        | "UNAUTHENTICATED"
        | "PERMISSION_DENIED"
        | "API_KEY_INVALID" => ErrorKind::Auth,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "rate_limit"
        | "RateLimitError"
        | "too_many_requests"
        | "rate_limit_reached_error"
        | "RESOURCE_EXHAUSTED" => ErrorKind::RateLimited,
        "overloaded_error"
        | "overloaded"
        | "engine_overloaded"
        | "engine_overloaded_error"
        | "service_unavailable"
        | "ServiceUnavailableError"
        | "capacity_exceeded"
        | "UNAVAILABLE" => ErrorKind::Overloaded,
        "invalid_request_error"
        | "BadRequestError"
        | "invalid_request"
        | "bad_request"
        | "invalid_prompt"
        | "invalid_image"
        | "invalid_image_format"
        | "invalid_image_mode"
        | "invalid_image_url"
        | "invalid_base64_image"
        | "unsupported_image_media_type"
        | "image_too_large"
        | "image_too_small"
        | "image_file_too_large"
        | "image_file_not_found"
        | "image_parse_error"
        | "empty_image_file"
        | "failed_to_download_image"
        | "not_supported_error"
        | "UnprocessableEntityError"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "OUT_OF_RANGE" => ErrorKind::BadRequest,
        "server_error"
        | "internal_server_error"
        | "api_error"
        | "InternalServerError"
        | "internal_error"
        | "timeout_error"
        | "INTERNAL"
        | "UNKNOWN"
        | "ABORTED"
        | "DEADLINE_EXCEEDED" => ErrorKind::Server,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: impl Into<Option<u16>>, body: &str, kind: ErrorKind, code: Option<&str>, message: &str) {
        let fault = Fault::from_body(body);
        assert_eq!(
            (fault.kind(status.into()), fault.code.as_deref(), &*fault.message),
            (kind, code, message),
            "{body}"
        );
    }

    #[test]
    fn the_shapes_of_error_bodies() {
        use ErrorKind::*;
        let invalid = Some("invalid_request_error");
        check(
            401,
            r#"{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            Auth,
            Some("invalid_api_key"),
            "m",
        );
        check(
            404,
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"model_not_found"}}"#,
            NotFound,
            Some("model_not_found"),
            "m",
        );
        check(
            400,
            r#"{"error":{"message":"m","code":"model_not_found"}}"#,
            NotFound,
            Some("model_not_found"),
            "m",
        );
        check(
            400,
            r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
            BadRequest,
            invalid,
            "m",
        );
        check(
            429,
            r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            QuotaExhausted,
            Some("insufficient_quota"),
            "m",
        );
        check(
            429,
            r#"{"error":{"message":"m","type":"insufficient_quota","code":null}}"#,
            QuotaExhausted,
            Some("insufficient_quota"),
            "m",
        );
        check(
            429,
            r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#,
            RateLimited,
            Some("rate_limit_exceeded"),
            "m",
        );
        check(
            402,
            r#"{"error":{"message":"Insufficient credits","code":402}}"#,
            QuotaExhausted,
            Some("402"),
            "Insufficient credits",
        );
        check(
            400,
            r#"{"error":{"code":400,"message":"request (2009 tokens) exceeds the available context size (512 tokens)","type":"exceed_context_size_error"}}"#,
            ContextOverflow,
            Some("400"),
            "request (2009 tokens) exceeds the available context size (512 tokens)",
        );
        check(
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens.","type":"BadRequestError","code":400}"#,
            ContextOverflow,
            Some("400"),
            "This model's maximum context length is 4096 tokens.",
        );
        check(
            400,
            r#"{"error":{"message":"m","code":"content_filter"}}"#,
            ContentFilter,
            Some("content_filter"),
            "m",
        );
        check(
            501,
            r#"{"error":{"code":501,"message":"m","type":"not_supported_error"}}"#,
            BadRequest,
            Some("501"),
            "m",
        );
        check(
            400,
            r#"{"code":"3051","message":"Logprobs are not enabled","object":"error","raw_status_code":400,"type":"invalid_request_invalid_args"}"#,
            BadRequest,
            Some("3051"),
            "Logprobs are not enabled",
        );
        check(
            422,
            r#"{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}"#,
            BadRequest,
            Some("missing"),
            "field required",
        );
        check(404, r#"{"detail":"Not Found"}"#, NotFound, None, "Not Found");
        check(
            429,
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#,
            RateLimited,
            Some("RESOURCE_EXHAUSTED"),
            "m",
        );
        check(
            404,
            r#"{"error":"model 'x' not found"}"#,
            NotFound,
            None,
            "model 'x' not found",
        );
        check(502, "<html>Bad gateway</html>", Server, None, "an HTML page");
        check(
            503,
            "upstream connect error",
            Overloaded,
            None,
            "upstream connect error",
        );
        check(529, "", Overloaded, None, "");
        check(500, "\u{feff}{\"error\":{\"message\":\"m\"}}", Server, None, "m");
        check(418, "{}", BadRequest, None, "{}");
    }

    #[test]
    fn what_google_says_beside_an_error() {
        let body = |details: &str| {
            format!(
                r#"{{"error":{{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{details}]}}}}"#
            )
        };
        let retry = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"37.5s"}"#;
        let quota = |id: &str| {
            format!(
                r#"{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{id}"}}]}}"#
            )
        };
        let minute = Fault::from_body(&body(&format!(
            "{},{retry}",
            quota("RequestsPerMinutePerProject")
        )));
        assert_eq!(minute.kind(Some(429)), ErrorKind::RateLimited);
        assert_eq!(minute.retry_after, Some(Duration::from_millis(37_500)));
        let day = Fault::from_body(&body(&format!("{retry},{}", quota("RequestsPerDayPerProject"))));
        assert_eq!(day.kind(Some(429)), ErrorKind::QuotaExhausted);
        let key = r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#;
        check(400, key, ErrorKind::Auth, Some("API_KEY_INVALID"), "m");
    }

    #[test]
    fn the_sizes_of_an_overlong_prompt() {
        let sizes = |body: &str| {
            let fault = Fault::from_body(body);
            assert_eq!(fault.kind(Some(400)), ErrorKind::ContextOverflow, "{body}");
            let Overflow { limit, requested } = fault.overflow();
            (limit, requested)
        };
        let both = (Some(4096), Some(5000));
        for message in [
            "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100 in the completion).",
            "prompt is too long: 5000 tokens > 4096 maximum",
            "The input token count (5000) exceeds the maximum number of tokens allowed (4096).",
            "request (5,000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        ] {
            assert_eq!(
                sizes(&format!(r#"{{"error":{{"message":"{message}"}}}}"#)),
                both,
                "{message}"
            );
        }
        let members = r#"{"error":{"code":400,"message":"m","type":"exceed_context_size_error","n_ctx":4096,"n_prompt_tokens":5000}}"#;
        assert_eq!(sizes(members), both);
    }

    #[test]
    fn errors_within_a_stream_name_their_own_status() {
        use ErrorKind::*;
        check(
            None,
            r#"{"error":{"code":500,"message":"m","type":"server_error"}}"#,
            Server,
            Some("500"),
            "m",
        );
        check(
            None,
            r#"{"error":{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}}"#,
            BadRequest,
            Some("400"),
            "m",
        );
        check(
            None,
            r#"{"error":{"code":"429","message":"m"}}"#,
            RateLimited,
            Some("429"),
            "m",
        );
        check(
            None,
            r#"{"error":{"message":"m","type":"overloaded_error"}}"#,
            Overloaded,
            Some("overloaded_error"),
            "m",
        );
        check(
            None,
            r#"{"error":{"message":"m","code":"something_new"}}"#,
            Server,
            Some("something_new"),
            "m",
        );
        check(
            None,
            r#"{"error":{"message":"m","type":"invalid_request_error"}}"#,
            BadRequest,
            Some("invalid_request_error"),
            "m",
        );
    }
}
