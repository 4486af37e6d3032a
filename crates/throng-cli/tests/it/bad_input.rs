//! Bad input of every kind ends with its exit code, a message that names the place, and a hint.

use crate::support::Home;

#[track_caller]
fn check(input: (&str, &[u8]), args: &[&str], code: i32, says: &[&str]) {
    let home = Home::new();
    home.write(input.0, input.1);
    let mut ended = home.run(&[&["run", input.0], args].concat()).code(code);
    assert_eq!(ended.stdout, "", "nothing is sent");
    for text in says.iter().chain(&["error:", "\nhint: "]) {
        ended = ended.says(text);
    }
}

#[test]
fn a_wrong_line_is_named_before_anything_is_sent() {
    check(
        ("in.jsonl", b"{\"prompt\":\"a\"}\n{oops\n"),
        &[],
        2,
        &[
            "in.jsonl, line 2: it is not valid JSON: key must be a string at character 2",
            "--skip-invalid",
        ],
    );
    check(
        ("in.jsonl", b"{\"prompt\":\"a\"}\n[1]\n"),
        &[],
        2,
        &["line 2: it is an array, not an object"],
    );
    check(
        ("in.jsonl", b"{\"prompt\":\"a\"}\n{\"prompt\":\"\xff\"}\n"),
        &[],
        2,
        &["line 2: it is not valid UTF-8"],
    );
    check(
        ("in.json", b"[{\"prompt\":\"a\"},\n{\"prompt\":1 2}]"),
        &[],
        2,
        &["item 2 (line 2)", "not valid JSON"],
    );
    check(
        ("in.json", b"[{\"prompt\":\"a\"}"),
        &[],
        2,
        &["the array is not closed"],
    );
    check(
        ("in.csv", b"id,prompt\n1,a\n2,b,c\n"),
        &[],
        2,
        &["line 3: it has 3 values", "double quotes"],
    );
    check(
        ("in.csv", b"id,id\n1,a\n"),
        &[],
        2,
        &["names the column \"id\" twice"],
    );
    check(
        ("in.txt", b"ok\n\xff\xfe\n"),
        &[],
        2,
        &["line 2: it is not valid UTF-8", "iconv"],
    );
}

#[test]
fn several_wrong_lines_are_named_together() {
    let text = "{\n".repeat(9);
    check(
        ("in.jsonl", text.as_bytes()),
        &[],
        2,
        &["line 1", "also in.jsonl, line 5", "and 4 more wrong records"],
    );
}

#[test]
fn a_missing_field_is_named_with_the_nearest_one() {
    let record = b"{\"id\":1,\"questoin\":\"a\",\"city\":\"b\"}\n";
    check(
        ("in.jsonl", record),
        &[],
        2,
        &[
            "line 1",
            "the record has `city`, `id`, `questoin`",
            "--prompt-field questoin",
        ],
    );
    check(
        ("in.jsonl", record),
        &["--prompt-field", "question"],
        2,
        &["no field `question`", "did you mean `questoin`?"],
    );
    check(
        ("in.jsonl", record),
        &["--template", "{town}"],
        2,
        &["no field `town`", "the record has"],
    );
    check(
        ("in.jsonl", b"{\"prompt\":{\"a\":1}}\n"),
        &[],
        2,
        &["`prompt` is an object, not a text", "--template"],
    );
    check(
        ("in.jsonl", b"{\"prompt\":\"\"}\n"),
        &[],
        2,
        &["the prompt is empty"],
    );
    check(
        ("in.jsonl", b"{\"id\":[],\"prompt\":\"a\"}\n"),
        &[],
        2,
        &["`id` is an array"],
    );
}

