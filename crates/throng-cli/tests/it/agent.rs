//! `throng agent` against a simulated server that calls tools.
#![cfg(unix)]

use serde_json::Value;

use crate::support::{Ended, Home, Sim};

const TOOLS: &str = r#"
[tools.echo]
description = "Says it again"
command = ["printf", "%s", "{text}"]
effect = "read-only"
reads = []
"#;

fn home() -> Home {
    let home = Home::new();
    home.write("tools.toml", TOOLS);
    home
}

fn ask(home: &Home, sim: &Sim, flags: &[&str]) -> Ended {
    let args = [
        "agent",
        "hi",
        "--tools",
        "tools.toml",
        "--base-url",
        sim.url(),
        "--model",
        "m",
    ];
    home.run_with(&[&args, flags].concat(), &[("PATH", "/usr/bin:/bin")])
}

/// The last line, which is the summary.
fn summary(ended: &Ended) -> Value {
    serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap()
}

#[test]
fn a_model_calls_tools_until_it_answers() {
    let home = home();
    let sim = home.sim(&["--tool-rounds", "3"]);
    let ended = ask(&home, &sim, &[]).code(0);
    assert!(!ended.stdout.trim().is_empty(), "{ended:#?}");
    ended
        .says("calls echo {")
        .says("the model answered after 4 steps and 3 tool calls");
    let ended = ask(&home, &sim, &["--output", "json", "--record-stats"]).code(0);
    let last = summary(&ended);
    assert_eq!(
        (&last["stop"], &last["steps"], &last["tool_calls"]),
        (&"answered".into(), &4.into(), &3.into())
    );
    // The prompt, three calls with their results, the answer.
    assert_eq!(last["messages"].as_array().unwrap().len(), 8);
    home.run(&["stats"])
        .code(0)
        .prints("3 plans of tool calls, 3 calls");
    let ended = ask(&home, &sim, &["--output", "ndjson", "--no-early-start"]).code(0);
    let events: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(events.iter().all(|event| event["v"] == 1), "{events:?}");
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!(
        [
            "step_started",
            "tool_call",
            "tool_result",
            "step_ended",
            "summary"
        ]
        .map(count),
        [4, 3, 3, 4, 1]
    );
}

#[test]
fn each_limit_ends_it_with_its_own_code() {
    let home = home();
    let sim = home.sim(&["--tool-rounds", "3"]);
    for (flags, says) in [
        (
            ["--max-steps", "2"],
            "the limit of steps was reached after 2 steps",
        ),
        (["--max-tool-calls", "1"], "the limit of tool calls"),
        (["--max-tokens", "10"], "the limit of tokens"),
        (["--max-time", "1ms"], "the limit of time"),
    ] {
        ask(&home, &sim, &flags).code(5).says(says);
    }
    for (flag, value) in [
        ("--max-steps", "0"),
        ("--max-time", "soon"),
        ("--max-tokens", "-1"),
    ] {
        ask(&home, &sim, &[&format!("{flag}={value}")])
            .code(2)
            .says(&format!("invalid value '{value}' for '{flag}"));
    }
}

#[test]
fn without_a_provider_a_simulated_server_answers() {
    let home = home();
    home.run(&["agent", "hi"])
        .code(0)
        .says("its answers are made up")
        .says("there are no tools")
        .says("the model answered after 1 step and 0 tool calls");
    home.run(&["agent", ""]).code(2).says("the question is empty");
    for server in ["", "x=", "x= "] {
        home.run(&["agent", "hi", "--mcp", server])
            .code(2)
            .says("names no command and no URL");
    }
    home.run(&["agent", "hi", "--mcp", "a=no-such-server"])
        .code(3)
        .says("mcp server `a` cannot be started");
}

#[test]
fn a_provider_that_is_not_there_is_said() {
    let home = home();
    let sim = home.sim(&[]);
    let url = sim.url().to_owned();
    drop(sim);
    home.run(&[
        "agent",
        "hi",
        "--base-url",
        &url,
        "--model",
        "m",
        "--retries",
        "0",
    ])
    .code(3)
    .says("the provider cannot be reached");
    home.run(&["agent", "hi", "--provider", "openai", "--model", "m"])
        .code(3)
        .says("OPENAI_API_KEY");
}
