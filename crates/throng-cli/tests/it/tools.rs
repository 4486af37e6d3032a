//! `throng tools`: plans good and bad, shown and run, and a journal that outlives `kill -9`.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Ended, Home, by_id, read_rest, signal, wait_until, whole_lines};

const TOOLS: &str = r#"
[tools.echo]
command = ["printf", "%s", "{text}"]
effect = "read-only"
reads = []

[tools.append]
command = ["sh", "-c", 'echo "$1" >> log', "sh", "{text}"]
effect = "once"
writes = ["file:log"]

[tools.fail]
command = ["sh", "-c", "echo oh no >&2; exit 3"]
effect = "once"
reads = []
"#;

const PLAN: &str = r#"{"calls":[
    {"id":"a","name":"echo","arguments":{"text":"x"}},
    {"id":"b","name":"append","arguments":{"text":"got $a.output"}},
    {"id":"c","name":"append","arguments":{"text":"c"}},
    {"id":"d","name":"echo","arguments":{"text":"y"}}]}"#;

fn home() -> Home {
    let home = Home::new();
    home.write("tools.toml", TOOLS).write("plan.json", PLAN);
    home
}

/// Runs a plan with the tools.
fn run(home: &Home, plan: &str, flags: &[&str]) -> Ended {
    home.write("p.json", plan);
    execute(home, "p.json", flags)
}

fn execute(home: &Home, plan: &str, flags: &[&str]) -> Ended {
    with_path(home, &[&["tools", plan, "--tools", "tools.toml"], flags].concat())
}

fn with_path(home: &Home, args: &[&str]) -> Ended {
    home.run_with(args, &[("PATH", "/usr/bin:/bin")])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_plan_runs_and_its_results_come_in_its_order() {
    let home = home();
    let ended = execute(&home, "plan.json", &[])
        .code(0)
        .says("4 of 4 calls succeeded");
    let ids: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| json(line)["id"].clone())
        .collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!(by_id(&ended.stdout)["a"]["result"], "x");
    assert_eq!(home.read("log"), "got x\nc\n");
    let ended = execute(&home, "plan.json", &["--output", "json", "--trace", "t.json"]).code(0);
    let summary = json(ended.stdout.lines().last().unwrap());
    assert_eq!(
        (&summary["event"], &summary["calls"], &summary["outcome_unknown"]),
        (&"summary".into(), &4.into(), &json!([]))
    );
    let events = json(&home.read("t.json"))["traceEvents"].clone();
    let attempts = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["ph"] == "X");
    assert_eq!(attempts.count(), 4);
    execute(&home, "plan.json", &["--trace", "none/t.json"])
        .code(2)
        .says("cannot write none/t.json");
    assert_eq!(
        whole_lines(&home.path("log")),
        4,
        "a plan ran whose trace has no place"
    );
}

#[test]
fn results_can_come_as_calls_end() {
    let home = home();
    home.write(
        "tools.toml",
        "[tools.wait]\ncommand = [\"sleep\", \"{s}\"]\neffect = \"read-only\"\nreads = []\n",
    );
    let plan = json!({"calls": [
        {"id": "slow", "name": "wait", "arguments": {"s": 0.2}},
        {"id": "quick", "name": "wait", "arguments": {"s": 0}},
    ]});
    let ended = run(&home, &plan.to_string(), &["--order", "end"]).code(0);
    assert_eq!(json(ended.stdout.lines().next().unwrap())["id"], "quick");
    let ended = run(&home, &plan.to_string(), &["--measure-sequential"])
        .code(0)
        .says("speed-up ");
    assert_eq!(json(ended.stdout.lines().next().unwrap())["id"], "slow");
}

