//! The list of the models that a provider offers: fetched page by page, with a bound on everything.

use futures_util::StreamExt;
use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::client::{HttpClient, Inner};
use super::transport::send;
use crate::reply::timeout_message;
use crate::{CallContext, Clock, ErrorKind, Limited, LlmError, Model, Wire};

/// The largest page of a list. That of OpenRouter, with its hundreds of models, has half a megabyte.
const PAGE_BYTES: usize = 8 << 20;

/// How many pages are asked for. Providers give up to 1,000 models a page, and some hundreds in all.
const PAGES: usize = 50;

/// How many models a page is asked to have, where a wire has pages.
const PAGE_MODELS: &str = "1000";

impl HttpClient {
    /// Asks the provider for the models that it offers, in its order: `/models` below the base URL, `/api/tags` of Ollama.
    /// Of Gemini only those that generate content. All pages are fetched; the clocks of
    /// [`Timeouts`](crate::Timeouts) hold for each of them.
    ///
    /// # Errors
    ///
    /// As of a call: [`ErrorKind::Auth`] for a refused key, [`ErrorKind::Protocol`] for an answer that is no list of models,
    /// [`ErrorKind::TooLarge`] for a page of more than 8 MiB or more than 50 pages, and so on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the pages that had arrived are lost.
    pub async fn models(&self) -> Result<Vec<Model>, LlmError> {
        let inner = self.inner();
        let mut models = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let page = inner
                .page(cursor.as_deref())
                .await
                .map_err(|error| error.without_secrets(&inner.peer.secrets))?;
            models.extend(page.models);
            match page.next {
                None => return Ok(models),
                // A server that does not know the parameter gives its first page for ever.
                next if next == cursor => return Err(inner.no_list("gives the same page of models again")),
                next => cursor = next,
            }
        }
        let message = format!("has more than {PAGES} pages of models");
        Err(inner.peer.error(ErrorKind::TooLarge(Limited::Body), &message))
    }
}

/// One page of a list.
#[derive(Debug, PartialEq)]
struct Page {
    models: Vec<Model>,
    /// What asks for the page after it.
    next: Option<String>,
}

impl Inner {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, LlmError> {
        let (peer, start) = (&self.peer, Instant::now());
        let request = self
            .client
            .get(self.page_url(cursor))
            .headers(self.headers.clone())
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        let (_, mut body) = send(peer, request, &self.timeouts, &CallContext::new(), start, None).await?;
        let mut text = Vec::new();
        let reading = async {
            while let Some(bytes) = body.next().await {
                let bytes = bytes.map_err(|error| {
                    peer.error(
                        ErrorKind::Transport,
                        "broke the connection within its list of models",
                    )
                    .with_source(error)
                })?;
                if text.len() + bytes.len() > PAGE_BYTES {
                    let message = format!("sent a list of models of more than {PAGE_BYTES} bytes");
                    return Err(peer.error(ErrorKind::TooLarge(Limited::Body), &message));
                }
                text.extend_from_slice(&bytes);
            }
            Ok(())
        };
        // A list comes in one piece, so that the time for a pause in an answer is more than enough for all of it.
        let limit = self.timeouts.idle.min(self.timeouts.total);
        match start.checked_add(limit) {
            None => reading.await?,
            Some(at) => timeout_at(at, reading).await.map_err(|_| {
                let message = timeout_message(Clock::Idle, Some(limit));
                peer.error(ErrorKind::Timeout(Clock::Idle), &message)
            })??,
        }
        let value: Value = serde_json::from_slice(&text).map_err(|error| {
            self.no_list("answered with something else than a list of models")
                .with_source(error)
        })?;
        page(self.wire, &value)
            .ok_or_else(|| self.no_list("answered with something else than a list of models"))
    }

    fn page_url(&self, cursor: Option<&str>) -> Url {
        let mut url = self.address.of_models();
        let (size, after) = match self.wire {
            Wire::Anthropic => ("limit", "after_id"),
            Wire::Gemini => ("pageSize", "pageToken"),
            _ => return url,
        };
        let mut query = url.query_pairs_mut();
        query.append_pair(size, PAGE_MODELS);
        if let Some(cursor) = cursor {
            query.append_pair(after, cursor);
        }
        drop(query);
        url
    }

