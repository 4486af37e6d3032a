//! The answers: readable pseudo-text that follows from the seed and the prompt alone, and the rule that counts tokens.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use fastrand::Rng;

use crate::hash::{Purpose, prompt_hash, rng};

/// How long answers are unless configured otherwise, in tokens.
pub(crate) const DEFAULT_OUTPUT_TOKENS: RangeInclusive<u32> = 8..=60;

/// How long reasoning is unless configured otherwise, in tokens.
pub(crate) const DEFAULT_REASONING_TOKENS: RangeInclusive<u32> = 6..=24;

/// How many characters make a token.
pub(crate) const CHARS_PER_TOKEN: usize = 4;

/// Returns the tokens of a text by the server's rule: its characters (Unicode scalar values) divided by 4, rounded
/// up.
pub fn count_tokens(text: &str) -> u64 {
    text.chars().count().div_ceil(CHARS_PER_TOKEN) as u64
}

/// Returns the text by which the server knows a prompt: the texts of all messages, in order, joined by line feeds.
///
/// Roles do not count. A prompt of a single message is just its text; a system message comes first, as sent. Of a
/// message whose content is a list of parts, the texts of its `text` parts are taken; a message without text
/// counts as an empty one.
pub fn prompt_text<'a>(messages: impl IntoIterator<Item = &'a str>) -> String {
    messages.into_iter().collect::<Vec<_>>().join("\n")
}

/// Returns the text with which a server of this seed answers a prompt, in its first choice, as long as its output
/// length is the default one.
///
/// `prompt` is the text as [`prompt_text`] gives it. For a server that has another output length, ask
/// [`SimConfig::expected_text`](crate::SimConfig::expected_text).
pub fn expected_text(seed: u64, prompt: &str) -> String {
    answer(seed, prompt_hash(prompt), 0, &DEFAULT_OUTPUT_TOKENS)
}

/// Returns the reasoning that comes before the answer of a server of this seed, in its first choice, where the script
/// says [`Behaviour::Reasoning`](crate::Behaviour::Reasoning) and no length is configured.
///
/// For a server that is configured to reason, ask
/// [`SimConfig::expected_reasoning`](crate::SimConfig::expected_reasoning).
pub fn expected_reasoning(seed: u64, prompt: &str) -> String {
    reasoning(seed, prompt_hash(prompt), 0, &DEFAULT_REASONING_TOKENS)
}

/// Writes the answer.
pub(crate) fn answer(seed: u64, prompt: u64, choice: u32, length: &RangeInclusive<u32>) -> String {
    let index = [u64::from(choice), 0];
    let tokens = rng(seed, prompt, Purpose::Length, index).u32(length.clone());
    sentences(tokens, rng(seed, prompt, Purpose::Text, index))
}

/// Writes the reasoning before the answer.
pub(crate) fn reasoning(seed: u64, prompt: u64, choice: u32, length: &RangeInclusive<u32>) -> String {
    let index = [u64::from(choice), 0];
    let tokens = rng(seed, prompt, Purpose::ReasoningLength, index).u32(length.clone());
    sentences(tokens, rng(seed, prompt, Purpose::Reasoning, index))
}

/// Writes sentences of five to fourteen words, cut so that they have so many tokens.
pub(crate) fn sentences(tokens: u32, mut words: Rng) -> String {
    let limit = (tokens as usize * CHARS_PER_TOKEN).saturating_sub(1);
    let mut text = String::with_capacity(limit + 16);
    let mut n_chars = 0;
    let mut left_in_sentence = 0;
    while n_chars < limit {
        let starts = left_in_sentence == 0;
        if starts {
            left_in_sentence = words.u32(5..=14);
        }
        let word = words.choice(WORDS.iter()).copied().unwrap_or_default();
        let from = text.len();
        if starts {
            push_capitalized(&mut text, word);
        } else {
            text.push_str(word);
        }
        left_in_sentence -= 1;
        text.push_str(match (left_in_sentence, words.u32(0..16)) {
            (0, 0..=1) => "? ",
            (0, _) => ". ",
            (_, 0) => ", ",
            (_, 1) => " – ",
            _ => " ",
        });
        n_chars += text[from..].chars().count();
    }
    let cut = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
    text.truncate(cut);
    // What is taken away is at most three characters (" – "), so the number of tokens stays what was drawn.
    text.truncate(text.trim_end_matches([' ', ',', '.', '?', '–']).len());
    text.push('.');
    text
}

