//! The graph of a plan: kinds of arrows, levels, the critical path, explanations, and plans that grow.

use std::time::Duration;

use serde_json::json;
use throng_tools::{
    Access, Assume, Call, Declared, Dependencies, Edge, EdgeKind, Growing, Plan, PlanPolicy, ToolFn,
    ToolSpec, Tools,
};

fn analyze(plan: &Plan, assume: Assume) -> Dependencies {
    Dependencies::analyze(plan, Some(assume), |_| Declared::nothing()).unwrap()
}

/// Returns the arrows as `from>to kind`.
fn arrows(graph: &Dependencies) -> Vec<String> {
    let id = |call: u32| graph.id(call).unwrap().to_owned();
    let arrow = |edge: &Edge| format!("{}>{} {}", id(edge.from), id(edge.to), edge.kind);
    graph.edges().iter().map(arrow).collect()
}

fn write(path: &str) -> Access {
    Access::write(path.parse().unwrap())
}

fn read(path: &str) -> Access {
    Access::read(path.parse().unwrap())
}

/// A plan with every kind of arrow.
fn every_kind() -> Plan {
    Plan::new([
        Call::new("search", "search", json!({"q": "x"})).accesses([]),
        Call::new(
            "fetch",
            "fetch",
            json!({"url": "$search.url", "title": "$search.title"}),
        )
        .accesses([]),
        Call::new("save", "write", json!({"text": "$fetch"})).accesses([write("/out/a")]),
        Call::new("list", "list", json!({})).accesses([read("/out")]),
        Call::new("shell", "shell", json!({})).after("search"),
    ])
    .unwrap()
}

#[test]
fn every_kind_of_arrow_is_there_and_says_why() {
    let graph = analyze(&every_kind(), Assume::Exclusive);
    assert_eq!(
        arrows(&graph),
        [
            "search>fetch reference",
            "fetch>save reference",
            "save>list conflict",
            "search>shell explicit",
            "list>shell policy",
        ]
    );
    let because: Vec<_> = graph.edges().iter().map(|edge| graph.because(edge)).collect();
    assert_eq!(
        because,
        [
            "argument `title` is `$search.title`, argument `url` is `$search.url`",
            "argument `text` is `$fetch`",
            "`save` writes `file:/out/a`, `list` reads `file:/out`",
            "`depends_on` names it",
            "nothing is known of what `shell` of `shell` touches, so it keeps its place",
        ]
    );
    assert_eq!(graph.identify_independent(), ["search"]);
    assert_eq!(graph.identify_dependent(), ["fetch", "save", "list", "shell"]);
    assert_eq!(graph.graph()[4], ("shell", vec!["search", "list"]));
    assert_eq!(graph.waves(), [[0], [1], [2], [3], [4]]);
}

#[test]
fn explanations_go_over_other_calls() {
    let graph = analyze(&every_kind(), Assume::Exclusive);
    let explain = |call: &str, waits_for: &str| graph.explain(call, waits_for).map(|why| why.to_string());
    assert_eq!(
        explain("list", "search").unwrap(),
        "`list` waits for `save`: `save` writes `file:/out/a`, `list` reads `file:/out`; `save` waits for `fetch`: \
         argument `text` is `$fetch`; `fetch` waits for `search`: argument `title` is `$search.title`, argument `url` is \
         `$search.url`"
    );
    // The arrow is left out since `list` implies it, and the reason is still known.
    assert_eq!(
        explain("shell", "save").unwrap(),
        "`shell` waits for `save`: nothing is known of what `shell` of `shell` touches, so it keeps its place"
    );
    assert_eq!(explain("search", "list"), None);
    assert_eq!(explain("search", "nobody"), None);
    assert_eq!(explain("fetch", "fetch"), None);
}

