//! Conflicts of resources: the few arrows of the graph mean the same as all pairs that conflict.

use proptest::prelude::*;
use serde_json::json;
use throng_tools::{Access, Assume, Call, Declared, Dependencies, EdgeKind, Mode, Plan, Resource};

fn analyze(plan: &Plan, assume: Assume) -> Dependencies {
    Dependencies::analyze(plan, Some(assume), |_| Declared::nothing()).unwrap()
}

fn call(id: usize, accesses: &[(Mode, &str)]) -> Call {
    Call::new(format!("c{id}"), "tool", json!({})).accesses(
        accesses
            .iter()
            .map(|(mode, text)| Access::new(text.parse().unwrap(), *mode)),
    )
}

/// Checks the arrows of calls, each with its accesses: `r/a` reads, `w/a` writes, `x/a` needs alone.
fn check(calls: &[&str], expect: &[(u32, u32)]) {
    let calls = calls.iter().enumerate().map(|(id, accesses)| {
        let accesses: Vec<_> = accesses
            .split(' ')
            .map(|access| {
                let (mode, text) = access.split_at(1);
                let mode = match mode {
                    "r" => Mode::Read,
                    "w" => Mode::Write,
                    _ => Mode::Exclusive,
                };
                (mode, text)
            })
            .collect();
        call(id, &accesses)
    });
    let graph = analyze(&Plan::new(calls).unwrap(), Assume::Exclusive);
    assert_eq!(graph.pairs(), expect);
}

#[test]
fn the_arrows_are_the_last_writer_and_the_readers_since() {
    check(&["w/a", "w/a", "w/a"], &[(0, 1), (1, 2)]);
    check(&["r/a", "r/a"], &[]);
    check(&["w/a", "r/a", "r/a", "w/a"], &[(0, 1), (0, 2), (1, 3), (2, 3)]);
    check(&["w/a", "w/b"], &[]);
    check(&["x/a", "r/a"], &[(0, 1)]);
}

#[test]
fn a_directory_conflicts_with_what_lies_in_it() {
    check(&["r/d", "w/d/f"], &[(0, 1)]);
    check(&["w/d/f", "r/d"], &[(0, 1)]);
    check(&["w/d", "r/d/e/f"], &[(0, 1)]);
    check(&["w/d/f", "w/d2/f", "r/d"], &[(0, 2)]);
    check(&["w/d/f", "w/d/g", "r/d", "w/d/f"], &[(0, 2), (1, 2), (2, 3)]);
    check(&["w/d/f", "w/d", "w/d/f"], &[(0, 1), (1, 2)]);
    check(&["r/d/f", "w*", "r/d/f"], &[(0, 1), (1, 2)]);
    check(&["wdb:t", "wfile:", "rdb:t"], &[(0, 2)]);
    check(&["wa", "w/a"], &[(0, 1)]);
}

#[test]
fn a_call_does_not_wait_for_itself() {
    check(&["r/a w/a", "r/a w/a"], &[(0, 1)]);
    check(&["w/d/f w/d r/d/g", "r/d/f"], &[(0, 1)]);
    check(&["r/a w/b", "r/b w/a", "r/a"], &[(0, 1), (1, 2)]);
}

#[test]
fn calls_that_say_nothing_keep_their_place() {
    let plan = Plan::new([
        call(0, &[(Mode::Read, "/a")]),
        call(1, &[(Mode::Read, "/b")]),
        Call::new("u", "shell", json!({})),
        call(3, &[(Mode::Read, "/a")]),
        call(4, &[]),
    ])
    .unwrap();
    let graph = analyze(&plan, Assume::Exclusive);
    assert_eq!(graph.pairs(), [(0, 2), (1, 2), (2, 3)]);
    assert!(graph.edges().iter().all(|edge| edge.kind == EdgeKind::Policy));
    assert_eq!(
        graph.because(&graph.edges()[0]),
        "nothing is known of what `shell` of `u` touches, so it keeps its place"
    );
    assert!(analyze(&plan, Assume::ReadOnly).pairs().is_empty());
    assert!(analyze(&plan, Assume::Independent).pairs().is_empty());
}

