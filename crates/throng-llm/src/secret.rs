//! Keys. A [`Secret`] never shows its text by itself, and what servers echo of it is cut out of their answers.

#[cfg(feature = "http")]
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// What stands in the place of a key.
pub(crate) const REDACTED: &str = "[redacted]";

/// A shorter text than this is not looked for in answers: it would match ordinary words.
#[cfg(feature = "http")]
pub(crate) const MIN_SCRUBBED: usize = 4;

/// A key or another text that must not be shown. `Debug` prints `[redacted]`; there is no `Display`.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Makes a secret of a text. White space around it goes: keys read from files end with a line end.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().into())
    }

    /// Returns the text. Whoever calls this must not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Returns `text` without the secrets in it, also without the beginning of one at the very end, where the text may
/// have been cut.
#[cfg(feature = "http")]
pub(crate) fn scrub<'a>(text: &'a str, secrets: &[Secret]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets
        .iter()
        .map(Secret::expose)
        .filter(|secret| secret.len() >= MIN_SCRUBBED)
    {
        if text.contains(secret) {
            text = Cow::Owned(text.replace(secret, REDACTED));
        }
        let cut = secret
            .char_indices()
            .map(|(at, _)| at)
            .rev()
            .find(|&at| at >= MIN_SCRUBBED && text.ends_with(&secret[..at]));
        if let Some(cut) = cut {
            let keep = text.len() - cut;
            text = Cow::Owned(format!("{}{REDACTED}", &text[..keep]));
        }
    }
    text
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new(" sk-0123456789\n");
        assert_eq!(secret.expose(), "sk-0123456789");
        assert_eq!(format!("{secret:?}"), "[redacted]");
        let secrets = [secret];
        assert_eq!(
            scrub("key sk-0123456789 is wrong", &secrets),
            "key [redacted] is wrong"
        );
        assert_eq!(
            scrub("key sk-01234", &secrets),
            "key [redacted]",
            "cut in the middle of the key"
        );
        assert_eq!(
            scrub("a sk-", &secrets),
            "a sk-",
            "too short to be told from a word"
        );
        assert_eq!(scrub("nothing", &[Secret::new("")]), "nothing");
    }
}
