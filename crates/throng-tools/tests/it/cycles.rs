//! Calls that wait for each other: what is said of them, and that the others can run.

use serde_json::json;
use throng_tools::{Assume, Call, Declared, Dependencies, Plan};

fn analyze(calls: Vec<Call>, assume: Assume) -> Dependencies {
    Dependencies::analyze(&Plan::new(calls).unwrap(), Some(assume), |_| Declared::nothing()).unwrap()
}

#[test]
fn a_cycle_is_named_whole_with_the_argument_behind_each_arrow() {
    let graph = analyze(
        vec![
            Call::new("a", "t", json!({"x": {"y": "$c.id"}})),
            Call::new("b", "t", json!({"text": "see ${a.url}"})),
            Call::new("c", "t", json!({})).after("b"),
            Call::new("d", "t", json!({"x": "$c"})),
            Call::new("e", "t", json!({})),
        ],
        Assume::Independent,
    );
    assert_eq!(
        graph.check().unwrap_err().to_string(),
        "calls wait for each other: `a` waits for `c` (argument `x.y` is `$c.id`), `c` waits for `b` (`depends_on` names \
         it), `b` waits for `a` (argument `text` holds `${a.url}`); to cut it, let `a` not wait for `c` (argument `x.y` \
         is `$c.id`)"
    );
    let blocked: Vec<_> = (0..5).map(|call| graph.is_blocked(call)).collect();
    assert_eq!(blocked, [true, true, true, false, false]);
    // The rest has an order; what waits for the cycle is up to who runs it.
    assert_eq!(graph.order(), [3, 4]);
    assert_eq!(graph.waves(), [[3, 4]]);
    assert_eq!(graph.pairs(), [(2, 0), (0, 1), (1, 2), (2, 3)]);
}

#[test]
fn a_call_that_refers_to_itself_is_a_cycle() {
    let graph = analyze(
        vec![
            Call::new("1", "t", json!({"q": "costs $1"})),
            Call::new("2", "t", json!({})),
        ],
        Assume::Exclusive,
    );
    assert_eq!(
        graph.check().unwrap_err().to_string(),
        "calls wait for each other: `1` waits for `1` (argument `q` holds `$1`); to cut it, let `1` not wait for `1` \
         (argument `q` holds `$1`)"
    );
    assert_eq!(graph.order(), [1]);
}

#[test]
fn knots_have_a_cut_that_frees_all() {
    let plan = |without: &[(String, String)]| {
        let arrows = [
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "d"),
            ("d", "b"),
            ("x", "y"),
            ("y", "x"),
        ];
        let calls = ["a", "b", "c", "d", "x", "y", "z"].map(|id| {
            let mut call = Call::new(id, "t", json!({}));
            for (to, from) in arrows.iter().filter(|(to, _)| *to == id) {
                if !without.contains(&((*to).to_owned(), (*from).to_owned())) {
                    call = call.after(*from);
                }
            }
            call
        });
        analyze(calls.into(), Assume::Independent)
    };
    let graph = plan(&[]);
    let cycles = graph.cycles();
    assert_eq!(cycles.len(), 2);
    assert_eq!(cycles[0].members, ["a", "b", "c", "d"]);
    assert_eq!(cycles[1].members, ["x", "y"]);
    assert!(
        cycles[0]
            .to_string()
            .contains("1 more calls are in the same knot: `d`"),
        "{}",
        cycles[0]
    );
    let cuts: Vec<_> = cycles
        .iter()
        .flat_map(|cycle| &cycle.cut)
        .map(|step| (step.call.clone(), step.waits_for.clone()))
        .collect();
    assert!(cuts.len() <= 3, "{cuts:?}");
    assert_eq!(plan(&cuts).check(), Ok(()));
    assert_eq!(graph.order(), [6]);
}

#[test]
fn a_chain_of_100_000_is_no_cycle_and_closing_it_is_one() {
    let n = 100_000;
    let calls = |close: bool| {
        (0..n)
            .map(|id: u32| {
                let call = Call::new(id.to_string(), "t", json!({}));
                // Against the order of emission.
                match id + 1 {
                    next if next < n => call.after(next.to_string()),
                    _ if close => call.after("0"),
                    _ => call,
                }
            })
            .collect()
    };
    let graph = analyze(calls(false), Assume::Exclusive);
    assert_eq!(graph.check(), Ok(()));
    assert!(graph.order().iter().rev().copied().eq(0..n));
    assert_eq!(graph.critical_path().len(), n as usize);
    let graph = analyze(calls(true), Assume::Exclusive);
    assert_eq!(graph.cycles()[0].steps.len(), n as usize);
    assert!(graph.order().is_empty());
}
