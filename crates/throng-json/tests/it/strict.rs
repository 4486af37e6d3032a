//! Strict mode against RFC 8259 and serde_json.

use proptest::prelude::*;
use serde_json::Value;
use throng_json::{Ending, Event, Options, Parser, parse};

use crate::data::data;
use crate::split::{all_options, events};

fn accepts(text: &[u8], options: &Options, size: usize) -> bool {
    let cuts: Vec<usize> = (0..text.len()).step_by(size).collect();
    events(text, &cuts, options).1 == Ending::Whole
}

#[test]
fn the_json_test_suite_incrementally() {
    let Some(folder) = data("json") else { return };
    let (mut accepted, mut rejected) = (0, 0);
    for entry in std::fs::read_dir(folder.join("JSONTestSuite")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name.starts_with("i_") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let should = name.starts_with("y_");
        for options in [
            Options::strict(),
            Options::strict().whole(),
            Options::strict().batch::<String>([]),
        ] {
            for size in [1, 7, usize::MAX] {
                assert_eq!(
                    accepts(&text, &options, size),
                    should,
                    "{name} in pieces of {size}: {options:?}"
                );
            }
        }
        if should { accepted += 1 } else { rejected += 1 }
    }
    assert_eq!((accepted, rejected), (95, 188));
}

#[test]
fn a_strict_parse_says_where_it_ends() {
    for (text, offset) in [
        ("[1, 2} ", 5),
        ("{\"a\" 1}", 5),
        ("[1] x", 4),
        ("\u{feff}[]", 0),
        ("[\"a\\x\"]", 4),
    ] {
        let mut parser = Parser::new(Options::strict());
        let mut found: Vec<Event> = parser.feed(text.as_bytes()).collect();
        let finish = parser.finish();
        found.extend(finish.events);
        assert_eq!(finish.ending, Ending::Malformed, "{text}");
        let Some(Event::Rejected(rejected)) = found.last() else {
            panic!("{text}: {found:?}")
        };
        assert_eq!(rejected.offset, offset, "{text}: {rejected:?}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\"\\\\/{}\\[\\],:\\n\\t`'<>. a]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let key = prop_oneof![
            "[a-c]{1,2}",
            "[\"\\\\{}\\[\\],:\\n ]{0,6}",
            Just("id".to_owned()),
            Just("steps".to_owned())
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_never_altered(value in values(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        for options in [Options::strict(), Options::tolerant()] {
            let parsed = parse(&text, &options).unwrap();
            prop_assert_eq!(&parsed.value, &value);
            prop_assert_eq!(parsed.repairs.len(), 0);
        }
        for options in all_options() {
            let (found, ending) = events(text.as_bytes(), &[], &options);
            if value.is_object() || value.is_array() {
                prop_assert_eq!(ending, Ending::Whole, "{:?} {}", options, text);
            }
            for event in found {
                match event {
                    Event::Rejected(rejected) => prop_assert!(false, "{:?}", rejected),
                    Event::ElementComplete(element) => {
                        let bytes = &text[element.span.start as usize..element.span.end as usize];
                        prop_assert_eq!(&element.value, &serde_json::from_str::<Value>(bytes).unwrap_or_default());
                    }
                    _ => {}
                }
            }
        }
    }
}
