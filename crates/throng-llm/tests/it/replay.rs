//! Recording calls to files, and answering from them.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use throng_core::{Classify, ErrorClass};
use throng_llm::{
    CallContext, Clock, ErrorKind, HttpClient, InvalidRecording, LlmClient, Recorder, Replay, Request,
    Timeouts, Wire,
};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Ended, Server, Step, answer, call, call_with, chunked, delta, finish, hello, pause, question, send, sse,
    stream,
};

/// All that a caller can see of how a call went, but the source of its error.
fn seen(ended: &Ended) -> String {
    let error = ended.error.as_ref().map(|error| {
        format!(
            "{error} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            error.kind(),
            error.status(),
            error.code(),
            error.request_id(),
            error.raw_body(),
            error.retry_after(),
            error.limits(),
            error.received(),
            error.overflow(),
            error.classify(),
        )
    });
    format!("{:?} {error:?}", ended.events)
}

/// Reads the one cassette of a directory.
fn cassette(dir: &Path) -> Value {
    let mut files = std::fs::read_dir(dir).unwrap();
    let path = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none(), "one file");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Records a call, replays it, and checks that both went alike. Returns the live call and how the recording ended.
async fn check(script: Vec<Step>, timeouts: Timeouts, stream: bool) -> (Ended, String) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(vec![script]).await;
    let recorder = Recorder::create(dir.path()).unwrap();
    let builder = server.builder().timeouts(timeouts).stream(stream);
    let live = call(&builder.record(recorder.clone()).build().unwrap()).await;
    recorder.flush().await.unwrap();
    let how = cassette(dir.path())["ended"]["how"].as_str().unwrap().to_owned();
    let replay = Replay::open(dir.path()).unwrap();
    for client in [replay.clone(), replay.with_recorded_timing()] {
        let again = call(&client).await;
        assert_eq!(seen(&again), seen(&live));
    }
    (live, how)
}

#[tokio::test]
async fn a_replay_gives_what_the_live_call_gave() {
    let limits = [
        "x-request-id: req-7",
        "x-ratelimit-limit-requests: 9",
        "x-ratelimit-remaining-requests: 0",
        "anthropic-ratelimit-tokens-reset: 2026-01-01T00:00:30Z",
        "date: Thu, 01 Jan 2026 00:00:00 GMT",
        "content-type: text/event-stream",
    ];
    let frame = delta("cr\u{1f980}b");
    let crab = frame.find('\u{1f980}').unwrap() + 8;
    let split = stream(sse(&[&frame, &finish("stop"), "[DONE]"]));
    let at = split.windows(5).position(|window| window == b"data:").unwrap() + crab;
    let default = Timeouts::default();
    let short = default.with_first_content(Duration::from_millis(40));
    let idle = default.with_idle(Duration::from_millis(40));
    let cut = stream(sse(&[&delta("Hel"), &delta("lo")]));
    let reset = [chunked(&sse(&[&delta("x")])), Vec::new()].concat();
    let half = &reset[..reset.len() - 7];
    for (script, timeouts, ok, how) in [
        (vec![send(answer(200, &limits, hello()))], default, true, "whole"),
        (
            vec![send(&split[..at]), pause(20), send(&split[at..])],
            default,
            true,
            "whole",
        ),
        (vec![send(chunked(&hello()))], default, true, "whole"),
        (vec![send(cut.clone())], default, false, "whole"),
        (vec![send(half), pause(20), Step::Reset], default, false, "broken"),
        (vec![send(half), Step::AwaitClose], idle, false, "failed"),
        (vec![send(&cut[..60]), Step::AwaitClose], short, false, "failed"),
        (vec![Step::AwaitClose], short, false, "failed"),
        (vec![Step::Reset], default, false, "failed"),
        (
            vec![send(answer(
                429,
                &[&limits[..4], &["retry-after: 7"]].concat(),
                r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
            ))],
            default,
            false,
            "whole",
        ),
        (
            vec![send(answer(503, &["x-should-retry: false"], "<html>busy</html>"))],
            default,
            false,
            "whole",
        ),
        (
            vec![send(answer(302, &["location: /login?token=abc"], ""))],
            default,
            false,
            "whole",
        ),
        (
            vec![send(stream(sse(&[
                &delta("x"),
                r#"{"error":{"message":"overloaded","code":529}}"#,
            ])))],
            default,
            false,
            "stopped",
        ),
        (vec![send(stream("<html>login</html>"))], default, false, "whole"),
    ] {
        let name = format!("{script:?}");
        let (live, ended) = check(script, timeouts, true).await;
        assert_eq!(
            (live.error.is_none(), ended.as_str()),
            (ok, how),
            "{name}: {live:?}"
        );
    }
    let whole = json!({"id": "c", "model": "m", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]});
    let (live, _) = check(vec![send(answer(200, &[], whole.to_string()))], default, false).await;
    assert_eq!(live.succeeded().text, "Hi");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_and_a_cancelled_call() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(dir.path()).unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let client = HttpClient::builder(Wire::OpenAiChat)
        .base_url(format!("http://{nobody}/v1"))
        .record(recorder.clone())
        .build()
        .unwrap();
    let live = call(&client).await;
    let server = Server::start(vec![vec![
        send(stream(sse(&[&delta("x")]))[..].to_vec()),
        Step::AwaitClose,
    ]])
    .await;
    let client = server.builder().record(recorder.clone()).build().unwrap();
    let token = CancellationToken::new();
    let cx = || CallContext::new().with_repeat(1);
    let mut events = client
        .call(question(), cx().with_cancellation(token.clone()))
        .await
        .unwrap();
    events.next().await.unwrap().unwrap();
    token.cancel();
    let rest: Vec<_> = events.by_ref().collect().await;
    let cancelled = rest.last().unwrap().as_ref().unwrap_err();
    assert_eq!(cancelled.kind(), &ErrorKind::Cancelled);
    drop(events);
    recorder.flush().await.unwrap();

    let replay = Replay::open(dir.path()).unwrap();
    let again = call(&replay).await;
    assert_eq!(seen(&again), seen(&live));
    assert_eq!(*again.error.as_ref().unwrap().kind(), ErrorKind::Connect);
    assert!(again.error.unwrap().source().is_some());
    let again = call_with(&replay, question(), cx()).await.failed();
    assert_eq!(
        (again.to_string(), again.kind()),
        (cancelled.to_string(), cancelled.kind())
    );
}

