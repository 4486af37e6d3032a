//! Every provider at a server that speaks its wire: addresses, keys, profiles, lists of models, fallbacks.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Home, Sim, by_id};

/// Providers, what their base URL ends in, and the variable of their key.
const PROVIDERS: [(&str, &str, &str); 7] = [
    ("openai", "/v1", "OPENAI_API_KEY"),
    ("openai-responses", "/v1", "OPENAI_API_KEY"),
    ("anthropic", "/v1", "ANTHROPIC_API_KEY"),
    ("gemini", "/v1beta", "GEMINI_API_KEY"),
    ("gemini", "/v1beta", "GOOGLE_API_KEY"),
    ("groq", "/v1", "GROQ_API_KEY"),
    ("ollama", "", "OLLAMA_API_KEY"),
];

/// Returns the address of a server for clients whose base URL ends like this.
fn at(sim: &Sim, end: &str) -> String {
    format!("{}{end}", sim.url().trim_end_matches("/v1"))
}

/// A server that wants the key `sk-good`.
fn guarded(home: &Home, flags: &[&str]) -> Sim {
    let quick = [
        "sim",
        "--require-key-env",
        "GOOD",
        "--first-token",
        "1ms",
        "--jitter",
        "0",
    ];
    let mut command = home.command(&[&quick[..], flags].concat());
    command.env("GOOD", "sk-good");
    Sim::spawn(command)
}

/// Takes one request after another, keeps their heads, and answers each with an error 400.
struct Ear {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Ear {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !String::from_utf8_lossy(&request).contains("\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(n) => request.extend_from_slice(&buffer[..n]),
                    }
                }
                kept.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&request).to_ascii_lowercase());
                let body = r#"{"error":{"message":"no"}}"#;
                let head = "HTTP/1.1 400 X\r\nconnection: close\r\ncontent-length";
                let _ = write!(stream, "{head}: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { url, heads }
    }
}

#[test]
fn every_provider_answers_with_the_key_of_its_usual_variable() {
    let home = Home::new();
    home.questions("in.jsonl", 3);
    let sim = guarded(&home, &["--seed", "5"]);
    for (provider, end, variable) in PROVIDERS {
        let url = at(&sim, end);
        let args = [
            "run",
            "in.jsonl",
            "--provider",
            provider,
            "--base-url",
            &url,
            "--model",
            "m",
        ];
        let ended = home.run_with(&args, &[(variable, "sk-good")]).code(0);
        let results = by_id(&ended.stdout);
        assert_eq!(results.len(), 3, "{provider}");
        for result in results.values() {
            assert_eq!(
                (&result["outcome"], &result["provider"], &result["model"]),
                (&"succeeded".into(), &provider.into(), &"m".into()),
                "{result}"
            );
            assert!(result["usage"]["output_tokens"].as_u64() > Some(0), "{result}");
        }
        let text = throng_sim::expected_text(5, &crate::support::question(1));
        assert_eq!(results["q1"]["text"], text, "{provider}");
        ended.says(&format!("the key of {variable}"));
        let args = [
            "vote",
            "Is it?",
            "--provider",
            provider,
            "--base-url",
            &url,
            "--model",
            "m",
        ];
        home.run_with(&args, &[("THRONG_API_KEY", "sk-good"), (variable, "sk-other")])
            .code(0);
    }
    let url = at(&sim, "/v1");
    let bench = [
        "bench",
        "--jobs",
        "2",
        "--concurrency",
        "2",
        "--provider",
        "anthropic",
    ];
    let server = ["--base-url", &url, "--model", "m"];
    home.run_with(
        &[&bench[..], &server].concat(),
        &[("ANTHROPIC_API_KEY", "sk-good")],
    )
    .code(0)
    .prints("anthropic at http://127.0.0.1");
}

