//! Errors as servers of the OpenAI family report them: the shapes of their bodies, and what kind each is.

use serde_json::Value;

use crate::ErrorKind;

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
    /// `{"detail":"…"}`, `{"errors":[…]}`, `{"message":"…"}`.
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
        let type_ = text("type");
        let code = text("code");
        let status = [&code, &text("status"), &text("raw_status_code")]
            .into_iter()
            .flatten()
            .find_map(|code| code.parse().ok().filter(|status| (400..600).contains(status)));
        Self {
            code: code.or_else(|| type_.clone()),
            type_,
            message,
            status,
        }
    }

    /// Says what kind of failure it is. The status is that of the answer, if it was an error by its status.
    pub(crate) fn kind(&self, status: Option<u16>) -> ErrorKind {
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
            (Some(ErrorKind::NotFound), Some(400 | 404)) => ErrorKind::NotFound,
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
        ]
        .iter()
        .any(|words| message.contains(words))
    }
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
        | "content_filter_error" => ErrorKind::ContentFilter,
        "model_not_found" | "not_found_error" | "NotFoundError" | "not_found" | "unknown_model" => {
            ErrorKind::NotFound
        }
        "invalid_api_key"
        | "authentication_error"
        | "permission_error"
        | "invalid_authentication"
        | "AuthenticationError"
        | "PermissionDeniedError" => ErrorKind::Auth,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "rate_limit"
        | "RateLimitError"
        | "too_many_requests"
        | "rate_limit_reached_error" => ErrorKind::RateLimited,
        "overloaded_error"
        | "overloaded"
        | "engine_overloaded"
        | "engine_overloaded_error"
        | "service_unavailable"
        | "ServiceUnavailableError"
        | "capacity_exceeded" => ErrorKind::Overloaded,
        "invalid_request_error"
        | "BadRequestError"
        | "invalid_request"
        | "bad_request"
        | "invalid_prompt"
        | "not_supported_error"
        | "UnprocessableEntityError" => ErrorKind::BadRequest,
        "server_error" | "internal_server_error" | "api_error" | "InternalServerError" | "internal_error" => {
            ErrorKind::Server
        }
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
            Some("429"),
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
