//! Checking arguments and reference paths against the JSON schemas that a tool declares.
//!
//! Without the feature `schema` arguments are not checked. References into results are looked up in the output schema
//! either way.

use std::sync::Arc;

use serde_json::Value;

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
