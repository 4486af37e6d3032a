//! A provider and a client with an adaptive limit, on a heap of virtual time. One round trip, the mean latency of what
//! is accepted, is [`RTT`]. The same setup and seed give the same run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::limit::{AdaptiveLimit, LimitCause};
use crate::machine::adaptive::{Adaptive, Change, Signal};
use crate::rate::Tick;

pub(super) const RTT: Tick = 1_000_000_000;

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
}

/// How long accepted attempts take; the mean is one round trip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Latency {
    Fixed,
    /// From half to one and a half.
    Uniform,
    /// Log-normal with a sigma of 1: the longest of 100 takes about six times the mean.
    HeavyTail,
}

impl Latency {
    fn sample(self, rng: &mut Rng) -> f64 {
        match self {
            Self::Fixed => 1.0,
            Self::Uniform => rng.between(0.5, 1.5),
            Self::HeavyTail => {
                let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * rng.unit()).cos();
                (normal - 0.5).exp()
            }
        }
    }
}

/// What the provider does with attempts that it has no room for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Provider {
    /// Refuses what is above its capacity after 5 to 20 % of a round trip.
    Refuses,
    /// Queues what is above its capacity.
    Queues,
    /// Refuses what comes above `capacity` attempts per round trip, with a burst of as many.
    Rate,
}

#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) policy: AdaptiveLimit,
    pub(super) provider: Provider,
    pub(super) latency: Latency,
    /// Capacity from a time on, in round trips, in order.
    pub(super) capacity: Vec<(f64, usize)>,
    /// The most attempts that the client has work for, from a time on.
    pub(super) demand: Vec<(f64, usize)>,
    /// The share of accepted attempts that fail with another error, from a time on.
    pub(super) failures: Vec<(f64, f64)>,
    /// The share of attempts that are refused for no reason.
    pub(super) strays: f64,
    /// How many of the provider's places another tenant takes, from a time on.
    pub(super) tenant: Vec<(f64, usize)>,
}

impl Setup {
    pub(super) fn new(seed: u64, capacity: usize, latency: Latency) -> Self {
        Self {
            seed,
            policy: AdaptiveLimit::new(),
            provider: Provider::Refuses,
            latency,
            capacity: vec![(0.0, capacity)],
            demand: vec![(0.0, usize::MAX)],
            failures: vec![(0.0, 0.0)],
            strays: 0.0,
            tenant: vec![(0.0, 0)],
        }
    }

    pub(super) fn run(self, round_trips: f64) -> Log {
        Sim {
            rng: Rng(self.seed),
            adaptive: Adaptive::new(&self.policy),
            setup: self,
            now: 0,
            running: 0,
            served: 0,
            tokens: 0.0,
            tokens_at: 0,
            events: BinaryHeap::new(),
            retries: BinaryHeap::new(),
            queue: VecDeque::new(),
            n: 0,
            log: Log::default(),
        }
        .run((round_trips * RTT as f64) as Tick)
    }
}

/// What happened. All times are in round trips.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) ends: Vec<(f64, bool)>,
    pub(super) changes: Vec<(f64, Change)>,
    pub(super) limits: Vec<(f64, usize)>,
    /// How many attempts the provider was serving, and the integral of that until then.
    served: Vec<(f64, usize, f64)>,
}

impl Log {
    /// The share of the attempts ended in this time that were refused.
    pub(super) fn refused(&self, from: f64, to: f64) -> f64 {
        let first = self.ends.partition_point(|end| end.0 < from);
        let last = self.ends.partition_point(|end| end.0 < to);
        let ends = &self.ends[first..last];
        let refused = ends.iter().filter(|end| !end.1).count();
        refused as f64 / ends.len().max(1) as f64
    }

    /// How many attempts the provider served on average: by Little's law the throughput per round trip, without the
    /// noise of the sampled latencies.
    pub(super) fn served(&self, from: f64, to: f64) -> f64 {
        let integral = |until: f64| {
            let after = self.served.partition_point(|served| served.0 <= until);
            let (at, n, sum) = self.served[after.saturating_sub(1)];
            sum + n as f64 * (until - at)
        };
        (integral(to) - integral(from)) / (to - from)
    }

    fn serving(&mut self, now: Tick, n: usize) {
        let now = now as f64 / RTT as f64;
        let (at, last, sum) = self.served.last().copied().unwrap_or_default();
        self.served.push((now, n, sum + last as f64 * (now - at)));
    }

    pub(super) fn limit_at(&self, at: f64) -> usize {
        let after = self.limits.partition_point(|limit| limit.0 <= at);
        self.limits[after.saturating_sub(1)].1
    }

    pub(super) fn lowest(&self, from: f64, to: f64) -> usize {
        self.limits_in(from, to).min().unwrap_or_default()
    }

    pub(super) fn highest(&self, from: f64, to: f64) -> usize {
        self.limits_in(from, to).max().unwrap_or_default()
    }

    fn limits_in(&self, from: f64, to: f64) -> impl Iterator<Item = usize> {
        let within = move |limit: &&(f64, usize)| (from..to).contains(&limit.0);
        let changed = self.limits.iter().filter(within).map(|limit| limit.1);
        std::iter::once(self.limit_at(from)).chain(changed)
    }

    pub(super) fn count(&self, cause: LimitCause) -> usize {
        self.changes
            .iter()
            .filter(|change| change.1.cause == cause)
            .count()
    }
}

/// An attempt on its way to its end.
#[derive(Clone, Copy, Debug)]
struct Flight {
    began: Tick,
    epoch: u32,
    signal: Signal,
    served: bool,
}

