//! The errors with which a request is refused, or which a fault makes. How they read is the business of each wire.

use crate::limit::Exceeded;

/// A request that is refused, or an error that a fault makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    BadRequest {
        message: String,
        param: Option<&'static str>,
    },
    Unauthorized,
    UnknownModel(String),
    UnknownPath,
    WrongMethod,
    TooLarge {
        limit: usize,
    },
    BodyTimeout,
    RateLimited {
        model: String,
        exceeded: Exceeded,
    },
    Busy {
        status: u16,
    },
    Server,
    Unavailable,
    Overloaded,
    /// What was paid for is used up.
    QuotaExhausted {
        model: String,
    },
    ContextOverflow {
        n_tokens: u64,
        limit: u64,
    },
    ContentFilter,
}

impl ApiError {
    pub(crate) fn bad(message: impl Into<String>, param: &'static str) -> Self {
        Self::BadRequest {
            message: message.into(),
            param: Some(param),
        }
    }

    /// Says that a body is no JSON, or has a field of a wrong type.
    pub(crate) fn unreadable(err: &serde_json::Error) -> Self {
        Self::BadRequest {
            message: format!("We could not parse the JSON body of your request: {err}"),
            param: None,
        }
    }

    /// Returns the status that most wires give the error; see
    /// [`Protocol::status`](crate::wire::Protocol::status).
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::BadRequest { .. } | Self::ContextOverflow { .. } | Self::ContentFilter => 400,
            Self::Unauthorized => 401,
            Self::UnknownModel(_) | Self::UnknownPath => 404,
            Self::WrongMethod => 405,
            Self::BodyTimeout => 408,
            Self::TooLarge { .. } => 413,
            Self::RateLimited { .. } | Self::QuotaExhausted { .. } => 429,
            Self::Busy { status } => *status,
            Self::Server => 500,
            Self::Unavailable => 503,
            Self::Overloaded => 529,
        }
    }
}
