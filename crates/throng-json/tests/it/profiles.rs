//! The profiles against the vectors of the libraries that they follow.

use serde_json::{Value, json};
use throng_json::{Mode, Options, ParseError, Profile, Schema, parse};

use crate::baml_schema;
use crate::data::vectors;

/// A vector that is not met.
pub(crate) struct Miss {
    pub(crate) name: String,
    pub(crate) found: String,
}

/// How many vectors there were, and which were missed.
#[derive(Default)]
pub(crate) struct Score {
    pub(crate) n: usize,
    pub(crate) misses: Vec<Miss>,
}

impl Score {
    #[track_caller]
    fn at_least(&self, percent: usize) {
        let met = self.n - self.misses.len();
        let misses: Vec<String> = self
            .misses
            .iter()
            .map(|miss| format!("{}: {}", miss.name, miss.found))
            .collect();
        assert!(
            met * 100 >= self.n * percent,
            "{met} of {}:\n{}",
            self.n,
            misses.join("\n")
        );
    }

    fn count(&mut self, name: String, found: Result<Value, String>, expect: Option<&Value>) {
        self.n += 1;
        let met = match (&found, expect) {
            (Ok(found), Some(expect)) => same(found, expect),
            (Err(_), None) => true,
            _ => false,
        };
        if !met {
            let found = match found {
                Ok(value) => format!("`{value}`"),
                Err(error) => error,
            };
            self.misses.push(Miss { name, found });
        }
    }
}

fn run(profile: Profile, input: &str) -> Result<Value, String> {
    parse(input, &Options::new(Mode::Profile(profile)))
        .map(|parsed| parsed.value)
        .map_err(|error| error.to_string())
}

/// Whether two values are the same, with numbers compared as numbers: `2.0` is `2`.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

pub(crate) fn json_repair() -> Score {
    let mut score = Score::default();
    for vector in vectors("json_repair_vectors.half.jsonl") {
        let without = ["schema", "strict", "stream_stable", "schema_repair_mode"];
        let plain = without
            .iter()
            .all(|option| matches!(vector["kwargs"].get(option), None | Some(Value::Bool(false))));
        let Some(expect) = vector.get("expected_value").filter(|_| plain) else {
            continue;
        };
        let name = format!(
            "{} at {}",
            vector["test"].as_str().unwrap(),
            vector["src"].as_str().unwrap()
        );
        score.count(
            name,
            run(Profile::JsonRepair, vector["input"].as_str().unwrap()),
            Some(expect),
        );
    }
    score
}

pub(crate) fn jsonrepair() -> Score {
    let mut score = Score::default();
    for vector in vectors("jsonrepair_js_vectors.half.jsonl") {
        let expect = vector.get("expected_value");
        if expect.is_none() && vector.get("expected_error").is_none() {
            continue;
        }
        let name = vector["test"].as_str().unwrap().to_owned();
        score.count(
            name,
            run(Profile::JsonRepairJs, vector["input"].as_str().unwrap()),
            expect,
        );
    }
    score
}

/// Returns the score, and how many of the vectors must fail; all of these do.
pub(crate) fn baml() -> (Score, usize) {
    let (mut score, mut must_fail) = (Score::default(), 0);
    for vector in vectors("baml_jsonish_vectors_2024-10.half.jsonl") {
        let kind = vector["kind"].as_str().unwrap();
        if kind == "test_deserializer_with_expected_score" {
            continue;
        }
        let schema = Schema::baml(&baml_schema::schema(&vector)).unwrap();
        let input = vector["input"].as_str().unwrap();
        let found = match kind {
            "test_partial_deserializer" => schema.coerce_partial(input),
            _ => schema.coerce_text(input),
        };
        if kind == "test_failing_deserializer" {
            assert!(found.is_err(), "{}: {found:?}", vector["test"]);
            must_fail += 1;
            continue;
        }
        let found = found
            .map(|coerced| coerced.value)
            .map_err(|error| error.to_string());
        let expect = baml_schema::expected(&vector).unwrap();
        score.count(vector["test"].as_str().unwrap().to_owned(), found, Some(&expect));
    }
    (score, must_fail)
}

#[test]
fn json_repair_for_python() {
    json_repair().at_least(97);
}

#[test]
fn jsonrepair_for_javascript() {
    jsonrepair().at_least(97);
}

#[test]
fn baml_with_schema() {
    baml().0.at_least(93);
}

#[test]
fn errors_of_jsonrepair_say_where() {
    for (text, offset) in [
        ("{\"a\":2}foo", 7),
        ("callback {}", 9),
        ("\"\\u26\"", 1),
        ("{:2}", 1),
    ] {
        match parse(text, &Options::new(Mode::Profile(Profile::JsonRepairJs))) {
            Err(ParseError::Rejected { offset: found, .. }) => assert_eq!(found, offset, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn json_keeps_its_value_in_every_profile() {
    for text in [
        "{\"a\": [1, 2.5, null, true], \"b\": \"```json {} ``` // # '\"}",
        "\"{}\"",
        "[]",
        "-0.0",
        "{\"\": {}}",
    ] {
        for profile in [Profile::JsonRepair, Profile::JsonRepairJs, Profile::Baml] {
            assert_eq!(
                run(profile, text),
                Ok(serde_json::from_str(text).unwrap()),
                "{profile:?}"
            );
        }
    }
}

#[test]
fn baml_without_a_schema_gives_its_first_reading() {
    assert_eq!(
        run(Profile::Baml, "Here: {a: 1,\n b: [x, 'y']}."),
        Ok(json!({"a": 1, "b": ["x", "y"]}))
    );
}