#[test]
fn the_order_of_a_plan_is_shown_without_tools() {
    let home = home();
    let show = |flags: &[&str]| home.run(&[&["tools", "plan.json"], flags].concat()).code(0);
    let dry_run = json(&show(&["--dry-run", "--output", "json", "--assume", "independent"]).stdout);
    assert_eq!(
        dry_run,
        json!({
            "v": 1,
            "edges": [{"from": "a", "to": "b", "kind": "reference", "because": "argument `text` holds `$a.output`"}],
            "waves": [["a", "c", "d"], ["b"]],
            "critical_path": ["a", "b"],
        })
    );
    let edges = |word: &str| {
        let shown = show(&["--dry-run", "--output", "json", "--assume", word]);
        json(&shown.stdout)["edges"].as_array().unwrap().len()
    };
    assert_eq!((edges("read-only"), edges("exclusive")), (1, 3));
    show(&["--dry-run"])
        .prints("wave 1   a\n")
        .prints("critical path: a -> b");
    show(&["--graph", "dot"])
        .prints("digraph plan {")
        .prints("n0 -> n1");
    show(&["--graph", "mermaid", "--explain"])
        .prints("flowchart LR\n")
        .says("a waits for nothing\n")
        .says("b waits for a: argument `text` holds `$a.output`");
    home.run(&["tools", "plan.json"]).code(2).says("--tools FILE");
    home.run(&["tools", "plan.json", "--dry-run", "--assume", "nothing"])
        .code(2)
        .says("independent, read-only, exclusive");
    let text = "1. search(\"x\")\n2. show($1)\njoin()\n";
    let piped = home
        .pipe(&["tools", "-", "--dry-run", "--output", "json"], text)
        .code(0);
    assert_eq!(json(&piped.stdout)["edges"][0]["to"], "2");
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_by_name() {
    let home = home();
    let bad = [
        ("no plan", "there is no call here"),
        ("{\"calls\":[", "EOF"),
        ("", "the plan has no calls"),
        (r#"{"calls":[]}"#, "the plan has no calls"),
        (
            r#"{"calls":[{"id":"a","name":"f"},{"id":"a","name":"f"}]}"#,
            "the id `a` is also that of calls[0]",
        ),
        (
            r#"{"calls":[{"id":"a","nam":"f"}]}"#,
            "calls[0].nam: unknown field `nam`",
        ),
        (
            r#"{"calls":[{"id":"a","name":"f"}],"policy":"stop"}"#,
            "unknown variant `stop`",
        ),
        (r#"{"calls":[{"id":"a","name":"f","depends_on":["z"]}]}"#, "`z`"),
    ];
    for (plan, message) in bad {
        run(&home, plan, &["--dry-run"])
            .code(2)
            .says("p.json is no plan that can be run")
            .says(message);
    }
    home.run(&["tools", "none.json", "--dry-run"])
        .code(2)
        .says("cannot read the plan none.json");
    let cycle = r#"{"calls":[{"id":"a","name":"echo","arguments":{"text":"$b"}},
        {"id":"b","name":"echo","arguments":{"text":"$a"}},{"id":"c","name":"echo","arguments":{"text":"1"}}]}"#;
    run(&home, cycle, &["--dry-run"])
        .code(2)
        .says("`a` waits for `b` (argument `text` is `$b`)");
    let ended = run(&home, cycle, &[]).code(1).says("1 of 3 calls succeeded");
    let results = by_id(&ended.stdout);
    assert_eq!(
        (&results["a"]["outcome"], &results["c"]["outcome"]),
        (&"skipped".into(), &"succeeded".into())
    );
}

#[test]
fn a_call_that_cannot_be_made_fails_and_says_why() {
    let home = home();
    let plan = r#"{"calls":[{"id":"a","name":"nope","arguments":{}},{"id":"b","name":"echo","arguments":{"txt":1}}]}"#;
    run(&home, plan, &[])
        .code(1)
        .says("a failed: there is no tool `nope`; there are `echo`, `append`, `fail`")
        .says("expected no member `txt`");
}

#[test]
fn a_failure_goes_as_far_as_its_policy() {
    let plan = r#"{"calls":[{"id":"f","name":"fail"},
        {"id":"after","name":"echo","arguments":{"text":"1"},"depends_on":["f"]},
        {"id":"of","name":"echo","arguments":{"text":"$f.x"}},
        {"id":"free","name":"append","arguments":{"text":"1"},"depends_on":["after"]}]}"#;
    for (policy, expected) in [
        ("continue", ["succeeded", "skipped", "succeeded"]),
        ("skip-dependents", ["skipped", "skipped", "skipped"]),
        ("fail-fast", ["cancelled", "cancelled", "cancelled"]),
    ] {
        let home = home();
        let ended = run(&home, plan, &["--on-failure", policy]).code(1);
        let results = by_id(&ended.stdout);
        assert!(
            results["f"]["error"].as_str().unwrap().contains("oh no"),
            "{results:?}"
        );
        let outcomes = ["after", "of", "free"].map(|id| results[id]["outcome"].as_str().unwrap());
        assert_eq!(outcomes, expected, "{policy}");
    }
}

