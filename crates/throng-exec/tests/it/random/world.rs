//! A plan brought to life: its executor, its runner, and gauges that see what really runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use throng_core::{ErrorClass, EventSink, Usage};
use throng_exec::{
    AdaptiveLimit, Attempt, CircuitBreaker, Cost, ErrorClasses, Executor, Fallback, Hedge, Jitter, JobSpec,
    KeyPolicy, OutputOrder, Priority, Rates, RetryBudget, RetryPolicy, Shedding, WhileOpen,
};
use tokio::time::sleep;

use super::plan::{Cap, End, Job, KeyLimits, Limits, Plan};
use crate::support::{Fault, attempts, ms, n};

pub(super) fn executor(plan: &Plan, sink: Arc<dyn EventSink>) -> Executor {
    let policies = &plan.policies;
    let mut builder = Executor::builder()
        .max_concurrent(n(plan.limit))
        .window(n(plan.window))
        .retry(retry(3))
        .seed(plan.seed)
        .events(sink)
        .start_delay(ms(policies.start_delay))
        .throttle(ms(policies.throttle))
        .retry_budget(policies.budget.map(|budget| {
            RetryBudget::new(budget.capacity)
                .transient(budget.transient)
                .throttled(budget.throttled)
                .success(budget.success)
        }))
        .order(if plan.ordered {
            OutputOrder::Submission
        } else {
            OutputOrder::Completion
        });
    if let Some(timeout) = plan.timeout {
        builder = builder.attempt_timeout(ms(timeout));
    }
    if let Some(deadline) = plan.deadline {
        builder = builder.deadline(ms(deadline));
    }
    if let Some(ageing) = policies.ageing {
        builder = builder.ageing(ms(ageing));
    }
    if let Some(size) = policies.barrier {
        builder = builder.barrier(n(size));
    }
    if let Some(limits) = policies.rates {
        builder = builder.rates(rates(limits));
    }
    if let Some(limits) = policies.each_key {
        builder = builder.each_key(key_policy(limits));
    }
    if let Some(limits) = policies.key_0 {
        builder = builder.key("0", key_policy(limits));
    }
    if let Some(breaker) = policies.breaker {
        let what = if breaker.fails {
            WhileOpen::Fail
        } else {
            WhileOpen::Wait
        };
        builder = builder.circuit_breaker(
            CircuitBreaker::new()
                .ratio(breaker.ratio)
                .sample(attempts(breaker.sample))
                .rest(ms(breaker.rest))
                .probes(attempts(breaker.probes))
                .while_open(what),
        );
    }
    if let Some(hedge) = policies.hedge {
        builder = builder.hedge(
            Hedge::new()
                .quantile(hedge.quantile)
                .sample(hedge.sample)
                .min_delay(ms(hedge.min_delay))
                .max_share(1.0),
        );
    }
    let mut shedding = Shedding::new();
    if let Some(wait) = policies.max_wait {
        shedding = shedding.max_wait(ms(wait));
    }
    if let Some(most) = policies.max_queue {
        shedding = shedding.max_queue(n(most));
    }
    builder = builder.shed(shedding);
    for fall in &policies.fallbacks {
        let mut step = Fallback::new().retry(retry(fall.attempts));
        if fall.after_all {
            step = step.after(ErrorClasses::ALL);
        }
        if let Some(key) = fall.key {
            step = step.key(key.to_string());
        }
        if let Some(timeout) = fall.timeout {
            step = step.timeout(ms(timeout));
        }
        if let Some(weight) = fall.weight {
            step = step.weight(attempts(weight));
        }
        if let Some(tokens) = fall.cost {
            step = step.cost(cost(tokens));
        }
        builder = builder.fallback(step);
    }
    builder.build().unwrap()
}

fn retry(max_attempts: u32) -> RetryPolicy {
    RetryPolicy::exponential(attempts(max_attempts))
        .base(ms(10))
        .cap(ms(50))
        .jitter(Jitter::Full)
        .patience(ms(2_000))
}

fn rates(limits: Limits) -> Rates {
    let mut rates = Rates::new().burst(ms(limits.burst));
    if let Some(requests) = limits.requests {
        rates = rates.requests_per_minute(attempts(requests));
    }
    if let Some(tokens) = limits.input {
        rates = rates.input_tokens_per_minute(attempts(tokens));
    }
    if let Some(tokens) = limits.output {
        rates = rates.output_tokens_per_minute(attempts(tokens));
    }
    rates
}

