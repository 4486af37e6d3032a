//! The body of a request, whatever its wire, after the checks that all wires share.

use serde::Serialize;

use super::Options;
#[cfg(feature = "anthropic")]
use super::anthropic;
#[cfg(feature = "gemini")]
use super::gemini;
#[cfg(feature = "ollama")]
use super::ollama;
#[cfg(feature = "openai")]
use super::{chat, responses};
use crate::{Request, Wire};

/// Returns whether this build can write requests of the wire.
pub(crate) const fn is_supported(wire: Wire) -> bool {
    match wire {
        Wire::OpenAiChat | Wire::OpenAiResponses => cfg!(feature = "openai"),
        Wire::Anthropic => cfg!(feature = "anthropic"),
        Wire::Gemini => cfg!(feature = "gemini"),
        Wire::Ollama => cfg!(feature = "ollama"),
    }
}

/// Writes the body of a request.
///
/// # Errors
///
/// What is wrong with the request; completes a sentence that begins with the provider's name.
pub(crate) fn write(wire: Wire, request: &Request, options: &Options) -> Result<Vec<u8>, String> {
    check(request)?;
    match wire {
        #[cfg(feature = "openai")]
        Wire::OpenAiChat => to_json(&chat::Body::new(request, options)),
        #[cfg(feature = "openai")]
        Wire::OpenAiResponses => to_json(&responses::Body::new(request, options)?),
        #[cfg(feature = "anthropic")]
        Wire::Anthropic => to_json(&anthropic::Body::new(request, options)?),
        #[cfg(feature = "gemini")]
        Wire::Gemini => to_json(&gemini::Body::new(request, options)?),
        #[cfg(feature = "ollama")]
        Wire::Ollama => to_json(&ollama::Body::new(request, options)?),
        #[cfg(not(all(
            feature = "openai",
            feature = "anthropic",
            feature = "gemini",
            feature = "ollama"
        )))]
        _ => Err(format!(
            "cannot be sent requests of the wire {wire} by this build"
        )),
    }
}

/// Checks what no wire can send.
fn check(request: &Request) -> Result<(), String> {
    if request.extra.contains_key("stream") {
        return Err("request sets `stream` in its extra members; that is a setting of the client".to_owned());
    }
    if let Some(n) = request.extra.get("n").filter(|n| n.as_u64() != Some(1)) {
        return Err(format!(
            "request asks for n = {n} answers; one call gives one answer"
        ));
    }
    for (name, number) in [("temperature", request.temperature), ("top_p", request.top_p)] {
        if let Some(number) = number.filter(|number| !number.is_finite()) {
            return Err(format!(
                "request sets {name} to {number}, which JSON has no word for"
            ));
        }
    }
    Ok(())
}

fn to_json(body: &impl Serialize) -> Result<Vec<u8>, String> {
    serde_json::to_vec(body).map_err(|error| format!("request cannot be written as JSON: {error}"))
}