#[test]
fn a_repeated_id_names_both_lines() {
    let text = b"{\"id\":\"x\",\"prompt\":\"a\"}\n\n{\"id\":\"y\",\"prompt\":\"a\"}\n{\"id\":\"x\",\"prompt\":\"b\"}\n";
    check(
        ("in.jsonl", text),
        &[],
        2,
        &["line 4", "the same id \"x\" as on line 1"],
    );
    let mixed = b"{\"prompt\":\"a\"}\n{\"id\":1,\"prompt\":\"b\"}\n";
    check(
        ("in.jsonl", mixed),
        &[],
        2,
        &["line 2", "the same id \"1\" as on line 1"],
    );
}

#[test]
fn a_number_of_a_blank_line_is_a_good_id() {
    let home = Home::new();
    home.write(
        "in.jsonl",
        "{\"prompt\":\"a\"}\n\n{\"prompt\":\"b\"}\n{\"id\":2,\"prompt\":\"c\"}\n",
    );
    home.run(&["run", "in.jsonl", "--out", "out.jsonl"]).code(0);
    assert_eq!(
        home.results("out.jsonl").keys().collect::<Vec<_>>(),
        ["1", "2", "3"]
    );
}

#[test]
fn what_is_no_text_is_refused_by_name() {
    check(
        ("in.txt.gz", b"\x1f\x8b\x08\x00"),
        &[],
        2,
        &["compressed with gzip", "gunzip -c"],
    );
    check(("in.txt", b"\xff\xfeh\0i\0"), &[], 2, &["it is UTF-16"]);
    check(
        ("in.txt", b"hi\n"),
        &["--template", "x {y"],
        2,
        &["the `{` at character 3 is never closed"],
    );
    check(("in.txt", b"hi\n"), &["--template", "x"], 2, &["names no field"]);
    check(
        ("in.txt", b"hi\n"),
        &["--template", "{line}", "--prompt-field", "line"],
        2,
        &["--prompt-field and --template say two things"],
    );
}

#[test]
fn an_input_that_is_not_there_or_empty() {
    let home = Home::new();
    home.run(&["run", "nope.jsonl"])
        .code(2)
        .says("cannot read nope.jsonl")
        .says("hint: check the path");
    home.run(&["run", "."])
        .code(2)
        .says("Is a directory")
        .says("hint: name the files inside it");
    home.questions("in.jsonl", 1);
    home.run(&["run", "in.jsonl", "nope.jsonl"])
        .code(2)
        .says("cannot read nope.jsonl");
    home.pipe(&["run", "-", "nope.jsonl"], "x\n")
        .code(2)
        .says("cannot read nope.jsonl");
    check(("in.jsonl", b"\n\n"), &[], 4, &["selects nothing"]);
    check(("in.txt", b"a\n"), &["--limit", "0"], 4, &["--limit 0"]);
    home.pipe(&["run", "-"], "")
        .code(4)
        .says("selects nothing")
        .says("\nhint: ");
}

#[test]
fn wrong_records_can_be_left_out_and_are_counted() {
    let home = Home::new();
    home.write("in.jsonl", "{\"id\":1,\"prompt\":\"a\"}\n{oops\n{\"x\":1}\n{\"id\":1,\"prompt\":\"b\"}\n{\"id\":2,\"prompt\":\"c\"}\n");
    let args = [
        "run",
        "in.jsonl",
        "--skip-invalid",
        "--out",
        "out.jsonl",
        "--summary",
        "s.json",
    ];
    home.run(&args)
        .code(0)
        .says("left out: in.jsonl, line 2")
        .says("left out: in.jsonl, line 4");
    assert_eq!(home.results("out.jsonl").keys().collect::<Vec<_>>(), ["1", "2"]);
    let summary: serde_json::Value = serde_json::from_str(&home.read("s.json")).unwrap();
    assert_eq!(
        (&summary["total"], &summary["succeeded"], &summary["skipped"]),
        (&5.into(), &2.into(), &3.into())
    );
    assert_eq!(summary["skipped_invalid"], 3);
}

