//! The state of rate limits.

use std::time::Duration;

use throng_llm::{Cache, CacheStore, CallContext, ErrorKind, LlmError, RateState, RateWatch};
use tokio::time::Instant;

use crate::support::{Scripted, Server, answer, call, call_with, hello_events, question};

#[tokio::test(start_paused = true)]
async fn windows_fill_up_and_pauses_end() {
    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let state = RateState::new();
    let now = Instant::now();
    assert_eq!(state.wait(now), Duration::ZERO);
    assert!(state.remaining(now).is_empty());
    let client = RateWatch::new(live, state.clone());
    call_with(&client, question(), CallContext::new())
        .await
        .succeeded();
    let at = |ms| now + Duration::from_millis(ms);
    let requests = |ms| state.remaining(at(ms)).requests;
    assert_eq!(requests(0).remaining, Some(0));
    assert_eq!(requests(500).reset, Some(Duration::from_millis(1_000)));
    assert_eq!(state.wait(at(500)), Duration::from_millis(1_000));
    assert_eq!(
        (requests(1_500).remaining, requests(1_500).reset),
        (Some(10), None)
    );
    assert_eq!(state.wait(at(1_500)), Duration::ZERO);

    let error = |secs| {
        LlmError::new(ErrorKind::RateLimited, "p", "").with_retry_after(Some(Duration::from_secs(secs)))
    };
    state.observe_error(&error(5), now);
    state.observe_error(&error(2), now);
    assert_eq!(
        state.wait(at(1_000)),
        Duration::from_secs(4),
        "the longer pause stays"
    );
    assert_eq!(requests(0).limit, Some(10), "an error without limits erases none");
}

#[tokio::test]
async fn errors_of_servers_are_heard_and_caches_are_not() {
    let refused = answer(429, &["retry-after: 7", "x-ratelimit-limit-tokens: 9"], "{}");
    let server = Server::answering(refused).await;
    let state = RateState::new();
    let now = Instant::now();
    let client = RateWatch::new(server.client(), state.clone());
    call(&client).await.failed();
    assert_eq!(state.remaining(now).tokens.limit, Some(9));
    assert!(state.wait(now) >= Duration::from_secs(7));

    let live = Scripted::new([hello_events().into_iter().map(Ok).collect()]);
    let store = CacheStore::in_memory(std::num::NonZeroUsize::MIN, 1 << 20);
    let cache = Cache::new(live, store);
    call(&cache).await.succeeded();
    let state = RateState::new();
    call(&RateWatch::new(cache, state.clone())).await.succeeded();
    assert!(state.remaining(Instant::now()).is_empty());
}
