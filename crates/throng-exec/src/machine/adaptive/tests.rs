//! The goals, measured in simulation over many seeds, and the rules one by one.
//!
//! `cargo test -p throng-exec --lib adaptive -- --nocapture` prints the measured table.

use std::num::NonZeroUsize;

use super::sim::{Latency, Log, Provider, RTT, Rng, Setup};
use super::{Adaptive, Change, REST, Signal};
use crate::limit::{AdaptiveLimit, LimitCause};

const CAPACITIES: [usize; 6] = [2, 5, 10, 32, 100, 400];
const LATENCIES: [Latency; 3] = [Latency::Fixed, Latency::Uniform, Latency::HeavyTail];
const SEEDS: u64 = 14;
/// When the capacity changes, in round trips.
const CHANGE: f64 = 100.0;

fn starting_at(n: usize) -> AdaptiveLimit {
    AdaptiveLimit::new().initial(NonZeroUsize::new(n).unwrap())
}

/// One run for each seed, with initial limits from 1 to 64.
fn runs(capacity: usize, latency: Latency, round_trips: f64, change: impl Fn(&mut Setup)) -> Vec<Log> {
    (0..SEEDS)
        .map(|seed| {
            let mut setup = Setup::new(seed, capacity, latency);
            setup.policy = starting_at(1 << (seed % 7));
            change(&mut setup);
            setup.run(round_trips)
        })
        .collect()
}

/// The mean and the worst of a figure over the seeds.
#[derive(Clone, Copy)]
struct Figure {
    mean: f64,
    worst: f64,
}

fn figure(logs: &[Log], worse: fn(f64, f64) -> f64, of: impl Fn(&Log) -> f64) -> Figure {
    let all: Vec<f64> = logs.iter().map(of).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let worst = all.into_iter().fold(f64::NAN, worse);
    Figure { mean, worst }
}

/// Round trips since `from` until `holds`, in quarters; infinite if not within `last`.
fn first(from: f64, last: usize, holds: impl Fn(f64) -> bool) -> f64 {
    (0..last * 4)
        .map(|n| n as f64 / 4.0)
        .find(|n| holds(from + n))
        .unwrap_or(f64::INFINITY)
}

/// Round trips after the change until the limit stays at or below 1.1 times the capacity, or one above it.
fn settled_below(log: &Log, capacity: usize) -> f64 {
    let most = (1.1 * capacity as f64).max(capacity as f64 + 1.0);
    let above = |n: &usize| log.limit_at(CHANGE + *n as f64 / 4.0) as f64 > most;
    (0..120).rev().find(above).map_or(0.0, |n| (n + 1) as f64 / 4.0)
}

fn reaches(log: &Log, from: f64, capacity: usize) -> f64 {
    first(from, 100, |at| log.limit_at(at) as f64 >= 0.9 * capacity as f64)
}

struct Measured {
    throughput: Figure,
    refused: Figure,
    first_found: Figure,
    halving: Figure,
    refused_after: Figure,
    doubling: Figure,
    throughput_after: Figure,
}

fn measure(capacity: usize, latency: Latency) -> Measured {
    let (half, twice) = (capacity / 2, 2 * capacity);
    let steady = runs(capacity, latency, 250.0, |_| {});
    // The change comes at another moment between two tries to find more for each seed.
    let begins = |setup: &mut Setup| {
        let begin = Rng(setup.seed ^ 1).unit() * 30.0;
        setup.demand = vec![(0.0, 0), (begin, usize::MAX)];
    };
    let halved = runs(capacity, latency, CHANGE + 60.0, |setup| {
        begins(setup);
        setup.capacity.push((CHANGE, half));
    });
    let doubled = runs(capacity, latency, CHANGE + 100.0, |setup| {
        begins(setup);
        setup.capacity.push((CHANGE, twice));
    });
    let (after, until) = (CHANGE + 10.0, CHANGE + 60.0);
    let found = |log: &Log| log.served(CHANGE + 20.0, CHANGE + 40.0) / twice as f64;
    Measured {
        throughput: figure(&steady, f64::min, |log| log.served(50.0, 250.0) / capacity as f64),
        refused: figure(&steady, f64::max, |log| log.refused(50.0, 250.0)),
        first_found: figure(&steady, f64::max, |log| reaches(log, 0.0, capacity)),
        halving: figure(&halved, f64::max, |log| settled_below(log, half)),
        refused_after: figure(&halved, f64::max, |log| log.refused(after, until)),
        doubling: figure(&doubled, f64::max, |log| reaches(log, CHANGE, twice)),
        throughput_after: figure(&doubled, f64::min, found),
    }
}

