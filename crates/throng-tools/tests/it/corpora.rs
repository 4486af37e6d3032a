//! Plans that others have made: NESTFUL, whose references are marked, and BFCL, whose parallel calls have none.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::Value;
use throng_tools::{Assume, Call, Declared, Dependencies, EdgeKind, Plan};

/// Returns the folder of the data, or `None` after having said that it is absent.
fn data() -> Option<PathBuf> {
    let root = match std::env::var_os("THRONG_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let tools = root.join("tools");
    if tools.is_dir() {
        return Some(tools);
    }
    let required = std::env::var_os("THRONG_REQUIRE").is_some_and(|value| value == "1");
    let named = std::env::var_os("THRONG_DATA").is_some();
    assert!(
        !named && !required,
        "no plans of others at {}, which THRONG_DATA or THRONG_REQUIRE=1 asks for",
        tools.display()
    );
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Not by the macro, whose output the test harness swallows.
        let line = format!(
            "SKIPPED: no plans of others at {} (set THRONG_DATA)\n",
            tools.display()
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    None
}

/// Reads the calls of a sample of NESTFUL. The last call, which gathers the answer, has no label.
fn nestful_calls(sample: &Value) -> Vec<Call> {
    let parsed;
    let calls = match &sample["output"] {
        Value::String(text) => {
            parsed = serde_json::from_str::<Value>(text).unwrap();
            parsed.as_array().unwrap()
        }
        calls => calls.as_array().unwrap(),
    };
    calls
        .iter()
        .map(|call| {
            let id = call["label"].as_str().unwrap_or("the answer");
            Call::new(id, call["name"].as_str().unwrap(), call["arguments"].clone())
        })
        .collect()
}

/// Returns the references by NESTFUL's own rule: `$`, the label of a call, and `.` or `$` or `[` or the end.
fn gold(calls: &[Call]) -> BTreeSet<(String, String, String)> {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let mut gold = BTreeSet::new();
    for call in calls {
        for (argument, value) in call.arguments.as_object().unwrap() {
            let mut found = Vec::new();
            texts(value, &mut found);
            for text in found {
                for part in text.split('$').skip(1) {
                    let label = part.split(['.', '[']).next().unwrap();
                    if label.starts_with("var") && label[3..].parse::<u32>().is_ok() {
                        gold.insert((call.id.clone(), argument.clone(), label.to_owned()));
                    }
                }
            }
        }
    }
    gold
}

#[test]
fn the_references_of_nestful_are_found_exactly() {
    let Some(data) = data() else { return };
    let text = std::fs::read_to_string(data.join("nestful/executable-data.json")).unwrap();
    let samples: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut total = 0;
    for (index, sample) in samples.iter().enumerate() {
        let calls = nestful_calls(sample);
        let gold = gold(&calls);
        let plan = Plan::new(calls).unwrap();
        let graph = Dependencies::analyze(&plan, Some(Assume::Independent), |_| Declared::nothing()).unwrap();
        let mut found = BTreeSet::new();
        for (own, call) in (0..).zip(plan.calls()) {
            for reference in graph.references(own) {
                let argument = reference.argument.split(['.', '[']).next().unwrap();
                let id = graph.id(reference.call).unwrap();
                found.insert((call.id.clone(), argument.to_owned(), id.to_owned()));
                // Every one is closed by its `$`, and names a path of the result as it is written.
                let inside = reference
                    .text
                    .strip_prefix('$')
                    .and_then(|text| text.strip_suffix('$'));
                let path = inside.unwrap().strip_prefix(id).unwrap().trim_start_matches('.');
                assert_eq!(reference.path.to_string(), path, "sample {index}");
            }
        }
        assert_eq!(found, gold, "sample {index}");
        let by_edge: BTreeSet<_> = gold
            .iter()
            .map(|(to, _, from)| (from.as_str(), to.as_str()))
            .collect();
        let edges: BTreeSet<_> = graph
            .edges()
            .iter()
            .map(|edge| (graph.id(edge.from).unwrap(), graph.id(edge.to).unwrap()))
            .collect();
        assert_eq!(edges, by_edge, "sample {index}");
        assert!(graph.edges().iter().all(|edge| edge.kind == EdgeKind::Reference));
        graph.check().unwrap();
        total += gold.len();
    }
    assert!(
        samples.len() >= 85 && total >= 300,
        "{} samples, {total} references",
        samples.len()
    );
}

#[test]
fn parallel_calls_of_bfcl_depend_on_nothing() {
    let Some(data) = data() else { return };
    let path = data.join("bfcl/possible_answer_BFCL_v4_parallel.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut plans = 0;
    for line in text.lines() {
        let answer: Value = serde_json::from_str(line).unwrap();
        let calls = answer["ground_truth"].as_array().unwrap().iter().enumerate();
        let calls: Vec<_> = calls
            .flat_map(|(index, call)| {
                // Each argument has a list of values that are right; the first of each makes a call.
                call.as_object().unwrap().iter().map(move |(name, arguments)| {
                    let arguments: serde_json::Map<_, _> = arguments
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(key, values)| (key.clone(), values.get(0).cloned().unwrap_or_default()))
                        .collect();
                    Call::new((index + 1).to_string(), name, arguments.into())
                })
            })
            .collect();
        assert!(calls.len() > 1, "{line}");
        let plan = Plan::new(calls).unwrap();
        let graph = Dependencies::analyze(&plan, Some(Assume::Independent), |_| Declared::nothing()).unwrap();
        assert_eq!(graph.edges(), [], "{line}");
        assert_eq!(graph.waves().len(), 1);
        plans += 1;
    }
    assert!(plans >= 200, "{plans} plans");
}
