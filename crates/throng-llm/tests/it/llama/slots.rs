//! The slots of the server: all of them work at once, what exceeds them waits, and a dropped stream frees its own.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::json;
use throng_llm::{CallContext, EventStream, FinishReason, HttpClient, LlmClient, StreamEvent};

use super::server::{Llama, PATIENCE, PLAIN, WIRES, ask};
use crate::support::{Ended, call_with, collect};

/// How many streams are dropped.
const DROPS: usize = 150;

/// An answer that runs: what has come of it, and the rest.
struct Running {
    events: Vec<StreamEvent>,
    rest: EventStream,
}

impl Running {
    /// Begins an answer and waits for its first content.
    async fn begin(client: &HttpClient, max_output_tokens: u32) -> Self {
        let mut rest = client
            .call(ask(max_output_tokens).into(), CallContext::new())
            .await
            .unwrap();
        let mut events = Vec::new();
        while !events.iter().any(StreamEvent::is_content) {
            events.push(rest.next().await.unwrap().unwrap());
        }
        Self { events, rest }
    }

    async fn end(mut self) -> Ended {
        let rest = collect(self.rest).await;
        self.events.extend(rest.events);
        Ended {
            events: self.events,
            error: rest.error,
        }
    }
}

#[tokio::test]
async fn as_many_answers_at_once_as_there_are_slots() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "3", "--ctx-size", "12288"]).await else {
        return;
    };
    let clients = WIRES.map(|wire| llama.client(wire));
    let running = join_all(clients.iter().map(|client| Running::begin(client, 1_500))).await;
    assert_eq!(llama.busy().await, 3);

    let waiting = tokio::spawn({
        let client = clients[0].clone();
        async move { call_with(&client, ask(16).into(), CallContext::new()).await }
    });
    llama.wait_for("requests_deferred", 1.0).await;
    assert_eq!(llama.busy().await, 3);
    assert!(!waiting.is_finished());

    for (wire, ended) in WIRES
        .iter()
        .zip(join_all(running.into_iter().map(Running::end)).await)
    {
        let done = ended.succeeded();
        assert_eq!(done.usage.output_tokens, Some(1_500), "{wire:?}");
    }
    let done = waiting.await.unwrap().succeeded();
    assert_eq!(done.usage.output_tokens, Some(16));
    assert_eq!(done.finish, Some(FinishReason::Length));
    llama.wait_for("requests_processing", 0.0).await;
}

#[tokio::test]
async fn calls_that_are_dropped_while_they_wait_keep_no_slot() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "1", "--ctx-size", "8192"]).await else {
        return;
    };
    let client = llama.client(WIRES[0]);
    let running = Running::begin(&client, 7_000).await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call_with(&client, ask(7_000).into(), CallContext::new()).await }
    });
    llama.wait_for("requests_deferred", 1.0).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    // The server keeps in its queue what nobody waits for until a slot is free.
    assert_eq!(llama.busy().await, 1, "the other answer goes on");
    drop(running);
    llama.wait_for("requests_deferred", 0.0).await;
    llama.wait_for("requests_processing", 0.0).await;
    let tokens = llama.slots().await[0]["n_prompt_tokens"].as_u64();
    assert!(tokens < Some(4_000), "neither came to its end: {tokens:?}");
}

#[tokio::test]
async fn a_dropped_stream_frees_its_slot() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "2", "--ctx-size", "16384"]).await else {
        return;
    };
    let clients = WIRES.map(|wire| llama.client(wire));
    let mut freed = Vec::new();
    for client in clients.iter().cycle().take(DROPS) {
        let running = Running::begin(client, 7_500).await;
        let dropped = Instant::now();
        drop(running);
        while llama.busy().await > 0 {
            assert!(dropped.elapsed() < PATIENCE, "the slot is never free");
        }
        freed.push(dropped.elapsed());
        // Free because nobody listens, not because the answer had come to its end.
        let last = llama.slots().await;
        let tokens = last
            .iter()
            .filter_map(|slot| slot["n_prompt_tokens"].as_u64())
            .max();
        assert!(tokens < Some(4_000), "{last:?}");
    }
    let began = Instant::now();
    let done = llama.whole(&clients[0], ask(1_000)).await;
    let tokens_per_s = done.usage.output_tokens.unwrap() as f64 / began.elapsed().as_secs_f64();
    keep_figures(&mut freed, tokens_per_s);
}

/// Writes the figures into the file that `THRONG_LLAMA_OUT` names, for `cargo xtask slow llama`.
fn keep_figures(freed: &mut [Duration], tokens_per_s: f64) {
    let Some(path) = std::env::var_os("THRONG_LLAMA_OUT") else {
        return;
    };
    freed.sort_unstable();
    let at = |share: f64| freed[((freed.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    let figures = json!({
        "drops": freed.len(),
        "slot_freed_ms": {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)},
        "tokens_per_s": tokens_per_s,
    });
    std::fs::write(path, figures.to_string()).unwrap();
}
