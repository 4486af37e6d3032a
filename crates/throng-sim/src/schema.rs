//! Values that satisfy a JSON schema, for tool arguments and structured answers. Simple schemas are satisfied; what
//! is not understood (patterns, conditions, intersections) is passed over.

use fastrand::Rng;
use serde_json::{Map, Number, Value};

use crate::hash::{Purpose, prompt_hash, rng};

/// How deep a value may nest and how many values it may hold: a schema comes from the client, so its size is
/// limited here.
const MAX_DEPTH: u32 = 24;
const MAX_VALUES: u32 = 2_000;
const MAX_STRING: u64 = 1_000;

/// Returns the arguments with which a server of this seed calls a function whose parameters have this schema, when
/// a request for `prompt` makes it call one.
///
/// Understood are `type` (the first of several), `const`, `enum`, `default`-less `properties` with `required` (only
/// required properties appear), `items` with `minItems`, `minimum`, `maximum`, `exclusiveMinimum`,
/// `exclusiveMaximum`, `multipleOf`, `minLength`, `maxLength`, `anyOf` and `oneOf` (their first), `allOf` (objects
/// only), and `$ref` within the schema. The same value answers a request for structured output.
pub fn expected_arguments(seed: u64, prompt: &str, schema: &Value) -> Value {
    arguments(seed, prompt_hash(prompt), 0, schema)
}

pub(crate) fn arguments(seed: u64, prompt: u64, choice: u32, schema: &Value) -> Value {
    let rng = rng(seed, prompt, Purpose::Schema, [u64::from(choice), 0]);
    Writer {
        root: schema,
        rng,
        left: MAX_VALUES,
    }
    .value(schema, MAX_DEPTH)
}

struct Writer<'a> {
    root: &'a Value,
    rng: Rng,
    left: u32,
}

impl<'a> Writer<'a> {
    fn value(&mut self, schema: &'a Value, depth: u32) -> Value {
        if depth == 0 || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.value(target, depth - 1));
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return self.rng.choice(values).cloned().unwrap_or_default();
        }
        let alternatives = ["anyOf", "oneOf"].into_iter().find_map(|key| schema.get(key));
        if let Some(first) = alternatives.and_then(|all| all.get(0)) {
            return self.value(first, depth - 1);
        }
        match type_of(schema) {
            "string" => Value::String(self.string(schema)),
            "integer" => self.integer(schema),
            "number" => self.number(schema),
            "boolean" => Value::Bool(self.rng.bool()),
            "null" => Value::Null,
            "array" => self.array(schema, depth),
            _ => self.object(schema, depth),
        }
    }

    fn object(&mut self, schema: &'a Value, depth: u32) -> Value {
        let mut object = Map::new();
        let parts = schema
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for part in parts {
            if let Value::Object(fields) = self.value(part, depth - 1) {
                object.extend(fields);
            }
        }
        let required = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for name in required.filter_map(Value::as_str) {
            if self.left == 0 {
                break;
            }
            let property = schema
                .get("properties")
                .and_then(|all| all.get(name))
                .unwrap_or(&Value::Null);
            let value = self.value(property, depth - 1);
            object.insert(name.to_owned(), value);
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &'a Value, depth: u32) -> Value {
        let max = whole(schema, "maxItems").unwrap_or(u64::MAX);
        let n = whole(schema, "minItems").unwrap_or(1).max(1).min(max);
        let items = schema.get("items").unwrap_or(&Value::Null);
        let mut array = Vec::new();
        for _ in 0..n {
            if self.left == 0 {
                break;
            }
            array.push(self.value(items, depth - 1));
        }
        Value::Array(array)
    }

    fn string(&mut self, schema: &Value) -> String {
        match schema.get("format").and_then(Value::as_str) {
            Some("date") => return "2024-02-29".to_owned(),
            Some("date-time") => return "2024-02-29T12:00:00Z".to_owned(),
            Some("time") => return "12:00:00Z".to_owned(),
            Some("email") => return "someone@example.com".to_owned(),
            Some("uri" | "url") => return "https://example.com/".to_owned(),
            Some("uuid") => return "6f1c1f0a-0f5b-4b7e-8a51-3d0f5b1f9e10".to_owned(),
            _ => {}
        }
        const WORDS: &[&str] = &[
            "amber", "birch", "cobalt", "dune", "été", "fjord", "grün", "halo", "東京",
        ];
        let mut text = self.rng.choice(WORDS).copied().unwrap_or_default().to_owned();
        let min = whole(schema, "minLength").unwrap_or(0).min(MAX_STRING);
        let missing = min.saturating_sub(text.chars().count() as u64);
        text.extend((0..missing).map(|_| 'x'));
        if let Some(max) = whole(schema, "maxLength") {
            text = text
                .chars()
                .take(usize::try_from(max).unwrap_or(usize::MAX))
                .collect();
        }
        text
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let bound = |key| schema.get(key).and_then(whole_bound);
        let low = bound("minimum").or(bound("exclusiveMinimum").map(|low| low.saturating_add(1)));
        let high = bound("maximum").or(bound("exclusiveMaximum").map(|high| high.saturating_sub(1)));
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low.saturating_add(100)),
            (None, Some(high)) => (high.saturating_sub(100), high),
            (None, None) => (0, 100),
        };
        let drawn = if low < high { self.rng.i64(low..=high) } else { low };
        let step = whole(schema, "multipleOf")
            .and_then(|step| i64::try_from(step).ok())
            .filter(|step| *step > 0);
        let value = step.map_or(drawn, |step| {
            let below = drawn.saturating_sub(drawn.rem_euclid(step));
            if below < low {
                below.saturating_add(step)
            } else {
                below
            }
        });
        Value::from(value)
    }

    fn number(&mut self, schema: &Value) -> Value {
        let bound = |key| schema.get(key).and_then(Value::as_f64);
        let low = bound("minimum").or(bound("exclusiveMinimum"));
        let high = bound("maximum").or(bound("exclusiveMaximum"));
        let (low, high) = match (low, high) {
            (Some(low), Some(high)) => (low, high),
            (Some(low), None) => (low, low + 100.0),
            (None, Some(high)) => (high - 100.0, high),
            (None, None) => (0.0, 100.0),
        };
        // Sixteenths of the span are exact for most bounds and never touch an exclusive one.
        let value = low + (high - low) * f64::from(self.rng.u32(1..16)) / 16.0;
        let value = match bound("multipleOf") {
            Some(step) if step > 0.0 => (value / step).floor().max((low / step).ceil()) * step,
            _ => value,
        };
        Number::from_f64(value).map_or(Value::from(0), Value::Number)
    }
}