fn resources() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "*", "/", "/a", "/a/b", "/a/b/c", "/a/c", "/ab", "/b", "file:", "a", "a/b", "b", "db:", "db:t",
        "db:t/1", "db:u", "/a/b/c/d",
    ])
}

/// What the calls of a plan touch. `None`: nothing is said.
fn programs(calls: usize) -> impl Strategy<Value = Vec<Option<Vec<(Mode, &'static str)>>>> {
    let modes = prop_oneof![4 => Just(Mode::Read), 3 => Just(Mode::Write), 1 => Just(Mode::Exclusive)];
    let accesses = prop::collection::vec((modes, resources()), 0..4);
    prop::collection::vec(
        prop_oneof![15 => accesses.prop_map(Some), 1 => Just(None)],
        1..calls,
    )
}

/// Returns for each call the set of all calls that come before it.
fn closure(n: usize, pairs: &[(u32, u32)]) -> Vec<Vec<bool>> {
    let mut before = vec![vec![false; n]; n];
    for to in 0..n {
        for &(from, _) in pairs.iter().filter(|&&(_, end)| end as usize == to) {
            let (earlier, rest) = before.split_at_mut(to);
            rest[0][from as usize] = true;
            for (all, new) in rest[0].iter_mut().zip(&earlier[from as usize]) {
                *all |= new;
            }
        }
    }
    before
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_arrows_mean_all_conflicts(program in programs(24), read_only in any::<bool>()) {
        let assume = if read_only { Assume::ReadOnly } else { Assume::Exclusive };
        let calls = program.iter().enumerate().map(|(id, accesses)| match accesses {
            Some(accesses) => call(id, accesses),
            None => Call::new(format!("c{id}"), "tool", json!({})),
        });
        let plan = Plan::new(calls).unwrap();
        let graph = analyze(&plan, assume);
        let accesses: Vec<Vec<Access>> = plan.calls().iter()
            .map(|call| call.accesses.clone().unwrap_or_else(|| assume.accesses())).collect();
        let n = program.len();
        let mut naive = Vec::new();
        for to in 0..n {
            for from in 0..to {
                let conflict = accesses[from].iter().any(|a| accesses[to].iter().any(|b| a.conflicts_with(b)));
                if conflict {
                    naive.push((u32::try_from(from).unwrap(), u32::try_from(to).unwrap()));
                }
            }
        }
        let pairs = graph.pairs();
        // Each arrow is a conflict of its own, and all conflicts follow from the arrows.
        prop_assert!(pairs.iter().all(|pair| naive.contains(pair)), "{pairs:?} {naive:?}");
        prop_assert_eq!(closure(n, &pairs), closure(n, &naive));
        for &(from, to) in &naive {
            let (from, to) = (format!("c{from}"), format!("c{to}"));
            let why = graph.explain(&to, &from);
            prop_assert!(why.is_some_and(|why| why.edges.len() == 1), "{} {}", from, to);
            prop_assert!(graph.explain(&from, &to).is_none());
        }
    }

    #[test]
    fn overlap_is_that_of_every_name_a_path_may_have(a in resources(), b in resources()) {
        let (a, b): (Resource, Resource) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        prop_assert!(!a.holds(&b) || a.overlaps(&b));
        if a.holds(&b) && b.holds(&a) {
            prop_assert_eq!(a, b);
        }
    }
}

#[test]
fn a_large_plan_has_few_arrows() {
    // 100,000 calls that read and write 1,000 files in turn, and one that reads the directory now and then.
    let calls = (0..100_000_u32).map(|id| {
        let file = format!("/d/{}", id % 1000);
        let access = match id {
            _ if id % 5000 == 4999 => Access::read("/d".parse().unwrap()),
            _ if id % 3 == 0 => Access::write(file.parse().unwrap()),
            _ => Access::read(file.parse().unwrap()),
        };
        Call::new(id.to_string(), "tool", json!({})).accesses([access])
    });
    let graph = analyze(&Plan::new(calls).unwrap(), Assume::Exclusive);
    assert!(graph.edges().len() < 200_000, "{}", graph.edges().len());
    assert_eq!(graph.waves().iter().map(Vec::len).sum::<usize>(), 100_000);
}