#[test]
fn no_key_goes_to_another_provider() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    let all: Vec<(String, String)> = throng_llm_variables()
        .into_iter()
        .map(|name| (name.to_owned(), format!("sk-of-{}", name.to_ascii_lowercase())))
        .collect();
    let env: Vec<(&str, &str)> = all
        .iter()
        .map(|(name, key)| (name.as_str(), key.as_str()))
        .collect();
    // Azure takes its key in a header of its own, which the simulated server does not know.
    let azure = ("azure", "/v1", "AZURE_OPENAI_API_KEY");
    for (provider, end, variable) in PROVIDERS.into_iter().chain([azure]) {
        if variable == "GOOGLE_API_KEY" {
            continue;
        }
        let ear = Ear::start();
        let url = format!("{}{end}", ear.url);
        let args = [
            "run",
            "in.jsonl",
            "--provider",
            provider,
            "--base-url",
            &url,
            "--model",
            "m",
        ];
        home.run_with(&args, &env).code(1);
        let heads = ear.heads.lock().unwrap().join("\n");
        let own = format!("sk-of-{}", variable.to_ascii_lowercase());
        assert!(heads.contains(&own), "{provider}: {heads}");
        assert_eq!(heads.matches("sk-of-").count(), 1, "{provider}: {heads}");
        let without: Vec<_> = env
            .iter()
            .copied()
            .filter(|(name, _)| *name != variable && *name != "GOOGLE_API_KEY")
            .collect();
        if provider != "azure" {
            ear.heads.lock().unwrap().clear();
            home.run_with(&args, &without).code(1);
            let heads = ear.heads.lock().unwrap().join("\n");
            assert!(
                !heads.contains("sk-of-") && !heads.is_empty(),
                "{provider}: {heads}"
            );
        }
    }
    // A key that a file names beside one provider is not that of the provider of a flag.
    let ear = Ear::start();
    home.write(
        "xdg/throng/config.toml",
        "[run]\nprovider = \"openai\"\nmodel = \"gpt\"\napi-key-env = \"MINE\"\nbase-url = \"http://127.0.0.1:1/v1\"\n",
    );
    let url = format!("{}/v1", ear.url);
    let args = ["run", "in.jsonl", "--provider", "anthropic", "--base-url", &url];
    home.run_with(&args, &[("MINE", "sk-of-mine")])
        .code(2)
        .says("--provider anthropic needs a model");
    home.run_with(
        &[&args[..], &["--model", "c"]].concat(),
        &[("MINE", "sk-of-mine")],
    )
    .code(1);
    let heads = ear.heads.lock().unwrap().join("\n");
    assert!(
        !heads.contains("sk-of-") && heads.contains("post /v1/messages"),
        "{heads}"
    );
}

fn throng_llm_variables() -> [&'static str; 9] {
    [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GROQ_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "OLLAMA_API_KEY",
        "MISTRAL_API_KEY",
        "XAI_API_KEY",
    ]
}

#[test]
fn a_provider_that_cannot_be_meant_is_a_usage_error() {
    let home = Home::new();
    home.questions("in.jsonl", 1).write(
        "throng.toml",
        "[profile.slow]\nrpm = 1\n[profiles.mine]\nprovider = \"gorq\"\n[profiles.odd]\nmodel = \"m\"\n",
    );
    let run = |flags: &[&str], code: i32| home.run(&[&["run", "in.jsonl"], flags].concat()).code(code);
    run(&["--provider", "antropic"], 2)
        .says("there is no provider \"antropic\"")
        .says("hint: did you mean \"anthropic\"?")
        .says("the providers are sim, mine, odd, anthropic");
    run(&["--provider", "slow"], 2).says("[profiles.slow]");
    home.run(&["--profile", "mine", "run", "in.jsonl"])
        .code(2)
        .says("--provider mine");
    run(&["--provider", "mine"], 2)
        .says("throng.toml:3 sets the provider \"gorq\"")
        .says("did you mean \"groq\"?");
    run(&["--provider", "odd"], 2).says("neither `provider` nor `wire`");
    run(&["--provider", "azure", "--model", "m"], 2).says("has no address of its own");
    run(&["--provider", "anthropic", "--model", "m"], 3)
        .says("there is no key for https://api.anthropic.com/v1")
        .says("ANTHROPIC_API_KEY or THRONG_API_KEY");
    run(&["--provider", "ollama"], 2).says("--provider ollama needs a model");
    for (text, says) in [
        (
            "[profiles.groq]\nmodel = \"m\"\n",
            "has the name of a provider that is known",
        ),
        (
            "[profiles.a]\nbase-url = 7\n",
            "`profiles.a.base-url` must be an address",
        ),
        (
            "[profiles.a]\nwire = \"x\"\n",
            "`profiles.a.wire` must be one of openai-chat",
        ),
        ("[profiles.a.headers]\nx-api-key = \"sk-1\"\n", "looks like a key"),
        ("profiles = 1\n", "`profiles` must be a table"),
    ] {
        home.write("bad.toml", text);
        let ended = home
            .run(&["--config", "bad.toml", "run", "in.jsonl"])
            .code(2)
            .says(says);
        assert!(!ended.stderr.contains("sk-1"), "{ended:?}");
        ended.says("hint: ");
    }
    home.write("odd.toml", "[profiles.a]\nmodle = \"m\"\napi-key = \"sk-1\"\n");
    let ended = home
        .run(&["--config", "odd.toml", "run", "in.jsonl", "--dry-run"])
        .code(0);
    assert!(!ended.stderr.contains("sk-1"), "{ended:?}");
    ended
        .says("unknown setting `profiles.a.modle` is ignored; did you mean `profiles.a.model`?")
        .says("a key does not belong into a configuration file");
}