#[test]
fn a_dry_run_has_its_exact_form() {
    let plan = Plan::parse(
        r#"{"calls": [
            {"id": "a", "name": "t", "arguments": {}, "expected_ms": 10},
            {"id": "b", "name": "t", "arguments": {}, "expected_ms": 500},
            {"id": "c", "name": "t", "arguments": {"x": ["$a.output.path", "$b"]}},
            {"id": "d", "name": "t", "arguments": {}, "expected_ms": 100}
        ]}"#,
    )
    .unwrap();
    let graph = analyze(&plan, Assume::Independent);
    assert_eq!(
        serde_json::to_value(graph.dry_run()).unwrap(),
        json!({
            "v": 1,
            "edges": [
                {"from": "a", "to": "c", "kind": "reference", "because": "argument `x[0]` is `$a.output.path`"},
                {"from": "b", "to": "c", "kind": "reference", "because": "argument `x[1]` is `$b`"},
            ],
            "waves": [["a", "b", "d"], ["c"]],
            "critical_path": ["b", "c"],
        })
    );
    assert_eq!(
        graph.critical_path_by(|call| (call == 0).then_some(Duration::from_secs(9))),
        [0, 2]
    );
}

#[test]
fn without_times_the_critical_path_has_the_most_calls() {
    let plan = Plan::new([
        Call::new("a", "t", json!({})),
        Call::new("b", "t", json!("$a")),
        Call::new("c", "t", json!({})),
        Call::new("d", "t", json!(["$b", "$c"])),
    ])
    .unwrap();
    assert_eq!(analyze(&plan, Assume::Independent).critical_path(), [0, 1, 3]);
}

#[test]
fn a_forward_reference_makes_the_later_call_go_first() {
    let plan = Plan::new([
        Call::new("a", "t", json!({"x": "$c.y"})),
        Call::new("b", "t", json!({})),
        Call::new("c", "t", json!({})),
    ])
    .unwrap();
    let graph = analyze(&plan, Assume::Exclusive);
    assert_eq!(graph.check(), Ok(()));
    assert_eq!(graph.order(), [1, 2, 0]);
    assert_eq!(arrows(&graph), ["c>a reference", "b>c policy"]);
}

#[test]
fn one_argument_may_wait_for_many_calls() {
    // LangGraph's planner took one dependency for each argument.
    let plan = Plan::new([
        Call::new("1", "t", json!({})),
        Call::new("2", "t", json!({})),
        Call::new("3", "t", json!({})),
        Call::new("4", "math", json!({"expression": "max($1, $2) / ${3}"})),
    ])
    .unwrap();
    assert_eq!(
        analyze(&plan, Assume::Independent).pairs(),
        [(0, 3), (1, 3), (2, 3)]
    );
}

#[test]
fn the_text_of_an_id_is_no_reference() {
    // zeph takes an argument that equals an id for a reference.
    let plan = Plan::new([
        Call::new("1", "t", json!({})),
        Call::new(
            "call_2",
            "t",
            json!({"count": "1", "page": 1, "name": "call_2", "list": ["1", "call_3"]}),
        ),
        Call::new(
            "call_3",
            "t",
            json!({"text": "call_2", "1": "x", "price": "$1.50"}),
        ),
    ])
    .unwrap();
    assert!(analyze(&plan, Assume::Independent).edges().is_empty());
}

#[test]
fn rules_of_tools_and_plans_make_chains() {
    let calls = || {
        ["a", "b", "a", "b", "a"]
            .iter()
            .enumerate()
            .map(|(id, tool)| Call::new(id.to_string(), *tool, json!({})))
    };
    let plan = Plan::new(calls()).unwrap();
    let declared = |call: &Call| Declared::accesses(Vec::new()).sequential(call.name == "a");
    let graph = Dependencies::analyze(&plan, None, declared).unwrap();
    assert_eq!(arrows(&graph), ["0>2 policy", "2>4 policy"]);
    assert_eq!(graph.because(&graph.edges()[0]), "calls of `a` run one at a time");

    let plan = plan.policy(PlanPolicy::default().sequential().assume(Assume::Independent));
    let graph = Dependencies::analyze(&plan, None, |_| Declared::nothing()).unwrap();
    assert_eq!(graph.pairs(), [(0, 1), (1, 2), (2, 3), (3, 4)]);
    assert_eq!(
        graph.because(&graph.edges()[0]),
        "the plan runs its calls one at a time"
    );
}

