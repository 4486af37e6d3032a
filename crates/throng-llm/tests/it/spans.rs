//! The fields of the spans of calls.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use throng_llm::{Cache, CacheStore, CallContext, LlmClient, Recorder, Replay};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::support::{Server, answer, call, question, sse, stream};

/// The fields of every span, as they stand at its end.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(Id, Fields)>>>);

type Fields = BTreeMap<String, String>;

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        self.0.lock().unwrap().push((id.clone(), fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let (_, fields) = spans.iter_mut().rev().find(|(span, _)| span == id).unwrap();
        values.record(&mut Into(fields));
    }
}

impl Spans {
    /// Takes the fields of the last span that speaks of a call.
    fn last(&self) -> Fields {
        let mut spans = self.0.lock().unwrap();
        let all = spans.drain(..).map(|(_, fields)| fields);
        let calls: Vec<_> = all
            .filter(|fields| fields.contains_key("gen_ai.operation.name"))
            .collect();
        calls.into_iter().next_back().expect("a span of a call")
    }
}

#[tokio::test]
async fn a_calls_span_says_how_it_went() {
    let spans = Spans::default();
    crate::support::listen_everywhere();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let body = sse(&[
        r#"{"id":"c1","model":"m1-2026","choices":[{"delta":{"content":"private answer"}}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":30,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":20}}}"#,
        "[DONE]",
    ]);
    let dir = tempfile::tempdir().unwrap();
    let server = Server::answering(stream(body)).await;
    let recorder = Recorder::create(dir.path()).unwrap();
    let live = server.builder().record(recorder.clone()).build().unwrap();
    let cache = Cache::new(live, CacheStore::in_memory(std::num::NonZeroUsize::MIN, 1 << 20));
    call(&cache).await.succeeded();
    recorder.flush().await.unwrap();
    let check = |fields: &Fields, cached: Option<&str>| {
        for (name, value) in [
            ("gen_ai.provider.name", "\"openai\""),
            ("gen_ai.request.model", "\"m1\""),
            ("gen_ai.response.id", "\"c1\""),
            ("gen_ai.response.model", "\"m1-2026\""),
            ("gen_ai.response.finish_reasons", "\"length\""),
            ("gen_ai.usage.input_tokens", "30"),
            ("gen_ai.usage.cache_read.input_tokens", "20"),
            ("gen_ai.usage.output_tokens", "2"),
        ] {
            assert_eq!(
                fields.get(name).map(String::as_str),
                Some(value),
                "{name} of {fields:?}"
            );
        }
        let first: f64 = fields["gen_ai.response.time_to_first_chunk"].parse().unwrap();
        assert!((0.0..60.0).contains(&first), "{first}");
        assert!(!fields.contains_key("error.type"), "{fields:?}");
        assert_eq!(fields.get("throng.cached").map(String::as_str), cached);
        let text = format!("{fields:?}");
        for private in ["Say hello", "private", "very-secret"] {
            assert!(!text.contains(private), "{text}");
        }
    };
    let fields = spans.last();
    check(&fields, None);
    assert!(fields["server.address"].contains("127.0.0.1:"), "{fields:?}");
    call(&cache).await.succeeded();
    check(&spans.last(), Some("true"));
    call(&Replay::open(dir.path()).unwrap()).await.succeeded();
    check(&spans.last(), None);

    let refused = Server::answering(answer(429, &[], "{}")).await;
    call(&refused.client()).await.failed();
    assert_eq!(spans.last()["error.type"], "\"rate_limited\"");
    let cut = Server::answering(stream(sse(&[r#"{"choices":[{"delta":{"content":"x"}}]}"#]))).await;
    let events = cut.client().call(question(), CallContext::new()).await.unwrap();
    assert!(events.collect::<Vec<_>>().await.last().unwrap().is_err());
    let fields = spans.last();
    assert_eq!(fields["error.type"], "\"truncated\"");
    assert!(fields.contains_key("gen_ai.response.time_to_first_chunk"));
}
