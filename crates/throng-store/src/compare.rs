//! Whether two samples differ: Mann-Whitney's rank test, with the shift between them and its interval. Pure.

/// One side of a [`Comparison`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Side {
    /// How many runs.
    pub n: usize,
    /// The median of their values; `None` without a run.
    pub median: Option<f64>,
}

/// How far the recent values lie above the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Shift {
    /// The median of all differences between a recent and an earlier value (Hodges and Lehmann).
    pub estimate: f64,
    /// The lower end of its interval of 95 %.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What a [`Comparison`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// There are fewer than [`MIN_RUNS`] runs on one side: nothing can be said.
    TooFewRuns,
    /// A change is not shown. That is no proof that there is none.
    NotShown,
    /// The recent values are higher.
    Higher,
    /// The recent values are lower.
    Lower,
}

impl Verdict {
    /// Returns the verdict as it stands in machine output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooFewRuns => "too_few_runs",
            Self::NotShown => "not_shown",
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }
}

/// Recent runs against earlier ones.
///
/// A change is shown if all of these hold: there are at least [`MIN_RUNS`] runs on both sides; the two-sided p of
/// Mann-Whitney's test, corrected by Holm's method for the number of comparisons that were made together, is below 0.05; the
/// interval of the shift does not hold 0; and the shift is at least 5 % of the earlier median.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The earlier runs.
    pub earlier: Side,
    /// The recent runs.
    pub recent: Side,
    /// How far the recent runs lie above the earlier ones; `None` with too few runs.
    pub shift: Option<Shift>,
    /// The two-sided p of the rank test alone; `None` with too few runs.
    pub p: Option<f64>,
    /// The p that is corrected for the number of comparisons that were made together.
    pub p_corrected: Option<f64>,
    /// What that shows.
    pub verdict: Verdict,
}

/// The runs that each side of a comparison needs.
pub const MIN_RUNS: usize = 5;

const LEVEL: f64 = 0.05;
const LEAST_SHIFT: f64 = 0.05;

impl Comparison {
    /// Compares two samples as the only comparison that is made.
    pub(crate) fn new(earlier: &[f64], recent: &[f64]) -> Self {
        let mut one = Self::uncorrected(earlier, recent);
        one.p_corrected = one.p;
        one.judge();
        one
    }

    fn uncorrected(earlier: &[f64], recent: &[f64]) -> Self {
        let side = |values: &[f64]| Side {
            n: values.len(),
            median: median(&mut values.to_vec()),
        };
        let enough = earlier.len().min(recent.len()) >= MIN_RUNS;
        Self {
            earlier: side(earlier),
            recent: side(recent),
            shift: enough.then(|| shift(earlier, recent)).flatten(),
            p: enough.then(|| rank_test(earlier, recent)),
            p_corrected: None,
            verdict: Verdict::TooFewRuns,
        }
    }

    fn judge(&mut self) {
        let (Some(p), Some(shift)) = (self.p_corrected, self.shift) else {
            return;
        };
        let relevant = self
            .earlier
            .median
            .is_some_and(|median| shift.estimate.abs() >= LEAST_SHIFT * median.abs());
        self.verdict = if p < LEVEL && relevant && shift.low > 0.0 {
            Verdict::Higher
        } else if p < LEVEL && relevant && shift.high < 0.0 {
            Verdict::Lower
        } else {
            Verdict::NotShown
        };
    }
}

/// Compares pairs of samples, earlier and recent, that are reported together.
pub(crate) fn compare_all(pairs: &[(&[f64], &[f64])]) -> Vec<Comparison> {
    let mut all: Vec<Comparison> = pairs
        .iter()
        .map(|(earlier, recent)| Comparison::uncorrected(earlier, recent))
        .collect();
    let mut tested: Vec<&mut Comparison> = all.iter_mut().filter(|one| one.p.is_some()).collect();
    tested.sort_by(|a, b| a.p.unwrap_or(1.0).total_cmp(&b.p.unwrap_or(1.0)));
    let mut least = 0.0_f64;
    let m = tested.len();
    for (rank, one) in tested.into_iter().enumerate() {
        least = one
            .p
            .map_or(least, |p| least.max((p * (m - rank) as f64).min(1.0)));
        one.p_corrected = Some(least);
        one.judge();
    }
    all
}

