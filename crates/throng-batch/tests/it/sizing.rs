//! The adaptive size against servers whose times are known.

use std::num::NonZeroUsize;
use std::time::Duration;

use throng_batch::{AdaptiveSize, Ending};

const GOAL: f64 = 3.0;

/// A server whose requests take a base and a time for each agent, with noise.
struct Server {
    base: f64,
    each: f64,
    rng: fastrand::Rng,
}

impl Server {
    fn time(&mut self, n: usize) -> f64 {
        // About normal, a tenth of the time.
        let noise: f64 = (0..12).map(|_| self.rng.f64()).sum::<f64>() - 6.0;
        (self.base + self.each * n as f64) * (1.0 + 0.1 * noise).max(0.2)
    }
}

fn adaptive() -> AdaptiveSize {
    AdaptiveSize::new(Duration::from_secs_f64(GOAL)).max(NonZeroUsize::new(64).unwrap())
}

/// Runs requests and returns the size and the time of each.
fn run(size: &mut AdaptiveSize, server: &mut Server, requests: usize) -> Vec<(usize, f64)> {
    (0..requests)
        .map(|_| {
            let n = size.size().get();
            let time = server.time(n);
            size.observe(n, Duration::from_secs_f64(time), Ending::Whole);
            (n, time)
        })
        .collect()
}

fn late(requests: &[(usize, f64)]) -> f64 {
    requests.iter().filter(|(_, time)| *time > GOAL).count() as f64 / requests.len() as f64
}

#[test]
fn the_goal_is_held_again_within_20_requests_of_a_step() {
    for seed in 0..50 {
        let rng = fastrand::Rng::with_seed(seed);
        let (base, each) = (0.4, 0.05);
        let mut server = Server { base, each, rng };
        let mut size = adaptive();
        run(&mut size, &mut server, 60);
        server.base *= 3.0;
        server.each *= 3.0;
        run(&mut size, &mut server, 20);
        let settled = run(&mut size, &mut server, 200);
        assert!(late(&settled) <= 0.08, "seed {seed}: {:.3} late", late(&settled));
    }
}

#[test]
fn it_serves_more_agents_in_time_than_a_fixed_ten() {
    let served = |requests: &[(usize, f64)]| {
        let in_time = requests.iter().filter(|(_, time)| *time <= GOAL);
        let agents: usize = in_time.map(|(n, _)| n).sum();
        agents as f64 / requests.iter().map(|(_, time)| time).sum::<f64>()
    };
    let (mut better, seeds) = (0, 50);
    for seed in 0..seeds {
        let mut server = Server {
            base: 0.4,
            each: 0.05,
            rng: fastrand::Rng::with_seed(seed),
        };
        let mut size = adaptive();
        let mut ours = run(&mut size, &mut server, 60);
        let mut fixed: Vec<_> = (0..60).map(|_| (10, server.time(10))).collect();
        server.base *= 3.0;
        server.each *= 3.0;
        ours.extend(run(&mut size, &mut server, 100));
        fixed.extend((0..100).map(|_| (10, server.time(10))));
        better += u64::from(served(&ours) > served(&fixed));
    }
    assert_eq!(better, seeds, "of {seeds}");
}

#[test]
fn it_finds_the_largest_size_that_is_in_time() {
    for (base, each) in [(0.2, 0.1), (1.0, 0.05), (0.0, 0.3), (2.0, 0.01), (2.9, 0.4)] {
        let mut size = adaptive();
        for _ in 0..100 {
            let n = size.size().get();
            size.observe(n, Duration::from_secs_f64(base + each * n as f64), Ending::Whole);
        }
        let best = (((GOAL - base) / each) as usize).clamp(1, 64);
        let found = size.size().get();
        let tenth = (best / 10).max(1);
        assert!(
            found <= best && found + tenth >= best,
            "{found} for {best}: {base} + {each} n"
        );
    }
}

#[test]
fn a_cut_answer_halves_the_size_and_is_not_tried_again_at_once() {
    let mut size = adaptive().initial(NonZeroUsize::new(20).unwrap());
    size.observe(20, Duration::from_secs(1), Ending::Truncated);
    assert_eq!(size.size().get(), 10);
    let mut largest = 0;
    for _ in 0..19 {
        let n = size.size().get();
        largest = largest.max(n);
        size.observe(n, Duration::from_millis(10 * n as u64), Ending::Whole);
    }
    assert!(
        largest < 20 && largest > 10,
        "{largest}: it grows, but not to where it was cut"
    );
}
