//! Threads of several plans over one admission, under schedules that shuttle draws: every node ends, and nobody waits for
//! a wake-up that does not come.
//!
//! `RUSTFLAGS="--cfg throng_shuttle" cargo test --release -p throng-tools --lib threads`

use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;

use super::super::*;

struct Shared {
    admission: Mutex<Admission>,
    plans: Vec<(PlanId, Mutex<Schedule>, Condvar)>,
}

/// Takes what there is to start and ends it, until the plan is done. As what runs the calls does, it locks its plan first and
/// the admission second.
fn work(shared: &Shared, at: usize) -> usize {
    let (_, plan, changed) = &shared.plans[at];
    let mut ended = 0;
    let mut schedule = plan.lock().unwrap();
    loop {
        let start = schedule.next(&mut shared.admission.lock().unwrap(), 0);
        let Some(start) = start else {
            if schedule.is_done() {
                changed.notify_all();
                return ended;
            }
            schedule = changed.wait(schedule).unwrap();
            continue;
        };
        drop(schedule);
        // It runs, and gives its last attempt back once.
        thread::yield_now();
        schedule = plan.lock().unwrap();
        let mut admission = shared.admission.lock().unwrap();
        let again = start.node % 3 == 1 && !start.retried;
        if again {
            assert!(schedule.retry_at(&mut admission, start.node, 0));
        } else {
            schedule.ended(&mut admission, start.node, End::Succeeded);
            ended += 1;
        }
        let woken: Vec<PlanId> = std::iter::from_fn(|| admission.pop_wake()).collect();
        drop(admission);
        changed.notify_all();
        drop(schedule);
        for id in woken {
            let woken = shared.plans.iter().find(|(of, ..)| *of == id);
            let (_, plan, changed) = woken.unwrap();
            // Whoever has just looked waits by the time the lock is free.
            drop(plan.lock().unwrap());
            changed.notify_all();
        }
        schedule = plan.lock().unwrap();
    }
}

fn scene() {
    let mut admission = Admission::new(2).patience(1);
    let pool = admission.add_counter(2);
    let locks = [
        vec![Lock::alone("file:/a"), Lock::shared("db:t")],
        vec![Lock::shared("file:/a/b"), Lock::alone("db:t")],
        vec![Lock::shared("file:"), Lock::shared("db:")],
    ];
    let mut plans = Vec::new();
    for (at, locks) in locks.iter().enumerate() {
        let mut schedule = Schedule::new(&mut admission, None);
        let light = schedule.class(&admission, &[(pool, 1)]);
        let heavy = schedule.class(&admission, &[(pool, 2)]);
        for node in 0..4 {
            schedule.add(NodeSpec {
                locks: if node % 2 == 0 { locks.clone() } else { Vec::new() },
                ..NodeSpec::new(if (node + at) % 3 == 0 { heavy } else { light })
            });
        }
        schedule.edge(0, 3, EdgeKind::Explicit);
        schedule.start().unwrap();
        plans.push((schedule.plan(), Mutex::new(schedule), Condvar::new()));
    }
    let shared = Arc::new(Shared {
        admission: Mutex::new(admission),
        plans,
    });
    let threads: Vec<_> = [0, 0, 1, 1, 2]
        .into_iter()
        .map(|at| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(&shared, at))
        })
        .collect();
    let ended: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(ended, 12);
    let admission = shared.admission.lock().unwrap();
    assert_eq!(admission.used(admission.global()), 0);
    assert_eq!(admission.used(pool), 0);
}

#[test]
fn plans_that_share_an_admission_never_block_each_other_for_ever() {
    let cases = usize::try_from(super::property::cases(1_000)).unwrap();
    shuttle::check_random(scene, cases);
    shuttle::check_pct(scene, cases / 4, 3);
}
