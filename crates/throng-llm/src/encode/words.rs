//! What the wires that name tools by their names and take arguments as objects share in writing a request.

use serde_json::{Map, Value};

use crate::{Image, Message, Request, ToolCall};

/// Adds the extra members of a request to its body. They win, but objects of the given names are merged member by
/// member, so that one extra member of `options` does not cost the others.
pub(super) fn add_extra(body: &mut Map<String, Value>, request: &Request, merged: &[&str]) {
    merge(body, &request.extra, merged);
}

fn merge(into: &mut Map<String, Value>, extra: &Map<String, Value>, merged: &[&str]) {
    for (name, value) in extra {
        match (into.get_mut(name), value) {
            (Some(Value::Object(mine)), Value::Object(more)) if merged.contains(&name.as_str()) => {
                merge(mine, more, merged);
            }
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Makes an object of the members that are set.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Returns the list as JSON unless it is empty.
pub(super) fn list(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then_some(Value::Array(items))
}

/// Returns the object as JSON unless it is empty.
pub(super) fn filled(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Says that the wire cannot say something; completes a sentence that begins with the provider's name.
pub(super) fn no_word(what: &str) -> String {
    format!("request sets {what}, which this wire has no word for")
}

/// Checks what is said of an image beside the image.
///
/// # Errors
///
/// If it is more than that the provider may choose.
pub(super) fn check_detail(image: &Image) -> Result<(), String> {
    match image.detail.as_deref() {
        None | Some("auto") => Ok(()),
        Some(_) => Err(no_word("the detail of an image")),
    }
}

/// Takes a `data:` URL of base64 text apart.
pub(super) fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// Returns the id unless the decoder made it because the provider gave none: such a provider wants none either.
pub(super) fn given_id(id: &str) -> Option<&str> {
    let number = id.strip_prefix("call_").unwrap_or_default();
    let made_up = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (!made_up).then_some(id)
}

/// Returns the arguments of a call of an earlier turn.
///
/// # Errors
///
/// If they are no JSON object.
pub(super) fn arguments(call: &ToolCall) -> Result<Value, String> {
    let arguments = call.parse_arguments().ok().filter(Value::is_object);
    arguments.ok_or_else(|| {
        let name = &call.name;
        no_word(&format!(
            "a call of tool `{name}` with arguments that are no JSON object"
        ))
    })
}

/// Returns the name of the tool whose result a message gives: that of the last call of its id before the message.
///
/// # Errors
///
/// If there is no such call and the message does not name the tool either.
pub(super) fn tool_name<'a>(message: &'a Message, earlier: &'a [Message]) -> Result<&'a str, String> {
    let id = message.tool_call_id.as_deref();
    let mut calls = earlier.iter().rev().flat_map(|message| &message.tool_calls);
    let called = calls
        .find(|call| Some(call.id.as_str()) == id)
        .map(|call| &call.name);
    called.or(message.name.as_ref()).map(String::as_str).ok_or_else(|| {
        let id = id.unwrap_or_default();
        format!(
            "request has the result of the tool call `{id}`, which no earlier message makes: this wire wants the tool's name"
        )
    })
}
