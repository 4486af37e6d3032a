//! The list of models over sockets: its pages, its bounds, its errors, and the key.

use throng_llm::{ErrorKind, LlmError, Model, Wire};

use crate::support::{Seen, Server, Step, answer, send};

const KEY: &str = "sk-very-secret-key";

fn page(body: &str) -> Vec<Step> {
    vec![send(answer(200, &["content-type: application/json"], body))]
}

async fn list(wire: Wire, pages: Vec<Vec<Step>>) -> (Result<Vec<Model>, LlmError>, Vec<String>) {
    let mut server = Server::start(pages).await;
    let client = server.builder_of(wire).build().unwrap();
    let models = client.models().await;
    let mut heads = Vec::new();
    while let Ok(seen) = server.seen.try_recv() {
        if let Seen::Request { head, .. } = seen {
            heads.push(head);
        }
    }
    (models, heads)
}

fn ids(models: &[Model]) -> Vec<&str> {
    models.iter().map(|model| model.id.as_str()).collect()
}

#[tokio::test]
async fn every_page_is_fetched_once() {
    let first = r#"{"data":[{"id":"a","display_name":"A"},{"id":"b"}],"has_more":true,"last_id":"b"}"#;
    let second = r#"{"data":[{"id":"c"}],"has_more":false,"last_id":"c"}"#;
    let (models, heads) = list(Wire::Anthropic, vec![page(first), page(second)]).await;
    let models = models.unwrap();
    assert_eq!(ids(&models), ["a", "b", "c"]);
    assert_eq!(models[0].name.as_deref(), Some("A"));
    assert!(heads[0].starts_with("GET /v1/models?limit=1000 "), "{heads:?}");
    assert!(
        heads[1].starts_with("GET /v1/models?limit=1000&after_id=b "),
        "{heads:?}"
    );
    assert!(heads[1].contains(&format!("x-api-key: {KEY}")), "{heads:?}");

    let first = r#"{"models":[{"name":"models/g","inputTokenLimit":9,"outputTokenLimit":5,
        "supportedGenerationMethods":["generateContent"]},
        {"name":"models/e","supportedGenerationMethods":["embedContent"]}],"nextPageToken":"t/2"}"#;
    let (models, heads) = list(Wire::Gemini, vec![page(first), page("{}")]).await;
    let models = models.unwrap();
    assert_eq!(ids(&models), ["g"]);
    assert_eq!(
        (models[0].context_tokens, models[0].max_output_tokens),
        (Some(9), Some(5))
    );
    assert!(heads[1].contains("pageSize=1000&pageToken=t%2F2"), "{heads:?}");
}

#[tokio::test]
async fn lists_without_pages() {
    let body = r#"{"object":"list","data":[{"id":"m","owned_by":"us","context_window":7,"max_completion_tokens":3}]}"#;
    let (models, heads) = list(Wire::OpenAiChat, vec![page(body)]).await;
    let models = models.unwrap();
    assert_eq!(models[0].owner.as_deref(), Some("us"));
    assert_eq!(
        (models[0].context_tokens, models[0].max_output_tokens),
        (Some(7), Some(3))
    );
    assert!(heads[0].starts_with("GET /v1/models HTTP"), "{heads:?}");
    let (models, _) = list(
        Wire::Ollama,
        vec![page(r#"{"models":[{"name":"q:1b","model":"q:1b"}]}"#)],
    )
    .await;
    assert_eq!(ids(&models.unwrap()), ["q:1b"]);
}

#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let same = r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}"#;
    let (models, heads) = list(Wire::Anthropic, vec![page(same)]).await;
    let error = models.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("same page"), "{error}");
    assert_eq!(heads.len(), 2);
    let endless = (0..60).map(|n| page(&format!(r#"{{"models":[],"nextPageToken":"{n}"}}"#)));
    let (models, heads) = list(Wire::Gemini, endless.collect()).await;
    assert!(matches!(models.unwrap_err().kind(), ErrorKind::TooLarge(_)));
    assert_eq!(heads.len(), 50);
    let large = format!("[{}", " ".repeat(9 << 20));
    let (models, _) = list(Wire::OpenAiChat, vec![page(&large)]).await;
    assert!(matches!(models.unwrap_err().kind(), ErrorKind::TooLarge(_)));
}

#[tokio::test]
async fn errors_are_those_of_a_call_and_show_no_key() {
    let refused = answer(
        401,
        &[],
        format!(r#"{{"error":{{"message":"no such key {KEY}"}}}}"#),
    );
    let (models, _) = list(Wire::OpenAiChat, vec![vec![send(refused)]]).await;
    let error = models.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Auth);
    assert!(
        !format!("{error} {error:?} {:?}", error.raw_body()).contains(KEY),
        "{error}"
    );
    for body in ["<html>", "{}", r#"{"data":7}"#] {
        let (models, _) = list(Wire::OpenAiChat, vec![page(body)]).await;
        assert_eq!(*models.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
    }
}
