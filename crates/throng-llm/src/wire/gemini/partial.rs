//! Arguments of a call that come piece by piece, each with the path at which it stands.

use serde_json::{Map, Value};

/// How deep a path may go: what is nested without a bound overflows the stack when it is written or dropped.
const MAX_DEPTH: usize = 100;

/// The arguments of a call as far as they have arrived.
#[derive(Debug)]
pub(super) struct Partial {
    /// Which call, and its id.
    pub(super) key: u64,
    pub(super) id: String,
    arguments: Value,
    /// Bytes of all paths and values, for the limit.
    pub(super) bytes: usize,
    /// The path of a text that goes on.
    open: Option<String>,
    /// A piece said nothing that is known.
    broken: bool,
}

impl Partial {
    pub(super) fn new(key: u64, id: String) -> Self {
        Self {
            key,
            id,
            arguments: Value::Object(Map::new()),
            bytes: 0,
            open: None,
            broken: false,
        }
    }

    /// Puts a piece in its place. Returns false if it says nothing that is known; then the arguments will not be whole.
    pub(super) fn take(&mut self, piece: &Value, whole: impl Fn(&str) -> String) -> bool {
        let taken = self.put(piece, whole);
        self.broken |= !taken;
        taken
    }

    fn put(&mut self, piece: &Value, whole: impl Fn(&str) -> String) -> bool {
        let Some(path) = piece.get("jsonPath").and_then(Value::as_str) else {
            return false;
        };
        self.bytes += path.len();
        let text = piece.get("stringValue").and_then(Value::as_str).map(whole);
        self.bytes += text.as_ref().map_or(0, String::len);
        let value = match text {
            Some(text) => Value::String(text),
            None => match (
                piece.get("numberValue"),
                piece.get("boolValue"),
                piece.get("nullValue"),
            ) {
                (Some(value @ Value::Number(_)), _, _) | (_, Some(value @ Value::Bool(_)), _) => {
                    value.clone()
                }
                (_, _, Some(_)) => Value::Null,
                _ => return false,
            },
        };
        let continued = self.open.take().is_some_and(|open| open == path);
        if piece.get("willContinue").and_then(Value::as_bool) == Some(true) {
            self.open = Some(path.to_owned());
        }
        let Some(place) = place(&mut self.arguments, path) else {
            return false;
        };
        match (place, value) {
            (Value::String(text), Value::String(more)) if continued => text.push_str(&more),
            (place, value) => *place = value,
        }
        true
    }

    /// Returns the arguments as JSON, if all pieces were put in their places.
    pub(super) fn into_json(self) -> Option<String> {
        (!self.broken).then(|| self.arguments.to_string())
    }
}

/// Finds the place of a path such as `$.name.list[0]['other name']`, and makes what is missing on the way there. A list
/// grows by one item at most: otherwise one small path could fill the memory.
fn place<'a>(mut at: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let mut rest = path.strip_prefix('$').filter(|rest| !rest.is_empty())?;
    let mut depth = 0;
    while !rest.is_empty() {
        depth += 1;
        if depth > MAX_DEPTH {
            return None;
        }
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            at = member(at, &name[..end])?;
            rest = &name[end..];
        } else if let Some((quote, quoted)) = ['\'', '"']
            .into_iter()
            .find_map(|quote| Some((quote, rest.strip_prefix('[')?.strip_prefix(quote)?)))
        {
            let end = quoted.find(quote)?;
            at = member(at, &quoted[..end])?;
            rest = quoted[end + 1..].strip_prefix(']')?;
        } else {
            let (digits, after) = rest.strip_prefix('[')?.split_once(']')?;
            let index: usize = digits.parse().ok()?;
            if at.is_null() {
                *at = Value::Array(Vec::new());
            }
            let items = at.as_array_mut()?;
            if index == items.len() {
                items.push(Value::Null);
            }
            at = items.get_mut(index)?;
            rest = after;
        }
    }
    Some(at)
}

fn member<'a>(at: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    if at.is_null() {
        *at = Value::Object(Map::new());
    }
    Some(at.as_object_mut()?.entry(name).or_insert(Value::Null))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_are_put_in_their_places() {
        let mut partial = Partial::new(0, String::new());
        let mut take = |piece: Value| partial.take(&piece, str::to_owned);
        assert!(take(
            json!({"jsonPath": "$.a.b", "stringValue": "x", "willContinue": true})
        ));
        assert!(take(json!({"jsonPath": "$.a.b", "stringValue": "y"})));
        assert!(take(json!({"jsonPath": "$.list[0]", "numberValue": 1.5})));
        assert!(take(json!({"jsonPath": "$.list[1].c", "boolValue": true})));
        assert!(take(json!({"jsonPath": "$['d.e']", "nullValue": "NULL_VALUE"})));
        let json = partial.into_json().expect("whole arguments");
        let expect = json!({"a": {"b": "xy"}, "list": [1.5, {"c": true}], "d.e": null});
        assert_eq!(serde_json::from_str::<Value>(&json).ok(), Some(expect));
    }

    #[test]
    fn a_piece_that_is_not_known_leaves_the_arguments_unfinished() {
        for odd in [
            json!({"jsonPath": "$.list[99999999999]", "numberValue": 1}),
            json!({"jsonPath": "$.a.b.c", "numberValue": 1}),
            json!({"jsonPath": "a", "numberValue": 1}),
            json!({"jsonPath": "$[", "numberValue": 1}),
            json!({"jsonPath": "$['", "numberValue": 1}),
            json!({"jsonPath": "$x", "numberValue": 1}),
            json!({"jsonPath": "$", "stringValue": "x"}),
            json!({"jsonPath": format!("${}", ".a".repeat(100_000)), "numberValue": 1}),
            json!({"jsonPath": "$.z"}),
            json!({"numberValue": 1}),
            json!(7),
        ] {
            let mut partial = Partial::new(0, String::new());
            assert!(partial.take(&json!({"jsonPath": "$.a.b", "stringValue": "x"}), str::to_owned));
            assert!(!partial.take(&odd, str::to_owned), "{odd}");
            assert_eq!(partial.into_json(), None, "{odd}");
        }
    }
}