#[test]
fn a_profile_is_a_provider() {
    let home = Home::new();
    home.questions("in.jsonl", 2);
    let sim = guarded(&home, &["--models", "right,other"]);
    let root = at(&sim, "");
    home.write(
        "my.toml",
        format!(
            "[run]\nmodel = \"of-the-run\"\n\
             [profiles.claude]\nprovider = \"anthropic\"\nbase-url = \"{root}/v1\"\nmodel = \"right\"\napi-key-env = \"MINE\"\n\
             headers = {{ x-title = \"t\" }}\n\
             [profiles.plain]\nwire = \"gemini\"\nbase-url = \"{root}/v1beta\"\nmodel = \"right\"\napi-key-file = \"key.txt\"\n"
        ),
    )
    .write("key.txt", "sk-good");
    let run = |flags: &[&str], env: &[(&str, &str)]| {
        home.run_with(
            &[&["--config", "my.toml", "run", "in.jsonl"], flags].concat(),
            env,
        )
    };
    let mine = [
        ("MINE", "sk-good"),
        ("ANTHROPIC_API_KEY", "no"),
        ("THRONG_API_KEY", "no"),
    ];
    let ended = run(&["--provider", "claude"], &mine).code(0);
    let results = by_id(&ended.stdout);
    assert_eq!(
        (&results["q1"]["provider"], &results["q1"]["model"]),
        (&"claude".into(), &"right".into())
    );
    ended.says("(set by --config my.toml:3)").says("the key of MINE");
    run(&["--provider", "claude", "--model", "other"], &mine).code(0);
    run(&["--provider", "plain"], &[]).code(0).says("the key of ");
    run(&["--provider", "claude"], &[])
        .code(3)
        .says("the variable MINE holds no key");
    run(&["--provider", "claude", "--api-key-file", "key.txt"], &[]).code(0);
    let shown = home.run(&["--config", "my.toml", "config", "show"]).code(0);
    shown.prints("run.model");
    // A project file that was found by itself may not say which key is sent.
    std::fs::rename(home.path("my.toml"), home.path("throng.toml")).unwrap();
    home.run_with(&["run", "in.jsonl", "--provider", "claude"], &mine)
        .code(2)
        .says("may not say which key is sent")
        .says("or, if you trust the file: --config");
}

#[test]
fn whole_conversations_go_over_every_wire() {
    let home = Home::new();
    home.write(
        "in.jsonl",
        "{\"id\":1,\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Why?\"}]}]}\n",
    );
    let sim = home.sim(&[]);
    for (provider, end, _) in PROVIDERS {
        let url = at(&sim, end);
        let args = [
            "run",
            "in.jsonl",
            "--provider",
            provider,
            "--base-url",
            &url,
            "--model",
            "m",
        ];
        let ended = home.run_with(&args, &[("THRONG_API_KEY", "k")]).code(0);
        assert_eq!(by_id(&ended.stdout)["1"]["outcome"], "succeeded", "{provider}");
    }
    home.write(
        "odd.jsonl",
        "{\"id\":1,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}\n",
    );
    let url = at(&sim, "/v1");
    let args = [
        "run",
        "odd.jsonl",
        "--provider",
        "anthropic",
        "--base-url",
        &url,
        "--model",
        "m",
    ];
    let ended = home.run(&args).code(1);
    let line = &by_id(&ended.stdout)["1"];
    assert!(
        line["error"]["message"].as_str().unwrap().contains("input_audio"),
        "{line}"
    );
}