#[test]
fn a_file_of_tools_that_makes_no_sense_is_refused_with_its_line() {
    let home = home();
    let bad = [
        ("x =", "line 1"),
        ("[tools.a]", "tools.a: a tool needs `command` or `url`"),
        ("[tools.a]\ncommand = \"ls\"", "line 2: tools.a.command"),
        (
            "[tools.a]\ncommand = [\"ls\", \"{x\"]",
            "`{x` has a brace without its partner",
        ),
        ("[tools.a]\ncommand = [\"ls\"]\neffect = \"none\"", "found `none`"),
        (
            "[tools.a]\ncommand = [\"ls\"]\ntimeout = \"soon\"",
            "found \"soon\"",
        ),
        ("[mcp.a]\ncommnd = \"x\"", "unknown field `commnd`"),
        (
            "[tools.a]\ncommand = [\"ls\"]\npools = { gpu = 1 }",
            "--pool NAME=UNITS",
        ),
        ("[tool.a]\ncommand = [\"ls\"]", "bad.toml declares no tools"),
    ];
    for (text, message) in bad {
        home.write("bad.toml", text);
        with_path(&home, &["tools", "plan.json", "--tools", "bad.toml"])
            .code(2)
            .says(message);
    }
    home.write("bad.toml", "[mcp.a]\ncommand = \"no-such-server\"\n");
    with_path(&home, &["tools", "plan.json", "--tools", "bad.toml"])
        .code(3)
        .says("mcp server `a` cannot be started");
    execute(&home, "plan.json", &["--tools", "tools.toml"])
        .code(2)
        .says("tool `echo` is there twice");
    execute(&home, "plan.json", &["--tools", "none.toml"])
        .code(2)
        .says("cannot read none.toml");
    for pool in ["gpu", "gpu=0", "gpu=some", "=1"] {
        execute(&home, "plan.json", &["--pool", pool])
            .code(2)
            .says(&format!("--pool {pool:?} is no pool"));
    }
    assert!(!home.path("log").exists(), "a call ran");
}

#[test]
fn a_journal_is_gone_on_with_and_the_plan_is_recorded() {
    let home = home();
    let flags = ["--journal", "j", "--record-stats", "--session", "s"];
    execute(&home, "plan.json", &flags).code(0);
    let again = execute(&home, "plan.json", &flags)
        .code(0)
        .says("4 calls had ended in an earlier run");
    assert_eq!(by_id(&again.stdout)["a"]["result"], "x");
    assert_eq!(whole_lines(&home.path("log")), 2);
    let changed = r#"{"calls":[{"id":"a","name":"echo","arguments":{"text":"z"}}]}"#;
    run(&home, changed, &["--journal", "j"])
        .code(2)
        .says("another plan under the name `j`");
    execute(&home, "plan.json", &["--journal", ""])
        .code(2)
        .says("--journal");
    let last = home
        .run(&["stats", "--last", "tool-batch", "--output", "json"])
        .code(0);
    assert_eq!(json(&last.stdout)["last"]["session"], "s");
}

#[test]
fn an_interruption_stops_the_calls_and_says_so() {
    let home = home();
    home.write(
        "tools.toml",
        "[tools.wait]\ncommand = [\"sh\", \"-c\", \"echo x >> began; exec sleep 30\"]\neffect = \"once\"\n",
    );
    home.write(
        "p.json",
        r#"{"calls":[{"id":"a","name":"wait"},{"id":"b","name":"wait"}]}"#,
    );
    let mut child = home
        .command(&["tools", "p.json", "--tools", "tools.toml"])
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the first call", || whole_lines(&home.path("began")) == 1);
    signal(child.id(), "INT");
    let stdout = read_rest(child.stdout.take().unwrap());
    let stderr = read_rest(child.stderr.take().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted: the running calls are stopped"),
        "{stderr}"
    );
    assert!(stderr.contains("which is not known: a\n"), "{stderr}");
    let results = by_id(&stdout);
    assert_eq!(
        (&results["a"]["outcome"], &results["b"]["attempts"]),
        (&"cancelled".into(), &0.into())
    );
}

