//! What a random run is made of. A plan says everything but the interleaving, so that a failure is its plan.

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) limit: usize,
    pub(super) window: usize,
    pub(super) seed: u64,
    pub(super) ordered: bool,
    pub(super) timeout: Option<u64>,
    pub(super) deadline: Option<u64>,
    pub(super) policies: Policies,
    pub(super) jobs: Vec<Job>,
    pub(super) controls: Vec<(u64, Control)>,
    pub(super) consumer_pause: u64,
    pub(super) stop_after: Option<usize>,
}

/// Everything that is off unless it is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies {
    pub(super) ageing: Option<u64>,
    pub(super) start_delay: u64,
    pub(super) throttle: u64,
    pub(super) barrier: Option<usize>,
    pub(super) rates: Option<Limits>,
    pub(super) each_key: Option<KeyLimits>,
    pub(super) key_0: Option<KeyLimits>,
    pub(super) breaker: Option<Breaker>,
    pub(super) budget: Option<Budget>,
    pub(super) hedge: Option<Hedging>,
    pub(super) max_wait: Option<u64>,
    pub(super) max_queue: Option<usize>,
    pub(super) fallbacks: Vec<Fall>,
}

/// Per minute; the burst in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) requests: Option<u32>,
    pub(super) input: Option<u32>,
    pub(super) output: Option<u32>,
    pub(super) burst: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct KeyLimits {
    pub(super) rates: Option<Limits>,
    pub(super) cap: Option<Cap>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Cap {
    Fixed(usize),
    Adaptive { initial: usize, max: usize },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    pub(super) ratio: f64,
    pub(super) sample: u32,
    pub(super) rest: u64,
    pub(super) probes: u32,
    pub(super) fails: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) capacity: u32,
    pub(super) transient: u32,
    pub(super) throttled: u32,
    pub(super) success: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Hedging {
    pub(super) quantile: f64,
    pub(super) sample: u32,
    pub(super) min_delay: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Fall {
    pub(super) after_all: bool,
    pub(super) key: Option<u8>,
    pub(super) attempts: u32,
    pub(super) timeout: Option<u64>,
    pub(super) weight: Option<u32>,
    pub(super) cost: Option<(u32, u32)>,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) key: Option<u8>,
    pub(super) priority: i8,
    pub(super) weight: u32,
    pub(super) timeout: Option<u64>,
    pub(super) cost: (u32, u32),
    pub(super) steps: Vec<Step>,
}

/// What one attempt does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) takes: u64,
    pub(super) usage: Option<(u32, u32)>,
    pub(super) ends: End,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Succeed,
    Fail,
    Throttle,
    Overload(Option<u64>),
    Permanent,
    Panic,
    Hang,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Control {
    Pause,
    Resume,
    Drain,
    Cancel(u64),
    Abort,
    Limit(usize),
}

impl Plan {
    /// Returns the key of a job in that fallback step.
    pub(super) fn key(&self, job: u64, step: u32) -> Option<u8> {
        let own = self.jobs[job as usize].key;
        let taken = self.policies.fallbacks.iter().take(step as usize);
        taken.fold(own, |key, fall| fall.key.or(key))
    }

    /// Returns the weight of a job in that fallback step.
    pub(super) fn weight(&self, job: u64, step: u32) -> usize {
        let own = self.jobs[job as usize].weight;
        let taken = self.policies.fallbacks.iter().take(step as usize);
        taken.fold(own, |weight, fall| fall.weight.unwrap_or(weight)) as usize
    }

    /// Returns what limits a key beside its breaker.
    pub(super) fn limits(&self, key: Option<u8>) -> Option<KeyLimits> {
        let own = self.policies.key_0.filter(|_| key == Some(0));
        own.or(self.policies.each_key)
    }

    /// Returns every concurrency limit that the run has at some time.
    pub(super) fn concurrencies(&self) -> impl Iterator<Item = usize> {
        let changed = self.controls.iter().filter_map(|(_, control)| match control {
            Control::Limit(limit) => Some(*limit),
            _ => None,
        });
        changed.chain([self.limit])
    }
}