#[test]
fn it_keeps_close_to_an_oracle_and_follows_it() {
    let percent = |figure: Figure| format!("{:.1} ({:.1})", 100.0 * figure.mean, 100.0 * figure.worst);
    let trips = |figure: Figure| format!("{:.1} ({:.1})", figure.mean, figure.worst);
    for latency in LATENCIES {
        for capacity in CAPACITIES {
            let all = measure(capacity, latency);
            println!(
                "| {latency:?} | {capacity} | {} | {} | {} | {} | {} | {} | {} |",
                percent(all.throughput),
                percent(all.refused),
                trips(all.first_found),
                trips(all.halving),
                percent(all.refused_after),
                trips(all.doubling),
                percent(all.throughput_after),
            );
            let case = format!("capacity {capacity}, {latency:?}, seeds 0..{SEEDS}");
            assert!(all.throughput.worst >= 0.9, "{case}: {}", all.throughput.worst);
            assert!(all.refused.worst < 0.02, "{case}: {}", all.refused.worst);
            assert!(all.halving.worst <= 10.0, "{case}: {}", all.halving.worst);
            // A capacity of 1 or 2 has no more than 100 attempts in 50 round trips.
            let most = if capacity / 2 > 2 { 0.02 } else { 0.035 };
            assert!(
                all.refused_after.worst < most,
                "{case}: {}",
                all.refused_after.worst
            );
            // Of the 40 attempts that a capacity of 2 has in 20 round trips, one that is refused is 2.5 %.
            if capacity > 2 {
                assert!(all.doubling.worst <= 20.0, "{case}: {}", all.doubling.worst);
                assert!(
                    all.throughput_after.worst >= 0.9,
                    "{case}: {}",
                    all.throughput_after.worst
                );
            }
        }
    }
}

#[test]
fn other_errors_never_cut() {
    for latency in LATENCIES {
        let logs = runs(32, latency, 120.0, |setup| {
            setup.policy = starting_at(8);
            setup.failures = vec![(0.0, 0.3), (60.0, 1.0), (63.0, 0.3)];
        });
        for (seed, log) in logs.iter().enumerate() {
            assert_eq!(log.count(LimitCause::Refused), 0, "seed {seed}, {latency:?}");
            let served = log.served(40.0, 120.0) / 32.0;
            assert!(served >= 0.9, "seed {seed}, {latency:?}: {served}");
        }
    }
}

#[test]
fn it_does_not_grow_when_there_is_less_to_do() {
    for demand in [1, 5, 7] {
        let logs = runs(100, Latency::HeavyTail, 50.0, |setup| {
            setup.policy = starting_at(8);
            setup.demand = vec![(0.0, demand)];
        });
        for (seed, log) in logs.iter().enumerate() {
            assert!(
                log.changes.is_empty(),
                "seed {seed}, demand {demand}: {:?}",
                log.changes
            );
        }
    }
}

#[test]
fn it_grows_at_most_once_after_the_work_has_become_less() {
    let logs = runs(400, Latency::Uniform, 60.0, |setup| setup.demand.push((3.0, 7)));
    for (seed, log) in logs.iter().enumerate() {
        let later = log
            .changes
            .iter()
            .filter(|(at, change)| *at > 5.0 && change.to > 8);
        assert!(later.count() <= 1, "seed {seed}: {:?}", log.changes);
    }
}

