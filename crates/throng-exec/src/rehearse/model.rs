//! A model of a provider: how long it takes, how much it accepts, and how often it fails.

use std::num::NonZeroUsize;
use std::time::Duration;

use throng_core::{ErrorClass, Usage};

use super::{Answer, Ask, Provider};
use crate::Rates;
use crate::rate::{Gate, Tick};

/// A model of a provider for [`Executor::rehearse`](crate::Executor::rehearse). The same seed gives the same answers to the
/// same questions.
#[derive(Debug)]
#[must_use]
pub struct ProviderModel {
    rng: fastrand::Rng,
    latency: Duration,
    spread: f64,
    slow: Option<(f64, f64)>,
    first_output: Option<f64>,
    output_tokens: Option<(u64, f64)>,
    fail: f64,
    capacity: Vec<(Duration, usize)>,
    rates: Option<Gate>,
    refusal: Duration,
    states_wait: bool,
    outages: Vec<(Duration, Duration)>,
    running: usize,
}

impl ProviderModel {
    /// Makes a model that answers everything after one second, without limits and failures.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            latency: Duration::from_secs(1),
            spread: 0.0,
            slow: None,
            first_output: None,
            output_tokens: None,
            fail: 0.0,
            capacity: Vec::new(),
            rates: None,
            refusal: Duration::from_millis(50),
            states_wait: true,
            outages: Vec::new(),
            running: 0,
        }
    }

    /// Sets the median latency of an attempt. Default 1 s.
    pub const fn latency(mut self, median: Duration) -> Self {
        self.latency = median;
        self
    }

    /// Sets the spread of the latency, which is log-normal: the standard deviation of its logarithm. Default 0; 0.5 is
    /// usual for answers of different length.
    pub const fn spread(mut self, sigma: f64) -> Self {
        self.spread = sigma;
        self
    }

    /// Lets a share of the attempts take `factor` times as long. Default: none.
    pub const fn slow(mut self, share: f64, factor: f64) -> Self {
        self.slow = Some((share, factor));
        self
    }

    /// Reports a first output after this share of the latency. Default: none is reported.
    pub const fn first_output(mut self, share: f64) -> Self {
        self.first_output = Some(share);
        self
    }

    /// Reports so many output tokens on average, with the latency in proportion to them; and the job's own estimate of the
    /// input tokens. Default: no usage is reported.
    pub const fn output_tokens(mut self, mean: u64) -> Self {
        self.output_tokens = Some((mean, self.spread));
        self
    }

    /// Fails a share of the attempts with a transient error, at a random part of their latency. Default 0.
    pub const fn fail(mut self, share: f64) -> Self {
        self.fail = share;
        self
    }

    /// Refuses what is beyond so many attempts at a time. Default: no limit.
    pub fn concurrency(self, limit: NonZeroUsize) -> Self {
        self.concurrency_from(Duration::ZERO, limit)
    }

    /// The same from `at` on. Calls have to be in the order of `at`.
    pub fn concurrency_from(mut self, at: Duration, limit: NonZeroUsize) -> Self {
        self.capacity.push((at, limit.get()));
        self
    }

    /// Refuses what is beyond these rates. Default: no limit.
    pub fn rates(mut self, rates: &Rates) -> Self {
        self.rates = Some(Gate::new(rates, Duration::ZERO));
        self
    }

    /// Sets how long a refusal takes. Default 50 ms.
    pub const fn refusal(mut self, after: Duration) -> Self {
        self.refusal = after;
        self
    }

    /// Refuses without a Retry-After. Default: a refusal because of a rate says when to come back.
    pub const fn without_retry_after(mut self) -> Self {
        self.states_wait = false;
        self
    }

    /// Fails everything that begins within this time with a transient error. Default: no outage.
    pub fn outage(mut self, from: Duration, to: Duration) -> Self {
        self.outages.push((from, to));
        self
    }

    fn capacity_at(&self, at: Duration) -> usize {
        let now = self.capacity.iter().rev().find(|(from, _)| *from <= at);
        now.map_or(usize::MAX, |&(_, limit)| limit)
    }

    /// Returns a factor of median 1, log-normal by the Box-Muller transform.
    fn factor(&mut self) -> f64 {
        if self.spread == 0.0 {
            return 1.0;
        }
        let (u, v) = (1.0 - self.rng.f64(), self.rng.f64());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        (self.spread * normal).exp()
    }

    /// Returns a refusal, if the limits refuse the attempt.
    fn refuse(&mut self, ask: &Ask) -> Option<Answer> {
        if self.running > self.capacity_at(ask.at) {
            let class = ErrorClass::Throttled { retry_after: None };
            return Some(Answer::fail(self.refusal, class));
        }
        let gate = self.rates.as_mut()?;
        let now = Tick::try_from(ask.at.as_nanos()).unwrap_or(Tick::MAX);
        let opens = gate.ready_at(now, ask.cost);
        if opens <= now {
            gate.take(now, ask.cost);
            return None;
        }
        let wait = Duration::from_nanos(opens - now);
        let retry_after = self.states_wait.then_some(wait);
        Some(Answer::fail(self.refusal, ErrorClass::Throttled { retry_after }))
    }
}

impl<J> Provider<J> for ProviderModel {
    fn start(&mut self, _: &J, ask: &Ask) -> Answer {
        self.running += 1;
        if let Some(refusal) = self.refuse(ask) {
            return refusal;
        }
        let mut factor = self.factor();
        if let Some((share, by)) = self.slow
            && self.rng.f64() < share
        {
            factor *= by;
        }
        let latency = scaled(self.latency, factor);
        let down = self
            .outages
            .iter()
            .any(|(from, to)| (*from..*to).contains(&ask.at));
        if down || (self.fail > 0.0 && self.rng.f64() < self.fail) {
            let after = scaled(latency, self.rng.f64());
            return Answer::fail(after, ErrorClass::Transient);
        }
        let mut answer = Answer::succeed(latency);
        answer.first_output = self.first_output.map(|share| scaled(latency, share));
        if let Some((mean, spread)) = self.output_tokens {
            // The mean of a log-normal factor of median 1.
            let tokens = mean as f64 * factor / (spread * spread / 2.0).exp();
            answer.usage = Usage::of(u64::from(ask.cost.input_tokens), tokens.round() as u64);
        }
        answer
    }

    fn end(&mut self, _: Duration, _: &Ask) {
        self.running = self.running.saturating_sub(1);
    }
}

/// Returns the time, scaled; the longest time where that is none.
fn scaled(time: Duration, by: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * by).unwrap_or(Duration::MAX)
}