fn push_capitalized(text: &mut String, word: &str) {
    let mut chars = word.chars();
    if let Some(first) = chars.next() {
        text.extend(first.to_uppercase());
        text.push_str(chars.as_str());
    }
}

/// The words of all answers. Some are not ASCII: characters of two, three and four bytes.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| WORD_LIST.split(' ').collect());

const WORD_LIST: &str = "the a this each every no some most few many one two three and or but while because until before \
    after under over beside without toward from into model answer question river window harbour engine \
    letter number signal garden mountain lantern pattern stream bridge compass ledger measure reason \
    shadow silver timber voyage weather winter summer morning evening market library journey kettle \
    ladder meadow needle orchard paper quarry station table valley wagon carries follows gathers holds \
    keeps leaves makes moves opens reads returns shows stands takes tells turns waits writes bright calm \
    deep early exact gentle late long narrow plain quiet rapid short slow small steady tall warm wide \
    often rarely soon then there slowly café naïve Zürich piñata œuvre smørrebrød Žižkov λόγος правда 東京 \
    日本語 안녕 ½ → “quoted” 🦀 🚀";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_met_to_the_token() {
        for tokens in 1..=200 {
            for prompt in 0..20 {
                let text = answer(9, prompt, 0, &(tokens..=tokens));
                assert_eq!(
                    count_tokens(&text),
                    u64::from(tokens),
                    "prompt {prompt}: {text:?}"
                );
                assert!(text.ends_with('.') && !text.ends_with(" ."), "{text:?}");
            }
        }
    }

    #[test]
    fn a_longer_range_goes_on_from_the_same_words() {
        let short = answer(3, 7, 0, &(20..=20));
        let long = answer(3, 7, 0, &(90..=90));
        let stem = &short[..short.char_indices().nth(60).unwrap().0];
        assert!(long.starts_with(stem), "{short:?} and {long:?}");
    }

    #[test]
    fn answers_differ_between_prompts_seeds_and_choices() {
        let texts: std::collections::HashSet<String> = (0..1000)
            .map(|i| expected_text(1, &format!("prompt {i}")))
            .chain((2..1000).map(|seed| expected_text(seed, "prompt 0")))
            .chain((1..100).map(|choice| answer(1, prompt_hash("prompt 0"), choice, &DEFAULT_OUTPUT_TOKENS)))
            .collect();
        assert_eq!(texts.len(), 1000 + 998 + 99);
    }

    #[test]
    fn many_answers_hold_characters_of_two_three_and_four_bytes() {
        let all: String = (0..100).map(|i| expected_text(1, &i.to_string())).collect();
        for n_bytes in 2..=4 {
            assert!(
                all.chars().any(|char| char.len_utf8() == n_bytes),
                "none of {n_bytes} bytes"
            );
        }
    }

    /// The texts of a seed must never change: people keep them as expected results. If this fails, the hash, the
    /// random source or the word list is no longer the same.
    #[test]
    fn the_text_of_a_known_prompt_is_pinned() {
        assert_eq!(
            expected_text(42, "What is a throng?"),
            "Harbour Žižkov, a meadow and, long weather tells wide meadow wide reason letter. Turns “quoted” \
             rarely then weather piñata."
        );
        assert_eq!(prompt_hash("What is a throng?"), 12_624_926_170_579_595_362);
    }
}
