//! What declarations of tools say, and what is wrong with those that make no sense.

use std::time::Duration;

use serde_json::json;
use throng_tools::{Access, Effect, Tools, declare};

fn error(text: &str) -> String {
    declare::read(text, |_| None).unwrap_err().to_string()
}

#[test]
fn a_declaration_says_all_that_a_tool_says() {
    let text = r#"
        [run]
        model = "x"

        [tools.write]
        description = "Writes a file"
        command = ["tee", "--", "{path}"]
        stdin = "{content}"
        effect = "idempotent"
        writes = ["file:{path}"]
        reads = ["db:{path}"]
        timeout = 2.5
        max_concurrent = 3
        retries = 2
        on_failure = "fail_fast"
        sequential = true

        [tools.alpha]
        command = ["true"]
        reads = []
    "#;
    let declared = declare::read(text, |_| None).unwrap();
    assert_eq!(declared.warnings, Vec::<String>::new());
    let mut tools = Tools::new();
    for tool in declared.tools {
        tools.add(tool).unwrap();
    }
    assert_eq!(
        tools.names().collect::<Vec<_>>(),
        ["write", "alpha"],
        "in the order of the text"
    );
    let write = tools.get("write").unwrap();
    assert_eq!(&*write.spec().description, "Writes a file");
    assert_eq!(write.effect_of(), Effect::Idempotent);
    assert!(write.spec().sequential);
    assert!(write.timeout_of().unwrap() >= Duration::from_millis(2500));
    let accesses = write.accesses_of(&json!({ "path": "/a/b" })).unwrap();
    let expected = [
        Access::read("db:/a/b".parse().unwrap()),
        Access::write("file:/a/b".parse().unwrap()),
    ];
    assert_eq!(accesses, expected);
    let alpha = tools.get("alpha").unwrap();
    assert_eq!(alpha.effect_of(), Effect::Unknown);
    assert_eq!(alpha.accesses_of(&json!({})), Some(Vec::new()));
}

#[test]
fn a_schema_is_made_of_the_holes() {
    let text = r#"
        [tools.grep]
        command = ["grep", ["{?i}", "-i"], ["-m", "{max}"], "-e", "{pattern}", "--", "{files...}", "{where.root}"]
    "#;
    let declared = declare::read(text, |_| None).unwrap();
    let one = json!(["string", "number", "boolean"]);
    let expected = json!({
        "type": "object",
        "properties": {
            "i": { "type": "boolean" },
            "max": { "type": one },
            "pattern": { "type": one },
            "files": { "type": "array", "items": { "type": one } },
            "where": {},
        },
        "required": ["pattern", "files", "where"],
        "additionalProperties": false,
    });
    assert_eq!(*declared.tools[0].spec().parameters, expected);
}

#[cfg(feature = "schema")]
#[test]
fn arguments_are_checked_against_it() {
    let text = "[tools.t]\ncommand = [\"echo\", \"{a}\"]";
    let mut tools = Tools::new();
    for tool in declare::read(text, |_| None).unwrap().tools {
        tools.add(tool).unwrap();
    }
    let tool = tools.get("t").unwrap();
    assert_eq!(tool.check(&json!({ "a": 1 }), &[]), Ok(()));
    assert!(tool.check(&json!({}), &[]).unwrap_err().contains("\"a\""));
    assert!(
        tool.check(&json!({ "a": 1, "b": 2 }), &[])
            .unwrap_err()
            .contains("`b`")
    );
}

