//! Which texts are the same answer, and that no two different JSON values ever are.

use std::collections::BTreeMap;

use proptest::prelude::*;
use throng_exec::{Equivalence, unique_by};

fn check(equivalence: Equivalence, text: &str, key: &str) {
    assert_eq!(equivalence.key(text), key, "{text:?}");
    assert_eq!(equivalence.key(key), key, "the key of a key is the key");
}

#[test]
fn exact_keys_are_the_text() {
    check(Equivalence::Exact, " Paris.\n", " Paris.\n");
}

#[test]
fn normalised_keys_drop_case_space_marks_and_final_punctuation() {
    for text in [
        "Paris",
        " paris ",
        "PARIS.",
        "**Paris**",
        "\"Paris.\"",
        "“Paris”!",
        "`paris`",
        "**\"Paris\"**.",
        "_Paris_ .",
        "***Paris***",
        "«Paris»",
        "'Paris'?!",
        "Paris…",
        "paris。",
        "```\nparis\n```",
    ] {
        check(Equivalence::Normalised, text, "paris");
    }
    check(Equivalence::Normalised, "New \t\n York", "new york");
    check(Equivalence::Normalised, "ÉCOLE", "école");
    check(Equivalence::Normalised, "ΟΔΟΣ", "οδος");
}

#[test]
fn normalised_keys_keep_what_tells_answers_apart() {
    for text in [
        "-1.5",
        "1.5",
        "15",
        "c++",
        "the answer",
        "'tis",
        "*",
        "...",
        "\"\"",
        "",
        "?",
        "\"a\" or \"b\"",
        "*a* and *b*",
        "50%",
        "(x)",
        "# 7",
        "$5",
        "- 5",
    ] {
        check(Equivalence::Normalised, text, text);
    }
}

#[test]
fn json_keys_are_canonical() {
    for (text, key) in [
        (
            r#" { "b" : [ 1.0 , 2e0 ] , "a" : null } "#,
            r#"{"a":null,"b":[1,2]}"#,
        ),
        (r#"{"a":{"d":true,"c":false}}"#, r#"{"a":{"c":false,"d":true}}"#),
        (r#""\u00e9\/\u0001\n""#, "\"é/\\u0001\\n\""),
        ("[]", "[]"),
        ("{ }", "{}"),
        // By UTF-16 code units, U+1F600 (a surrogate pair) comes before U+FB33.
        (
            "{\"\u{fb33}\":1,\"\u{1f600}\":2}",
            "{\"\u{1f600}\":2,\"\u{fb33}\":1}",
        ),
    ] {
        check(Equivalence::Json, text, key);
    }
}

#[test]
fn json_numbers_are_compared_by_value_and_never_rounded() {
    for (text, key) in [
        ("1", "1"),
        ("1.0", "1"),
        ("1e0", "1"),
        ("10E-1", "1"),
        ("0.1e+1", "1"),
        ("-0", "0"),
        ("0.0e99", "0"),
        ("-1.50", "-1.5"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740992", "9007199254740992"),
        ("18446744073709551617", "18446744073709551617"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1e400", "1e+400"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("12e-10", "1.2e-9"),
        (
            "0.1000000000000000055511151231257827",
            "0.1000000000000000055511151231257827",
        ),
    ] {
        check(Equivalence::Json, text, key);
    }
}

#[test]
fn what_is_not_json_is_compared_as_text_and_equals_no_json() {
    for (text, key) in [
        ("Paris.", "text: paris"),
        ("text: paris", "text: paris"),
        ("**42**", "text: 42"),
        ("", "text: "),
        ("text:", "text: text"),
        ("01", "text: 01"),
        ("1.", "text: 1"),
        (".5", "text: .5"),
        ("[1,]", "text: [1,]"),
        ("{\"a\":1,\"a\":2}", "text: {\"a\":1,\"a\":2}"),
        ("\"\\ud800\"", "text: \\ud800"),
        ("1 2", "text: 1 2"),
        ("nul", "text: nul"),
        ("1e9999999999999999999", "text: 1e9999999999999999999"),
    ] {
        check(Equivalence::Json, text, key);
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(Equivalence::Json.key(&nested(128)), nested(128));
    assert!(Equivalence::Json.key(&nested(129)).starts_with("text: "));
    assert!(Equivalence::Json.key(&nested(1_000_000)).starts_with("text: "));
}

#[test]
fn unique_keeps_the_first_of_each_group_and_says_what_was_folded() {
    let unique = unique_by([3, 13, 4, 23, 14], |n| n % 10);
    assert_eq!(unique.items, [3, 4]);
    assert_eq!(unique.groups, [vec![0, 1, 3], vec![2, 4]]);
    assert_eq!(unique.folded(), 3);
    assert!(unique_by(Vec::<u8>::new(), |n| *n).items.is_empty());
}

/// A JSON value whose numbers are a whole number without final zeros, and a power of ten.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(i64, i16),
    Text(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

fn number(mut digits: i64, mut power: i16) -> Json {
    while digits % 10 == 0 && digits != 0 {
        (digits, power) = (digits / 10, power + 1);
    }
    Json::Number(digits, if digits == 0 { 0 } else { power })
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (any::<i64>(), -30_i16..30).prop_map(|(digits, power)| number(digits, power)),
        (-2_i64..3, -1_i16..2).prop_map(|(digits, power)| number(digits, power)),
        "[a-c\"\\\\\u{1}é\u{1f600}]{0,3}".prop_map(Json::Text),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::btree_map("[a-cé\u{1f600}\u{fb33}]{0,2}", inner, 0..4).prop_map(Json::Object),
        ]
    })
}

/// Writes a value in one of its many spellings.
fn spell(json: &Json, rng: &mut fastrand::Rng) -> String {
    let spaced = |text: &str, rng: &mut fastrand::Rng| {
        let space = |rng: &mut fastrand::Rng| *rng.choice(&["", " ", "\n\t", "\r"]).unwrap();
        format!("{}{text}{}", space(rng), space(rng))
    };
    let text = match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(digits, power) => match rng.u8(0..4) {
            0 if *power >= 0 => format!(
                "{digits}{}",
                if *digits == 0 {
                    String::new()
                } else {
                    "0".repeat(*power as usize)
                }
            ),
            1 => format!("{digits}.00e{power}"),
            2 => format!("{digits}E{power:+}"),
            _ if *digits != 0 => format!("{digits}000e{}", power - 3),
            _ => "-0.0".to_owned(),
        },
        Json::Text(text) => spell_text(text, rng),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| spell(item, rng)).collect();
            spaced(&format!("[{}]", items.join(",")), rng)
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members
                .iter()
                .map(|(name, value)| {
                    let name = spell_text(name, rng);
                    format!("{}:{}", spaced(&name, rng), spell(value, rng))
                })
                .collect();
            rng.shuffle(&mut members);
            format!("{{{}}}", members.join(","))
        }
    };
    spaced(&text, rng)
}