/// Returns the median: of an even number of values, the mean of the two in the middle.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    match values.len() % 2 {
        1 => Some(upper),
        _ => values
            .get(values.len() / 2 - 1)
            .map(|lower| lower + (upper - lower) / 2.0),
    }
}

/// Returns the two-sided p of the rank test. Exact, ties included, up to 100 values; beyond that by the normal
/// approximation with corrections for ties and continuity.
fn rank_test(a: &[f64], b: &[f64]) -> f64 {
    let (doubled, sum) = doubled_ranks(a, b);
    let n = doubled.len();
    let mean = b.len() * (n + 1);
    let distance = sum.abs_diff(mean);
    if n <= 100 {
        return exact(&doubled, b.len(), mean, distance);
    }
    let (n1, n2, n) = (a.len() as f64, b.len() as f64, n as f64);
    let ties: f64 = doubled
        .chunk_by(|x, y| x == y)
        .map(|tie| (tie.len() as f64).powi(3) - tie.len() as f64)
        .sum();
    let variance = n1 * n2 / 12.0 * ((n + 1.0) - ties / (n * (n - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = ((distance as f64 / 2.0) - 0.5).max(0.0) / variance.sqrt();
    two_sided(z)
}

/// Returns twice the mid-rank of every value in ascending order, and the sum of those of `b`.
fn doubled_ranks(a: &[f64], b: &[f64]) -> (Vec<usize>, usize) {
    let mut all: Vec<(f64, bool)> = a
        .iter()
        .map(|value| (*value, false))
        .chain(b.iter().map(|value| (*value, true)))
        .collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut doubled, mut sum) = (Vec::with_capacity(all.len()), 0);
    for tie in all.chunk_by(|x, y| x.0 == y.0) {
        let first = doubled.len() + 1;
        let rank = first + (first + tie.len() - 1);
        doubled.extend(std::iter::repeat_n(rank, tie.len()));
        sum += rank * tie.iter().filter(|value| value.1).count();
    }
    (doubled, sum)
}

/// Counts the choices of `k` of the ranks whose sum lies at least `distance` from the mean, among all choices.
fn exact(doubled: &[usize], k: usize, mean: usize, distance: usize) -> f64 {
    let most: usize = doubled.iter().rev().take(k).sum();
    // ways[j][s]: the choices of j of the ranks so far with the sum s. Sums of 100 numbers stay far below 2^1023.
    let mut ways = vec![vec![0.0_f64; most + 1]; k + 1];
    if let Some(none) = ways.first_mut().and_then(|sums| sums.first_mut()) {
        *none = 1.0;
    }
    for rank in doubled {
        for j in (1..=k).rev() {
            let (below, of_j) = ways.split_at_mut(j);
            let (Some(below), Some(of_j)) = (below.last(), of_j.first_mut()) else {
                continue;
            };
            for (sum, fewer) in of_j.iter_mut().skip(*rank).zip(below) {
                *sum += fewer;
            }
        }
    }
    let Some(of_k) = ways.last() else { return 1.0 };
    let all: f64 = of_k.iter().sum();
    let far: f64 = of_k
        .iter()
        .enumerate()
        .filter(|(sum, _)| sum.abs_diff(mean) >= distance)
        .map(|(_, ways)| ways)
        .sum();
    (far / all).min(1.0)
}

/// Returns the shift of `b` over `a` with its interval; `None` if there are too few values for one of 95 %.
fn shift(a: &[f64], b: &[f64]) -> Option<Shift> {
    let mut differences: Vec<f64> = b.iter().flat_map(|b| a.iter().map(move |a| b - a)).collect();
    let estimate = median(&mut differences)?;
    // The ends are the k-th differences from below and above, where U is below k with a probability of 2.5 %.
    let below = lower_quantile(a.len(), b.len())?;
    Some(Shift {
        estimate,
        low: *differences.get(below)?,
        high: *differences.get(differences.len().checked_sub(below + 1)?)?,
    })
}

/// Returns the place, from 0, of the difference that ends the interval.
fn lower_quantile(n1: usize, n2: usize) -> Option<usize> {
    const TAIL: f64 = 0.025;
    if n1 + n2 > 100 {
        let (n1, n2) = (n1 as f64, n2 as f64);
        let k = n1 * n2 / 2.0 - 1.959_964 * (n1 * n2 * (n1 + n2 + 1.0) / 12.0).sqrt();
        return Some(k.max(0.0).floor() as usize);
    }
    // ways[j][u] over the first i values of one side: the distribution of U without ties.
    let most = n1 * n2;
    let mut ways = vec![vec![0.0_f64; most + 1]; n2 + 1];
    for of_j in &mut ways {
        if let Some(none) = of_j.first_mut() {
            *none = 1.0;
        }
    }
    for i in 1..=n1 {
        let mut next = vec![vec![0.0_f64; most + 1]; n2 + 1];
        for j in 0..=n2 {
            for u in 0..=i * j {
                // The greatest of the i + j values is one of the first side, above j of the other, or of the second.
                let first = u.checked_sub(j).and_then(|u| ways.get(j)?.get(u)).copied();
                let second = j.checked_sub(1).and_then(|j| next.get(j)?.get(u)).copied();
                if let Some(place) = next.get_mut(j).and_then(|of_j| of_j.get_mut(u)) {
                    *place = first.unwrap_or(0.0) + second.unwrap_or(0.0);
                }
            }
        }
        ways = next;
    }
    let of_all = ways.last()?;
    let all: f64 = of_all.iter().sum();
    let mut sum = 0.0;
    let mut k = 0_usize;
    for ways in of_all {
        sum += ways;
        if sum / all > TAIL {
            break;
        }
        k += 1;
    }
    k.checked_sub(1)
}

/// Returns the probability that a normal value lies at least `z` from 0 (Abramowitz and Stegun, 7.1.26; error 1.5e-7).
fn two_sided(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ]
    .iter()
    .fold(0.0, |sum, coefficient| sum * t + coefficient);
    (poly * t * (-x * x).exp()).clamp(0.0, 1.0)
}

/// Returns Wilson's interval of 95 % for a share.
pub(crate) fn wilson(successes: u64, n: u64) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (k, n) = (successes as f64, n as f64);
    let share = k / n;
    let middle = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding must not put the share itself outside.
    (
        (middle - half).clamp(0.0, share),
        (middle + half).clamp(share, 1.0),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The share of all ways to split the values whose rank sum is at least as far from the mean.
    fn by_enumeration(a: &[f64], b: &[f64]) -> f64 {
        let all: Vec<f64> = a.iter().chain(b).copied().collect();
        let ranks: Vec<f64> = all
            .iter()
            .map(|x| {
                let below = all.iter().filter(|y| *y < x).count() as f64;
                let same = all.iter().filter(|y| *y == x).count() as f64;
                below + (same + 1.0) / 2.0
            })
            .collect();
        let mean = b.len() as f64 * (all.len() as f64 + 1.0) / 2.0;
        let seen: f64 = ranks[a.len()..].iter().sum();
        let (mut far, mut n) = (0, 0);
        for mask in 0_u32..1 << all.len() {
            if mask.count_ones() as usize != b.len() {
                continue;
            }
            let sum: f64 = (0..all.len())
                .filter(|i| mask >> i & 1 == 1)
                .map(|i| ranks[i])
                .sum();
            n += 1;
            far += i32::from((sum - mean).abs() >= (seen - mean).abs() - 1e-9);
        }
        f64::from(far) / f64::from(n)
    }

    fn values(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((0..12_i32).prop_map(f64::from), n)
    }

    proptest! {
        #[test]
        fn the_exact_p_is_that_of_enumeration(a in values(1..7), b in values(1..7)) {
            let p = rank_test(&a, &b);
            prop_assert!((p - by_enumeration(&a, &b)).abs() < 1e-9, "{p}");
        }

        #[test]
        fn swapping_the_sides_mirrors_the_shift(a in values(5..12), b in values(5..12)) {
            let (there, back) = (Comparison::new(&a, &b), Comparison::new(&b, &a));
            let (s, t) = (there.shift.unwrap(), back.shift.unwrap());
            prop_assert!((s.estimate + t.estimate).abs() < 1e-9);
            prop_assert!((s.low + t.high).abs() < 1e-9 && (s.high + t.low).abs() < 1e-9);
            prop_assert!((there.p.unwrap() - back.p.unwrap()).abs() < 1e-9);
            prop_assert!(s.low <= s.estimate && s.estimate <= s.high);
        }
    }

    #[test]
    fn known_values() {
        // Tables of U: for 5 and 5 the critical value at 5 %, two-sided, is 2; so the interval ends at the third difference.
        assert_eq!(lower_quantile(5, 5), Some(2));
        assert_eq!(lower_quantile(8, 10), Some(17));
        assert_eq!(lower_quantile(3, 3), None);
        let p = rank_test(&[1.0, 2.0, 3.0, 4.0, 5.0], &[6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((p - 2.0 / 252.0).abs() < 1e-12, "{p}");
        assert!((two_sided(1.959_964) - 0.05).abs() < 1e-6);
        let (low, high) = wilson(8, 10);
        assert!(
            (low - 0.4902).abs() < 1e-3 && (high - 0.9433).abs() < 1e-3,
            "{low} {high}"
        );
    }

    #[test]
    fn the_approximation_meets_the_exact_test() {
        let sample = |n: usize, add: f64| -> Vec<f64> {
            (0..n)
                .map(|i| (i * 37 % n) as f64 + add + i as f64 / 7.0)
                .collect()
        };
        // 50 and 50 are exact, 51 and 50 approximate.
        let exact = rank_test(&sample(50, 0.0), &sample(50, 9.0));
        let near = rank_test(&sample(51, 0.0), &sample(50, 9.0));
        assert!((exact - near).abs() < 0.02, "{exact} {near}");
    }

    #[test]
    fn chance_is_not_called_a_change_more_often_than_the_level_allows() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut shown = 0;
        for _ in 0..1000 {
            let sample: Vec<f64> = (0..25).map(|_| 100.0 + rng.f64() * 50.0).collect();
            let verdict = Comparison::new(&sample[..20], &sample[20..]).verdict;
            shown += i32::from(verdict != Verdict::NotShown);
        }
        assert!(shown <= 65, "{shown} of 1000");
    }

    #[test]
    fn many_comparisons_are_corrected_for_their_number() {
        let earlier: Vec<f64> = (0..10).map(f64::from).map(|x| 100.0 + x).collect();
        let slower: Vec<f64> = earlier.iter().take(5).map(|x| x * 1.5).collect();
        let same = earlier[..5].to_vec();
        let pairs: Vec<(&[f64], &[f64])> = std::iter::once((&earlier[..], &slower[..]))
            .chain((0..9).map(|_| (&earlier[..], &same[..])))
            .collect();
        let all = compare_all(&pairs);
        assert_eq!(all[0].verdict, Verdict::Higher);
        assert!((all[0].p_corrected.unwrap() - all[0].p.unwrap() * 10.0).abs() < 1e-12);
        assert!(all[1..].iter().all(|one| one.verdict == Verdict::NotShown));
        let few = compare_all(&[(&earlier[..4], &slower[..])]);
        assert_eq!(
            (few[0].verdict, few[0].p, few[0].earlier.n),
            (Verdict::TooFewRuns, None, 4)
        );
    }
}