struct Sim {
    setup: Setup,
    rng: Rng,
    adaptive: Adaptive,
    now: Tick,
    running: usize,
    served: usize,
    tokens: f64,
    tokens_at: Tick,
    events: BinaryHeap<Reverse<(Tick, u64, usize)>>,
    retries: BinaryHeap<Reverse<Tick>>,
    queue: VecDeque<(Tick, u32, bool)>,
    n: u64,
    log: Log,
}

fn at<T: Copy>(steps: &[(f64, T)], now: Tick) -> T {
    let now = now as f64 / RTT as f64;
    let after = steps.partition_point(|step| step.0 <= now);
    steps[after - 1].1
}

impl Sim {
    fn run(mut self, until: Tick) -> Log {
        let mut flights: Vec<Option<Flight>> = Vec::new();
        self.log.limits.push((0.0, self.adaptive.limit()));
        self.fill(&mut flights);
        // A step each tenth of a round trip lets work begin that is not started by an end.
        let mut tick = 0;
        while self.now < until {
            let next = self.events.peek().map_or(Tick::MAX, |event| event.0.0);
            if next > tick {
                self.now = tick;
                tick += RTT / 10;
            } else if let Some(Reverse((due, _, index))) = self.events.pop() {
                self.now = due;
                if let Some(flight) = flights[index].take() {
                    self.end(flight);
                }
            }
            self.serve_queue(&mut flights);
            self.fill(&mut flights);
        }
        self.log
    }

    fn note(&mut self, change: Option<Change>) {
        let now = self.now as f64 / RTT as f64;
        if let Some(change) = change {
            assert_eq!(change.to, self.adaptive.limit());
            self.log.changes.push((now, change));
            self.log.limits.push((now, change.to));
        }
    }

    fn end(&mut self, flight: Flight) {
        let accepted = !matches!(flight.signal, Signal::Refused);
        self.log.ends.push((self.now as f64 / RTT as f64, accepted));
        self.served -= usize::from(flight.served);
        self.log.serving(self.now, self.served);
        let latency = self.now - flight.began;
        let change = self
            .adaptive
            .ended(self.now, flight.epoch, flight.signal, latency, self.running);
        self.note(change);
        self.running -= 1;
        if !matches!(flight.signal, Signal::Success { .. }) {
            let wait = self.rng.between(0.5, 1.0) * RTT as f64;
            self.retries.push(Reverse(self.now + wait as Tick));
        }
    }

    fn fill(&mut self, flights: &mut Vec<Option<Flight>>) {
        let demand = at(&self.setup.demand, self.now);
        while self.running < self.adaptive.limit().min(demand) {
            let retry = self.retries.peek().is_some_and(|due| due.0 <= self.now);
            if retry {
                self.retries.pop();
            }
            self.running += 1;
            let started = self.adaptive.started(self.now, self.running);
            self.note(started.change);
            self.arrive(flights, started.epoch, !retry);
        }
    }

    fn room(&self) -> usize {
        let tenant = at(&self.setup.tenant, self.now);
        at(&self.setup.capacity, self.now).saturating_sub(self.served + tenant)
    }

    fn arrive(&mut self, flights: &mut Vec<Option<Flight>>, epoch: u32, first_try: bool) {
        let stray = self.setup.strays > 0.0 && self.rng.unit() < self.setup.strays;
        let accepts = match self.setup.provider {
            Provider::Refuses => self.room() > 0,
            Provider::Queues if self.room() == 0 => {
                self.queue.push_back((self.now, epoch, first_try));
                return;
            }
            Provider::Queues => true,
            Provider::Rate => {
                let rate = at(&self.setup.capacity, self.now) as f64;
                let passed = (self.now - self.tokens_at) as f64 / RTT as f64;
                self.tokens = (self.tokens + passed * rate).min(rate.max(1.0));
                self.tokens_at = self.now;
                let accepts = self.tokens >= 1.0;
                self.tokens -= f64::from(u8::from(accepts));
                accepts
            }
        };
        if accepts && !stray {
            self.serve(flights, self.now, epoch, first_try);
        } else {
            let flight = Flight {
                began: self.now,
                epoch,
                signal: Signal::Refused,
                served: false,
            };
            let takes = self.rng.between(0.05, 0.2);
            self.fly(flights, flight, takes);
        }
    }

    fn serve_queue(&mut self, flights: &mut Vec<Option<Flight>>) {
        while self.room() > 0
            && let Some((began, epoch, first_try)) = self.queue.pop_front()
        {
            self.serve(flights, began, epoch, first_try);
        }
    }

    fn serve(&mut self, flights: &mut Vec<Option<Flight>>, began: Tick, epoch: u32, first_try: bool) {
        self.served += 1;
        self.log.serving(self.now, self.served);
        let takes = self.setup.latency.sample(&mut self.rng);
        let first_output = self.rng.between(0.05, 0.15) * RTT as f64;
        let first_output = Some(self.now - began + first_output as Tick);
        let mut flight = Flight {
            began,
            epoch,
            signal: Signal::Success {
                first_try,
                first_output,
            },
            served: true,
        };
        if self.rng.unit() < at(&self.setup.failures, self.now) {
            flight.signal = Signal::Ignored;
        }
        self.fly(flights, flight, takes);
    }

    fn fly(&mut self, flights: &mut Vec<Option<Flight>>, flight: Flight, takes: f64) {
        let due = self.now + (takes * RTT as f64) as Tick;
        self.n += 1;
        self.events.push(Reverse((due, self.n, flights.len())));
        flights.push(Some(flight));
    }
}
