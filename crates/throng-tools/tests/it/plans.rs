//! Plan files of JSON, and plans built in code: what they hold, and what is said of those that are none.

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_tools::{Access, Assume, Call, FailurePolicy, Plan, PlanLimits};

#[test]
fn a_plan_file_is_read_whole() {
    let plan = Plan::parse(
        r#" {"calls": [
            {"id": 1, "name": "read", "arguments": {"path": "a"}, "reads": ["file:/a/", "db:t"], "priority": 3},
            {"id": "b", "name": "write", "arguments": {}, "depends_on": ["1", 1], "writes": ["/b"], "exclusive": ["gpu:0"],
             "timeout_ms": 1500, "expected_ms": 0.5},
            {"id": "c", "name": "free", "reads": []}
        ], "policy": {"on_failure": "fail_fast", "sequential": true, "max_concurrent": 4, "per_tool": {"read": 2}, "assume": "read-only"}}"#,
    )
    .unwrap();
    let [a, b, c] = plan.calls() else { panic!() };
    assert_eq!((a.id.as_str(), a.name.as_str(), a.priority), ("1", "read", 3));
    let access = |make: fn(_) -> Access, text: &str| make(text.parse().unwrap());
    assert_eq!(
        a.accesses,
        Some(vec![
            access(Access::read, "file:/a"),
            access(Access::read, "db:t")
        ])
    );
    assert_eq!(b.depends_on, ["1", "1"]);
    assert_eq!(
        b.accesses,
        Some(vec![
            access(Access::write, "/b"),
            access(Access::exclusive, "gpu:0")
        ])
    );
    assert_eq!(b.timeout, Some(Duration::from_millis(1500)));
    assert_eq!(b.expected, Some(Duration::from_micros(500)));
    assert_eq!(
        (c.accesses.clone(), c.arguments.clone()),
        (Some(Vec::new()), json!({}))
    );
    let policy = plan.policy_ref();
    assert_eq!(policy.on_failure, Some(FailurePolicy::FailFast));
    assert!(policy.sequential);
    assert_eq!(policy.max_concurrent, NonZeroUsize::new(4));
    assert_eq!(policy.per_tool.get("read"), NonZeroUsize::new(2).as_ref());
    assert_eq!(policy.assume, Some(Assume::ReadOnly));
    let written = serde_json::to_string(&plan).unwrap();
    let again = Plan::parse(&written).unwrap();
    assert_eq!(
        (again.calls(), again.policy_ref()),
        (plan.calls(), plan.policy_ref()),
        "{written}"
    );
}

#[test]
fn a_policy_may_be_one_word() {
    for (word, policy) in [
        ("continue", FailurePolicy::Continue),
        ("skip_dependents", FailurePolicy::SkipDependents),
        ("fail_fast", FailurePolicy::FailFast),
    ] {
        let text = json!({"calls": [{"id": "a", "name": "t", "arguments": {}}], "policy": word}).to_string();
        assert_eq!(Plan::parse(&text).unwrap().policy_ref().on_failure, Some(policy));
    }
}

fn check_error(text: &str, expect: &str) {
    let error = Plan::parse(text).unwrap_err().to_string();
    assert_eq!(error, expect, "{text}");
}

