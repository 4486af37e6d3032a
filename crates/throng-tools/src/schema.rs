//! Checking arguments and reference paths against the JSON schemas that a tool declares.
//!
//! Without the feature `schema` arguments are not checked. References into results are looked up in the output schema
//! either way.

use std::sync::Arc;

use serde_json::Value;

use crate::{Reference, Segment};

/// A compiled schema of arguments.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    #[cfg(feature = "schema")]
    validator: Arc<jsonschema::Validator>,
}

/// A schema that makes no sense, with what is wrong.
pub(crate) struct BadSchema(pub(crate) String);

impl Schema {
    /// Compiles a schema.
    #[cfg(feature = "schema")]
    pub(crate) fn new(schema: &Arc<Value>) -> Result<Self, BadSchema> {
        let validator = jsonschema::options()
            .offline()
            .build(schema)
            .map_err(|error| BadSchema(format!("at `{}`: {error}", error.instance_path())))?;
        Ok(Self {
            validator: Arc::new(validator),
        })
    }

    /// Takes any schema.
    #[cfg(not(feature = "schema"))]
    pub(crate) fn new(_schema: &Arc<Value>) -> Result<Self, BadSchema> {
        Ok(Self {})
    }

    /// Checks arguments. `open` are the JSON pointers of the places whose values are not known yet: what is wrong because of
    /// them is passed over.
    #[cfg(feature = "schema")]
    pub(crate) fn check(&self, arguments: &Value, open: &[String]) -> Result<(), String> {
        // Nearly all calls are right, and this is several times as fast as collecting errors.
        if self.validator.is_valid(arguments) {
            return Ok(());
        }
        let mut errors: Vec<String> = self
            .validator
            .iter_errors(arguments)
            .filter(|error| open.is_empty() || is_certain(error, open))
            .map(|error| describe(&error))
            .collect();
        errors.dedup();
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.join("; "))
    }

    /// Takes any arguments.
    #[cfg(not(feature = "schema"))]
    pub(crate) fn check(&self, _arguments: &Value, _open: &[String]) -> Result<(), String> {
        Ok(())
    }
}

/// Returns whether the arguments hold texts that may hold references.
pub(crate) fn may_refer(arguments: &Value) -> bool {
    match arguments {
        Value::String(text) => text.contains(['$', '#']),
        Value::Array(elements) => elements.iter().any(may_refer),
        Value::Object(members) => members.values().any(may_refer),
        _ => false,
    }
}

/// Returns the JSON pointers of the texts that may hold references.
pub(crate) fn open_places(arguments: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &mut String, places: &mut Vec<String>) {
        let length = at.len();
        match value {
            Value::String(text) if text.contains(['$', '#']) => places.push(at.clone()),
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    at.push('/');
                    at.push_str(&index.to_string());
                    walk(element, at, places);
                    at.truncate(length);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    at.push('/');
                    at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    walk(member, at, places);
                    at.truncate(length);
                }
            }
            _ => {}
        }
    }
    let mut places = Vec::new();
    walk(arguments, &mut String::new(), &mut places);
    places
}

/// Checks that a reference can lead to something in a result of this schema. What the schema leaves open passes.
pub(crate) fn reaches(schema: &Value, reference: &Reference) -> Result<(), String> {
    let segments = reference.path.segments();
    let mut at = schema;
    for (place, segment) in segments.iter().enumerate() {
        let (key, index) = match segment {
            Segment::Key(key) => (key.clone(), key.parse::<usize>().is_ok()),
            Segment::Index(index) => (index.to_string(), true),
        };
        let properties = at.get("properties").and_then(Value::as_object);
        let known = properties.and_then(|properties| properties.get(&key));
        if place == 0 && known.is_none() && (key == "output" || key == "result") {
            continue;
        }
        let kind = at.get("type").and_then(Value::as_str);
        let closed = at.get("additionalProperties") == Some(&Value::Bool(false));
        let wrong = |what: String| {
            let mut text = format!("`{}`", reference.text);
            if !reference.argument.is_empty() {
                text = format!("at `{}`: {text}", reference.argument);
            }
            Err(format!("{text} leads nowhere: {what}"))
        };
        at = match (kind, known) {
            (_, Some(known)) => known,
            (Some("object"), None) if closed && at.get("patternProperties").is_none() => {
                let has: Vec<_> = properties
                    .into_iter()
                    .flat_map(serde_json::Map::keys)
                    .map(|key| format!("`{key}`"))
                    .collect();
                return wrong(format!(
                    "the result has no member `{key}`, but {}",
                    has.join(", ")
                ));
            }
            (Some("array"), None) if !index => {
                return wrong(format!("an array has no member `{key}`"));
            }
            (Some("array"), None) => match at.get("items") {
                Some(items) => items,
                None => return Ok(()),
            },
            (Some(kind @ ("string" | "number" | "integer" | "boolean" | "null")), None) => {
                return wrong(format!("a {kind} has no member `{key}`"));
            }
            _ => return Ok(()),
        };
    }
    Ok(())
}

/// Returns true if the error stays whatever the open places turn out to hold.
#[cfg(feature = "schema")]
fn is_certain(error: &jsonschema::ValidationError<'_>, open: &[String]) -> bool {
    use jsonschema::error::ValidationErrorKind as Kind;
    let at = error.instance_path().as_str();
    let is_open = open.iter().any(|place| {
        let (short, long) = if place.len() < at.len() {
            (place.as_str(), at)
        } else {
            (at, place.as_str())
        };
        long.strip_prefix(short)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if !is_open {
        return true;
    }
    // The value holds an open place further down, or is one. What members it has is known in the first case.
    let is_place = open.iter().any(|place| place == at);
    !is_place
        && matches!(
            error.kind(),
            Kind::Required { .. }
                | Kind::AdditionalProperties { .. }
                | Kind::AdditionalItems { .. }
                | Kind::Type { .. }
                | Kind::MinItems { .. }
                | Kind::MaxItems { .. }
                | Kind::MinProperties { .. }
                | Kind::MaxProperties { .. }
                | Kind::PropertyNames { .. }
        )
}

/// Says where an error is, what was expected there and what was found.
#[cfg(feature = "schema")]
fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
    let at = error.instance_path().as_str();
    let what = match error.kind() {
        Kind::Required { property } => format!("expected a member {property}, found none"),
        Kind::Type { kind } => {
            let expected = match kind {
                TypeKind::Single(kind) => kind.to_string(),
                TypeKind::Multiple(kinds) => {
                    let kinds: Vec<_> = kinds.iter().map(|kind| kind.to_string()).collect();
                    kinds.join(" or ")
                }
            };
            format!("expected {expected}, found {}", found(error.instance()))
        }
        Kind::Enum { options } => {
            format!("expected one of {options}, found {}", found(error.instance()))
        }
        Kind::Constant { expected_value } => {
            format!("expected {expected_value}, found {}", found(error.instance()))
        }
        Kind::AdditionalProperties { unexpected } => {
            let names: Vec<_> = unexpected.iter().map(|name| format!("`{name}`")).collect();
            format!("expected no member {}", names.join(", "))
        }
        _ => error.to_string(),
    };
    if at.is_empty() {
        what
    } else {
        format!("at `{at}`: {what}")
    }
}

/// Returns the type of a value, and the value where it is short.
#[cfg(feature = "schema")]
fn found(value: &Value) -> String {
    const SHORT: usize = 40;
    let kind = match value {
        Value::Null => return "null".to_owned(),
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let text = value.to_string();
    if text.len() <= SHORT {
        format!("{kind} {text}")
    } else {
        kind.to_owned()
    }
}