#[test]
fn strays_cost_little() {
    for capacity in [32, 100, 400] {
        let logs = runs(capacity, Latency::HeavyTail, 250.0, |setup| setup.strays = 0.005);
        let served = figure(&logs, f64::min, |log| log.served(80.0, 250.0) / capacity as f64);
        println!("strays, {capacity}: {:.3} ({:.3})", served.mean, served.worst);
        assert!(served.worst >= 0.9, "capacity {capacity}: {}", served.worst);
    }
}

#[test]
fn a_burst_of_refusals_is_forgotten() {
    for capacity in [32, 100, 400] {
        let logs = runs(capacity, Latency::Uniform, CHANGE + 100.0, |setup| {
            setup.capacity.extend([(CHANGE, 0), (CHANGE + 1.0, capacity)]);
        });
        let back = figure(&logs, f64::max, |log| reaches(log, CHANGE + 1.5, capacity));
        let low = figure(&logs, f64::min, |log| log.lowest(CHANGE, CHANGE + 30.0) as f64);
        println!(
            "burst, {capacity}: back after {:.1} ({:.1}), lowest {}",
            back.mean, back.worst, low.worst
        );
        assert!(back.worst <= 20.0, "capacity {capacity}: {}", back.worst);
        assert!(
            low.worst >= capacity as f64 / 4.0,
            "capacity {capacity}: {}",
            low.worst
        );
    }
}

#[test]
fn it_gives_way_to_another_tenant_and_comes_back() {
    for capacity in [32, 100, 400] {
        let logs = runs(capacity, Latency::Uniform, CHANGE + 140.0, |setup| {
            setup.tenant.extend([(CHANGE, capacity / 4), (CHANGE + 60.0, 0)]);
        });
        let left = (capacity - capacity / 4) as f64;
        let refused = figure(&logs, f64::max, |log| log.refused(CHANGE + 15.0, CHANGE + 60.0));
        let beside = figure(&logs, f64::min, |log| {
            log.served(CHANGE + 15.0, CHANGE + 60.0) / left
        });
        let alone = |log: &Log| log.served(CHANGE + 85.0, CHANGE + 140.0) / capacity as f64;
        let alone = figure(&logs, f64::min, alone);
        println!(
            "tenant, {capacity}: {:.3}, {:.3}, {:.3}",
            refused.worst, beside.worst, alone.worst
        );
        assert!(refused.worst < 0.02, "capacity {capacity}: {}", refused.worst);
        assert!(beside.worst.min(alone.worst) >= 0.9, "capacity {capacity}");
    }
}

#[test]
fn a_queue_is_seen_in_the_time_to_first_output() {
    for capacity in [10, 32, 100] {
        let logs = runs(capacity, Latency::Uniform, 200.0, |setup| {
            setup.provider = Provider::Queues;
            setup.policy = starting_at(4).first_output_tolerance(2.0);
        });
        let served = figure(&logs, f64::min, |log| log.served(80.0, 200.0) / capacity as f64);
        let highest = figure(&logs, f64::max, |log| {
            log.highest(80.0, 200.0) as f64 / capacity as f64
        });
        println!(
            "queue, {capacity}: {:.3} ({:.3}), {:.2}",
            served.mean, served.worst, highest.worst
        );
        assert!(served.worst >= 0.85, "capacity {capacity}: {}", served.worst);
        assert!(highest.worst <= 2.0, "capacity {capacity}: {}", highest.worst);
    }
}

#[test]
fn a_rate_of_requests_is_found_as_well() {
    for capacity in [32, 100, 400] {
        let logs = runs(capacity, Latency::Uniform, 250.0, |setup| {
            setup.provider = Provider::Rate;
        });
        let refused = figure(&logs, f64::max, |log| log.refused(50.0, 250.0));
        let served = figure(&logs, f64::min, |log| log.served(50.0, 250.0) / capacity as f64);
        println!(
            "rate, {capacity}: {:.3} ({:.3}), refused {:.3} ({:.3})",
            served.mean, served.worst, refused.mean, refused.worst
        );
        assert!(served.worst >= 0.8, "capacity {capacity}: {}", served.worst);
        assert!(refused.worst < 0.04, "capacity {capacity}: {}", refused.worst);
    }
}

