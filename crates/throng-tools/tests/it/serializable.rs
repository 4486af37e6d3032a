//! Whatever the latencies, results and what is left behind are as if the calls had run one by one in the order of emission;
//! and calls that do not touch each other's things overlap.
//!
//! `THRONG_CASES` sets how many programs are tried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use serde_json::{Value, json};
use throng_tools::{
    Call, Effect, Plan, PlanPolicy, PlanReport, RunOptions, ToolContext, ToolError, ToolExecutor, ToolFn,
    ToolSpec, Tools,
};

use crate::support::{cases, fixed, ms, n};

/// Keys, and files by their paths.
type State = BTreeMap<String, String>;

const KEYS: [&str; 3] = ["k/a", "k/b", "k/c"];
const FILES: [&str; 5] = ["/d/x", "/d/y", "/d/sub/z", "/e/x", "/f"];
const FOLDERS: [&str; 4] = ["/d", "/d/sub", "/e", "/"];

/// What a call does to what it finds: what it returns, and what it writes (`None` removes).
struct Effects {
    result: Result<Value, String>,
    writes: Vec<(String, Option<String>)>,
}

fn text(arguments: &Value, name: &str) -> String {
    match &arguments[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn within(folder: &str, path: &str) -> bool {
    folder == "/"
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The one definition of the tools, for both ways of running them.
fn apply(state: &State, tool: &str, arguments: &Value) -> Effects {
    let returns = |result: Value, writes| Effects {
        result: Ok(result),
        writes,
    };
    let key = text(arguments, "key");
    let path = text(arguments, "path");
    let get = |of: &str| state.get(of).cloned();
    match tool {
        "get" => returns(json!(get(&key)), Vec::new()),
        "put" => returns(json!("ok"), vec![(key, Some(text(arguments, "value")))]),
        "append" => {
            let value = get(&key).unwrap_or_default() + &text(arguments, "value");
            let value = value.chars().rev().take(12).collect::<String>();
            returns(json!(value), vec![(key, Some(value))])
        }
        "keys" => {
            let keys = state.iter().filter(|(key, _)| key.starts_with("k/"));
            returns(json!(keys.collect::<Vec<_>>()), Vec::new())
        }
        "read" => match get(&path) {
            Some(text) => returns(json!(text), Vec::new()),
            None => Effects {
                result: Err(format!("no file {path}")),
                writes: Vec::new(),
            },
        },
        "write" => returns(json!(path), vec![(path, Some(text(arguments, "value")))]),
        "list" => {
            let files = state
                .iter()
                .filter(|(file, _)| file.starts_with('/') && within(&path, file));
            returns(json!(files.collect::<Vec<_>>()), Vec::new())
        }
        "remove" => {
            let files: Vec<_> = state
                .keys()
                .filter(|file| file.starts_with('/') && within(&path, file))
                .collect();
            let removed = files.len();
            returns(
                json!(removed),
                files.into_iter().map(|file| (file.clone(), None)).collect(),
            )
        }
        "copy" => match get(&path) {
            Some(found) => returns(json!(found), vec![(text(arguments, "to"), Some(found))]),
            None => Effects {
                result: Err(format!("no file {path}")),
                writes: Vec::new(),
            },
        },
        // Nothing is known of it: it looks at everything, and writes something.
        _ => {
            let seen = format!("{}", state.len());
            returns(json!(seen), vec![("k/a".to_owned(), Some(seen))])
        }
    }
}

fn specs() -> Vec<ToolSpec> {
    let spec = |name: &str| ToolSpec::new(name);
    let declared = [
        spec("get").read_only().reads("kv:{key}"),
        spec("put").idempotent().writes("kv:{key}"),
        spec("append").effect(Effect::Once).writes("kv:{key}"),
        spec("keys").read_only().reads("kv:"),
        spec("read").read_only().reads("file:{path}"),
        spec("write").idempotent().writes("file:{path}"),
        spec("list").read_only().reads("file:{path}"),
        spec("remove").effect(Effect::Once).writes("file:{path}"),
        spec("copy")
            .idempotent()
            .reads("file:{path}")
            .and_then(|spec| spec.writes("file:{to}")),
    ];
    let mut specs: Vec<_> = declared
        .into_iter()
        .map(|spec| spec.expect("the templates are right"))
        .collect();
    specs.push(spec("wild"));
    specs
}

/// Tools that look at what they find, wait, and only then write: whoever comes between is noticed.
fn tools(state: &Arc<Mutex<State>>, seed: u64) -> Tools {
    let mut tools = Tools::new();
    let rng = Arc::new(Mutex::new(Rng::with_seed(seed)));
    for spec in specs() {
        let (state, rng, name) = (Arc::clone(state), Arc::clone(&rng), Arc::clone(&spec.name));
        let repeats = spec.effect.may_repeat();
        let tool = ToolFn::with_context(spec, move |arguments: Value, cx: ToolContext| {
            let (state, name) = (Arc::clone(&state), Arc::clone(&name));
            let (before, after, fails) = {
                let mut rng = rng.lock().unwrap();
                (rng.u64(1..20), rng.u64(0..20), rng.u8(..) < 20)
            };
            async move {
                tokio::time::sleep(ms(before)).await;
                if fails && repeats && cx.attempt.get() == 1 {
                    return Err(ToolError::transient("not now"));
                }
                let Effects { result, writes } = apply(&state.lock().unwrap(), &name, &arguments);
                if after > 5 {
                    tokio::time::sleep(ms(after)).await;
                }
                let mut state = state.lock().unwrap();
                for (key, value) in writes {
                    match value {
                        Some(value) => state.insert(key, value),
                        None => state.remove(&key),
                    };
                }
                result.map_err(ToolError::from)
            }
        });
        tools.add(tool).expect("the names differ");
    }
    tools
}

fn draw(rng: &mut Rng) -> Vec<Call> {
    let kinds = [
        "get", "put", "append", "keys", "read", "write", "list", "remove", "copy", "wild",
    ];
    // Some programs use few kinds of tools, so that they have few conflicts.
    let kinds: Vec<_> = match rng.u8(0..4) {
        0 => vec!["get", "read", "list", "keys"],
        1 => vec!["put", "get", "append"],
        2 => vec!["write", "read", "list", "copy", "remove"],
        _ => kinds.to_vec(),
    };
    let n_calls = rng.usize(2..12);
    (0..n_calls)
        .map(|at| {
            let tool = kinds[rng.usize(..kinds.len())];
            let tool = if tool == "wild" && rng.bool() { "get" } else { tool };
            let mut value = json!(format!("v{at}"));
            if at > 0 && rng.u8(0..3) == 0 {
                value = json!(format!("$c{}", rng.usize(..at)));
            }
            let path = match tool {
                "list" | "remove" => FOLDERS[rng.usize(..FOLDERS.len())],
                _ => FILES[rng.usize(..FILES.len())],
            };
            let arguments = json!({
                "key": KEYS[rng.usize(..KEYS.len())],
                "path": path,
                "to": FILES[rng.usize(..FILES.len())],
                "value": value,
            });
            let call = Call::new(format!("c{at}"), tool, arguments);
            if at > 0 && rng.u8(0..8) == 0 {
                call.after(format!("c{}", rng.usize(..at)))
            } else {
                call
            }
        })
        .collect()
}

/// Runs the calls one by one, and returns what each gives, if anything.
fn one_by_one(calls: &[Call], state: &mut State) -> Vec<Option<Value>> {
    let mut results: Vec<Option<Value>> = Vec::new();
    for call in calls {
        let mut arguments = call.arguments.clone();
        let refers = arguments["value"]
            .as_str()
            .and_then(|value| value.strip_prefix("$c"));
        if let Some(of) = refers.and_then(|of| of.parse::<usize>().ok()) {
            let Some(value) = &results[of] else {
                results.push(None);
                continue;
            };
            arguments["value"] = value.clone();
        }
        let Effects { result, writes } = apply(state, &call.name, &arguments);
        for (key, value) in writes {
            match value {
                Some(value) => state.insert(key, value),
                None => state.remove(&key),
            };
        }
        results.push(result.ok());
    }
    results
}

async fn run(executor: &ToolExecutor, calls: Vec<Call>, rng: &mut Rng, streams: bool) -> PlanReport {
    let policy = PlanPolicy::default();
    if !streams {
        let plan = Plan::new(calls).unwrap().policy(policy);
        return executor.run(plan).await.unwrap();
    }
    let options = RunOptions::new().early_effects(rng.bool());
    let mut stream = executor.start_streaming(policy, options);
    for call in calls {
        stream.push(call).unwrap();
        if rng.bool() {
            tokio::time::sleep(ms(rng.u64(1..10))).await;
        }
    }
    stream.finish().finish().await
}

#[tokio::test(start_paused = true)]
async fn results_and_what_is_left_are_those_of_the_order_of_emission() {
    let (mut free, mut overlapped) = (0, 0);
    for seed in 0..cases(1_000) {
        let mut rng = Rng::with_seed(seed);
        let calls = draw(&mut rng);
        let start: State = FILES
            .iter()
            .chain(&KEYS)
            .filter(|_| rng.bool())
            .map(|key| ((*key).to_owned(), format!("start {key}")))
            .collect();
        let mut expected_state = start.clone();
        let expected = one_by_one(&calls, &mut expected_state);

        let state = Arc::new(Mutex::new(start));
        let executor = ToolExecutor::builder(tools(&state, seed))
            .max_concurrent(n(rng.usize(1..9)))
            .retry(fixed(4, ms(7)))
            .single_flight(rng.bool())
            .seed(seed)
            .build()
            .unwrap();
        let is_free = {
            let plan = Plan::new(calls.clone()).unwrap();
            executor.dependencies(&plan).unwrap().edges().is_empty()
        };
        executor.set_max_concurrent(n(if is_free { 16 } else { 8 }));
        let streams = rng.bool();
        let report = run(&executor, calls.clone(), &mut rng, streams).await;
        let seen: Vec<_> = report
            .results
            .iter()
            .map(|result| result.outcome.value().cloned())
            .collect();
        assert_eq!(seen, expected, "seed {seed}: {calls:#?}");
        assert_eq!(*state.lock().unwrap(), expected_state, "seed {seed}: {calls:#?}");
        assert_eq!(executor.running(), 0, "seed {seed}");
        // Equal calls may share one attempt, and calls that come one by one may end before the next one comes.
        let own = report.results.iter().filter(|result| result.attempts > 0).count();
        if is_free && !streams && own > 1 {
            free += 1;
            overlapped += u64::from(report.overlap() > 1.0);
        }
    }
    assert!(
        free > 0 && overlapped * 10 >= free * 9,
        "{overlapped} of {free} overlapped"
    );
}
