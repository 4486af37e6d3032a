//! Drawing plans: every policy is absent more often than not, so that each meets the others in some of the runs and has
//! others to itself.

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;

use super::plan::{
    Breaker, Budget, Cap, Control, End, Fall, Hedging, Job, KeyLimits, Limits, Plan, Policies, Step,
};

/// A moment, which is often the same as another.
fn takes() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 3 => 0..20_u64, 1 => Just(10)]
}

fn step() -> impl Strategy<Value = Step> {
    let ends = prop_oneof![
        8 => Just(End::Succeed),
        4 => Just(End::Fail),
        1 => Just(End::Throttle),
        1 => of(0..20_u64).prop_map(End::Overload),
        1 => Just(End::Permanent),
        1 => Just(End::Panic),
        1 => Just(End::Hang),
    ];
    let usage = weighted(0.4, (0..300_u32, 0..300_u32));
    (takes(), usage, ends).prop_map(|(takes, usage, ends)| Step { takes, usage, ends })
}

fn job() -> impl Strategy<Value = Job> {
    let weight = prop_oneof![4 => Just(1), 1 => 1..6_u32];
    let cost = prop_oneof![2 => Just((0, 0)), 1 => (0..200_u32, 0..200_u32)];
    (
        weighted(0.9, 0..3_u8),
        -2..3_i8,
        weight,
        weighted(0.1, 1..40_u64),
        cost,
        vec(step(), 1..4),
    )
        .prop_map(|(key, priority, weight, timeout, cost, steps)| Job {
            key,
            priority,
            weight,
            timeout,
            cost,
            steps,
        })
}

fn limits() -> impl Strategy<Value = Limits> {
    let tokens = || weighted(0.3, 60_000..2_000_000_u32);
    (weighted(0.7, 1_000..60_000_u32), tokens(), tokens(), 0..100_u64).prop_map(
        |(requests, input, output, burst)| Limits {
            requests,
            input,
            output,
            burst,
        },
    )
}

fn key_limits() -> impl Strategy<Value = KeyLimits> {
    let cap = prop_oneof![
        2 => (1..5_usize).prop_map(Cap::Fixed),
        1 => (1..5_usize, 0..5_usize)
            .prop_map(|(initial, more)| Cap::Adaptive { initial, max: initial + more }),
    ];
    (weighted(0.4, limits()), of(cap)).prop_map(|(rates, cap)| KeyLimits { rates, cap })
}

fn breaker() -> impl Strategy<Value = Breaker> {
    (0.1..=1.0_f64, 1..8_u32, 1..200_u64, 1..3_u32, any::<bool>()).prop_map(
        |(ratio, sample, rest, probes, fails)| Breaker {
            ratio,
            sample,
            rest,
            probes,
            fails,
        },
    )
}

fn budget() -> impl Strategy<Value = Budget> {
    (0..60_u32, 0..20_u32, 0..10_u32, 0..5_u32).prop_map(|(capacity, transient, throttled, success)| Budget {
        capacity,
        transient,
        throttled,
        success,
    })
}

fn hedging() -> impl Strategy<Value = Hedging> {
    (0.05..0.9_f64, 1..6_u32, 0..10_u64).prop_map(|(quantile, sample, min_delay)| Hedging {
        quantile,
        sample,
        min_delay,
    })
}

fn fall() -> impl Strategy<Value = Fall> {
    (
        any::<bool>(),
        of(0..5_u8),
        1..3_u32,
        of(1..40_u64),
        weighted(0.3, 1..4_u32),
        weighted(0.3, (0..100_u32, 0..100_u32)),
    )
        .prop_map(|(after_all, key, attempts, timeout, weight, cost)| Fall {
            after_all,
            key,
            attempts,
            timeout,
            weight,
            cost,
        })
}

fn policies() -> impl Strategy<Value = Policies> {
    let pace = (
        of(prop_oneof![Just(0), 1..50_u64]),
        prop_oneof![4 => Just(0), 1 => 0..50_u64],
        prop_oneof![5 => Just(0), 1 => 0..8_u64],
        weighted(0.15, 1..12_usize),
        weighted(0.25, limits()),
    );
    let keys = (
        weighted(0.4, key_limits()),
        weighted(0.3, key_limits()),
        weighted(0.35, breaker()),
        weighted(0.4, budget()),
        weighted(0.45, hedging()),
    );
    let ends = (
        weighted(0.2, 1..60_u64),
        weighted(0.2, 1..12_usize),
        vec(fall(), 0..3),
    );
    (pace, keys, ends).prop_map(
        |(
            (ageing, start_delay, throttle, barrier, rates),
            (each_key, key_0, breaker, budget, hedge),
            (max_wait, max_queue, fallbacks),
        )| Policies {
            ageing,
            start_delay,
            throttle,
            barrier,
            rates,
            each_key,
            key_0,
            breaker,
            budget,
            hedge,
            max_wait,
            max_queue,
            fallbacks,
        },
    )
}

fn control() -> impl Strategy<Value = Control> {
    prop_oneof![
        2 => Just(Control::Pause),
        4 => Just(Control::Resume),
        1 => Just(Control::Drain),
        1 => (0..30_u64).prop_map(Control::Cancel),
        1 => Just(Control::Abort),
        3 => (1..9_usize).prop_map(Control::Limit),
    ]
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let shape = (1..9_usize, 0..20_usize, any::<u64>(), any::<bool>());
    let times = (of(5..40_u64), of(20..400_u64));
    let policies = prop_oneof![1 => Just(Policies::default()), 9 => policies()];
    let jobs = vec(job(), 0..60);
    let controls = vec((0..60_u64, control()), 0..5);
    let consumer = (
        prop_oneof![1 => Just(0), 1 => 0..15_u64],
        weighted(0.1, 0..40_usize),
    );
    (shape, times, policies, jobs, controls, consumer).prop_map(
        |(
            (limit, extra, seed, ordered),
            (timeout, deadline),
            policies,
            jobs,
            controls,
            (consumer_pause, stop_after),
        )| Plan {
            limit,
            window: limit + extra,
            seed,
            ordered,
            timeout,
            deadline,
            policies,
            jobs,
            controls,
            consumer_pause,
            stop_after,
        },
    )
}
