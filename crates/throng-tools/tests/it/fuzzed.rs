//! The property that the fuzz target checks, and the replay of its corpus. This file is also compiled into the fuzz
//! target; so it names nothing of the other test modules.

use serde_json::{Value, json};
use throng_tools::{Answer, Assume, Declared, Dependencies, Plan, PlanLimits, Resource, Turn, resolve};

/// Reads a text as a plan, as a message of a model and as a resource, and checks what holds of whatever was read.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    resource(text);
    if let Ok(message) = serde_json::from_str(text) {
        turn(&message);
    }
    let limits = PlanLimits::default().calls(1 << 12).bytes(1 << 16);
    match Plan::parse_within(text, &limits) {
        Ok(read) => plan(&read),
        Err(error) => {
            let lines = text.split('\n').count();
            assert!(
                error.line.is_none_or(|line| line >= 1 && line <= lines),
                "{error}"
            );
            assert!(!error.to_string().is_empty());
        }
    }
}

fn resource(text: &str) {
    if let Ok(resource) = text.parse::<Resource>() {
        let again: Resource = resource.as_str().parse().unwrap();
        assert_eq!(resource, again, "the normal form is its own");
        assert!(resource.holds(&again) && Resource::everything().holds(&again));
    }
}

fn plan(plan: &Plan) {
    let written = serde_json::to_string(plan).unwrap();
    let again = Plan::from_json(&written).unwrap();
    let essence = |plan: &Plan| -> Vec<_> {
        let calls = plan.calls().iter();
        calls
            .map(|call| {
                (
                    call.id.clone(),
                    call.name.clone(),
                    call.depends_on.clone(),
                    call.accesses.clone(),
                )
            })
            .collect()
    };
    assert_eq!(essence(plan), essence(&again), "{written}");

    for assume in [Assume::Independent, Assume::Exclusive] {
        let graph = Dependencies::analyze(plan, Some(assume), |_| Declared::nothing()).unwrap();
        let n = plan.calls().len();
        let blocked = (0..).take(n).filter(|&call| graph.is_blocked(call)).count();
        assert_eq!(
            graph
                .cycles()
                .iter()
                .map(|cycle| cycle.members.len())
                .sum::<usize>(),
            blocked
        );
        assert_eq!(graph.check().is_err(), blocked > 0);
        // The order has every other call, and no call before one that it waits for.
        let mut place = vec![None; n];
        for (at, &call) in graph.order().iter().enumerate() {
            assert_eq!(place[call as usize].replace(at), None);
        }
        let waits_well =
            graph.edges().iter().all(
                |edge| match (place[edge.from as usize], place[edge.to as usize]) {
                    (Some(from), Some(to)) => from < to,
                    _ => true,
                },
            );
        assert!(waits_well, "{:?} {:?}", graph.order(), graph.edges());
        let waves: usize = graph.waves().iter().map(Vec::len).sum();
        assert!(waves == graph.order().len() && waves <= n);
        let dry = serde_json::to_string(&graph.dry_run()).unwrap();
        assert!(!dry.contains("\"because\":\"\""), "{dry}");
        let _ = (graph.to_dot(), graph.to_mermaid());
    }

    let result = json!({"a": [1, "$1 ${1}"]});
    for (own, call) in (0..).zip(plan.calls()) {
        let mut arguments = call.arguments.clone();
        let _ = resolve(&mut arguments, plan.names(), own, |_| Some(&result));
    }
}

fn turn(message: &Value) {
    let Ok(turn) = Turn::read(message) else { return };
    let mut asked = 0;
    let answers = turn.answers(|index, _| {
        assert_eq!(index, asked);
        asked += 1;
        Answer::ok(json!(index))
    });
    assert_eq!(asked, turn.calls().len());
    assert_eq!(answers.is_empty(), asked == 0);
    if asked > 0 {
        turn.plan().unwrap();
        let again = Turn::read_as(turn.shape(), turn.message()).unwrap();
        assert_eq!(again.message(), turn.message(), "what goes back is read as it is");
    }
}

#[cfg(test)]
#[test]
fn the_corpus_of_the_fuzz_target_replays() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/plans");
    if !std::path::Path::new(corpus).is_dir() {
        // A published package has no corpus beside it.
        assert!(
            std::env::var_os("THRONG_REQUIRE").is_none(),
            "no fuzz corpus at {corpus}"
        );
        // Not by the macro, whose output the test harness swallows.
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: no fuzz corpus beside the crate\n",
        )
        .unwrap();
        return;
    }
    let mut seeds = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        check(&std::fs::read(file.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds >= 10, "{seeds} seeds");
}