/// Returns the type that a value must have; an object where the schema does not say.
fn type_of(schema: &Value) -> &str {
    let named = schema.get("type").and_then(|named| match named {
        Value::Array(several) => several.first().and_then(Value::as_str),
        one => one.as_str(),
    });
    let has = |key| schema.get(key).is_some();
    match named {
        Some(named) => named,
        None if has("items") => "array",
        None if has("properties") || has("required") || has("allOf") => "object",
        None if has("minimum") || has("maximum") => "number",
        None => "string",
    }
}

fn whole(schema: &Value, key: &str) -> Option<u64> {
    schema.get(key).and_then(Value::as_u64)
}

/// Reads a bound of an integer, which may be written `3.0`.
fn whole_bound(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        value
            .as_f64()
            .filter(|value| value.fract() == 0.0)
            .map(|value| value as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: &Value, holds: impl Fn(&Value) -> bool) {
        for seed in 0..200 {
            let value = expected_arguments(seed, "prompt", schema);
            assert!(holds(&value), "seed {seed}: {value} for {schema}");
        }
    }

    #[test]
    fn required_properties_appear_with_their_types_and_optional_ones_do_not() {
        let schema = json!({
            "type": "object",
            "required": ["city", "days", "unit", "exact", "tags", "where"],
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "unit": {"enum": ["C", "F"]},
                "exact": {"type": ["boolean", "null"]},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "where": {"$ref": "#/$defs/point"},
                "comment": {"type": "string"}
            },
            "$defs": {"point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}}
        });
        check(&schema, |value| {
            value["city"].is_string()
                && matches!(value["days"].as_i64(), Some(1..=7))
                && matches!(value["unit"].as_str(), Some("C" | "F"))
                && value["exact"].is_boolean()
                && value["tags"]
                    .as_array()
                    .is_some_and(|tags| tags.len() == 2 && tags[0].is_string())
                && value["where"]["x"].is_number()
                && value.get("comment").is_none()
        });
    }

    #[test]
    fn bounds_hold() {
        check(
            &json!({"type": "integer", "minimum": 5, "multipleOf": 4}),
            |value| value.as_i64().is_some_and(|value| value >= 5 && value % 4 == 0),
        );
        check(&json!({"type": "integer", "exclusiveMaximum": 0}), |value| {
            value.as_i64().is_some_and(|v| v < 0)
        });
        check(
            &json!({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}),
            |value| value.as_f64().is_some_and(|value| value > 1.0 && value < 2.0),
        );
        check(
            &json!({"type": "string", "minLength": 12, "maxLength": 14}),
            |value| {
                value
                    .as_str()
                    .is_some_and(|text| (12..=14).contains(&text.chars().count()))
            },
        );
        check(&json!({"type": "string", "maxLength": 2}), |value| {
            value.as_str().is_some_and(|text| text.chars().count() <= 2)
        });
        check(&json!({"anyOf": [{"const": 3}, {"type": "string"}]}), |value| {
            *value == json!(3)
        });
        check(
            &json!({"allOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            |value| value.get("a").is_some() && value.get("b").is_some(),
        );
    }

    #[test]
    fn a_hostile_schema_ends() {
        let recursive = json!({"$ref": "#"});
        assert_eq!(expected_arguments(1, "p", &recursive), Value::Null);
        let wide = json!({
            "type": "array", "minItems": u64::MAX,
            "items": {"type": "array", "minItems": u64::MAX, "items": {"$ref": "#"}}
        });
        let text = expected_arguments(1, "p", &wide).to_string();
        assert!(text.len() < 100_000, "{}", text.len());
        let tree = json!({"required": ["l", "r"], "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}});
        assert!(expected_arguments(1, "p", &tree).to_string().len() < 100_000);
        assert!(expected_arguments(1, "p", &json!(7)).is_string());
    }
}