const OK: Signal = Signal::Success {
    first_try: true,
    first_output: None,
};
const RETRIED: Signal = Signal::Success {
    first_try: false,
    first_output: None,
};

/// Ends attempts of the present epoch at once, one for each signal, with the whole limit in use.
fn feed(adaptive: &mut Adaptive, now: u64, signals: &[Signal]) -> Vec<Change> {
    let end = |&signal| {
        let running = adaptive.limit();
        let started = adaptive.started(now, running);
        adaptive.ended(now, started.epoch, signal, RTT, running)
    };
    signals.iter().filter_map(end).collect()
}

#[test]
fn slow_start_doubles_the_limit_per_round_trip() {
    let mut adaptive = Adaptive::new(&starting_at(8));
    feed(&mut adaptive, 0, &[OK; 8]);
    assert_eq!(adaptive.limit(), 16);
    feed(&mut adaptive, 0, &[OK; 8 + 16]);
    assert_eq!(adaptive.limit(), 32);
}

#[test]
fn retries_that_succeed_do_not_raise_it() {
    let mut adaptive = Adaptive::new(&starting_at(8));
    assert_eq!(feed(&mut adaptive, 0, &[RETRIED; 1_000]), []);
    feed(&mut adaptive, 0, &[Signal::Refused; 2]);
    assert!(adaptive.limit() < 8);
    assert_eq!(feed(&mut adaptive, 9 * RTT, &[RETRIED; 1_000]), []);
}

#[test]
fn a_stray_refusal_in_a_cohort_does_not_cut() {
    let mut adaptive = Adaptive::new(&starting_at(64).max(NonZeroUsize::new(64).unwrap()));
    for round in 0..20 {
        feed(&mut adaptive, round * RTT, &[OK; 64]);
        assert_eq!(
            feed(&mut adaptive, round * RTT, &[Signal::Refused]),
            [],
            "round {round}"
        );
    }
    assert_eq!(adaptive.limit(), 64);
}

#[test]
fn two_refusals_in_a_row_cut_a_small_limit() {
    for limit in 2..=4 {
        let fixed = NonZeroUsize::new(limit).unwrap();
        for before in 0..50 {
            let mut adaptive = Adaptive::new(&starting_at(limit).max(fixed));
            feed(&mut adaptive, 0, &vec![OK; before]);
            let changes = feed(&mut adaptive, 0, &[Signal::Refused; 2]);
            let [Change { from, to, cause }] = changes[..] else {
                panic!("limit {limit} after {before}: {changes:?}");
            };
            assert_eq!((from, cause), (limit, LimitCause::Refused));
            assert!(to < limit);
        }
    }
    let mut adaptive = Adaptive::new(&starting_at(1));
    assert_eq!(feed(&mut adaptive, 0, &[Signal::Refused; 9]), [], "never below 1");
}

#[test]
fn attempts_that_began_before_a_cut_do_not_cut_again() {
    let mut adaptive = Adaptive::new(&starting_at(100));
    let epochs: Vec<u32> = (1..=100).map(|n| adaptive.started(0, n).epoch).collect();
    let changes: Vec<Change> = (0..100)
        .filter_map(|n| {
            adaptive.ended(
                RTT * n,
                epochs[n as usize],
                Signal::Refused,
                RTT / 10,
                100 - n as usize,
            )
        })
        .collect();
    let once = Change {
        from: 100,
        to: 70,
        cause: LimitCause::Refused,
    };
    assert_eq!(changes, [once]);
}

