//! Every input format reaches the model with the right prompt, under the right id.

use serde_json::Value;
use throng_sim::expected_text;

use crate::support::{Home, by_id};

/// Runs an input and checks the answers: the text that the simulated server of seed 7 gives to each prompt.
#[track_caller]
fn check(home: &Home, args: &[&str], expect: &[(&str, &str)]) {
    let ended = home.run(&[&["run", "--seed", "7"], args].concat()).code(0);
    answers(&ended.stdout, expect);
}

#[track_caller]
fn answers(stdout: &str, expect: &[(&str, &str)]) {
    let results = by_id(stdout);
    let ids: Vec<&str> = results.keys().map(String::as_str).collect();
    let mut expected: Vec<&str> = expect.iter().map(|(id, _)| *id).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    for (id, prompt) in expect {
        let result = &results[*id];
        assert_eq!(result["outcome"], "succeeded", "{result}");
        assert_eq!(
            result["text"],
            expected_text(7, prompt),
            "the answer to {prompt:?}"
        );
        assert_eq!(result["error"], Value::Null);
    }
}

#[test]
fn json_lines_with_and_without_ids() {
    let home = Home::new();
    home.write("in.jsonl", "\u{feff}{\"id\":\"a\",\"prompt\":\"one\"}\r\n\r\n{\"id\":7,\"question\":\"two\"}\n{\"text\":\"three\"}");
    check(
        &home,
        &["in.jsonl"],
        &[("a", "one"), ("7", "two"), ("4", "three")],
    );
}

#[test]
fn an_id_keeps_its_type() {
    let home = Home::new();
    home.write(
        "in.jsonl",
        "{\"id\":\"7\",\"prompt\":\"one\"}\n{\"id\":8,\"prompt\":\"two\"}\n{\"prompt\":\"three\"}\n",
    );
    let results = by_id(&home.run(&["run", "in.jsonl"]).code(0).stdout);
    assert!(results["7"]["id"].is_string());
    assert!(results["8"]["id"].is_number());
    assert!(results["3"]["id"].is_number());
}

#[test]
fn a_json_array_of_objects_and_texts() {
    let home = Home::new();
    home.write(
        "in.json",
        "[\n {\"id\": \"a\", \"input\": \"one\"},\n \"two\",\n {\"instruction\": \"three\"}\n]\n",
    );
    check(&home, &["in.json"], &[("a", "one"), ("2", "two"), ("3", "three")]);
}

#[test]
fn csv_with_quotes_and_line_breaks() {
    let home = Home::new();
    home.write("in.csv", "id,question\r\nx,\"one, or\ntwo\"\r\ny,three\r\n");
    check(&home, &["in.csv"], &[("x", "one, or\ntwo"), ("y", "three")]);
    home.write(
        "plain.csv",
        "question,city\r\nwhy,Bergen\r\n\"a\nb\",Ghent\r\nwho,Graz\r\n",
    );
    check(
        &home,
        &["plain.csv"],
        &[("2", "why"), ("3", "a\nb"), ("5", "who")],
    );
    home.write("in.tsv", "id\tquestion\nx\tone\n");
    check(&home, &["in.tsv"], &[("x", "one")]);
}

#[test]
fn plain_lines_by_name_and_by_content() {
    let home = Home::new();
    home.write("in.txt", "one\n\n  two  \n");
    check(&home, &["in.txt"], &[("1", "one"), ("3", "  two  ")]);
    let ended = home.pipe(&["run", "-", "--seed", "7"], "one\ntwo\n").code(0);
    answers(&ended.stdout, &[("1", "one"), ("2", "two")]);
}

#[test]
fn standard_input_in_every_format() {
    let home = Home::new();
    let all = [
        ("{\"id\":\"a\",\"prompt\":\"one\"}\n", "jsonl"),
        ("[{\"id\":\"a\",\"prompt\":\"one\"}]", "json"),
        ("id,prompt\na,one\n", "csv"),
        ("id\tprompt\na\tone\n", "tsv"),
    ];
    for (text, format) in all {
        let guessed = home.pipe(&["run", "-", "--seed", "7"], text).code(0);
        answers(&guessed.stdout, &[("a", "one")]);
        let named = home
            .pipe(&["run", "-", "--seed", "7", "--input-format", format], text)
            .code(0);
        answers(&named.stdout, &[("a", "one")]);
    }
}