    fn no_list(&self, message: &str) -> LlmError {
        self.peer.error(ErrorKind::Protocol, message)
    }
}

/// Reads a page; `None` if it is something else.
fn page(wire: Wire, value: &Value) -> Option<Page> {
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let (list, read): (_, fn(&Value) -> Option<Model>) = match wire {
        Wire::Gemini => (value.get("models"), gemini),
        Wire::Ollama => (value.get("models"), ollama),
        // Some servers give the bare list.
        Wire::OpenAiChat | Wire::OpenAiResponses | Wire::Anthropic => {
            (value.get("data").or(Some(value)), openai)
        }
    };
    // Gemini leaves an empty list out.
    let is_empty = |object: &serde_json::Map<_, _>| object.keys().all(|name| name == "nextPageToken");
    let models = match (list, wire) {
        (None, Wire::Gemini) if value.as_object().is_some_and(is_empty) => &[],
        (list, _) => list?.as_array()?.as_slice(),
    };
    let next = match wire {
        Wire::Anthropic if value.get("has_more") == Some(&Value::Bool(true)) => text("last_id"),
        Wire::Gemini => text("nextPageToken"),
        _ => None,
    };
    Some(Page {
        models: models.iter().filter_map(read).collect(),
        next: next.map(str::to_owned),
    })
}

/// Reads a model as OpenAI, Anthropic and the servers that follow them write it, each with members of its own.
fn openai(value: &Value) -> Option<Model> {
    Some(distinct(Model {
        name: first_text(value, &["/display_name", "/name"]),
        owner: first_text(value, &["/owned_by", "/organization"]),
        context_tokens: first_count(
            value,
            &[
                "/context_length",
                "/context_window",
                "/max_model_len",
                "/max_context_length",
                "/max_input_tokens",
                "/meta/n_ctx_train",
            ],
        ),
        max_output_tokens: first_count(
            value,
            &[
                "/max_completion_tokens",
                "/max_output_tokens",
                "/max_tokens",
                "/top_provider/max_completion_tokens",
            ],
        ),
        ..named(first_text(value, &["/id"])?)
    }))
}

fn gemini(value: &Value) -> Option<Model> {
    let methods = value.get("supportedGenerationMethods").and_then(Value::as_array);
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "generateContent")) {
        return None;
    }
    let id = first_text(value, &["/name"])?;
    Some(distinct(Model {
        name: first_text(value, &["/displayName"]),
        context_tokens: first_count(value, &["/inputTokenLimit"]),
        max_output_tokens: first_count(value, &["/outputTokenLimit"]),
        ..named(id.strip_prefix("models/").unwrap_or(&id).to_owned())
    }))
}

fn ollama(value: &Value) -> Option<Model> {
    first_text(value, &["/model", "/name"]).map(named)
}

fn named(id: String) -> Model {
    Model::new(id)
}

/// Drops a name for people that says nothing new.
fn distinct(mut model: Model) -> Model {
    model.name.take_if(|name| *name == model.id);
    model
}

fn first_text(value: &Value, pointers: &[&str]) -> Option<String> {
    let mut found = pointers
        .iter()
        .filter_map(|pointer| value.pointer(pointer)?.as_str());
    found.find(|text| !text.is_empty()).map(str::to_owned)
}

fn first_count(value: &Value, pointers: &[&str]) -> Option<u64> {
    let mut found = pointers
        .iter()
        .filter_map(|pointer| value.pointer(pointer)?.as_u64());
    found.find(|n| *n > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_list_is_no_page() {
        for value in [
            json!({}),
            json!("x"),
            json!({"data": {}}),
            json!({"error": {"message": "no"}}),
        ] {
            for wire in Wire::ALL {
                let empty = wire == Wire::Gemini && value == json!({});
                assert_eq!(page(wire, &value).is_some(), empty, "{wire} {value}");
            }
        }
    }

    #[test]
    fn a_list_may_be_bare_and_hold_strange_items() {
        let value =
            json!([{"id": "a", "context_length": 8}, {"id": ""}, 7, {"id": "b", "context_length": "x"}]);
        let page = page(Wire::OpenAiChat, &value).expect("a page");
        let found: Vec<_> = page
            .models
            .iter()
            .map(|model| (model.id.as_str(), model.context_tokens))
            .collect();
        assert_eq!(found, [("a", Some(8)), ("b", None)]);
    }
}
