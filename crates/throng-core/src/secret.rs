//! Keys. A [`Secret`] never shows its text by itself, and what servers echo of it is cut out of their answers.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A key or another text that must not be shown. `Debug` prints `[redacted]`; there is no `Display`.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// What is shown in the place of a secret.
    pub const REDACTED: &str = "[redacted]";

    /// A shorter secret than this, in bytes, is not looked for in texts: it would match ordinary words.
    pub const MIN_SCRUBBED: usize = 4;

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
        f.write_str(Self::REDACTED)
    }
}

/// Returns `text` without the secrets in it, also without the beginning of one at the very end, where the text may
/// have been cut.
///
/// # Examples
///
/// ```
/// use throng_core::{Secret, scrub};
///
/// let keys = [Secret::new("sk-0123")];
/// assert_eq!(scrub("the key sk-0123 is wrong", &keys), "the key [redacted] is wrong");
/// ```
pub fn scrub<'a>(text: &'a str, secrets: &[Secret]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in secrets
        .iter()
        .map(Secret::expose)
        .filter(|secret| secret.len() >= Secret::MIN_SCRUBBED)
    {
        if text.contains(secret) {
            text = Cow::Owned(text.replace(secret, Secret::REDACTED));
        }
        let cut = secret
            .char_indices()
            .map(|(at, _)| at)
            .rev()
            .find(|&at| at >= Secret::MIN_SCRUBBED && text.ends_with(&secret[..at]));
        if let Some(cut) = cut {
            let keep = text.len() - cut;
            text = Cow::Owned(format!("{}{}", &text[..keep], Secret::REDACTED));
        }
    }
    text
}

#[cfg(test)]
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