/// How many plans are killed: 3, or what `THRONG_CASES` says, up to 50.
fn kills() -> u64 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .map_or(3, |cases: u64| cases.clamp(3, 50))
}

/// How often each call had its effect.
fn effects(home: &Home) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(home.path("effects")).unwrap_or_default();
    let mut effects = BTreeMap::new();
    for line in text.lines() {
        *effects.entry(line.to_owned()).or_default() += 1;
    }
    effects
}

#[test]
fn a_killed_plan_goes_on_where_it_was() {
    const CALLS: usize = 12;
    let calls: Vec<Value> = (0..CALLS)
        .map(|n| json!({"id": format!("s{n}"), "name": "step", "arguments": {"n": format!("s{n}")}}))
        .collect();
    let plan = json!({"calls": calls}).to_string();
    let tools = "[tools.step]\ncommand = [\"sh\", \"-c\", 'sleep 0.02; echo \"$1\" >> effects; sleep 0.02', \"sh\", \"{n}\"]\neffect = \"once\"\nwrites = [\"mem:{n}\"]\n";
    let kills = kills();
    for case in 0..kills {
        let home = home();
        home.write("tools.toml", tools).write("p.json", &plan);
        let flags = ["--journal", "j", "--max-calls", "3"];
        let args = [
            &["tools", "p.json", "--tools", "tools.toml", "--order", "end"],
            &flags[..],
        ]
        .concat();
        let mut child = home
            .command(&args)
            .env("PATH", "/usr/bin:/bin")
            .stdout(std::fs::File::create(home.path("out")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moments are spread over the run by a fixed sequence that fills the interval evenly.
        let moment = 20 + case * 107 % 280;
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let told = std::fs::read_to_string(home.path("out")).unwrap();
        let told: Vec<&str> = told
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .collect();

        let ended = execute(&home, "p.json", &[&flags[..], &["--output", "json"]].concat());
        let (summary, lines): (Vec<&str>, Vec<&str>) = ended
            .stdout
            .split_inclusive('\n')
            .partition(|line| line.contains("\"event\""));
        let results = by_id(&lines.concat());
        let summary = json(summary[0]);
        assert_eq!(results.len(), CALLS, "case {case}: {ended:#?}");
        let after = effects(&home);
        let mut unknown = Vec::new();
        for n in 0..CALLS {
            let id = format!("s{n}");
            let result = &results[&id];
            let had = after.get(&id).copied().unwrap_or(0);
            if result["outcome"] == "succeeded" {
                assert_eq!(had, 1, "case {case}: {id} has its effect {had} times: {ended:#?}");
            } else {
                assert!(
                    result["error"].as_str().unwrap().contains("outcome unknown"),
                    "case {case}: {result}"
                );
                assert!(
                    had <= 1 && result["started_ms"].is_null(),
                    "case {case}: {id} was begun again: {result}"
                );
                unknown.push(Value::from(id));
            }
        }
        // At most as many are unknown as ran at a time.
        assert!(unknown.len() <= 3, "case {case}: {unknown:?}");
        assert_eq!(summary["outcome_unknown"], json!(unknown), "case {case}");
        let is_known = |result: &&Value| result["outcome"] == "succeeded" && result["started_ms"].is_null();
        assert_eq!(
            summary["from_journal"],
            results.values().filter(is_known).count(),
            "case {case}"
        );
        assert_eq!(
            ended.code,
            i32::from(!unknown.is_empty()),
            "case {case}: {ended:#?}"
        );
        for line in told {
            let line = json(line);
            let id = line["id"].as_str().unwrap();
            assert_eq!(
                line["outcome"], results[id]["outcome"],
                "case {case}: {id} was told otherwise"
            );
        }
    }
}
