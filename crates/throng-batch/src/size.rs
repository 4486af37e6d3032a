//! How many agents share a request: as many as come back in time.
//!
//! The time of a request is taken for `a + b · n` with n agents, fitted by least squares in which old requests count
//! less and less; how far requests stray from the line gives the margin that the 95th percentile needs.

use std::num::NonZeroUsize;
use std::time::Duration;

/// By how much each further request makes an earlier one count less.
const FORGET: f64 = 0.9;

/// How much a request that was never made counts: one of size 1 that takes no time beyond what was seen. It keeps the
/// fit from guessing wildly while all requests had the same size.
const PRIOR: f64 = 0.05;

/// The 95th percentile of a normal distribution, in standard deviations.
const P95: f64 = 1.645;

/// How far beside the line a request has to be, as a factor, to say that the line is no longer true.
const STEP: f64 = 1.6;

/// How a request ended, for the size of the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Every agent has its plan.
    Whole,
    /// Some agents got none, or one that was no use.
    Missing,
    /// The answer was cut by its limit of tokens, or the prompt did not fit.
    Truncated,
}

/// Chooses how many agents share a request, so that 95 of 100 requests end within a goal.
///
/// The size grows by one step at a time and is kept while the best size is within a tenth of it; it is cut at once when
/// requests take much longer than expected, and halved when an answer was cut. Given the same observations it chooses
/// the same sizes.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use throng_batch::{AdaptiveSize, Ending};
///
/// let mut size = AdaptiveSize::new(Duration::from_secs(2)).max(NonZeroUsize::new(64).ok_or("zero")?);
/// for _ in 0..40 {
///     // Half a second, and 50 ms for each agent.
///     let n = size.size().get();
///     size.observe(n, Duration::from_millis(500 + 50 * n as u64), Ending::Whole);
/// }
/// assert!((25..=30).contains(&size.size().get()));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AdaptiveSize {
    goal: f64,
    min: usize,
    max: usize,
    size: usize,
    fit: Fit,
    /// Requests beside the line on the same side, one after the other.
    beside: i32,
    /// No growth beyond this until the time is over: what was cut there is cut again.
    ceiling: Option<(usize, u32)>,
}

impl AdaptiveSize {
    /// Makes a choice that starts at 4 agents and moves between 1 and 32.
    pub fn new(goal: Duration) -> Self {
        Self {
            goal: goal.as_secs_f64(),
            min: 1,
            max: 32,
            size: 4,
            fit: Fit::default(),
            beside: 0,
            ceiling: None,
        }
    }

    /// Sets the size at the beginning. Default 4; kept within the bounds.
    pub fn initial(mut self, agents: NonZeroUsize) -> Self {
        self.size = agents.get();
        self
    }

    /// Sets the smallest size. Default 1.
    pub fn min(mut self, agents: NonZeroUsize) -> Self {
        self.min = agents.get();
        self
    }

    /// Sets the largest size. Default 32.
    pub fn max(mut self, agents: NonZeroUsize) -> Self {
        self.max = agents.get();
        self
    }

