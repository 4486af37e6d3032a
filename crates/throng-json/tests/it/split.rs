//! However a text is split, the events are the same.

use proptest::prelude::*;
use throng_json::{Ending, Event, Finish, Options, Parser};

/// Parses a text in pieces that end at `cuts`.
pub(crate) fn events(text: &[u8], cuts: &[usize], options: &Options) -> (Vec<Event>, Ending) {
    let mut parser = Parser::new(options.clone());
    let mut found = Vec::new();
    let mut from = 0;
    for &cut in cuts.iter().chain([&text.len()]) {
        found.extend(parser.feed(&text[from..cut]));
        from = cut;
    }
    let Finish { events, ending } = parser.finish();
    found.extend(events);
    (found, ending)
}

/// Every way in which the tests parse.
pub(crate) fn all_options() -> Vec<Options> {
    vec![
        Options::strict(),
        Options::strict().whole(),
        Options::strict().batch(["id"]).steps("steps"),
        Options::tolerant(),
        Options::tolerant().whole(),
        Options::tolerant().steps("steps"),
        Options::tolerant().batch(["id"]).steps("steps"),
        Options::tolerant().batch::<String>([]).keyed_by(["a1", "a2"]),
    ]
}

/// Asserts that each split in two, a byte at a time, and pieces of three bytes give the events of the whole.
pub(crate) fn check(text: &[u8]) {
    for options in all_options() {
        let whole = events(text, &[], &options);
        let each: Vec<usize> = (0..text.len()).collect();
        assert_eq!(
            events(text, &each, &options),
            whole,
            "byte by byte: {options:?}\n{}",
            String::from_utf8_lossy(text)
        );
        let threes: Vec<usize> = (0..text.len()).step_by(3).collect();
        assert_eq!(events(text, &threes, &options), whole, "by threes: {options:?}");
        for cut in 0..text.len().min(400) {
            assert_eq!(
                events(text, &[cut], &options),
                whole,
                "at {cut}: {options:?}\n{}",
                String::from_utf8_lossy(text)
            );
        }
    }
}

#[test]
fn awkward_texts_split_alike() {
    for text in [
        r#"{"plans":[{"id":1,"steps":[{"a":"\ud83d\ude00"},{"b":[1,2]}]},{"id":2}]}"#,
        "\u{feff}Sure [1]: <think>{\"x\": [</think>\n```json\n[{'id': 1, 'steps': [1, 'two', {a: 3}]}, {\"id\": 2,}]\n```\nDone {ok}.",
        r#"{"a":"he said "hi", ok","b":2} {"a": "foo, "b": 1}"#,
        r#"[{"a":"foo}, {"b":"bar"}, {"c":1}]"#,
        r#""[{\"id\": 1, \"t\": \"\ud83d\ude00 \\\"q\\\" \"}, {\"id\": 2}]""#,
        r#"{"a1":{"steps":[{"x":1}]},"a2":{"steps":[]},"a3":{"q":1}}"#,
        "{\"a\": tru, // c\n 'b': .5, /* x */ c: \u{201c}smart\u{201d}, ...}",
        "[1, 2.5e3, true, null, \"x\"",
        "\u{e9} {\"\u{e9}\": \"\u{1f600}\"} \u{1f600}",
        "{\"id\":1,\"s\":\"\\ud83d\\u00e9 \\ud83d x \\q \\u12\"} [[[]]]",
        "{ id : 1 , x : [ 1 2 3 } ] {",
        "12.5",
        "\"text\"",
        "True",
        "no json here",
        "{",
        "[",
        "\u{feff}",
        "<thi",
        "```",
    ] {
        check(text.as_bytes());
    }
    check(b"{\"a\": \"\xff\xfe\", \"b\": \"\xe2\x80\"}");
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just("\""),
        Just("'"),
        Just(","),
        Just(":"),
        Just("\n"),
        Just(" "),
        Just("\"id\""),
        Just("\"steps\":["),
        Just("a"),
        Just("true"),
        Just("nul"),
        Just("1"),
        Just("-"),
        Just("."),
        Just("\\"),
        Just("\\u"),
        Just("d83d"),
        Just("```json\n"),
        Just("```"),
        Just("<think>"),
        Just("</think>"),
        Just("//"),
        Just("/*"),
        Just("*/"),
        Just("#"),
        Just("\u{201c}"),
        Just("\u{201d}"),
        Just("\u{e9}"),
        Just("{\"id\":1}"),
        Just("}, {\""),
        Just("\"x\": \"y\""),
        Just("\", \"b\": 1"),
        Just("\"[{\\\"a\\\":1}]\""),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn cases() -> u32 {
    std::env::var("THRONG_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn any_split_of_any_text_gives_the_same_events(text in pieces(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let text = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        for options in all_options() {
            let whole = events(text, &[], &options);
            let each: Vec<usize> = (0..text.len()).collect();
            prop_assert_eq!(&events(text, &cuts, &options), &whole);
            prop_assert_eq!(&events(text, &each, &options), &whole);
        }
    }
}