#[tokio::test]
async fn retries_come_in_the_order_in_which_they_were_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(vec![
        vec![send(answer(429, &["retry-after: 0"], "{}"))],
        vec![send(stream(hello()))],
    ])
    .await;
    let record = |recorder: &Recorder| server.builder().record(recorder.clone()).build().unwrap();
    let recorder = Recorder::create(dir.path()).unwrap();
    let client = record(&recorder);
    call(&client).await.failed();
    call(&client).await.succeeded();
    recorder.flush().await.unwrap();
    let replay = Replay::open(dir.path()).unwrap();
    assert_eq!(replay.provider(), "openai");
    assert_eq!(call(&replay).await.failed().kind(), &ErrorKind::RateLimited);
    for _ in 0..3 {
        call(&replay).await.succeeded();
    }
    // A later recorder replaces all that was recorded of the call.
    let recorder = Recorder::create(dir.path()).unwrap();
    call(&record(&recorder)).await.succeeded();
    recorder.flush().await.unwrap();
    assert_eq!(cassette(dir.path())["attempt"], 0);
    call(&Replay::open(dir.path()).unwrap()).await.succeeded();
}

#[tokio::test]
async fn what_a_cassette_holds() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(vec![vec![
        send(answer(
            200,
            &["content-type: text/event-stream", "set-cookie: a=b", "x-other: 1"],
            "",
        )),
        pause(20),
        send(sse(&[&delta("Hi"), &finish("stop")])),
        pause(20),
        send(sse(&["[DONE]"])),
    ]])
    .await;
    let recorder = Recorder::create(dir.path()).unwrap();
    let client = server
        .builder()
        .base_url(format!("{}?key=abc", server.url()))
        .record(recorder.clone())
        .build()
        .unwrap();
    call_with(&client, question(), CallContext::new().with_repeat(3))
        .await
        .succeeded();
    recorder.flush().await.unwrap();
    let cassette = cassette(dir.path());
    assert_eq!(cassette["v"], 1);
    assert_eq!(cassette["fingerprint"], question().fingerprint().to_string());
    assert_eq!(
        (&cassette["repeat"], &cassette["wire"]),
        (&json!(3), &json!("openai-chat"))
    );
    assert_eq!(cassette["request"]["path"], "/v1/chat/completions");
    assert_eq!(
        cassette["request"]["body"]["messages"][0]["content"],
        "Say hello."
    );
    assert_eq!(
        cassette["response"]["headers"],
        json!([["content-type", "text/event-stream"]])
    );
    let chunks = cassette["response"]["chunks"].as_array().unwrap();
    let text: String = chunks
        .iter()
        .map(|chunk| chunk["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, sse(&[&delta("Hi"), &finish("stop"), "[DONE]"]));
    let times: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["at_ms"].as_u64().unwrap())
        .collect();
    assert!(
        times.len() >= 2 && times.is_sorted() && times[0] >= 20,
        "{times:?}"
    );
    assert!(!cassette.to_string().contains("abc"), "{cassette}");
}

