//! What an error means for a retry. The class is a fact about the error; whether to retry is the policy's choice.

use std::error::Error;
use std::time::Duration;

/// What an error means for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// Trying again cannot help: bad input, a bad key, an unknown model.
    Permanent,
    /// Trying again may help: a lost connection, an error of the server, a stream that was cut.
    Transient,
    /// The caller went over a limit (HTTP 429).
    Throttled {
        /// How long the other side asked to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// The other side has too much to do for everybody (HTTP 503 and 529).
    Overloaded {
        /// How long the other side asked to be left alone, if it said so.
        retry_after: Option<Duration>,
    },
    /// A time limit ended the attempt.
    Timeout,
}

impl ErrorClass {
    /// Returns false for [`ErrorClass::Permanent`] only.
    pub const fn is_retryable(self) -> bool {
        !matches!(self, Self::Permanent)
    }

    /// Returns true for [`ErrorClass::Throttled`] and [`ErrorClass::Overloaded`]: the other side asks for less.
    pub const fn is_pushback(self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Overloaded { .. })
    }

    /// Returns how long the other side asked to be left alone, if it said so.
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Overloaded { retry_after } => retry_after,
            _ => None,
        }
    }

    /// Returns the class as one lower-case word, for logs and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Throttled { .. } => "throttled",
            Self::Overloaded { .. } => "overloaded",
            Self::Timeout => "timeout",
        }
    }
}

/// Says what an error means for a retry.
///
/// Implemented for common error types of the standard library: text and boxed errors are
/// [`ErrorClass::Transient`], because nothing is known of them; an [`std::io::Error`] goes by its kind.
pub trait Classify {
    /// Returns the class of this error.
    fn classify(&self) -> ErrorClass;
}

impl<T: Classify + ?Sized> Classify for &T {
    fn classify(&self) -> ErrorClass {
        (**self).classify()
    }
}

impl Classify for std::convert::Infallible {
    fn classify(&self) -> ErrorClass {
        match *self {}
    }
}

impl Classify for std::io::Error {
    fn classify(&self) -> ErrorClass {
        use std::io::ErrorKind as Kind;
        match self.kind() {
            Kind::TimedOut => ErrorClass::Timeout,
            Kind::NotFound
            | Kind::PermissionDenied
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidData
            | Kind::Unsupported
            | Kind::StorageFull
            | Kind::ReadOnlyFilesystem => ErrorClass::Permanent,
            _ => ErrorClass::Transient,
        }
    }
}

macro_rules! transient {
    ($($type:ty),* $(,)?) => {$(
        impl Classify for $type {
            fn classify(&self) -> ErrorClass {
                ErrorClass::Transient
            }
        }
    )*};
}

transient!(
    String,
    &'static str,
    (),
    Box<dyn Error + Send + Sync>,
    Box<dyn Error + Send>,
    Box<dyn Error>
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_belongs_to_pushback_only() {
        let after = Some(Duration::from_secs(2));
        assert_eq!(ErrorClass::Throttled { retry_after: after }.retry_after(), after);
        assert_eq!(ErrorClass::Overloaded { retry_after: after }.retry_after(), after);
        assert_eq!(ErrorClass::Transient.retry_after(), None);
        assert!(!ErrorClass::Permanent.is_retryable());
        assert!(!ErrorClass::Timeout.is_pushback());
    }

    #[test]
    fn an_io_error_goes_by_its_kind() {
        use std::io::{Error, ErrorKind};
        assert_eq!(
            Error::from(ErrorKind::ConnectionReset).classify(),
            ErrorClass::Transient
        );
        assert_eq!(Error::from(ErrorKind::TimedOut).classify(), ErrorClass::Timeout);
        assert_eq!(Error::from(ErrorKind::NotFound).classify(), ErrorClass::Permanent);
    }
}
