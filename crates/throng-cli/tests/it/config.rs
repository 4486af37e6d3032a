//! Where settings come from, and what happens to those that nobody knows.

use serde_json::Value;

use crate::support::Home;

/// Returns value and origin of a setting.
fn shown(home: &Home, args: &[&str], env: &[(&str, &str)], key: &str) -> (Value, String) {
    let args = [&["config", "show", "--origin", "--output", "json"], args].concat();
    let ended = home.run_with(&args, env).code(0);
    let all: Value = serde_json::from_str(&ended.stdout).unwrap();
    let row = all["settings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"] == key)
        .unwrap()
        .clone();
    (row["value"].clone(), row["origin"].as_str().unwrap().to_owned())
}

#[test]
fn each_layer_beats_the_one_below_it() {
    let home = Home::new();
    let key = "run.max-concurrent";
    let get = |args: &[&str], env: &[(&str, &str)]| shown(&home, args, env, key);
    assert_eq!(get(&[], &[]), (32.into(), "default".into()));

    home.write(
        "xdg/throng/config.toml",
        "[run]\nmax-concurrent = 1\nmodel = \"user\"\n",
    );
    let (value, origin) = get(&[], &[]);
    assert_eq!(value, 1);
    assert!(
        origin.starts_with("user ") && origin.ends_with("config.toml:2"),
        "{origin}"
    );

    home.write(
        "throng.toml",
        "[run]\nmax-concurrent = 2\n[profile.fast]\nmax-concurrent = 3\n",
    );
    let (value, origin) = get(&[], &[]);
    assert!(
        value == 2 && origin.starts_with("project ") && origin.ends_with("throng.toml:2"),
        "{value} {origin}"
    );
    assert_eq!(
        shown(&home, &[], &[], "run.model").0,
        "user",
        "a lower layer fills the gaps"
    );

    home.write("other.toml", "[run]\nmax-concurrent = 4\n");
    let (value, origin) = get(&["--config", "other.toml"], &[]);
    assert_eq!((value, origin.as_str()), (4.into(), "--config other.toml:2"));
    assert_eq!(get(&[], &[("THRONG_CONFIG", "other.toml")]).0, 4);

    let (value, origin) = get(&["--profile", "fast"], &[]);
    assert!(
        value == 3 && origin.ends_with("(profile fast)"),
        "{value} {origin}"
    );
    assert_eq!(get(&[], &[("THRONG_PROFILE", "fast")]).0, 3);

    let env = [("THRONG_MAX_CONCURRENT", "5"), ("THRONG_PROFILE", "fast")];
    assert_eq!(
        get(&[], &env),
        (5.into(), "environment THRONG_MAX_CONCURRENT".into())
    );
    assert_eq!(get(&["--no-config"], &[]), (32.into(), "default".into()));
    assert_eq!(
        shown(
            &home,
            &["--color", "never"],
            &[("THRONG_COLOR", "always")],
            "color"
        ),
        ("never".into(), "flag --color".into())
    );
}

#[test]
fn a_flag_beats_the_environment_in_a_run() {
    let home = Home::new();
    home.questions("in.jsonl", 1)
        .write("throng.toml", "[run]\nmodel = \"file\"\n");
    let model = |args: &[&str], env: &[(&str, &str)]| {
        let args = [
            &["run", "in.jsonl", "--dry-run", "--output", "json"][..],
            &["--base-url", "http://localhost:1/v1"],
            args,
        ]
        .concat();
        let ended = home.run_with(&args, env).code(0);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["model"].clone()
    };
    assert_eq!(model(&[], &[]), "file");
    assert_eq!(model(&[], &[("THRONG_MODEL", "env")]), "env");
    assert_eq!(model(&["--model", "flag"], &[("THRONG_MODEL", "env")]), "flag");
    assert_eq!(
        model(&[], &[("THRONG_MODEL", "")]),
        "file",
        "an empty variable counts as unset"
    );
}

#[test]
fn the_project_file_is_found_from_a_folder_below() {
    let home = Home::new();
    home.write("throng.toml", "[run]\nrpm = 9\n")
        .write("a/b/in.txt", "x\n");
    let mut command = home.command(&["config", "show", "--origin"]);
    let ended = crate::support::ended(command.current_dir(home.path("a/b"))).code(0);
    ended.prints("run.rpm                9 ").prints("throng.toml:2");
}

#[test]
fn an_unknown_setting_warns_with_the_nearest_name() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    home.write("throng.toml", "colr = \"never\"\n[run]\nmax_concurent = 3\nfrobnicate = 1\napi-key = \"sk-secret\"\n[profile.p]\nmodle = \"m\"\n");
    let ended = home
        .run_with(
            &["run", "in.jsonl"],
            &[("THRONG_TIMOUT", "3s"), ("THRONG_OTHER_THING", "1")],
        )
        .code(0);
    assert!(
        !ended.stderr.contains("sk-secret") && !ended.stderr.contains("THRONG_OTHER_THING"),
        "{ended:?}"
    );
    ended
        .says("throng.toml:1:1: unknown setting `colr` is ignored; did you mean `color`?")
        .says("throng.toml:3:1: unknown setting `run.max_concurent` is ignored; did you mean `run.max-concurrent`?")
        .says("throng.toml:4:1: unknown setting `run.frobnicate` is ignored; `throng config show` lists")
        .says("a key does not belong into a configuration file")
        .says("did you mean `profile.p.model`?")
        .says("unknown environment variable THRONG_TIMOUT is ignored; did you mean THRONG_TIMEOUT?");
}