#[test]
fn the_registry_says_what_calls_touch() {
    let tool = |spec: ToolSpec| ToolFn::new(spec, |_: serde_json::Value| async { Ok(json!(null)) });
    let tools = Tools::new()
        .with(tool(
            ToolSpec::new("read").read_only().reads("file:{path}").unwrap(),
        ))
        .unwrap()
        .with(tool(ToolSpec::new("write").writes("file:{path}").unwrap()))
        .unwrap()
        .with(tool(ToolSpec::new("look").read_only()))
        .unwrap();
    let plan = Plan::new([
        Call::new("0", "read", json!({"path": "/a/x"})),
        Call::new("1", "write", json!({"path": "/a/y"})),
        Call::new("2", "write", json!({"path": "/a/x"})),
        Call::new("3", "read", json!({"path": "/a"})),
        Call::new("4", "look", json!({})),
        Call::new("5", "read", json!({"path": "$4.path"})),
    ])
    .unwrap();
    let graph = Dependencies::analyze(&plan, None, |call| Declared::of_tool(&tools, call)).unwrap();
    assert_eq!(
        arrows(&graph),
        [
            "0>2 conflict",
            "1>3 conflict",
            "2>3 conflict",
            "1>4 conflict",
            "2>4 conflict",
            "1>5 conflict",
            "2>5 conflict",
            "4>5 reference",
        ]
    );
}

#[test]
fn a_plan_grows_call_by_call() {
    let mut growing = Growing::new(PlanPolicy::default(), None);
    let mut add = |call: Call| growing.add(call, Declared::nothing()).unwrap();
    let a = add(Call::new("a", "t", json!({})).accesses([read("/x")]));
    assert_eq!((a.index, a.edges.len(), a.open), (0, 0, false));
    let b = add(Call::new("b", "t", json!({"x": "$a.y", "z": "$c.y"})).accesses([read("/x")]));
    assert!(b.open, "it may refer to a call that has not come");
    assert_eq!(b.edges.len(), 1);
    let c = add(Call::new("c", "t", json!({"price": "5 $"})).accesses([write("/x")]));
    assert_eq!(c.edges.iter().map(|edge| edge.from).collect::<Vec<_>>(), [0, 1]);
    assert!(!c.open);
    assert!(add(Call::new("d", "t", json!({})).after("z")).open);
    assert!(add(Call::new("e", "t", json!("$e"))).open);
    let error = growing
        .add(Call::new("c", "t", json!({})), Declared::nothing())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "calls[5].id: the id `c` is also that of calls[2]; give each call an id of its own"
    );
    assert_eq!(growing.calls().len(), 5);
    assert!(
        growing
            .finish()
            .unwrap_err()
            .to_string()
            .contains("no call has the id `z`")
    );
}

#[test]
fn a_plan_that_has_grown_has_the_arrows_of_one_at_once() {
    let plan = every_kind();
    let mut growing = Growing::new(PlanPolicy::default(), None);
    let edges: Vec<_> = plan
        .calls()
        .iter()
        .flat_map(|call| growing.add(call.clone(), Declared::nothing()).unwrap().edges)
        .collect();
    assert_eq!(edges, analyze(&plan, Assume::Exclusive).edges());
    assert_eq!(growing.finish().unwrap().calls(), plan.calls());
}

#[test]
fn the_graph_is_drawn() {
    let plan = Plan::new([
        Call::new("a \"1\"", "t", json!({})).accesses([]),
        Call::new("b", "t[x]", json!({"x": "${a \"1\"}"})),
        Call::new("c", "t", json!("$c")),
    ])
    .unwrap();
    let graph = analyze(&plan, Assume::Independent);
    let dot = graph.to_dot();
    assert!(dot.contains("n0 [label=\"a \\\"1\\\"\\nt\"];"), "{dot}");
    assert!(
        dot.contains("n0 -> n1 [label=\"reference\", tooltip=\"argument `x` is `${a \\\"1\\\"}`\"];"),
        "{dot}"
    );
    assert!(dot.contains("n2 [label=\"c\\nt\", color=red];"), "{dot}");
    assert_eq!(
        graph.to_mermaid(),
        "flowchart LR\n  n0[\"a #34;1#34;<br/>t\"]\n  n1[\"b<br/>t#91;x#93;\"]\n  n2[\"c<br/>t\"]\n  \
         n0 -->|reference| n1\n  n2 -->|reference| n2\n  style n2 stroke:red\n"
    );
}

#[test]
fn kinds_are_written_as_the_dry_run_says() {
    for (kind, word) in [
        (EdgeKind::Explicit, "explicit"),
        (EdgeKind::Reference, "reference"),
        (EdgeKind::Conflict, "conflict"),
        (EdgeKind::Policy, "policy"),
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), json!(word));
        assert_eq!(kind.to_string(), word);
    }
}