#[test]
fn a_wrong_line_on_standard_input_keeps_what_was_done() {
    let home = Home::new();
    let input =
        "{\"id\":1,\"prompt\":\"a\"}\n{\"id\":2,\"prompt\":\"b\"}\n{oops\n{\"id\":3,\"prompt\":\"c\"}\n";
    let ended = home.pipe(&["run", "-", "--out", "out.jsonl"], input).code(2);
    ended
        .says("standard input, line 3: it is not valid JSON")
        .says("the records before it were sent");
    assert_eq!(home.results("out.jsonl").keys().collect::<Vec<_>>(), ["1", "2"]);
    let twice = "{\"id\":1,\"prompt\":\"a\"}\n{\"id\":1,\"prompt\":\"b\"}\n";
    home.pipe(&["run", "-"], twice)
        .code(2)
        .says("line 2: the record has the same id \"1\" as an earlier record");
    home.pipe(&["run", "-", "--skip-invalid"], input)
        .code(0)
        .says("left out: standard input, line 3");
}

#[test]
fn bad_flags_are_usage_errors() {
    let home = Home::new();
    home.write("in.txt", "a\n");
    home.run(&["run", "in.txt", "--rpm", "0"])
        .code(2)
        .says("it must be a whole number of at least 1");
    home.run(&["run", "in.txt", "--timeout", "30"])
        .code(2)
        .says("with its unit");
    home.run(&["run", "in.txt", "--resume"]).code(2).says("--out");
    home.run(&["run", "in.txt", "--out", "o", "--resume", "--overwrite"])
        .code(2)
        .says("cannot be used with");
    home.run(&["run", "in.txt", "--max-concurent", "3"])
        .code(2)
        .says("--max-concurrent");
    home.run(&["run", "in.txt", "--base-url", "localhost:1"])
        .code(2)
        .says("begins with http://");
    home.run(&["run", "in.txt", "--log", "a=b=c"])
        .code(2)
        .says("the log filter")
        .says("hint:");
    home.run(&["run", "in.txt", "--provider", "sim", "--base-url", "http://h/v1"])
        .code(2)
        .says("hint:");
    home.run(&["run", "-", "-"]).code(2).says("named twice");
    home.run(&[]).code(2).says("Usage: throng");
}

#[test]
fn a_quote_that_is_never_closed_is_named_by_its_line() {
    let text = b"id,prompt\n1,a\n2,\"b\n3,c\n4,d\n";
    check(
        ("in.csv", text),
        &["--skip-invalid"],
        2,
        &["in.csv, line 3: a double quote opens a value here and is never closed"],
    );
    check(
        ("in.csv", b"id,\"prompt\n1,a\n"),
        &[],
        2,
        &["line 1", "never closed"],
    );
}

#[test]
fn another_separator_is_recognised() {
    check(
        ("in.csv", b"id;prompt\n1;a\n"),
        &[],
        2,
        &["line 2", "separated by `;`"],
    );
    check(
        ("in.csv", b"id;prompt\n1;a, b\n"),
        &[],
        2,
        &[
            "it has 2 values, but the header names 1 column\n",
            "separated by `;`",
        ],
    );
}

#[test]
fn an_input_of_wrong_records_alone_selects_nothing() {
    let expect = [
        "all 3 records are wrong, so there is nothing to do",
        "line 1: it is not valid JSON",
    ];
    check(("in.jsonl", b"{\n{\n{\n"), &["--skip-invalid"], 4, &expect);
    check(
        ("in.jsonl", b"{\n{\n{\n"),
        &["--skip-invalid", "--dry-run"],
        4,
        &expect,
    );
    check(
        ("in.jsonl", b""),
        &["--dry-run"],
        4,
        &["the input selects nothing to do"],
    );
    let home = Home::new();
    let args = ["run", "-", "--skip-invalid", "--input-format", "jsonl"];
    let ended = home.pipe(&args, "{\n{\n{\n").code(4);
    ended.says(expect[0]).says(expect[1]);
}