fn spell_text(text: &str, rng: &mut fastrand::Rng) -> String {
    let escaped = |c: char| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units)
            .iter()
            .map(|unit| format!("\\u{unit:04X}"))
            .collect::<String>()
    };
    let body: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' if rng.bool() => format!("\\{c}"),
            '"' | '\\' | '\u{1}' => escaped(c),
            c if rng.bool() => escaped(c),
            c => c.to_string(),
        })
        .collect();
    format!("\"{body}\"")
}

proptest! {
    #[test]
    fn the_key_of_a_key_is_the_key(text in "[ \t.,!?\"'*_`a-bA-BΣİ0-1{}\\[\\]:“”…e-]{0,12}") {
        for equivalence in [Equivalence::Exact, Equivalence::Normalised, Equivalence::Json] {
            let key = equivalence.key(&text).into_owned();
            prop_assert_eq!(equivalence.key(&key).into_owned(), key.clone(), "{:?} of {:?}", equivalence, text);
        }
    }

    #[test]
    fn every_spelling_of_a_json_value_has_the_same_key(value in json(), seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (one, other) = (spell(&value, &mut rng), spell(&value, &mut rng));
        let key = Equivalence::Json.key(&one);
        prop_assert!(!key.starts_with("text: "), "{}", one);
        prop_assert_eq!(&key, &Equivalence::Json.key(&other));
        prop_assert_eq!(&Equivalence::Json.key(&key), &key);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&key).is_ok(), "{}", key);
    }

    #[test]
    fn different_json_values_have_different_keys(one in json(), other in json(), seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (a, b) = (spell(&one, &mut rng), spell(&other, &mut rng));
        prop_assert_eq!(Equivalence::Json.key(&a) == Equivalence::Json.key(&b), one == other, "{} {}", a, b);
    }

    #[test]
    fn what_is_not_json_never_has_the_key_of_json(text in "[ a-b0-1{}\\[\\]\",.:e*-]{0,8}") {
        let is_json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let key = Equivalence::Json.key(&text);
        prop_assert!(is_json || key.starts_with("text: "), "{}", key);
    }
}