#[test]
fn errors_name_the_place_and_what_to_do() {
    check_error(
        r#"{"calls": []}"#,
        "the plan has no calls; add at least one to `calls`",
    );
    check_error("", "the plan has no calls; add at least one to `calls`");
    check_error(
        "{\"calls\": [\n  {\"id\": \"a\", \"name\": \"t\"},\n  {\"id\": \"a\", \"name\": \"t\"}\n]}",
        "line 3 column 3: calls[1].id: the id `a` is also that of calls[0]; give each call an id of its own",
    );
    check_error(
        r#"{"calls": [{"id": 1, "name": "t"}, {"id": "1", "name": "t"}]}"#,
        "line 1 column 36: calls[1].id: the id `1` is also that of calls[0]; give each call an id of its own",
    );
    check_error(
        r#"{"calls": [{"id": "call_1", "name": "t"}, {"id": "b", "name": "t", "depends_on": ["call1"]}]}"#,
        "line 1 column 43: calls[1].depends_on[0]: no call has the id `call1`; did you mean `call_1`?",
    );
    check_error(
        r#"{"calls": [{"id": "a", "name": "t", "depends_on": ["nothing alike"]}]}"#,
        "line 1 column 12: calls[0].depends_on[0]: no call has the id `nothing alike`",
    );
    check_error(
        r#"{"calls": [{"id": "", "name": "t"}]}"#,
        "line 1 column 12: calls[0].id: \"\" cannot be an id: it has to have 1 to 256 bytes and no control characters",
    );
    check_error(
        r#"{"calls": [{"id": "a", "name": ""}]}"#,
        "line 1 column 12: calls[0].name: the call `a` names no tool; set `name`",
    );
    let contains = |text: &str, parts: &[&str]| {
        let error = Plan::parse(text).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    };
    contains(
        r#"{"calls": [{"name": "t"}]}"#,
        &["line 1 column 24", "calls[0]", "missing field `id`"],
    );
    contains(
        r#"{"calls": [{"id": "a", "name": "t", "depend_on": []}]}"#,
        &["calls[0].depend_on", "unknown field", "`depends_on`"],
    );
    contains(
        r#"{"calls": [{"id": "a", "name": "t", "depends_on": "b"}]}"#,
        &["calls[0].depends_on", "invalid type: string", "a sequence"],
    );
    contains(
        r#"{"calls": [{"id": "a", "name": "t", "reads": [""]}]}"#,
        &["calls[0].reads", "names no resource"],
    );
    contains(
        r#"{"calls": [{"id": "a", "name": "t", "expected_ms": -1}]}"#,
        &["calls[0].expected_ms", "-1 ms is no length of time"],
    );
    contains(
        r#"{"calls": [{"id": "a", "name": "t"}], "policy": "stop"}"#,
        &["policy", "unknown variant `stop`", "fail_fast"],
    );
    contains(
        "{\"calls\": [\n{\"id\": \"a\",, \"name\": \"t\"}]}",
        &["line 2 column 12"],
    );
    contains("[1, 2]", &["line 1 column"]);
}

#[test]
fn a_plan_has_limits() {
    let call = |id: usize| Call::new(id.to_string(), "t", json!({}));
    let limits = PlanLimits::default().calls(3).bytes(100);
    let error = Plan::with_limits((0..4).map(call), &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan has 4 calls, more than the limit of 3; split it, or raise the limit"
    );
    let error = Plan::parse_within(&" ".repeat(101), &limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan has 101 bytes, more than the limit of 100; split it, or raise the limit"
    );
    let error = Plan::new([Call::new("x".repeat(257), "t", json!({}))]).unwrap_err();
    assert!(error.to_string().contains("1 to 256 bytes"), "{error}");
}

proptest! {
    #[test]
    fn the_line_and_column_are_those_of_the_call(
        before in prop::collection::vec("[ \\n\\t]{0,5}", 6),
        texts in prop::collection::vec("[a-z\"\\\\\\]\\[{}:,]{0,8}", 6),
    ) {
        let mut text = String::from("{\"policy\": {\"per_tool\": {\"calls\": 3}}, \"calls\":[");
        let mut last = 0;
        for (index, (blank, inside)) in before.iter().zip(&texts).enumerate() {
            text.push_str(if index == 0 { "" } else { "," });
            text.push_str(blank);
            last = text.len();
            let id = if index == 5 { 0 } else { index };
            text.push_str(&json!({"id": id.to_string(), "name": "calls", "arguments": {"calls": [inside, {"x": [inside]}]}}).to_string());
        }
        text.push_str("]}");
        let error = Plan::parse(&text).unwrap_err();
        let line = text[..last].matches('\n').count() + 1;
        let column = last - text[..last].rfind('\n').map_or(0, |at| at + 1) + 1;
        prop_assert_eq!((error.line, error.column), (Some(line), Some(column)));
        prop_assert_eq!(error.place, "calls[5].id");
    }
}

#[test]
fn arguments_by_place_get_names_from_the_schema() {
    let schema = json!({
        "type": "object",
        "properties": {"b": {}, "a": {}, "query": {}},
        "required": ["query"],
    });
    let mut plan =
        Plan::parse("1. search(\"x\", 2)\n2. search(q=1)\n3. other(1)\n4. search(1, 2, 3, 4)\n").unwrap();
    plan.name_arguments(|tool| (tool == "search").then_some(&schema));
    let arguments: Vec<&Value> = plan.calls().iter().map(|call| &call.arguments).collect();
    assert_eq!(
        arguments,
        [
            &json!({"query": "x", "a": 2}),
            &json!({"q": 1}),
            &json!([1]),
            &json!([1, 2, 3, 4])
        ]
    );
}
