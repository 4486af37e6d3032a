//! Plans in the languages of LLMCompiler and ReWOO.

use serde_json::{Value, json};
use throng_tools::{Assume, Declared, Dependencies, Plan};

fn calls(text: &str) -> Vec<(String, String, Value)> {
    let plan = Plan::parse(text).unwrap();
    plan.calls()
        .iter()
        .map(|call| (call.id.clone(), call.name.clone(), call.arguments.clone()))
        .collect()
}

fn pairs(text: &str) -> Vec<(u32, u32)> {
    let plan = Plan::parse(text).unwrap();
    let graph = Dependencies::analyze(&plan, Some(Assume::Independent), |_| Declared::nothing()).unwrap();
    graph.pairs()
}

/// Checks the arguments of one call.
fn check(arguments: &str, expect: Value) {
    let text = format!("1. tool({arguments})\n2. join()<END_OF_PLAN>\n");
    assert_eq!(
        calls(&text),
        [("1".to_owned(), "tool".to_owned(), expect)],
        "{text}"
    );
}

#[test]
fn a_plan_of_llm_compiler_is_read() {
    // An example of its planner's prompt; three brackets are left out there too.
    let text = "Question: what is the ratio?\n\
        1. search(\"cheetah\")\n\
        2. math(\"cheetah max speed in km/h if 1.3 times slower?\", [\"$1\"]\n\
        3. search(\"greyhound\")\n\
        4. math(\"greyhound max speed in km/h if 1.5 times faster?\", [\"$3\"]\n\
        Thought: now (as 1. search(x) says) the ratio.\n\
        5. math(\"max($2, $4) / min($2, $4)\")\n\
        Thought: I can answer the question now.\n\
        6. join()<END_OF_PLAN>\n\
        7. search(\"behind the end\")\n";
    let found = calls(text);
    assert_eq!(found.len(), 5);
    assert_eq!(
        found[1].2,
        json!(["cheetah max speed in km/h if 1.3 times slower?", ["$1"]])
    );
    assert_eq!(
        found[4],
        (
            "5".to_owned(),
            "math".to_owned(),
            json!(["max($2, $4) / min($2, $4)"])
        )
    );
    assert_eq!(pairs(text), [(0, 1), (2, 3), (1, 4), (3, 4)]);
}

#[test]
fn arguments_are_literals_of_python() {
    check("", json!([]));
    check("'a', \"b\"", json!(["a", "b"]));
    check(
        "'it''s', 'a\\'b', \"\\n\\x41\\u00e9\\U0001F600\\101\"",
        json!(["its", "a'b", "\nAé😀A"]),
    );
    check(r"'\ud83d\ude00', r'a\nb', '\d'", json!(["😀", "a\\nb", "\\d"]));
    check("'''a\n'b\n''', 1", json!(["a\n'b\n", 1]));
    check(
        "1, -2, 3.5, 1e3, -1E-2, 0x1f, 1_000, +4",
        json!([1, -2, 3.5, 1000.0, -0.01, 31, 1000, 4]),
    );
    check(
        "True, False, None, true, null",
        json!([true, false, null, true, null]),
    );
    check(
        "[1, [2, ], (3,), (4), ()], {'a': {\"b\": 1}, 2: 'x'}, {1, 2}",
        json!([[1, [2], [3], 4, []], {"a": {"b": 1}, "2": "x"}, [1, 2]]),
    );
    check(
        "query='x', limit = 2, deep={'k': [True]}",
        json!({"query": "x", "limit": 2, "deep": {"k": [true]}}),
    );
    check("$1, ${1.a}, [$1]", json!(["$1", "${1.a}", ["$1"]]));
    check("\n  'a',\n  'b',\n", json!(["a", "b"]));
    check(
        "18446744073709551615, -9223372036854775808",
        json!([u64::MAX, i64::MIN]),
    );
}

#[test]
fn what_is_no_literal_is_one_text() {
    check(
        "Austin Powers International Man of Mystery",
        json!(["Austin Powers International Man of Mystery"]),
    );
    check("max($1, 2) + f(x)", json!(["max($1, 2) + f(x)"]));
    check("1, b=2", json!(["1, b=2"]));
    check("b=2, 1", json!(["b=2, 1"]));
    check("99999999999999999999999", json!(["99999999999999999999999"]));
    check("'unclosed", json!(["'unclosed"]));
}

#[test]
fn notes_behind_a_call_are_no_part_of_it() {
    let text = "  1. a(\"x)\")  # join(1)\r\n2.b(')') then\njoin()\n3. c()\n";
    assert_eq!(
        calls(text),
        [
            ("1".to_owned(), "a".to_owned(), json!(["x)"])),
            ("2".to_owned(), "b".to_owned(), json!([")"])),
        ]
    );
}

#[test]
fn errors_name_line_and_column() {
    let check =
        |text: &str, expect: &str| assert_eq!(Plan::parse(text).unwrap_err().to_string(), expect, "{text}");
    check(
        "hello\n",
        "line 1 column 1: there is no call here; write JSON, or lines such as `1. tool(\"argument\")`",
    );
    check(
        "1. a()\n  2. b(x\n",
        "line 2 column 8: the arguments that begin here have no `)` on their line",
    );
    check(
        "1. a()\n1. b()\n",
        "line 2 column 1: calls[1].id: the id `1` is also that of calls[0]; give each call an id of its own",
    );
    check(
        "1. a b(x)\n",
        "line 1 column 1: this is no call; write `1. tool(\"argument\")`",
    );
    check(
        "#E1 = Google[x]\n#E2 = LLM x\n",
        "line 2 column 1: this is no call; write `#E2 = Tool[input]`",
    );
}

#[test]
fn a_plan_of_rewoo_is_read() {
    // An example of its planner's prompt.
    let text = "Plan: Find the name.\n#E1 = Google[name of Leo Dicaprio's girlfriend] \nPlan: Find the age.\n\
        #E2 = Google[age of #E1]\nPlan: Raise it.\n#E3 = Calculator[#E2^0.34] \n#E4 = LLM[x[0]? Given context: #E1, #E3]\n";
    let found = calls(text);
    assert_eq!(
        found[0],
        (
            "E1".to_owned(),
            "Google".to_owned(),
            json!(["name of Leo Dicaprio's girlfriend"])
        )
    );
    assert_eq!(found[3].2, json!(["x[0]? Given context: #E1, #E3"]));
    assert_eq!(pairs(text), [(0, 1), (1, 2), (0, 3), (2, 3)]);
}
