//! The properties that the fuzz targets check, and the replay of their corpora. This file is also compiled into the fuzz
//! targets; so it names nothing of the other test modules.

use serde_json::Value;
use throng_json::{Ending, Event, Limits, Mode, Options, Parser, Profile, Schema, parse};

fn options(seed: u8) -> Options {
    let limits = Limits {
        depth: 16,
        element_bytes: 1 << 10,
        repairs: 64,
    };
    let options = match seed % 6 {
        0 => Options::strict(),
        1 => Options::strict().batch(["id"]).steps("steps"),
        2 => Options::tolerant(),
        3 => Options::tolerant().whole(),
        4 => Options::tolerant().batch::<String>([]).keyed_by(["a1"]),
        _ => Options::tolerant().batch(["id"]).steps("steps"),
    };
    options.limits(limits)
}

fn events(body: &[u8], options: &Options, size: &mut dyn FnMut() -> usize) -> (Vec<Event>, Ending) {
    let mut parser = Parser::new(options.clone());
    let mut found = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(size().clamp(1, rest.len()));
        found.extend(parser.feed(piece));
        // Must not panic, and must not change what follows.
        drop(parser.partial());
        rest = left;
    }
    let finish = parser.finish();
    found.extend(finish.events);
    (found, finish.ending)
}

/// Takes the first byte as the options and the way to split the others, and checks that the split changes nothing and that
/// JSON is not changed.
pub(crate) fn check_parser(data: &[u8]) {
    let Some((&seed, body)) = data.split_first() else {
        return;
    };
    let options = options(seed);
    let mut state = u32::from(seed).wrapping_mul(0x9e37_79b9) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % (u32::from(seed) / 6 + 2)) as usize
    };
    let whole = events(body, &options, &mut || usize::MAX);
    assert_eq!(whole, events(body, &options, &mut || 1), "bytewise");
    assert_eq!(whole, events(body, &options, &mut random), "seed {seed}");
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let text = String::from_utf8_lossy(body);
        for options in [Options::strict(), Options::tolerant()] {
            let parsed = parse(&text, &options).expect("it is JSON");
            assert_eq!(parsed.value, value);
            assert_eq!(parsed.repairs, []);
        }
    }
}

/// Checks that no profile panics, and that schemas take any text.
pub(crate) fn check_profiles(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for profile in [Profile::JsonRepair, Profile::JsonRepairJs, Profile::Baml] {
        let parsed = parse(&text, &Options::new(Mode::Profile(profile)));
        if let (Ok(value), Ok(parsed)) = (serde_json::from_str::<Value>(&text), parsed) {
            assert_eq!(parsed.value, value, "{profile:?}");
        }
    }
    let schema = serde_json::json!({"type": "object", "properties": {
        "a": {"type": "integer"}, "b": {"enum": ["ONE", "TWO"]}, "c": {"type": "array", "items": {"$ref": "#"}},
        "d": {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}, "e": {"type": "boolean"}}});
    for schema in [Schema::new(&schema), Schema::baml(&schema)] {
        let schema = schema.expect("the schema is one");
        let _ = schema.coerce_text(&text);
        let _ = schema.coerce_partial(&text);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_corpora_replay() {
        for (name, check) in [
            ("json-parser", super::check_parser as fn(&[u8])),
            ("json-profiles", super::check_profiles),
        ] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../fuzz/corpus")
                .join(name);
            let mut n = 0;
            for entry in std::fs::read_dir(&folder).unwrap() {
                check(&std::fs::read(entry.unwrap().path()).unwrap());
                n += 1;
            }
            assert!(n > 0, "no seeds in {}", folder.display());
        }
    }
}
