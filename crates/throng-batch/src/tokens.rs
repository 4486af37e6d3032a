//! How many tokens a text has.

/// Counts the tokens of a text, as the model that is asked would.
///
/// Packing takes the counts of parts for the count of their sum. Where a counter merges over the border of two texts
/// the sum is the larger one, so a prompt that is packed by parts is never too long because of it.
pub trait TokenCounter: Send + Sync {
    /// Returns how many tokens the text has.
    fn count(&self, text: &str) -> usize;
}

impl<F: Fn(&str) -> usize + Send + Sync> TokenCounter for F {
    fn count(&self, text: &str) -> usize {
        self(text)
    }
}

/// Guesses the tokens of a text without a tokenizer.
///
/// One token for each four letters of a word, one for each three digits, one for each other character of ASCII that is
/// no blank, and one for each character beyond ASCII. For English, JSON and code this is more than what byte-pair
/// tokenizers count; for text in other scripts it is about what they count.
///
/// # Examples
///
/// ```
/// use throng_batch::{Estimate, TokenCounter as _};
///
/// assert_eq!(Estimate.count("the quick brown fox"), 6);
/// assert_eq!(Estimate.count("{\"hp\": 100}"), 7);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate;

impl TokenCounter for Estimate {
    fn count(&self, text: &str) -> usize {
        let mut tokens = 0;
        let (mut letters, mut digits) = (0_usize, 0_usize);
        for c in text.chars() {
            if c.is_ascii_alphabetic() {
                tokens += usize::from(letters % 4 == 0);
                letters += 1;
                digits = 0;
            } else if c.is_ascii_digit() {
                tokens += usize::from(digits % 3 == 0);
                digits += 1;
                letters = 0;
            } else {
                tokens += usize::from(!c.is_ascii_whitespace());
                (letters, digits) = (0, 0);
            }
        }
        tokens
    }
}
