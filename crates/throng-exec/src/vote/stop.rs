//! When a vote is settled: the answers that are missing cannot change the decision, or hardly would. Pure arithmetic
//! over counts; who answered and in which order plays no part.
//!
//! The probability is that of Adaptive-Consistency (Aggarwal et al., EMNLP 2023, arXiv 2305.11860): with uniform priors
//! the leader with v votes is more frequent than a challenger with w votes with the probability that a variable of
//! Beta(v + 1, w + 1) is above one half. The paper compares with the second answer only. Here the errors against all
//! challengers are added up (a union bound), and one answer that nobody has given yet counts among them with 0 votes;
//! Optimal Bayesian Stopping (arXiv 2602.05395) likewise keeps account of the rest, with a learned prior instead.

use super::policy::{Rules, Stop};

/// Why a vote ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// Every agent has answered or failed.
    AllEnded,
    /// The agents that were left could not change the decision.
    Certain,
    /// The confidence of [`Stop::Bayesian`] was reached.
    Confident,
    /// The executor's run ended while agents were left: its deadline passed, or it could not go on.
    RunEnded,
}

impl StopReason {
    /// Returns how many calls are saved when so many agents were not asked: none, unless the vote itself ended early.
    pub const fn saves(self, not_asked: usize) -> usize {
        match self {
            Self::Certain | Self::Confident => not_asked,
            Self::AllEnded | Self::RunEnded => 0,
        }
    }
}

/// The counts that decide whether a vote goes on. Weights are millionths.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Valid answers.
    pub(crate) votes: usize,
    /// Their weight.
    pub(crate) total: u64,
    /// The weight of the answer that leads; 0 without answers.
    pub(crate) leader: u64,
    /// The weights of all other answers, the heaviest first.
    pub(crate) others: Vec<u64>,
    /// Agents that have neither answered nor failed.
    pub(crate) open: usize,
    /// Their weight.
    pub(crate) open_weight: u64,
}

impl Standing {
    /// Supposes that an agent of this weight agrees with the leader.
    pub(crate) fn agree(&mut self, weight: u64) {
        self.votes += 1;
        self.total += weight;
        self.leader += weight;
        self.open = self.open.saturating_sub(1);
        self.open_weight = self.open_weight.saturating_sub(weight);
    }

    /// Returns why the vote should end now, if it should.
    pub(crate) fn stop(&self, rules: &Rules) -> Option<StopReason> {
        if self.open == 0 {
            return Some(StopReason::AllEnded);
        }
        match rules.stop {
            Stop::Never => None,
            Stop::Certain => self.is_certain(rules).then_some(StopReason::Certain),
            Stop::Bayesian { confidence } => {
                if self.is_certain(rules) {
                    Some(StopReason::Certain)
                } else {
                    self.is_confident(rules, confidence)
                        .then_some(StopReason::Confident)
                }
            }
        }
    }

    /// Returns the probability, at least, that the leader is the most frequent answer; 0 if that is not known.
    pub(crate) fn confidence(&self, heaviest: u64) -> f64 {
        (1.0 - self.error(heaviest)).max(0.0)
    }

    /// Returns true if no answers of the open agents, and no failures of theirs, would change the decision.
    fn is_certain(&self, rules: &Rules) -> bool {
        if self.votes + self.open < rules.quorum {
            return true;
        }
        let second = self.others.first().copied().unwrap_or(0);
        let most = self.total + self.open_weight;
        // The leader loses most if every open agent gives one other answer.
        let wins = self.leader > second + self.open_weight && share(self.leader, most) >= rules.threshold;
        // An answer gains most if every open agent gives it; a new one starts from nothing.
        let hopeless = share(self.leader + self.open_weight, most) < rules.threshold;
        self.votes >= rules.quorum && (wins || hopeless)
    }

    fn is_confident(&self, rules: &Rules, confidence: f64) -> bool {
        if self.votes < rules.quorum || self.total == 0 || share(self.leader, self.total) < rules.threshold {
            return false;
        }
        let (leader, rest) = (
            self.leader / rules.heaviest,
            (self.total - self.leader).div_ceil(rules.heaviest),
        );
        let below = if rules.threshold > 0.0 {
            // A share of Beta(leader + 1, rest + 1) is below the threshold.
            lower_tail(leader + rest + 1, rest, 1.0 - rules.threshold)
        } else {
            0.0
        };
        self.error(rules.heaviest) + below <= 1.0 - confidence
    }

    /// Returns the sum over all challengers of the probability that the challenger is more frequent than the leader.
    ///
    /// With unequal weights counts are in units of the heaviest weight, rounded down for the leader and up for the
    /// challengers: a light vote is never taken for a whole one in the leader's favour.
    fn error(&self, heaviest: u64) -> f64 {
        let leader = self.leader / heaviest;
        let mut error = beta_error(leader, 0);
        let mut last = (0, error);
        for &weight in &self.others {
            let votes = weight.div_ceil(heaviest);
            if votes != last.0 {
                last = (votes, beta_error(leader, votes));
            }
            error += last.1;
            if error >= 1.0 {
                return 1.0;
            }
        }
        error
    }
}

/// Returns one number's share of another; exact comparisons with a written share hold, because both are whole and
/// below 2⁵³ and a division is rounded once.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Returns the probability that a variable of Beta(leader + 1, challenger + 1) is below one half, which for whole counts
/// is a tail of the binomial distribution.
fn beta_error(leader: u64, challenger: u64) -> f64 {
    if challenger > leader {
        return 1.0;
    }
    lower_tail(leader + challenger + 1, challenger, 0.5)
}

/// Returns the probability of at most `k` successes in `n` trials that succeed with probability `p`.
///
/// The terms are added from the last one down, each from the one before by a multiplication, so that nothing cancels;
/// the last one comes from logarithms, so that nothing overflows. Where the terms rise towards small counts, which is
/// where `k` is above the mean, the answer may be too large and never too small.
fn lower_tail(n: u64, k: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if k as f64 > n as f64 * p {
        // Of no use to a caller, who asks whether this is small; a bound saves the sum.
        return 1.0;
    }
    let choose: f64 = (1..=k).map(|i| ((n - k + i) as f64 / i as f64).ln()).sum();
    let mut term = (choose + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp();
    let odds = (1.0 - p) / p;
    let mut sum = term;
    for i in (1..=k).rev() {
        term *= odds * i as f64 / (n - i + 1) as f64;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_the_binomial_tail() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(beta_error(0, 0), 0.5);
        close(beta_error(5, 0), 1.0 / 64.0);
        close(beta_error(4, 1), 7.0 / 64.0);
        close(beta_error(3, 3), 0.5);
        close(
            lower_tail(4, 1, 0.25),
            0.75_f64.powi(4) + 4.0 * 0.25 * 0.75_f64.powi(3),
        );
        assert!(beta_error(5_000, 4_000) < 1e-20);
        assert!(beta_error(9_000, 0) < f64::MIN_POSITIVE);
    }

    #[test]
    fn the_tail_agrees_with_exact_integers() {
        for n in 1_u64..=60 {
            for k in 0..=(n / 2) {
                let mut choose: u128 = 1;
                let mut sum: u128 = 1;
                for i in 1..=k {
                    choose = choose * u128::from(n - i + 1) / u128::from(i);
                    sum += choose;
                }
                let exact = sum as f64 / 2_f64.powi(n as i32);
                let tail = lower_tail(n, k, 0.5);
                assert!((tail / exact - 1.0).abs() < 1e-11, "{n} {k}: {tail} {exact}");
            }
        }
    }
}