#[test]
fn an_error_names_the_line_the_table_and_the_key() {
    let check = |keys: &str, expected: &str| {
        assert_eq!(error(&format!("[tools.t]\n{keys}")), expected, "{keys}");
    };
    let array = "expected an array of texts, the first of which is the program";
    check("command = []", &format!("line 2: tools.t.command: {array}"));
    check(
        "command = \"ls -l\"",
        &format!("line 2: tools.t.command: {array}: invalid type: string \"ls -l\", expected a sequence"),
    );
    check(
        "command = [\"{x}\"]",
        "line 2: tools.t.command: the program itself has to be named",
    );
    check(
        "command = [\"a\", 3]",
        "line 2: tools.t.command: expected a text or an array of texts, found 3",
    );
    check(
        "command = [\"a\", \"{b\"]",
        "line 2: tools.t.command: `{b` has a brace without its partner, or a hole without a name",
    );
    check(
        "command = [\"a\", \"{?b}\"]",
        "line 2: tools.t.command: `{?b}` is a condition, which only a group can have",
    );
    check(
        "command = [\"a\", [\"-b\"]]",
        "line 2: tools.t.command: a group needs a hole that says when it is left out",
    );
    check("", "line 1: tools.t: a tool needs `command` or `url`");
    check(
        "command = [\"a\"]\nurl = \"http://h/\"",
        "line 3: tools.t.url: a tool has either `command` or `url`",
    );
    check(
        "command = [\"a\"]\n\ntimeout = \"soon\"",
        "line 4: tools.t.timeout: expected a length of time such as \"30s\", or seconds, found \"soon\"",
    );
    check(
        "command = [\"a\"]\neffect = \"readonly\"",
        "line 3: tools.t.effect: expected `read-only`, `idempotent`, `once` or `unknown`, found `readonly`",
    );
    check(
        "command = [\"a\"]\nset_env = { A = 1 }",
        "line 3: tools.t.set_env.A: expected a text",
    );
    let text = error("[tools.t]\ncommand = [\"a\"]\nreads = [\"\"]");
    assert!(text.starts_with("line 3: tools.t.reads: "), "{text}");
    let text = error("[tools.t]\ncommand = [\"a\"]\nmax_concurrent = 0");
    assert!(
        text.starts_with("line 3: tools.t.max_concurrent: expected a number above 0"),
        "{text}"
    );
    let text = error("[tools]\nt = 1");
    assert_eq!(text, "line 2: tools.t: expected a table");
    assert!(error("[tools.t\n").starts_with("line 1: tools: "));
}

#[test]
fn an_unknown_key_is_a_warning_with_the_nearest_name() {
    let text = "[tools.t]\ncommand = [\"true\"]\ntime-out = 3\nfrobnicate = 1\n[tools.u]\ncommand = [\"true\"]\nmemory_mib = 3";
    let declared = declare::read(text, |_| None).unwrap();
    assert_eq!(declared.tools.len(), 2);
    assert_eq!(
        declared.warnings,
        [
            "line 3: tools.t.time-out: there is no such key; did you mean `timeout`?",
            "line 4: tools.t.frobnicate: there is no such key",
            "line 7: tools.u.memory_mib: there is no such key; did you mean `memory_mb`?",
        ]
    );
}

#[test]
fn a_schema_that_does_not_fit_is_found_out() {
    let schema = "parameters = { type = \"object\", properties = { pattern = {}, depth = {} }, required = [\"pattern\"] }";
    let text = format!("[tools.t]\ncommand = [\"a\", \"{{patern}}\"]\n{schema}");
    assert_eq!(
        error(&text),
        "line 3: tools.t.parameters: the tool uses the argument `patern`, which is not among them; did you mean `pattern`?"
    );
    let text = format!("[tools.t]\ncommand = [\"a\", \"{{pattern}}\", \"{{depth}}\"]\n{schema}");
    let declared = declare::read(&text, |_| None).unwrap();
    assert_eq!(
        declared.warnings,
        ["line 3: tools.t.parameters: the tool fails without the argument `depth`, which is not required"]
    );
    let text = format!("[tools.t]\ncommand = [\"a\", \"{{pattern}}\", [\"-d\", \"{{depth}}\"]]\n{schema}");
    assert!(declare::read(&text, |_| None).unwrap().warnings.is_empty());
}

#[test]
fn a_text_without_tools_declares_none() {
    let declared = declare::read("[run]\nmodel = \"x\"\n", |_| None).unwrap();
    assert!(declared.tools.is_empty() && declared.warnings.is_empty());
}
