//! How long the first token takes: a distribution, and how a value is drawn from it.

use std::time::Duration;

use fastrand::Rng;

/// The longest that any drawn or given latency may be: one hour.
pub(crate) const LONGEST: Duration = Duration::from_secs(3600);

/// A distribution of durations.
///
/// Every value that is drawn is cut at one hour.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same.
    Constant(Duration),
    /// Every duration of the range is as likely as any other.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
    /// The logarithm is normally distributed, as the latencies of real servers roughly are.
    LogNormal {
        /// Half of the values are below this.
        median: Duration,
        /// The standard deviation of the natural logarithm: 0 is constant, 0.5 common, 1 has a heavy tail.
        sigma: f64,
    },
    /// A mixture: most requests are fast, some are slow.
    Bimodal {
        /// The distribution of the fast ones.
        fast: Box<Latency>,
        /// The distribution of the slow ones.
        slow: Box<Latency>,
        /// Which share of the requests is slow, from 0 to 1.
        slow_share: f64,
    },
}

impl Latency {
    /// No latency at all.
    pub const ZERO: Self = Self::Constant(Duration::ZERO);

    /// Returns a duration drawn with `rng`.
    pub(crate) fn sample(&self, rng: &mut Rng) -> Duration {
        let drawn = match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => *min + max.saturating_sub(*min).mul_f64(rng.f64()),
            Self::LogNormal { median, sigma } => {
                let seconds = median.as_secs_f64() * (sigma * normal(rng)).exp();
                Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST)
            }
            Self::Bimodal {
                fast,
                slow,
                slow_share,
            } => {
                let which = if rng.f64() < *slow_share { slow } else { fast };
                which.sample(rng)
            }
        };
        drawn.min(LONGEST)
    }

    /// Returns what is wrong with the distribution, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Constant(value) => (*value > LONGEST).then_some("must be at most an hour"),
            Self::Uniform { min, max } if min > max => {
                Some("must have a minimum that is not above its maximum")
            }
            Self::Uniform { max, .. } => (*max > LONGEST).then_some("must be at most an hour"),
            Self::LogNormal { sigma, .. } if !(0.0..=10.0).contains(sigma) => {
                Some("must have a sigma from 0 to 10")
            }
            Self::LogNormal { median, .. } => {
                (*median > LONGEST).then_some("must have a median of at most an hour")
            }
            Self::Bimodal { slow_share, .. } if !(0.0..=1.0).contains(slow_share) => {
                Some("must have a share of slow requests from 0 to 1")
            }
            Self::Bimodal { fast, slow, .. } => fast.problem().or_else(|| slow.problem()),
        }
    }
}

/// Draws from the standard normal distribution by the method of Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(latency: &Latency) -> Vec<f64> {
        assert_eq!(latency.problem(), None, "{latency:?}");
        let mut rng = Rng::with_seed(11);
        let mut values: Vec<f64> = (0..20_000)
            .map(|_| latency.sample(&mut rng).as_secs_f64())
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }

    #[test]
    fn a_log_normal_has_the_median_and_the_spread_that_were_asked_for() {
        let values = drawn(&Latency::LogNormal {
            median: Duration::from_millis(80),
            sigma: 0.5,
        });
        let median = values[10_000];
        assert!((0.078..0.082).contains(&median), "median {median}");
        // One standard deviation above the median lies e^0.5 times higher.
        let upper = values[16_827];
        assert!((0.127..0.137).contains(&upper), "84th percentile {upper}");
    }

    #[test]
    fn uniform_values_stay_in_the_range_and_fill_it() {
        let values = drawn(&Latency::Uniform {
            min: Duration::from_millis(10),
            max: Duration::from_millis(30),
        });
        assert!(values[0] >= 0.010 && values[0] < 0.0101, "{}", values[0]);
        assert!(
            values[19_999] <= 0.030 && values[19_999] > 0.0299,
            "{}",
            values[19_999]
        );
    }

    #[test]
    fn a_bimodal_mixture_keeps_its_share() {
        let (fast, slow) = (Duration::from_millis(1), Duration::from_millis(9));
        let values = drawn(&Latency::Bimodal {
            fast: Box::new(Latency::Constant(fast)),
            slow: Box::new(Latency::Constant(slow)),
            slow_share: 0.2,
        });
        let n_slow = values.iter().filter(|value| **value > 0.005).count();
        assert!((3_800..4_200).contains(&n_slow), "{n_slow} of 20000 were slow");
    }

    #[test]
    fn a_sigma_that_overflows_is_cut_at_an_hour() {
        let values = drawn(&Latency::LogNormal {
            median: LONGEST,
            sigma: 10.0,
        });
        assert_eq!(values[19_999], 3600.0);
    }

    #[test]
    fn impossible_distributions_are_refused() {
        let (low, high) = (Duration::from_millis(1), Duration::from_millis(2));
        assert!(Latency::Uniform { min: high, max: low }.problem().is_some());
        assert!(
            Latency::LogNormal {
                median: low,
                sigma: f64::NAN
            }
            .problem()
            .is_some()
        );
        assert!(Latency::Constant(LONGEST * 2).problem().is_some());
        let inner = Box::new(Latency::LogNormal {
            median: low,
            sigma: -1.0,
        });
        let fast = Box::new(Latency::ZERO);
        assert!(
            Latency::Bimodal {
                fast,
                slow: inner,
                slow_share: 0.5
            }
            .problem()
            .is_some()
        );
    }
}