#[test]
fn several_inputs_have_ids_of_their_own() {
    let home = Home::new();
    home.write("a.txt", "one\n")
        .write("b.txt", "two\n")
        .write("c.jsonl", "{\"id\":\"c\",\"prompt\":\"three\"}\n");
    check(
        &home,
        &["a.txt", "b.txt", "c.jsonl"],
        &[("a.txt:1", "one"), ("b.txt:1", "two"), ("c", "three")],
    );
}

#[test]
fn a_field_and_a_template_make_the_prompt() {
    let home = Home::new();
    home.write("in.jsonl", "{\"id\":\"a\",\"city\":\"Graz\",\"at\":{\"n\":3}}\n");
    check(&home, &["in.jsonl", "--prompt-field", "city"], &[("a", "Graz")]);
    check(&home, &["in.jsonl", "--prompt-field", "at.n"], &[("a", "3")]);
    check(
        &home,
        &["in.jsonl", "--template", "{{{city}}} has {at.n}"],
        &[("a", "{Graz} has 3")],
    );
    home.write("in.txt", "Graz\n");
    check(
        &home,
        &["in.txt", "--template", "Where is {line}?"],
        &[("1", "Where is Graz?")],
    );
}

#[test]
fn a_system_message_and_whole_conversations_are_sent() {
    let home = Home::new();
    // The simulated server knows a prompt by all of its messages, joined by line feeds.
    home.write("in.txt", "one\n");
    check(
        &home,
        &["in.txt", "--system", "Be brief."],
        &[("1", "Be brief.\none")],
    );
    home.write(
        "chat.jsonl",
        "{\"id\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"},\
         {\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"z\"}]}]}\n",
    );
    check(&home, &["chat.jsonl"], &[("a", "x\ny\nz")]);
    check(&home, &["chat.jsonl", "--system", "s"], &[("a", "s\nx\ny\nz")]);
}

#[test]
fn a_limit_takes_the_first_records() {
    let home = Home::new();
    home.write("in.txt", "one\ntwo\nthree\n");
    check(&home, &["in.txt", "--limit", "2"], &[("1", "one"), ("2", "two")]);
    let ended = home
        .pipe(&["run", "-", "--seed", "7", "--limit", "1"], "one\ntwo\n")
        .code(0);
    answers(&ended.stdout, &[("1", "one")]);
}

#[test]
fn a_dry_run_sends_nothing_and_says_what_it_would_send() {
    let home = Home::new();
    home.questions("in.jsonl", 5);
    let ended = home
        .run(&["run", "in.jsonl", "--dry-run", "--out", "out.jsonl"])
        .code(0);
    let ended = ended
        .prints("5 prompts would be sent")
        .prints("q1: What is remarkable");
    assert!(!home.path("out.jsonl").exists(), "{ended:?}");
    let json = home
        .run(&["run", "in.jsonl", "--dry-run", "--output", "json"])
        .code(0);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&json["to_send"], &json["samples"][2]["id"]),
        (&5.into(), &"q3".into())
    );
    assert_eq!(json["estimated_input_tokens"], 5 * 10, "40 characters each");
}

#[test]
fn the_examples_of_the_repository_work() {
    let home = Home::new();
    let example = |name: &str| format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"));
    home.run(&["run", &example("questions.jsonl"), "--dry-run"])
        .code(0)
        .prints("300 prompts would be sent");
    home.run(&["run", &example("prompts.txt"), "--dry-run"])
        .code(0)
        .prints("40 prompts would be sent");
    let template = "Name three sights of {city}, {country}, for somebody who likes {interest}.";
    let csv = home
        .run(&[
            "run",
            &example("questions.csv"),
            "--template",
            template,
            "--dry-run",
        ])
        .code(0);
    csv.prints("24 prompts would be sent")
        .prints("Name three sights of Lisbon, Portugal");
}
