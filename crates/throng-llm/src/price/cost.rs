//! Sums of money in whole picodollars: adding them up loses nothing.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

/// Picodollars per dollar.
const DOLLAR: u64 = 1_000_000_000_000;

/// A sum of US dollars, in whole picodollars (10⁻¹² $), in which every published price per token is a whole number.
///
/// The largest sum is 18.4 million dollars; sums beyond it stay there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(u64);

impl Cost {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Makes a sum of picodollars.
    pub const fn from_picodollars(picodollars: u64) -> Self {
        Self(picodollars)
    }

    /// Makes a sum of whole dollars.
    pub const fn from_dollars(dollars: u64) -> Self {
        Self(dollars.saturating_mul(DOLLAR))
    }

    /// Returns the sum in picodollars.
    pub const fn picodollars(self) -> u64 {
        self.0
    }

    /// Returns the sum in dollars, rounded as floats are.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }

    /// Returns what so many tokens cost at this much for each.
    #[must_use]
    pub const fn times(self, tokens: u64) -> Self {
        Self(self.0.saturating_mul(tokens))
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::ZERO, Add::add)
    }
}

/// Prints the exact sum with at least two places: `$0.00`, `$12.50`, `$0.00000015`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = format!("{:012}", self.0 % DOLLAR);
        let end = places.trim_end_matches('0').len().max(2);
        f.pad(&format!("${}.{}", self.0 / DOLLAR, &places[..end]))
    }
}

/// A text is not a sum of dollars.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a sum of dollars such as 2.50, with at most 12 places")]
#[non_exhaustive]
pub struct InvalidCost {
    /// The text.
    pub text: String,
}

/// Reads a sum of dollars such as `2.50` or `$2.50`, exactly.
impl FromStr for Cost {
    type Err = InvalidCost;

    fn from_str(text: &str) -> Result<Self, InvalidCost> {
        let wrong = || InvalidCost {
            text: text.to_owned(),
        };
        let number = text.trim().trim_start_matches('$');
        let (whole, places) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && places.is_empty()) || places.len() > 12 || !digits(whole) || !digits(places) {
            return Err(wrong());
        }
        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().map_err(|_| wrong())?
        };
        let places: u64 = format!("{places:0<12}").parse().map_err(|_| wrong())?;
        let sum = whole.checked_mul(DOLLAR).and_then(|sum| sum.checked_add(places));
        sum.map(Self).ok_or_else(wrong)
    }
}