fn key_policy(limits: KeyLimits) -> KeyPolicy {
    let mut policy = KeyPolicy::new();
    if let Some(limits) = limits.rates {
        policy = policy.rates(rates(limits));
    }
    match limits.cap {
        Some(Cap::Fixed(limit)) => policy.limit(n(limit)),
        Some(Cap::Adaptive { initial, max }) => {
            policy.limit(AdaptiveLimit::new().initial(n(initial)).max(n(max)))
        }
        None => policy,
    }
}

fn cost((input_tokens, output_tokens): (u32, u32)) -> Cost {
    Cost {
        input_tokens,
        output_tokens,
    }
}

/// The jobs of a plan. Each runs as its place in the plan says.
pub(super) fn specs(plan: &Plan) -> Vec<JobSpec<usize>> {
    let spec = |(index, job): (usize, &Job)| {
        let mut spec = JobSpec::new(index)
            .priority(Priority::new(job.priority))
            .weight(attempts(job.weight))
            .cost(cost(job.cost));
        if let Some(key) = job.key {
            spec = spec.key(key.to_string());
        }
        if let Some(timeout) = job.timeout {
            spec = spec.timeout(ms(timeout));
        }
        spec
    };
    plan.jobs.iter().enumerate().map(spec).collect()
}

/// Does what the plan says of that attempt, and returns its number.
pub(super) async fn act(job: &Job, cx: Attempt) -> Result<u32, Fault> {
    let attempt = cx.number().get();
    let planned = job.steps.get(attempt as usize - 1).or(job.steps.last());
    let step = *planned.unwrap();
    if step.takes > 0 {
        sleep(ms(step.takes)).await;
    }
    cx.first_output();
    if let Some((input, output)) = step.usage {
        cx.report_usage(&Usage::of(input.into(), output.into()));
    }
    let class = match step.ends {
        End::Succeed => return Ok(attempt),
        End::Fail => ErrorClass::Transient,
        End::Throttle => ErrorClass::Throttled {
            retry_after: Some(ms(step.takes)),
        },
        End::Overload(retry_after) => ErrorClass::Overloaded {
            retry_after: retry_after.map(ms),
        },
        End::Permanent => ErrorClass::Permanent,
        End::Panic => std::panic::resume_unwind(Box::new("planned")),
        End::Hang => std::future::pending().await,
    };
    Err(Fault(class))
}

/// Counts what runs, by key and in all, and the most that ever did.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauges(Arc<Mutex<BTreeMap<Option<String>, Gauge>>>);

/// What runs now, and the most that ever did.
type Gauge = (usize, usize);

/// The name of the gauge of all keys.
const ALL: &str = "all";

impl Gauges {
    pub(super) fn enter(&self, key: Option<&str>, weight: usize) -> Inside {
        let inside = Inside {
            gauges: self.clone(),
            of: [(Some(ALL.to_owned()), weight), (key.map(str::to_owned), 1)],
        };
        let mut gauges = self.0.lock().unwrap();
        for (name, weight) in &inside.of {
            let (now, peak) = gauges.entry(name.clone()).or_default();
            *now += weight;
            *peak = (*peak).max(*now);
        }
        drop(gauges);
        inside
    }

    /// Returns the most that ran of all keys, and of each.
    pub(super) fn peaks(&self) -> (usize, BTreeMap<Option<u8>, usize>) {
        let gauges = self.0.lock().unwrap();
        let all = gauges.get(&Some(ALL.to_owned())).map_or(0, |gauge| gauge.1);
        let keys = gauges.iter().filter(|(name, _)| name.as_deref() != Some(ALL));
        let keys = keys.map(|(name, gauge)| (name.as_ref().map(|name| name.parse().unwrap()), gauge.1));
        (all, keys.collect())
    }

    pub(super) fn now(&self) -> usize {
        self.0.lock().unwrap().values().map(|gauge| gauge.0).sum()
    }
}

/// One running attempt.
#[derive(Debug)]
pub(super) struct Inside {
    gauges: Gauges,
    of: [(Option<String>, usize); 2],
}

impl Drop for Inside {
    fn drop(&mut self) {
        let mut gauges = self.gauges.0.lock().unwrap();
        for (name, weight) in &self.of {
            if let Some((now, _)) = gauges.get_mut(name) {
                *now -= weight;
            }
        }
    }
}
