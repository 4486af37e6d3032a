//! The schema of a declared tool's arguments: made of what the tool needs, or held against it.

use serde_json::{Map, Value, json};

use super::DeclareError;
use super::table::{Table, nearest};
use crate::holes::{Form, Need};

/// Makes the schema of the arguments that a tool needs.
pub(super) fn infer(needs: &[Need]) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for need in needs {
        let text = json!(["string", "number", "boolean"]);
        let schema = match need.form {
            Form::Text => json!({ "type": text }),
            Form::Texts => json!({ "type": "array", "items": { "type": text } }),
            Form::Condition => json!({ "type": "boolean" }),
            Form::Any => json!({}),
        };
        properties.entry(need.name.clone()).or_insert(schema);
        if !need.optional && !required.contains(&need.name.as_str()) {
            required.push(&need.name);
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Holds what a tool needs against the schema that it declares.
///
/// # Errors
///
/// If it needs an argument that the schema does not have. One that the schema does not require is warned about.
pub(super) fn check(
    needs: &[Need],
    schema: &Value,
    table: &Table<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), DeclareError> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for need in needs {
        let name = need.name.as_str();
        if !properties.contains_key(name) {
            let near = nearest(name, properties.keys().map(String::as_str));
            let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            let message = format!("the tool uses the argument `{name}`, which is not among them{near}");
            return Err(table.wrong("parameters", &message));
        }
        if !need.optional && !required.contains(&name) {
            let message = format!("the tool fails without the argument `{name}`, which is not required");
            table.warn("parameters", &message, warnings);
        }
    }
    Ok(())
}
