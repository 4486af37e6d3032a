//! Who is passed too often gets its turn, whatever others start meanwhile.

use std::collections::VecDeque;

use super::super::*;

/// A plan that always has nodes to start.
struct Stream {
    schedule: Schedule,
    spec: NodeSpec,
    running: VecDeque<u32>,
    started: usize,
}

impl Stream {
    fn new(admission: &mut Admission, needs: &[(CounterId, u64)], locks: Vec<Lock>) -> Self {
        let mut schedule = Schedule::new(admission, None);
        let class = schedule.class(admission, needs);
        schedule.start().unwrap();
        Self {
            schedule,
            spec: NodeSpec {
                locks,
                ..NodeSpec::new(class)
            },
            running: VecDeque::new(),
            started: 0,
        }
    }

    fn fill(&mut self, admission: &mut Admission) {
        loop {
            while self.schedule.len() < self.started + 3 {
                self.schedule.add(self.spec.clone());
            }
            let Some(start) = self.schedule.next(admission, 0) else {
                break;
            };
            self.started += 1;
            self.running.push_back(start.node);
        }
    }

    /// Ends what runs for the longest time, and starts what may.
    fn turn(&mut self, admission: &mut Admission) {
        if let Some(node) = self.running.pop_front() {
            self.schedule.ended(admission, node, End::Succeeded);
        }
        self.fill(admission);
    }
}

/// Lets the streams run beside a node, one step of one stream at a time, and returns after how many steps it started.
fn steps(
    admission: &mut Admission,
    streams: &mut [Stream],
    needs: &[(CounterId, u64)],
    locks: Vec<Lock>,
) -> usize {
    for stream in &mut *streams {
        stream.fill(admission);
    }
    let mut victim = Schedule::new(admission, None);
    let class = victim.class(admission, needs);
    victim.add(NodeSpec {
        locks,
        ..NodeSpec::new(class)
    });
    victim.start().unwrap();
    assert_eq!(victim.next(admission, 0), None, "there is room at once");
    let id = victim.plan();
    for step in 0..100_000 {
        let at = step % streams.len();
        streams[at].turn(admission);
        while let Some(plan) = admission.pop_wake() {
            if plan == id {
                if victim.next(admission, 0).is_some() {
                    return step;
                }
            } else {
                let of = streams.iter_mut().find(|of| of.schedule.plan() == plan);
                of.unwrap().fill(admission);
            }
        }
    }
    panic!("it did not start");
}

#[test]
fn a_plan_gets_its_turn_at_the_common_limit() {
    let mut admission = Admission::new(2);
    let mut streams = [Stream::new(&mut admission, &[], Vec::new())];
    assert!(steps(&mut admission, &mut streams, &[], Vec::new()) < 40);
}

#[test]
fn a_heavy_node_gets_its_pool() {
    let mut admission = Admission::new(100);
    let pool = admission.add_counter(8);
    let light = [(pool, 1)];
    let mut streams = [
        Stream::new(&mut admission, &light, Vec::new()),
        Stream::new(&mut admission, &light, Vec::new()),
    ];
    assert!(steps(&mut admission, &mut streams, &[(pool, 8)], Vec::new()) < 100);
}

#[test]
fn a_node_gets_two_pools_that_others_churn() {
    let mut admission = Admission::new(100);
    let (a, b) = (admission.add_counter(4), admission.add_counter(4));
    let mut streams = [
        Stream::new(&mut admission, &[(a, 1)], Vec::new()),
        Stream::new(&mut admission, &[(b, 1)], Vec::new()),
    ];
    assert!(steps(&mut admission, &mut streams, &[(a, 4), (b, 4)], Vec::new()) < 200);
}

#[test]
fn a_writer_gets_its_turn_among_readers() {
    let mut admission = Admission::new(6);
    let read = || vec![Lock::shared("file:/a/b")];
    let mut streams = [
        Stream::new(&mut admission, &[], read()),
        Stream::new(&mut admission, &[], read()),
    ];
    assert!(steps(&mut admission, &mut streams, &[], vec![Lock::alone("file:/a")]) < 200);
}

#[test]
fn two_locks_and_a_pool_come_together() {
    let mut admission = Admission::new(12);
    let pool = admission.add_counter(2);
    let mut streams = [
        Stream::new(&mut admission, &[], vec![Lock::shared("db:x")]),
        Stream::new(&mut admission, &[], vec![Lock::shared("db:y")]),
        Stream::new(&mut admission, &[(pool, 1)], Vec::new()),
    ];
    let locks = vec![Lock::alone("db:y"), Lock::alone("db:x")];
    assert!(steps(&mut admission, &mut streams, &[(pool, 2)], locks) < 400);
}

#[test]
fn the_first_of_a_plan_is_not_passed_for_ever_by_the_others() {
    // The streams are those of one plan, whose heavy node is of a higher priority.
    let mut admission = Admission::new(100);
    let pool = admission.add_counter(4);
    let mut stream = Stream::new(&mut admission, &[(pool, 1)], Vec::new());
    stream.fill(&mut admission);
    let heavy = stream.schedule.class(&admission, &[(pool, 4)]);
    let heavy = stream.schedule.add(NodeSpec {
        priority: 1,
        ..NodeSpec::new(heavy)
    });
    for step in 0.. {
        stream.turn(&mut admission);
        if stream.running.contains(&heavy) {
            break;
        }
        assert!(step < 100, "it did not start");
    }
}

#[test]
fn random_victims_among_random_streams_start() {
    for seed in 0..super::property::cases(2_000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut admission = Admission::new(random.u64(1..8));
        let pools: Vec<CounterId> = (0..3).map(|_| admission.add_counter(random.u64(1..6))).collect();
        let names = ["*", "file:", "file:/a", "file:/a/b", "file:/c", "db:t"];
        let mut demand = |light: bool| {
            let most = if light { 2 } else { 6 };
            let n_pools = random.usize(0..3);
            let needs: Vec<(CounterId, u64)> = (0..n_pools)
                .map(|_| (pools[random.usize(0..3)], random.u64(1..=most)))
                .collect();
            let locks: Vec<Lock> = (0..random.usize(0..3))
                .map(|_| {
                    let name = names[random.usize(0..names.len())];
                    if random.bool() {
                        Lock::shared(name)
                    } else {
                        Lock::alone(name)
                    }
                })
                .collect();
            (needs, locks)
        };
        let mut streams: Vec<Stream> = (0..3)
            .map(|_| {
                let (needs, locks) = demand(true);
                Stream::new(&mut admission, &needs, locks)
            })
            .collect();
        let (needs, locks) = demand(false);
        let mut all = needs.clone();
        // So that there is no room at once.
        all.push((admission.global(), 6));
        let steps = steps(&mut admission, &mut streams, &all, locks);
        assert!(steps < 2_000, "seed {seed}: {steps} steps");
    }
}