#[test]
fn cuts_are_a_round_trip_apart() {
    let mut adaptive = Adaptive::new(&starting_at(100).max(NonZeroUsize::new(100).unwrap()));
    feed(&mut adaptive, 0, &[OK; 100]);
    feed(&mut adaptive, RTT, &[Signal::Refused; 100]);
    assert_eq!(adaptive.limit(), 70);
    feed(&mut adaptive, RTT + RTT / 2, &[Signal::Refused; 100]);
    assert_eq!(adaptive.limit(), 70);
    feed(&mut adaptive, 2 * RTT, &[Signal::Refused; 1]);
    assert_eq!(adaptive.limit(), 49);
}

#[test]
fn a_small_limit_that_is_swamped_is_cut_once_more_within_a_round_trip() {
    let mut adaptive = Adaptive::new(&starting_at(10).max(NonZeroUsize::new(10).unwrap()));
    feed(&mut adaptive, 0, &[OK; 10]);
    feed(&mut adaptive, RTT, &[Signal::Refused; 2]);
    assert_eq!(adaptive.limit(), 7);
    assert_eq!(feed(&mut adaptive, RTT + 1, &[Signal::Refused; 13]), []);
    let cut = Change {
        from: 7,
        to: 4,
        cause: LimitCause::Refused,
    };
    assert_eq!(feed(&mut adaptive, RTT + 2, &[Signal::Refused]), [cut]);
    // Once is enough: the third cut waits for its round trip.
    assert_eq!(feed(&mut adaptive, 2 * RTT, &[Signal::Refused; 50]), []);
    assert_eq!(feed(&mut adaptive, 2 * RTT + 2, &[Signal::Refused]).len(), 1);
}

#[test]
fn a_limit_that_is_not_used_is_halved_each_minute() {
    let mut adaptive = Adaptive::new(&starting_at(8));
    feed(&mut adaptive, 0, &[OK; 400]);
    let high = adaptive.limit();
    assert_eq!(adaptive.started(REST - 1, 1).change, None);
    let change = adaptive.started(2 * REST, 1).change;
    let quarter = Change {
        from: high,
        to: high / 4,
        cause: LimitCause::Rested,
    };
    assert_eq!(change, Some(quarter));
    assert_eq!(
        adaptive.started(1_000 * REST, 1).change.map(|change| change.to),
        Some(8)
    );
    assert_eq!(adaptive.started(2_000 * REST, 1).change, None);
}

#[test]
fn whatever_happens_the_limit_keeps_its_bounds() {
    let n = |n| NonZeroUsize::new(n).unwrap();
    for seed in 0..300 {
        let mut rng = Rng(seed);
        let (min, max) = (1 + seed as usize % 5, 5 + seed as usize % 60);
        let policy = starting_at(5).min(n(min)).max(n(max)).first_output_tolerance(1.5);
        let mut adaptive = Adaptive::new(&policy);
        let (mut now, mut kind) = (0, 0.0);
        for step in 0..3_000 {
            if rng.unit() < 0.02 {
                kind = rng.unit();
            }
            now += (rng.unit().powi(8) * REST as f64) as u64;
            let running = 1 + (rng.unit() * 2.0 * adaptive.limit() as f64) as usize;
            let started = adaptive.started(now, running);
            let signal = match rng.unit() {
                drawn if drawn < kind => Signal::Refused,
                drawn if drawn > 0.95 => Signal::Ignored,
                drawn => Signal::Success {
                    first_try: drawn < 0.8,
                    first_output: Some((rng.unit() * RTT as f64) as u64),
                },
            };
            let epoch = started.epoch.wrapping_sub(u32::from(rng.unit() < 0.1));
            let before = adaptive.limit();
            let change = adaptive.ended(now, epoch, signal, RTT, running);
            let after = adaptive.limit();
            assert!((min..=max).contains(&after), "seed {seed}, step {step}: {after}");
            assert_eq!(
                change.map_or(before, |change| change.from),
                before,
                "seed {seed}, step {step}"
            );
            assert_eq!(
                change.map_or(before, |change| change.to),
                after,
                "seed {seed}, step {step}"
            );
        }
    }
}