#[tokio::test]
async fn a_dropped_call_is_recorded_as_far_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(vec![
        vec![send(stream(sse(&[&delta("Hel")]))), Step::AwaitClose],
        vec![Step::AwaitClose],
    ])
    .await;
    let recorder = Recorder::create(dir.path()).unwrap();
    let client = server.builder().record(recorder.clone()).build().unwrap();
    let mut events = client.call(question(), CallContext::new()).await.unwrap();
    events.next().await.unwrap().unwrap();
    events.next().await.unwrap().unwrap();
    drop(events);
    let unanswered = client.call(question(), CallContext::new().with_repeat(1));
    let waiting = tokio::time::timeout(Duration::from_millis(40), unanswered).await;
    assert!(waiting.is_err());
    server.wait_for(crate::support::Seen::Closed).await;
    recorder.flush().await.unwrap();
    let replay = Replay::open(dir.path()).unwrap();
    let ended = call(&replay).await;
    assert_eq!(ended.completion().text, "Hel");
    for error in [
        ended.failed(),
        call_with(&replay, question(), CallContext::new().with_repeat(1))
            .await
            .failed(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::NotRecorded);
        assert!(
            error.to_string().contains("dropped when it was recorded"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_call_that_was_not_recorded_says_which() {
    let dir = tempfile::tempdir().unwrap();
    let replay = Replay::open(dir.path()).unwrap();
    let request = Arc::new(Request::new("m1").user("x"));
    let fingerprint = request.fingerprint();
    let error = call_with(&replay, request, CallContext::new()).await.failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::NotRecorded, ErrorClass::Permanent)
    );
    let text = error.to_string();
    let expect = format!(
        "replay has no recording of this call: fingerprint {fingerprint}, model `m1`, repeat 0, in {}",
        dir.path().display()
    );
    assert_eq!(text, expect);

    let bad = dir.path().join("bad.json");
    std::fs::write(&bad, "{").unwrap();
    let error = Replay::open(dir.path()).unwrap_err();
    assert!(matches!(error, InvalidRecording::Format { .. }), "{error:?}");
    let label =
        json!({"v": 2, "provider": "p", "wire": "w", "fingerprint": fingerprint, "repeat": 0, "attempt": 0});
    std::fs::write(&bad, label.to_string()).unwrap();
    let error = Replay::open(dir.path()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("has version 2 and wire `w`, which are not known"),
        "{error}"
    );
    let error = Replay::open(dir.path().join("absent")).unwrap_err();
    assert!(matches!(error, InvalidRecording::Read { .. }), "{error:?}");
}

#[tokio::test]
async fn recorded_delays_are_kept_up_to_the_callers_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(vec![vec![pause(50), send(stream(hello()))]]).await;
    let recorder = Recorder::create(dir.path()).unwrap();
    call(&server.builder().record(recorder.clone()).build().unwrap())
        .await
        .succeeded();
    recorder.flush().await.unwrap();
    let replay = Replay::open(dir.path()).unwrap().with_recorded_timing();
    let soon = CallContext::new().with_deadline(tokio::time::Instant::now() + Duration::from_millis(5));
    let error = call_with(&replay, question(), soon).await.failed();
    assert_eq!(error.kind(), &ErrorKind::Timeout(Clock::Deadline));
}
