//! The cache: what it stores, what it gives back, what it forgets.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use throng_llm::{
    Cache, CacheStore, CallContext, Completion, ErrorKind, LlmClient, LlmError, Request, StreamEvent,
    complete,
};

use crate::support::{Scripted, call_with, collect, hello_events, question};

fn in_memory(answers: usize, bytes: usize) -> CacheStore {
    CacheStore::in_memory(NonZeroUsize::new(answers).unwrap(), bytes)
}

fn asks(text: &str) -> Arc<Request> {
    Arc::new(Request::new("m1").user(text))
}

async fn ask(client: &dyn LlmClient, text: &str, repeat: u32) -> Completion {
    let cx = CallContext::new().with_repeat(repeat);
    complete(client, asks(text), cx).await.unwrap()
}

#[tokio::test]
async fn a_hit_gives_the_events_of_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    for store in [in_memory(10, 1 << 20), CacheStore::in_dir(dir.path()).unwrap()] {
        let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
        let client = Cache::new(live.clone(), store.clone());
        let first = call_with(&client, question(), CallContext::new()).await;
        let second = call_with(&client, question(), CallContext::new()).await;
        assert_eq!(first.events, hello_events(), "the first is the live answer");
        let mut expect: Vec<_> = hello_events();
        expect.retain(|event| *event != StreamEvent::KeepAlive);
        for event in &mut expect {
            if let StreamEvent::Started(started) = event {
                assert!(!started.limits.is_empty());
                **started = started.as_ref().clone().from_cache();
            }
        }
        assert_eq!(second.events, expect);
        assert!(second.succeeded().cached && !first.succeeded().cached);
        assert_eq!(
            (store.hits(), store.misses(), live.calls()),
            (1, 1, 1),
            "{store:?}"
        );
    }
}

#[tokio::test]
async fn repeats_requests_and_namespaces_have_answers_of_their_own() {
    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let store = in_memory(10, 1 << 20);
    let client = Cache::new(live.clone(), store.clone());
    let other = client.clone().with_namespace("other");
    for _ in 0..2 {
        ask(&client, "a", 0).await;
        ask(&client, "a", 1).await;
        ask(&client, "b", 0).await;
        ask(&other, "a", 0).await;
    }
    assert_eq!((live.calls(), store.hits()), (4, 4));
}

#[tokio::test]
async fn only_whole_answers_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    for store in [in_memory(10, 1 << 20), CacheStore::in_dir(dir.path()).unwrap()] {
        let cut = LlmError::new(ErrorKind::Truncated, "scripted", "stopped");
        let mut events = hello_events();
        events.pop();
        let broken: Vec<_> = events.into_iter().map(Ok).chain([Err(cut)]).collect();
        let whole: Vec<_> = hello_events().into_iter().map(Ok).collect();
        let live = Scripted::new([broken, whole.clone(), whole]);
        let client = Cache::new(live.clone(), store.clone());
        call_with(&client, question(), CallContext::new()).await.failed();
        let mut dropped = client.call(question(), CallContext::new()).await.unwrap();
        let has_finished = |event: &StreamEvent| matches!(event, StreamEvent::Finished { .. });
        for _ in 0..hello_events().len() - 1 {
            assert!(!has_finished(&dropped.next().await.unwrap().unwrap()));
        }
        drop(dropped);
        let third = client.call(question(), CallContext::new()).await.unwrap();
        assert!(!collect(third).await.succeeded().cached, "nothing was stored");
        assert_eq!((live.calls(), store.hits()), (3, 0));
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file stays"
    );
}

#[tokio::test]
async fn what_was_not_used_goes_first() {
    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let client = Cache::new(live.clone(), in_memory(2, 1 << 20));
    for (text, calls) in [
        ("a", 1),
        ("b", 2),
        ("a", 2),
        ("c", 3),
        ("a", 3),
        ("b", 4),
        ("c", 5),
    ] {
        ask(&client, text, 0).await;
        assert_eq!(live.calls(), calls, "{text}");
    }
    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let client = Cache::new(live.clone(), in_memory(2, 100));
    ask(&client, "a", 0).await;
    ask(&client, "a", 0).await;
    assert_eq!(live.calls(), 2, "larger than the whole store");
}

#[tokio::test(start_paused = true)]
async fn answers_grow_old() {
    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let store = in_memory(2, 1 << 20).with_time_to_live(Duration::from_secs(10));
    let client = Cache::new(live.clone(), store);
    for (wait, calls) in [(0, 1), (9, 1), (1, 2), (9, 2)] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        ask(&client, "a", 0).await;
        assert_eq!(live.calls(), calls, "after {wait} s more");
    }
}

#[tokio::test]
async fn a_directory_outlives_the_store_and_a_damaged_file_counts_as_absent() {
    let dir = tempfile::tempdir().unwrap();
    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let open = || Cache::new(live.clone(), CacheStore::in_dir(dir.path()).unwrap());
    ask(&open(), "a", 0).await;
    assert!(ask(&open(), "a", 0).await.cached);
    assert_eq!(live.calls(), 1);
    let path = std::fs::read_dir(dir.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let good = std::fs::read_to_string(&path).unwrap();
    assert!(good.starts_with("{\"v\":1,"), "{good}");
    let half = &good[..good.len() / 2];
    let newer = good.replacen("\"v\":1", "\"v\":2", 1);
    let of_other = good.replacen("\"repeat\":0", "\"repeat\":7", 1);
    for (idx, bad) in ["", half, &newer, &of_other].into_iter().enumerate() {
        std::fs::write(&path, bad).unwrap();
        assert!(!ask(&open(), "a", 0).await.cached, "{bad}");
        assert_eq!(live.calls(), 2 + idx);
        assert!(ask(&open(), "a", 0).await.cached, "it is replaced");
    }
    let old = CacheStore::in_dir(dir.path())
        .unwrap()
        .with_time_to_live(Duration::ZERO);
    assert!(!ask(&Cache::new(live.clone(), old), "a", 0).await.cached);
}
