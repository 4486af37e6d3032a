//! Tools that run commands, as they are declared, with real processes.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throng_core::ErrorClass;
use throng_tools::{Call, Plan, Tool, ToolContext, ToolEntry, ToolError, ToolExecutor, Tools, declare};

fn declared(text: &str) -> Tools {
    let declared = declare::read(text, |_| None).unwrap();
    assert_eq!(declared.warnings, Vec::<String>::new());
    declared
        .tools
        .into_iter()
        .fold(Tools::new(), |tools, tool| tools.with(tool).unwrap())
}

/// Declares the one tool `t`.
fn tool(keys: &str) -> Arc<dyn Tool> {
    let tools = declared(&format!("[tools.t]\n{keys}"));
    Arc::clone(tools.get("t").map(ToolEntry::tool).unwrap())
}

async fn call(keys: &str, arguments: Value) -> Result<Value, ToolError> {
    tool(keys).call(arguments, ToolContext::new("call_1")).await
}

async fn fails(keys: &str, arguments: Value) -> ToolError {
    call(keys, arguments).await.unwrap_err()
}

/// A tool that prints each of its arguments in brackets.
fn shows(args: &str) -> String {
    format!(r#"command = ["sh", "-c", "for a in \"$@\"; do printf '[%s]' \"$a\"; done", "sh", {args}]"#)
}

#[tokio::test]
async fn an_argument_stays_within_its_element() {
    let check = |args: &'static str, arguments: Value, expected: &'static str| async move {
        let shown = call(&shows(args), arguments.clone()).await.unwrap();
        assert_eq!(shown, json!(expected), "{args} with {arguments}");
    };
    check(
        r#""{a}""#,
        json!({ "a": "x y'; rm -rf \"/\" $HOME `id` *" }),
        "[x y'; rm -rf \"/\" $HOME `id` *]",
    )
    .await;
    check(
        r#""--name={a}/{b.c}", "{{x}}""#,
        json!({ "a": "1 2", "b": { "c": 3 } }),
        "[--name=1 2/3][{x}]",
    )
    .await;
    check(
        r#""{n}", "{t}", "{o}""#,
        json!({ "n": -1.5, "t": true, "o": { "k": ["v"] } }),
        "[-1.5][true][{\"k\":[\"v\"]}]",
    )
    .await;
    check(
        r#""{files...}", "end""#,
        json!({ "files": ["a b", 2, ""] }),
        "[a b][2][][end]",
    )
    .await;
    check(r#""{files...}", "end""#, json!({ "files": [] }), "[end]").await;
    check(r#""{files...}""#, json!({ "files": "one" }), "[one]").await;
    check(r#""a", "{{}}""#, json!({}), "[a][{}]").await;
}

#[tokio::test]
async fn a_group_is_left_out_when_it_cannot_be_filled() {
    let keys = shows(r#"["--limit", "{limit}"], ["{?all}", "--all"], ["-f", "{files...}"], "end""#);
    let check = |arguments: Value, expected: &'static str| {
        let keys = keys.clone();
        async move {
            assert_eq!(
                call(&keys, arguments.clone()).await.unwrap(),
                json!(expected),
                "{arguments}"
            );
        }
    };
    check(json!({}), "[end]").await;
    check(
        json!({ "limit": 3, "all": true, "files": ["a", "b"] }),
        "[--limit][3][--all][-f][a][b][end]",
    )
    .await;
    check(json!({ "limit": null, "all": false, "files": [] }), "[end]").await;
}

#[tokio::test]
async fn a_missing_argument_is_named() {
    let error = fails(&shows(r#""{a.b}""#), json!({ "a": {} })).await;
    assert_eq!(error.message, "the argument `a.b` is missing");
    assert_eq!(error.class, ErrorClass::Permanent);
    assert!(!error.outcome_unknown);
}

#[tokio::test]
async fn what_might_be_an_option_is_refused_unless_it_cannot_be() {
    let refused = "the argument `path` begins with `-`, so `sh` might take it for an option";
    let error = fails(&shows(r#""{path}""#), json!({ "path": "--delete" })).await;
    assert_eq!(error.message, refused);
    let error = fails(&shows(r#""{path...}""#), json!({ "path": ["a", "-r"] })).await;
    assert_eq!(error.message, refused);
    let error = fails(&shows(r#"["x", "{path}"], "--""#), json!({ "path": "-r" })).await;
    assert_eq!(error.message, refused, "the `--` comes too late");
    let given = json!({ "path": "-r" });
    let check = |keys: String, expected: &'static str| {
        let given = given.clone();
        async move { assert_eq!(call(&keys, given).await.unwrap(), json!(expected)) }
    };
    check(shows(r#""--", "{path}""#), "[--][-r]").await;
    check(shows(r#""--path={path}""#), "[--path=-r]").await;
    check(format!("{}\ndashes = [\"path\"]", shows(r#""{path}""#)), "[-r]").await;
}

#[tokio::test]
async fn input_is_filled_or_is_the_arguments() {
    let text = call(
        "command = [\"cat\"]\nstdin = \"<{a}> {{}}\"",
        json!({ "a": "x\ny" }),
    )
    .await;
    assert_eq!(text.unwrap(), json!("<x\ny> {}"));
    let arguments = json!({ "b": [1, "ä"], "a": null });
    let echoed = call(
        "command = [\"cat\"]\nstdin_json = true\noutput = \"json\"",
        arguments.clone(),
    )
    .await;
    assert_eq!(echoed.unwrap(), arguments);
    let nothing = call("command = [\"cat\"]", json!({})).await;
    assert_eq!(nothing.unwrap(), json!(""));
}

#[tokio::test]
async fn output_is_text_json_or_lines() {
    let printf =
        |output: &str, text: &str| format!("command = [\"printf\", '%b', '{text}']\noutput = \"{output}\"");
    assert_eq!(
        call(&printf("text", "a\\n"), json!({})).await.unwrap(),
        json!("a\n")
    );
    assert_eq!(
        call(&printf("lines", "a\\r\\n\\nb"), json!({})).await.unwrap(),
        json!(["a", "", "b"])
    );
    assert_eq!(
        call(&printf("json", " [1.0] "), json!({})).await.unwrap(),
        json!([1.0])
    );
    let error = fails(&printf("json", "[1] x"), json!({})).await;
    assert_eq!(
        error.message,
        "`printf` wrote no JSON: trailing characters at line 1 column 5: [1] x"
    );
}

#[tokio::test]
async fn a_hundred_megabytes_of_output_are_bounded() {
    let keys = "command = [\"sh\", \"-c\", \"echo first; head -c 100000000 /dev/zero; echo last\"]\noutput_bytes = 100";
    let text = call(keys, json!({})).await.unwrap();
    let text = text.as_str().unwrap();
    assert!(
        text.starts_with("first\n\0") && text.ends_with("\0last\n"),
        "{text:?}"
    );
    assert!(text.contains("\n[99999911 bytes dropped]\n"), "{text:?}");
    let error = fails(&format!("{keys}\noutput = \"json\""), json!({})).await;
    assert_eq!(
        error.message,
        "`sh` wrote more than the 100 bytes of JSON that are taken from it"
    );
}

#[tokio::test]
async fn a_failure_says_what_the_command_said() {
    let error = fails(
        r#"command = ["sh", "-c", "echo out; echo why >&2; exit 3"]"#,
        json!({}),
    )
    .await;
    assert_eq!(error.message, "`sh` exited with code 3: why");
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, false)
    );
    let error = fails(r#"command = ["sh", "-c", "echo out; exit 75"]"#, json!({})).await;
    assert_eq!(error.message, "`sh` exited with code 75: out");
    assert_eq!(error.class, ErrorClass::Transient);
    let error = fails(r#"command = ["sh", "-c", "kill -9 $$"]"#, json!({})).await;
    assert_eq!(error.message, "`sh` was ended by signal 9 (SIGKILL)");
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Transient, true)
    );
    let error = fails(
        r#"command = ["sh", "-c", "head -c 9000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1"]"#,
        json!({}),
    )
    .await;
    assert!(
        error.message.len() < 2200 && error.message.ends_with("xend"),
        "{}",
        error.message
    );
    let ok = call(
        "command = [\"sh\", \"-c\", \"echo none; exit 1\"]\nok_codes = [0, 1]",
        json!({}),
    )
    .await;
    assert_eq!(ok.unwrap(), json!("none\n"));
}

#[tokio::test]
async fn a_program_that_is_nowhere_is_named() {
    let keys = "command = [\"frobnicate\"]\nset_env = { PATH = \"/nowhere\" }";
    let error = fails(keys, json!({})).await;
    assert_eq!(
        error.message,
        "program `frobnicate` is in none of the folders of PATH: /nowhere"
    );
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, false)
    );
    let error = fails("command = [\"true\"]\ncwd = \"/no/such\"", json!({})).await;
    assert_eq!(error.message, "there is no directory `/no/such` to run `true` in");
}

#[tokio::test]
async fn a_command_that_ignores_its_end_is_killed() {
    let keys = r#"
        command = ["sh", "-c", "trap '' TERM; echo up >&2; while :; do sleep 0.01; done"]
        timeout = "50ms"
        grace = "20ms"
    "#;
    let error = fails(keys, json!({})).await;
    assert_eq!(
        error.message,
        "`sh` ran out of time, and was killed after 50ms: up"
    );
    assert_eq!((error.class, error.outcome_unknown), (ErrorClass::Timeout, true));
    assert!(
        tool(keys).spec().timeout.unwrap() > Duration::from_millis(70),
        "the executor waits for the ladder"
    );
}

#[tokio::test]
async fn a_cancelled_call_lets_the_command_end_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let keys = format!(
        "command = [\"sh\", \"-c\", \"trap 'echo cleaned > end; exit' TERM; echo > up; while :; do sleep 0.01; done\"]\ncwd = {:?}",
        folder.path()
    );
    let cx = ToolContext::new("call_1");
    let cancel = cx.cancel.clone();
    let up = folder.path().join("up");
    tokio::spawn(async move {
        while !up.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    let error = tool(&keys).call(json!({}), cx).await.unwrap_err();
    // The shell itself may say that the `sleep` in its group was ended.
    assert!(error.message.starts_with("`sh` was stopped"), "{}", error.message);
    assert!(error.outcome_unknown);
    assert_eq!(
        std::fs::read_to_string(folder.path().join("end")).unwrap(),
        "cleaned\n"
    );
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_pipe_open_does_not_hold_the_call_up() {
    let keys = "command = [\"sh\", \"-c\", \"echo done; sleep 600 &\"]";
    assert_eq!(call(keys, json!({})).await.unwrap(), json!("done\n"));
}

#[tokio::test]
async fn limits_end_what_goes_beyond_them() {
    let error = fails(
        "command = [\"sh\", \"-c\", \"while :; do :; done\"]\ncpu_s = 0.5",
        json!({}),
    )
    .await;
    assert_eq!(
        error.message,
        "`sh` was ended by its limit on CPU time (500ms at most)"
    );
    assert_eq!(
        (error.class, error.outcome_unknown),
        (ErrorClass::Permanent, true)
    );
    if cfg!(target_os = "linux") {
        let script = "x=$(head -c 400000000 /dev/zero | tr '\\\\0' a); echo ${{#x}}";
        let keys = format!("command = [\"sh\", \"-c\", \"{script}\"]\nmemory_mb = 64");
        let error = fails(&keys, json!({})).await;
        assert!(
            error.message.contains("(it may use 64 MiB of memory)"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn the_environment_is_a_short_list_unless_told_otherwise() {
    let names = |keys: &'static str| async move {
        let keys = format!("command = [\"env\"]\noutput = \"lines\"\n{keys}");
        let lines = call(&keys, json!({})).await.unwrap();
        let lines = lines
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap());
        let mut names: Vec<String> = lines
            .map(|line| line.split_once('=').unwrap().0.to_owned())
            .collect();
        names.sort();
        names
    };
    let default = names("").await;
    assert!(default.contains(&"PATH".to_owned()));
    assert!(
        !default.iter().any(|name| name.starts_with("CARGO")),
        "{default:?}"
    );
    let inherited = names("env = \"inherit\"").await;
    assert!(
        inherited.iter().any(|name| name.starts_with("CARGO")),
        "{inherited:?}"
    );
    assert_eq!(
        names("env = [\"PATH\"]\nset_env = { KEY = \"v\" }").await,
        ["KEY", "PATH"]
    );
}

#[tokio::test]
async fn a_plan_of_commands_runs_in_the_order_that_their_files_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let tools = declared(
        r#"
        [tools.write]
        command = ["tee", "--", "{path}"]
        stdin = "{text}"
        effect = "idempotent"
        writes = ["file:{path}"]
        pools = { disk = 1 }

        [tools.read]
        command = ["cat", "--", "{paths...}"]
        effect = "read-only"
        reads = ["file:{paths}"]
    "#,
    );
    let executor = ToolExecutor::builder(tools).pool("disk", 1).build().unwrap();
    let plan = Plan::new([
        Call::new("a", "write", json!({ "path": at("a"), "text": "one " })),
        Call::new("b", "write", json!({ "path": at("b"), "text": "two " })),
        Call::new("c", "read", json!({ "paths": [at("a"), at("b")] })),
        Call::new("d", "write", json!({ "path": at("a"), "text": "$c$c" })),
        Call::new("e", "read", json!({ "paths": [at("a")] })),
    ]);
    let report = executor.run(plan.unwrap()).await.unwrap();
    assert!(report.is_success(), "{:?}", report.errors().collect::<Vec<_>>());
    let value = |index: usize| report.results[index].outcome.value().cloned();
    assert_eq!(value(2), Some(json!("one two ")));
    assert_eq!(value(4), Some(json!("one two one two ")));
}

#[test]
fn a_pool_needs_units() {
    let text = "[tools.t]\ncommand = [\"true\"]\npools = { gpu = 0 }";
    let error = declare::read(text, |_| None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 3: tools.t.pools.gpu: expected a number above 0"
    );
}

#[tokio::test]
async fn a_command_that_takes_too_long_has_timed_out() {
    let text = "[tools.t]\ncommand = [\"sleep\", \"60\"]\ntimeout = \"50ms\"\neffect = \"once\"";
    let mut tools = Tools::new();
    for entry in declare::read(text, |_| None).unwrap().tools {
        tools.add(entry).unwrap();
    }
    let executor = ToolExecutor::builder(tools).build().unwrap();
    let plan = Plan::new([Call::new("a", "t", json!({}))]).unwrap();
    let report = executor.run(plan).await.unwrap();
    let outcome = &report.results[0].outcome;
    assert_eq!(outcome.kind(), throng_core::OutcomeKind::TimedOut, "{outcome:?}");
    assert!(outcome.outcome_unknown());
}