#[test]
fn models_are_listed_on_every_wire() {
    let home = Home::new();
    let sim = guarded(&home, &["--models", "gpt-4.1-mini,house-model"]);
    home.write(
        "prices.json",
        "{\"house-model\": {\"input_cost_per_token\": 1e-6, \"output_cost_per_token\": 2.5e-6}}",
    );
    for (provider, end, variable) in PROVIDERS {
        let url = at(&sim, end);
        let args = [
            "models",
            "--provider",
            provider,
            "--base-url",
            &url,
            "--prices",
            "prices.json",
        ];
        let ended = home.run_with(&args, &[(variable, "sk-good")]).code(0);
        let line = ended
            .stdout
            .lines()
            .find(|line| line.starts_with("house-model"))
            .unwrap();
        assert!(line.ends_with("1.00       2.50"), "{provider}: {line}");
        let json = [&args[..], &["--output", "json"]].concat();
        let ended = home.run_with(&json, &[(variable, "sk-good")]).code(0);
        let all: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(
            (&all["provider"], &all["models"][0]["id"]),
            (&provider.into(), &"gpt-4.1-mini".into())
        );
        assert_eq!(all["models"][1]["output_usd_per_million"], 2.5);
        let ndjson = [&args[..], &["--output", "ndjson"]].concat();
        let ended = home.run_with(&ndjson, &[(variable, "sk-good")]).code(0);
        assert_eq!(ended.stdout.lines().count(), 2);
        home.run_with(&args, &[(variable, "sk-wrong")])
            .code(3)
            .says("the provider refuses the calls")
            .says("hint: check the key");
    }
    home.run(&["models"])
        .code(2)
        .says("there is no provider")
        .says("hint: ");
    home.run(&["models", "--provider", "sim"]).code(2).says("hint: ");
    home.run(&["models", "--provider", "openai"])
        .code(3)
        .says("there is no key");
    home.run(&["models", "--base-url", "http://127.0.0.1:1/v1"])
        .code(3)
        .says("the provider cannot be reached");
}

#[test]
fn a_failing_provider_is_fallen_back_from() {
    let home = Home::new();
    home.questions("in.jsonl", 30);
    let good = home.sim(&["--models", "b,deep/b"]);
    let broken = home.sim(&["--fail", "1", "--faults", "server_error"]);
    home.write(
        "my.toml",
        format!(
            "[profiles.second]\nprovider = \"anthropic\"\nbase-url = \"{}\"\nmodel = \"b\"\n",
            at(&good, "/v1")
        ),
    );
    let run = |url: &str, flags: &[&str], code: i32| {
        let args = [
            "--config",
            "my.toml",
            "run",
            "in.jsonl",
            "--base-url",
            url,
            "--model",
            "a",
        ];
        let quick = ["--retries", "1", "--backoff-base", "1ms", "--summary", "s.json"];
        home.run(&[&args[..], &quick, flags].concat()).code(code)
    };
    let ended = run(broken.url(), &["--fallback", "second"], 0);
    let results = by_id(&ended.stdout);
    assert_eq!(results.len(), 30);
    for result in results.values() {
        assert_eq!(
            (&result["provider"], &result["model"]),
            (&"second".into(), &"b".into()),
            "{result}"
        );
        assert_eq!(result["attempts"], 3, "{result}");
    }
    ended.says("falling back: sending to");
    // A model may have slashes. A provider that was given up is not asked again.
    let guarded = guarded(&home, &[]);
    let ended = run(guarded.url(), &["--fallback", "second/deep/b", "-c", "1"], 0);
    let results = by_id(&ended.stdout);
    let attempts: u64 = results
        .values()
        .map(|result| result["attempts"].as_u64().unwrap())
        .sum();
    assert_eq!(attempts, 30 + 3, "three refusals give the first one up");
    assert!(results.values().all(|result| result["model"] == "deep/b"));
    // The second of three has no such model.
    let flags = ["--fallback", "second/none", "--fallback", "second"];
    let ended = run(broken.url(), &flags, 0);
    assert!(by_id(&ended.stdout).values().all(|result| result["model"] == "b"));
    // What is wrong with a prompt is wrong for all.
    let bad = home.sim(&["--fail", "1", "--faults", "context_overflow"]);
    let ended = run(bad.url(), &["--fallback", "second"], 1);
    for result in by_id(&ended.stdout).values() {
        assert_eq!(
            (&result["attempts"], &result["error"]["kind"]),
            (&1.into(), &"context_overflow".into()),
            "{result}"
        );
    }
    let vote = [
        "--config",
        "my.toml",
        "vote",
        "Is it?",
        "--base-url",
        broken.url(),
        "--model",
        "a",
    ];
    let flags = ["--retries", "0", "--fallback", "second"];
    home.run(&[&vote[..], &flags].concat())
        .code(0)
        .says("agreement     1.00");
    run(broken.url(), &["--fallback", "secnd"], 2).says("did you mean \"second\"?");
    run(broken.url(), &["--fallback", "groq/x"], 3).says("there is no key for https://api.groq.com");
    run(broken.url(), &["--fallback", "groq"], 2).says("--fallback groq needs a model");
    run(broken.url(), &["--fallback", "azure/x"], 2).says("has no address of its own");
    run(broken.url(), &["--fallback", "sim"], 2).says("its answers are made up");
    home.run(&["run", "in.jsonl", "--fallback", "ollama/x"])
        .code(2)
        .says("--fallback needs a provider to fall back from");
}
