//! How many attempts of one key may run at the same time: a fixed number, or one that follows what the other side
//! accepts. Only the policy is here; the state is in `machine/adaptive.rs`.

use std::num::NonZeroUsize;

use crate::InvalidConfig;
use crate::error::check;

/// How many attempts may run at the same time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// Always this many.
    Fixed(NonZeroUsize),
    /// As many as the other side accepts, as far as that is known.
    Adaptive(AdaptiveLimit),
}

impl Limit {
    /// Checks what the types do not.
    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        match self {
            Self::Fixed(_) => Ok(()),
            Self::Adaptive(policy) => policy.validate(),
        }
    }
}

impl From<NonZeroUsize> for Limit {
    fn from(limit: NonZeroUsize) -> Self {
        Self::Fixed(limit)
    }
}

impl From<AdaptiveLimit> for Limit {
    fn from(policy: AdaptiveLimit) -> Self {
        Self::Adaptive(policy)
    }
}

/// A concurrency limit that is learned from refusals.
///
/// The limit doubles per round trip until attempts are refused, then searches between what was accepted and what was
/// refused, and from then on asks for a little more now and then: after five round trips without a refusal, and so
/// seldom that the refusals which this costs stay below 2 % of the attempts, or 3 % at limits below 7, where longer pauses
/// would leave it blind to what has become free. Each further success of that kind doubles the next step. It grows only while the whole limit is in use, and not on attempts that were retries.
///
/// Only refusals because of a limit or of overload cut it, and, if asked for, a rising time to first output. No other
/// error does, and no attempt that began before the last cut. A limit of which less than half was in use for a minute is
/// halved, again each minute, down to `initial`.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_exec::{AdaptiveLimit, Limit};
///
/// let max = NonZeroUsize::new(200).ok_or("zero")?;
/// let limit = Limit::from(AdaptiveLimit::new().max(max));
/// assert!(matches!(limit, Limit::Adaptive(_)));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct AdaptiveLimit {
    pub(crate) initial: NonZeroUsize,
    pub(crate) min: NonZeroUsize,
    pub(crate) max: NonZeroUsize,
    pub(crate) cut: f64,
    pub(crate) tolerated: f64,
    pub(crate) least: NonZeroUsize,
    pub(crate) first_output_tolerance: Option<f64>,
}

impl AdaptiveLimit {
    /// Makes a limit that starts at 8 and moves between 1 and 1024.
    pub const fn new() -> Self {
        Self {
            initial: NonZeroUsize::MIN.saturating_add(7),
            min: NonZeroUsize::MIN,
            max: NonZeroUsize::MIN.saturating_add(1023),
            cut: 0.7,
            tolerated: 0.1,
            least: NonZeroUsize::MIN.saturating_add(1),
            first_output_tolerance: None,
        }
    }

    /// Sets the limit at the beginning. Default 8; between `min` and `max`.
    pub const fn initial(mut self, initial: NonZeroUsize) -> Self {
        self.initial = initial;
        self
    }

    /// Sets below what the limit is never cut. Default 1.
    pub const fn min(mut self, min: NonZeroUsize) -> Self {
        self.min = min;
        self
    }

    /// Sets above what the limit never grows. Default 1024.
    pub const fn max(mut self, max: NonZeroUsize) -> Self {
        self.max = max;
        self
    }

    /// Sets by what the limit is multiplied when it is cut. Default 0.7; between 0.1 and 0.95.
    pub const fn cut_factor(mut self, factor: f64) -> Self {
        self.cut = factor;
        self
    }

    /// Sets the share of a cohort, which is as many attempts as the limit, that may be refused without a cut. Default
    /// 0.1; above 0 and at most 0.5. A share above 2 % that lasts, and refusals right after the limit grew, take back a
    /// step and not more.
    pub const fn tolerated_refusals(mut self, share: f64) -> Self {
        self.tolerated = share;
        self
    }

    /// Sets how many attempts of a cohort have to be refused for a cut, however small the limit is. Default 2.
    pub const fn least_refusals(mut self, n: NonZeroUsize) -> Self {
        self.least = n;
        self
    }

    /// Takes a cohort for refused whose time to first output is on average more than `ratio` times the shortest average
    /// that was seen. Off by default, because this time also depends on the length of the prompts; above 1. For
    /// providers that queue what they cannot serve instead of refusing it.
    pub const fn first_output_tolerance(mut self, ratio: f64) -> Self {
        self.first_output_tolerance = Some(ratio);
        self
    }

    fn validate(&self) -> Result<(), InvalidConfig> {
        let Self {
            initial, min, max, ..
        } = *self;
        check(
            min <= initial,
            "min",
            &min,
            "it cannot be above the initial limit",
        )?;
        check(
            initial <= max,
            "max",
            &max,
            "it cannot be below the initial limit",
        )?;
        let cut = (0.1..=0.95).contains(&self.cut);
        check(cut, "cut_factor", &self.cut, "it has to be between 0.1 and 0.95")?;
        let share = self.tolerated > 0.0 && self.tolerated <= 0.5;
        let rule = "it has to be above 0 and at most 0.5";
        check(share, "tolerated_refusals", &self.tolerated, rule)?;
        let ratio = self.first_output_tolerance.unwrap_or(2.0);
        let rule = "it has to be a finite number above 1";
        check(
            ratio > 1.0 && ratio.is_finite(),
            "first_output_tolerance",
            &ratio,
            rule,
        )
    }
}

impl Default for AdaptiveLimit {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an adaptive limit has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LimitCause {
    /// It grew, and nothing has been refused yet.
    SlowStart,
    /// It grew towards a limit at which attempts were refused.
    Recovery,
    /// It grew beyond what is known.
    Growth,
    /// It took back a step, because attempts were refused after it.
    StepBack,
    /// It was cut, because too many attempts of a cohort were refused.
    Refused,
    /// It was cut or took back a step, because the time to first output had risen.
    FirstOutput,
    /// It was lowered, because less than half of it had been in use for a minute or more.
    Rested,
}

impl LimitCause {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::SlowStart => "slow start",
            Self::Recovery => "recovery",
            Self::Growth => "growth",
            Self::StepBack => "step back",
            Self::Refused => "refused",
            Self::FirstOutput => "first output",
            Self::Rested => "rested",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(policy: AdaptiveLimit) -> Option<&'static str> {
        Limit::from(policy).validate().err().map(|err| err.setting)
    }

    #[test]
    fn settings_that_make_no_sense_are_rejected() {
        let (new, n) = (AdaptiveLimit::new, |n| NonZeroUsize::new(n).unwrap());
        assert_eq!(rejected(new()), None);
        assert_eq!(Limit::from(n(3)).validate(), Ok(()));
        assert_eq!(rejected(new().min(n(9))), Some("min"));
        assert_eq!(rejected(new().max(n(7))), Some("max"));
        for factor in [0.0, 1.0, f64::NAN] {
            assert_eq!(rejected(new().cut_factor(factor)), Some("cut_factor"));
        }
        for share in [0.0, 0.6, f64::NAN] {
            assert_eq!(
                rejected(new().tolerated_refusals(share)),
                Some("tolerated_refusals")
            );
        }
        for ratio in [1.0, f64::NAN, f64::INFINITY] {
            let policy = new().first_output_tolerance(ratio);
            assert_eq!(rejected(policy), Some("first_output_tolerance"));
        }
    }
}