#[test]
fn a_wrong_value_is_an_error_that_shows_its_place() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    let check = |text: &str, says: &[&str]| {
        home.write("throng.toml", text);
        let mut ended = home.run(&["run", "in.jsonl"]).code(2);
        for text in says.iter().chain(&["hint:"]) {
            ended = ended.says(text);
        }
    };
    check(
        "[run]\nretries = \"six\"\n",
        &[
            "throng.toml:2:11: `run.retries` must be a whole number from 0 to 1000, but is \"six\"",
            "2 | retries = \"six\"",
            "^^^^^",
        ],
    );
    check(
        "[run]\ntimeout = 30\n",
        &[
            "`run.timeout` must be a length of time with its unit",
            "but is 30",
        ],
    );
    check(
        "output = \"xml\"\n",
        &["`output` must be one of human, json, ndjson"],
    );
    check("run = 3\n", &["`run` must be a table"]);
    check("[run\n", &["throng.toml:1:", "is not valid TOML"]);
    check(
        "[run]\nmodel = llama\n",
        &["is not valid TOML", "2 | model = llama"],
    );
    home.write("throng.toml", "");
    home.run_with(&["run", "in.jsonl"], &[("THRONG_RETRIES", "many")])
        .code(2)
        .says(
            "the environment variable THRONG_RETRIES must be a whole number from 0 to 1000, but is \"many\"",
        )
        .says("hint:");
    home.run(&["run", "in.jsonl", "--config", "nope.toml"])
        .code(2)
        .says("cannot read the configuration file nope.toml");
    home.run(&["run", "in.jsonl", "--profile", "x"])
        .code(2)
        .says("no configuration file defines the profile \"x\"");
}

#[test]
fn keys_and_passwords_are_not_shown() {
    let home = Home::new();
    home.write("throng.toml", "[run]\nbase-url = \"http://me:hunter2@h/v1\"\n");
    let ended = home
        .run_with(&["config", "show"], &[("OPENAI_API_KEY", "sk-secret")])
        .code(0);
    assert!(
        !ended.stdout.contains("hunter2") && !ended.stdout.contains("sk-secret"),
        "{ended:?}"
    );
    ended
        .prints("[redacted]@h/v1")
        .prints("from the environment variable OPENAI_API_KEY");
}

#[test]
fn a_project_file_may_not_pick_the_key_unless_it_is_named() {
    let home = Home::new();
    home.questions("q.jsonl", 1);
    for line in ["api-key-env = \"AWS_SECRET\"", "api-key-file = \"/etc/passwd\""] {
        home.write("throng.toml", format!("[run]\n{line}\n"));
        home.run(&["run", "q.jsonl", "--dry-run"])
            .code(2)
            .says("may not say which key is sent")
            .says("hint: or, if you trust the file: --config");
        home.run(&["--config", "throng.toml", "run", "q.jsonl", "--dry-run"])
            .code(0);
        home.run(&["--no-config", "run", "q.jsonl", "--dry-run"]).code(0);
    }
}

#[test]
fn what_stands_in_the_place_of_a_secret_is_not_shown() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    for args in [
        &["run", "in.jsonl", "--base-url", "http://h:1/v1", "--model", "m"][..],
        &["config", "show"],
    ] {
        let ended = home
            .run_with(args, &[("THRONG_API_KEY_ENV", "sk-secret-1")])
            .code(2);
        assert!(!format!("{ended:?}").contains("sk-secret-1"), "{ended:?}");
        ended.says("--api-key-env must be the name of a variable, and what was given is not");
    }
    let given = home
        .run(&["run", "in.jsonl", "--api-key-env", "sk-secret-1"])
        .code(2);
    assert!(!format!("{given:?}").contains("secret"), "{given:?}");
    given.says("must be the name of a variable").says("hint:");
    let long = "A".repeat(65);
    let given = home.run(&["sim", "--require-key-env", &long]).code(2);
    assert!(!given.stderr.contains(&long), "{given:?}");

    let url = "http://user:pass-secret@127.0.0.1:1/v1?key=q-secret&x=y-secret";
    let plain = "http://127.0.0.1:1/v1?key=q-secret&x=y-secret";
    let wrong = url.replace("http", "ftp");
    let run = |url: &str| {
        home.run(&[
            "run",
            "in.jsonl",
            "--base-url",
            url,
            "--model",
            "m",
            "--backoff-base",
            "1ms",
        ])
    };
    assert!(!run(url).code(2).stderr.contains("secret"));
    let all = [
        run(plain).code(3),
        run(&wrong).code(2),
        home.run_with(&["config", "show"], &[("THRONG_BASE_URL", &wrong)])
            .code(2),
        home.run_with(&["config", "show", "--origin"], &[("THRONG_BASE_URL", url)])
            .code(0),
        home.run(&["run", "in.jsonl", "--provider", "sim", "--base-url", url])
            .code(2),
    ];
    for ended in all {
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("key=…"), "{shown}");
    }
}

#[test]
fn a_missing_key_names_both_variables() {
    let home = Home::new();
    home.run(&["config", "show"])
        .code(0)
        .prints("(none: neither THRONG_API_KEY nor OPENAI_API_KEY is set)");
}

#[test]
fn numbers_and_times_out_of_range_say_what_is_allowed() {
    let home = Home::new();
    home.questions("in.jsonl", 1);
    home.run(&["run", "in.jsonl", "--timeout", "0s"])
        .code(2)
        .says("it must be longer than zero");
    let limit = home.run(&["run", "in.jsonl", "--limit", "-1"]).code(2);
    limit
        .says("it must be a whole number of at least 0")
        .says("--limit");
    home.run(&["run", "in.jsonl", "--compare-sequential", "0"])
        .code(2)
        .says("it must be a whole number of at least 1");
}
