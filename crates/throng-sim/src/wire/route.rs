//! Finds the wire of a path, and what a path and a query say of a request.

use std::borrow::Cow;

use crate::wire::{Dialect, Wire};

const GEMINI_MODELS: &str = "/v1beta/models/";

/// Where a request for a completion went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    /// The model, where the path says it.
    pub(crate) model: Option<String>,
    /// Whether a stream is asked for, where the path says it.
    pub(crate) stream: bool,
}

impl Route {
    /// Returns the route of a path, for POST requests.
    pub(crate) fn of(path: &str, query: &str) -> Option<Self> {
        let wire = match path {
            "/v1/chat/completions" => Wire::OpenAiChat,
            "/v1/responses" => Wire::OpenAiResponses,
            "/v1/messages" => Wire::Anthropic,
            "/api/chat" => Wire::Ollama,
            _ => return Self::of_gemini(path, query),
        };
        Some(Self {
            dialect: Dialect { wire, array: false },
            model: None,
            stream: false,
        })
    }

    fn of_gemini(path: &str, query: &str) -> Option<Self> {
        let path = decoded(path);
        let (model, method) = path.strip_prefix(GEMINI_MODELS)?.rsplit_once(':')?;
        let stream = match method {
            "generateContent" => false,
            "streamGenerateContent" => true,
            _ => return None,
        };
        let array = stream && query_value(query, "alt").as_deref() != Some("sse");
        Some(Self {
            dialect: Dialect {
                wire: Wire::Gemini,
                array,
            },
            model: Some(model.to_owned()),
            stream,
        })
    }
}

/// Returns the decoded value of a parameter of a query.
pub(crate) fn query_value<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decoded(value))
}

/// Decodes `%41`. What is no such escape stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| first == b'%');
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = after
            .get(if escaped.is_some() { 2 } else { 0 }..)
            .unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_wire_model_and_framing() {
        let check = |path: &str, query: &str, wire: Wire, model: Option<&str>, stream: bool, array: bool| {
            let route = Route::of(path, query).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(
                route,
                Route {
                    dialect: Dialect { wire, array },
                    model: model.map(str::to_owned),
                    stream
                },
                "{path}?{query}"
            );
        };
        check("/v1/chat/completions", "", Wire::OpenAiChat, None, false, false);
        check("/v1/responses", "", Wire::OpenAiResponses, None, false, false);
        check("/v1/messages", "beta=true", Wire::Anthropic, None, false, false);
        check("/api/chat", "", Wire::Ollama, None, false, false);
        let models = |rest: &str| format!("/v1beta/models/{rest}");
        let check = |path: &str, query: &str, model: &str, stream: bool, array: bool| {
            check(&models(path), query, Wire::Gemini, Some(model), stream, array);
        };
        check("g-2.5:generateContent", "", "g-2.5", false, false);
        check("g:streamGenerateContent", "key=a&alt=sse", "g", true, false);
        check("g:streamGenerateContent", "", "g", true, true);
        check("a%2Fb%3AstreamGenerateContent", "alt=json", "a/b", true, true);
        for path in [
            "/v1beta/models/g:countTokens",
            "/v1beta/models/g",
            "/v1/models",
            "/api/generate",
        ] {
            assert_eq!(Route::of(path, ""), None, "{path}");
        }
    }

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        for (text, plain) in [
            ("a", "a"),
            ("%41b%2f", "Ab/"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%C3%A9", "é"),
        ] {
            assert_eq!(decoded(text), plain);
        }
    }
}
