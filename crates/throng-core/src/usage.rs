//! The tokens that a call consumed. Providers report snapshots, so a later report replaces an earlier one.

/// The tokens that a call, or a sum of calls, consumed. `None` means that nobody reported the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt, those read from a cache included.
    pub input_tokens: Option<u64>,
    /// Tokens of the completion, those spent on reasoning included.
    pub output_tokens: Option<u64>,
    /// The part of `input_tokens` that came from the provider's cache.
    pub cached_input_tokens: Option<u64>,
    /// The part of `output_tokens` that was spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// The usage of a call that reported nothing.
    pub const NONE: Self = Self {
        input_tokens: None,
        output_tokens: None,
        cached_input_tokens: None,
        reasoning_tokens: None,
    };

    /// Returns the usage of a call with so many input and output tokens.
    pub const fn of(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens: Some(input_tokens),
            output_tokens: Some(output_tokens),
            cached_input_tokens: None,
            reasoning_tokens: None,
        }
    }

    /// Returns true if no figure was reported.
    pub const fn is_empty(&self) -> bool {
        self.input_tokens.is_none()
            && self.output_tokens.is_none()
            && self.cached_input_tokens.is_none()
            && self.reasoning_tokens.is_none()
    }

    /// Returns input and output tokens together, an unreported figure counting as 0.
    pub const fn total(&self) -> u64 {
        let input = match self.input_tokens {
            Some(n) => n,
            None => 0,
        };
        match self.output_tokens {
            Some(n) => input.saturating_add(n),
            None => input,
        }
    }

    /// Takes over a later snapshot of the same call: its figures replace the earlier ones field by field, and an
    /// absent or zero figure never erases an earlier one.
    pub fn replace_with(&mut self, later: &Self) {
        self.zip(later, |old, new| if new > 0 { new } else { old });
    }

    /// Adds the usage of another call. Sums saturate.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, u64::saturating_add);
    }

    fn zip(&mut self, other: &Self, join: impl Fn(u64, u64) -> u64) {
        let each = |mine: &mut Option<u64>, theirs: Option<u64>| {
            if let Some(theirs) = theirs {
                *mine = Some(mine.map_or(theirs, |mine| join(mine, theirs)));
            }
        };
        each(&mut self.input_tokens, other.input_tokens);
        each(&mut self.output_tokens, other.output_tokens);
        each(&mut self.cached_input_tokens, other.cached_input_tokens);
        each(&mut self.reasoning_tokens, other.reasoning_tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_snapshot_replaces_and_a_zero_never_erases() {
        let mut usage = Usage::of(10, 1);
        usage.replace_with(&Usage::of(0, 7));
        assert_eq!(usage, Usage::of(10, 7));
        usage.replace_with(&Usage {
            reasoning_tokens: Some(3),
            ..Usage::default()
        });
        assert_eq!(usage.reasoning_tokens, Some(3));
        assert_eq!(usage.total(), 17);
    }

    #[test]
    fn calls_add_up() {
        let mut sum = Usage::default();
        assert!(sum.is_empty());
        sum.add(&Usage::of(1, 2));
        sum.add(&Usage::of(3, u64::MAX));
        assert_eq!(sum, Usage::of(4, u64::MAX));
    }
}