    /// Returns how many agents the next request should have at most.
    pub fn size(&self) -> NonZeroUsize {
        let size = self.size.max(self.min).min(self.max);
        NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN)
    }

    /// Returns how long a request of so many agents takes in 95 of 100 cases, once something is known.
    pub fn expected_p95(&self, agents: usize) -> Option<Duration> {
        let seconds = self.fit.p95(agents as f64)?;
        Duration::try_from_secs_f64(seconds.max(0.0)).ok()
    }

    /// Takes note of a request: how many agents it had, how long it took and how it ended.
    pub fn observe(&mut self, agents: usize, took: Duration, ending: Ending) {
        if agents == 0 {
            return;
        }
        if ending == Ending::Truncated {
            self.cut_to(agents / 2, agents);
            return;
        }
        let (n, seconds) = (agents as f64, took.as_secs_f64());
        self.notice_steps(n, seconds);
        self.fit.add(n, seconds);
        if let Some((_, left)) = &mut self.ceiling {
            *left -= 1;
        }
        self.ceiling = self.ceiling.filter(|(_, left)| *left > 0);
        if ending == Ending::Missing {
            self.cut_to(agents * 3 / 4, agents);
            return;
        }
        self.choose(agents);
    }

    /// Two requests in a row that are far beside the line mean that the server has become slower or faster: the line
    /// moves with it at once, instead of being pulled there.
    fn notice_steps(&mut self, n: f64, seconds: f64) {
        let Some(expected) = self.fit.line(n).filter(|expected| *expected > 0.0) else {
            return;
        };
        let ratio = seconds / expected;
        self.beside = if ratio > STEP {
            self.beside.max(0) + 1
        } else if ratio < 1.0 / STEP {
            self.beside.min(0) - 1
        } else {
            0
        };
        if self.beside.abs() >= 2 {
            self.fit.scale(ratio);
            self.beside = 0;
        }
    }

    fn choose(&mut self, agents: usize) {
        let mut best = self.min;
        let most = self.ceiling.map_or(self.max, |(size, _)| size.min(self.max));
        // The line rises, so the first size that is too slow ends the search.
        for n in self.min..=most {
            match self.fit.p95(n as f64) {
                Some(p95) if p95 <= self.goal => best = n,
                _ => break,
            }
        }
        let size = self.size.clamp(self.min, self.max);
        let tenth = (size / 10).max(1);
        if best > size {
            // Sizes that were never tried are only guessed at: no further than a quarter beyond what is known.
            let step = (agents.max(size) / 4).max(1);
            if best - size >= tenth {
                self.size = best.min(size + step);
            }
        } else if size - best >= tenth {
            self.size = best;
        }
    }

    fn cut_to(&mut self, size: usize, failed: usize) {
        self.size = self.size.min(size).max(self.min);
        self.ceiling = Some((failed.saturating_sub(1).max(self.min), 20));
    }
}

/// A line through the times of requests, with old ones fading.
#[derive(Clone, Debug, Default)]
struct Fit {
    weight: f64,
    n: f64,
    nn: f64,
    t: f64,
    nt: f64,
    /// Mean of the squared relative distance from the line, as it was when each request came.
    stray: f64,
    stray_weight: f64,
}

impl Fit {
    fn add(&mut self, n: f64, seconds: f64) {
        if let Some(expected) = self.line(n).filter(|expected| *expected > 0.0) {
            let off = (seconds / expected - 1.0).clamp(-1.0, 1.0);
            self.stray = self.stray * FORGET + off * off;
            self.stray_weight = self.stray_weight * FORGET + 1.0;
        }
        for sum in [
            &mut self.weight,
            &mut self.n,
            &mut self.nn,
            &mut self.t,
            &mut self.nt,
        ] {
            *sum *= FORGET;
        }
        self.weight += 1.0;
        self.n += n;
        self.nn += n * n;
        self.t += seconds;
        self.nt += n * seconds;
    }

    /// Makes everything that was seen slower or faster by a factor, and lets it count little.
    fn scale(&mut self, ratio: f64) {
        const KEEP: f64 = 0.3;
        self.t *= ratio;
        self.nt *= ratio;
        for sum in [
            &mut self.weight,
            &mut self.n,
            &mut self.nn,
            &mut self.t,
            &mut self.nt,
        ] {
            *sum *= KEEP;
        }
    }

    /// Returns base and slope of the line; neither falls below 0.
    fn coefficients(&self) -> Option<(f64, f64)> {
        if self.weight <= 0.0 {
            return None;
        }
        let (mean_n, mean_t) = (self.n / self.weight, self.t / self.weight);
        // The prior says that half of a request's time is for its agents.
        let prior = mean_t / (2.0 * mean_n.max(1.0));
        let spread = self.nn - self.n * mean_n;
        let common = self.nt - self.t * mean_n;
        let weight = PRIOR * mean_n.max(1.0) * mean_n.max(1.0);
        let slope = ((common + weight * prior) / (spread + weight)).clamp(0.0, mean_t / mean_n.max(1.0));
        Some((mean_t - slope * mean_n, slope))
    }

    fn line(&self, n: f64) -> Option<f64> {
        self.coefficients().map(|(base, slope)| base + slope * n)
    }

    fn p95(&self, n: f64) -> Option<f64> {
        let deviation = if self.stray_weight > 0.0 {
            (self.stray / self.stray_weight).sqrt()
        } else {
            0.0
        };
        self.line(n).map(|line| line * (1.0 + P95 * deviation))
    }
}
