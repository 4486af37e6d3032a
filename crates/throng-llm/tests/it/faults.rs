//! The faults at which other clients fail, over a real socket: each is the right typed result, never a false success.

use throng_core::{Classify, ErrorClass};
use throng_llm::{CallContext, Clock, ErrorKind, LlmClient, StreamEvent, Timeouts, complete};

use crate::support::{
    Ended, Seen, Server, Step, answer, call, chunked, delta, finish, hello, pause, question, send, sse,
    stream,
};

async fn answering(bytes: impl Into<Vec<u8>>) -> Ended {
    let server = Server::answering(bytes).await;
    call(&server.client()).await
}

#[tokio::test]
async fn a_whole_stream_and_a_whole_answer() {
    let done = answering(stream(hello())).await.succeeded();
    assert_eq!((&*done.text, done.usage.total()), ("Hello", 5));
    let head = [
        "content-type: text/event-stream",
        "x-request-id: req_1",
        "x-ratelimit-remaining-tokens: 7",
        "x-ratelimit-reset-tokens: 6m0s",
    ];
    let done = answering(answer(200, &head, hello())).await.succeeded();
    assert_eq!(done.request_id.as_deref(), Some("req_1"));
    assert_eq!(done.limits.tokens.remaining, Some(7));
    assert_eq!(done.limits.tokens.reset.unwrap().as_secs(), 360);
    let server = Server::answering(stream(hello())).await;
    let done = complete(&server.client(), question(), CallContext::new())
        .await
        .unwrap();
    assert_eq!(done.text, "Hello");
    assert!(done.first_content.is_some_and(|first| first <= done.elapsed));
}

#[tokio::test]
async fn the_fault_table() {
    use ErrorKind::{Protocol, Server, Transport, Truncated};
    let hi = delta("Hi");
    let fails = |bytes: Vec<u8>, kind: ErrorKind, text: &'static str| async move {
        let ended = answering(bytes).await;
        assert_eq!(ended.completion().text, text);
        let error = ended.failed();
        assert_eq!(error.kind(), &kind, "{error}");
        assert_eq!(error.before_first_content(), text.is_empty());
        error
    };
    // The stream ends after half an answer, at a frame's end or within one, with or without [DONE].
    fails(stream(sse(&[&hi])), Truncated, "Hi").await;
    fails(stream(format!("{}data: {{\"cho", sse(&[&hi]))), Truncated, "Hi").await;
    fails(stream(sse(&[&hi, "[DONE]"])), Truncated, "Hi").await;
    // The connection breaks: a chunked body without its end, and a reset.
    let whole = chunked(&sse(&[&hi]));
    fails(whole[..whole.len() - 5].to_vec(), Transport, "Hi").await;
    // `error` beside `choices: []`, then [DONE].
    let error = r#"{"error":{"message":"boom","type":"server_error"},"choices":[]}"#;
    fails(stream(sse(&[&hi, error, "[DONE]"])), Server, "Hi").await;
    fails(stream(sse(&[error, "[DONE]"])), Server, "").await;
    // Status 200 with HTML, JSON of something else, text, nothing.
    fails(
        answer(200, &["content-type: text/html"], "<html>login</html>"),
        Protocol,
        "",
    )
    .await;
    fails(stream("<html>login</html>"), Protocol, "").await;
    fails(
        answer(200, &["content-type: application/json"], "{\"ok\":true}"),
        Protocol,
        "",
    )
    .await;
    fails(stream("{\"ok\":true}"), Protocol, "").await;
    fails(answer(200, &["content-type: text/plain"], "hello"), Protocol, "").await;
    fails(stream(""), Truncated, "").await;
    fails(answer(204, &[], ""), Truncated, "").await;
    fails(stream(sse(&[&hi, "{broken"])), Protocol, "Hi").await;
    // No HTTP at all, and no answer at all.
    fails(b"hello\r\n\r\n".to_vec(), Transport, "").await;
    fails(Vec::new(), Transport, "").await;
}

#[tokio::test]
async fn what_only_looks_like_a_fault_is_an_answer() {
    let succeeds = |bytes: Vec<u8>, text: &'static str| async move {
        assert_eq!(answering(bytes).await.succeeded().text, text);
    };
    succeeds(stream(sse(&[&delta("Hi"), &finish("stop")])), "Hi").await;
    succeeds(stream(format!("\u{feff}{}", hello())), "Hello").await;
    succeeds(answer(200, &["content-type: application/json"], hello()), "Hello").await;
    succeeds(answer(200, &[], hello()), "Hello").await;
    let whole = r#"{"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]}"#;
    succeeds(answer(200, &["content-type: application/json"], whole), "Hello").await;
    succeeds(stream(whole), "Hello").await;
    let crab = [
        r#"{"choices":[{"delta":{"content":"\ud83e"}}]}"#,
        r#"{"choices":[{"delta":{"content":"\udd80"}}]}"#,
    ];
    succeeds(stream(sse(&[crab[0], crab[1], &finish("stop"), "[DONE]"])), "🦀").await;
    let odd = r#"{"choices":[{"delta":{"content":"Hi"},"finish_reason":""}]}"#;
    succeeds(stream(sse(&["null", odd, &finish("stop"), "[DONE]"])), "Hi").await;
    // A broken end after the model's last word.
    let cut = chunked(&sse(&[&delta("Hi"), &finish("stop")]));
    succeeds(cut[..cut.len() - 5].to_vec(), "Hi").await;
}

#[tokio::test]
async fn a_reset_in_mid_stream_is_a_transport_error() {
    let script = vec![send(stream(sse(&[&delta("Hi")]))), pause(30), Step::Reset];
    let server = Server::start(vec![script]).await;
    let ended = call(&server.client()).await;
    assert_eq!(ended.completion().text, "Hi");
    let error = ended.failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Transport, ErrorClass::Transient)
    );
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn every_cut_of_a_stream_is_an_error_until_its_last_word_is_there() {
    let body = hello();
    let whole =
        body.find("\"stop\"").unwrap() + body[body.find("\"stop\"").unwrap()..].find("\n\n").unwrap() + 2;
    for at in (0..body.len()).step_by(7) {
        let ended = answering(stream(&body[..at])).await;
        assert_eq!(
            ended.error.is_none(),
            at >= whole,
            "cut at {at}: {}",
            ended.trace()
        );
    }
}

#[tokio::test]
async fn bytes_that_come_one_by_one_make_the_same_answer() {
    let body = hello();
    let head = stream("");
    let whole = answering(stream(&body)).await;
    let script = std::iter::once(send(head))
        .chain(body.bytes().map(|byte| send([byte])))
        .collect();
    let server = Server::start(vec![script]).await;
    assert_eq!(call(&server.client()).await.trace(), whole.trace());
}

#[tokio::test]
async fn dropping_the_stream_closes_the_connection() {
    let mut server = Server::start(vec![vec![send(stream(sse(&[&delta("Hi")]))), Step::AwaitClose]]).await;
    let mut events = server
        .client()
        .call(question(), CallContext::new())
        .await
        .unwrap();
    while let Some(event) = futures_util::StreamExt::next(&mut events).await {
        if matches!(event.unwrap(), StreamEvent::TextDelta(_)) {
            break;
        }
    }
    drop(events);
    server.wait_for(Seen::Closed).await;
}

#[tokio::test]
async fn many_dropped_calls_leave_no_connection_behind() {
    let mut server = Server::start(vec![vec![send(stream(sse(&[&delta("Hi")]))), Step::AwaitClose]]).await;
    let client = server.client();
    let calls = 200;
    let dropped: Vec<_> = (0..calls)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut events = client.call(question(), CallContext::new()).await.unwrap();
                for _ in 0..n % 3 {
                    futures_util::StreamExt::next(&mut events).await.unwrap().unwrap();
                }
            })
        })
        .collect();
    for call in dropped {
        call.await.unwrap();
    }
    for _ in 0..calls {
        server.wait_for(Seen::Closed).await;
    }
}

#[tokio::test]
async fn dropping_the_call_closes_the_connection() {
    let mut server = Server::start(vec![vec![Step::AwaitClose]]).await;
    let client = server.client();
    let mut calling = Box::pin(client.call(question(), CallContext::new()));
    tokio::select! {
        _ = &mut calling => panic!("nothing was answered"),
        (head, _) = server.request() => assert!(head.starts_with("POST /v1/chat/completions ")),
    }
    drop(calling);
    server.wait_for(Seen::Closed).await;
}

#[tokio::test]
async fn cancelling_closes_the_connection() {
    let mut server = Server::start(vec![vec![send(stream(sse(&[&delta("Hi")]))), Step::AwaitClose]]).await;
    let token = tokio_util::sync::CancellationToken::new();
    let cx = CallContext::new().with_cancellation(token.clone());
    let mut events = server.client().call(question(), cx).await.unwrap();
    let mut kind = None;
    while let Some(event) = futures_util::StreamExt::next(&mut events).await {
        match event {
            Ok(StreamEvent::TextDelta(_)) => token.cancel(),
            Ok(_) => {}
            Err(error) => kind = Some(error.kind().clone()),
        }
    }
    assert_eq!(kind, Some(ErrorKind::Cancelled));
    server.wait_for(Seen::Closed).await;
    let cx = CallContext::new().with_cancellation(token);
    let error = server
        .client()
        .call(question(), cx)
        .await
        .err()
        .expect("cancelled before it began");
    assert_eq!(error.kind(), &ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_whole_answer_leaves_its_connection_for_the_next() {
    assert_eq!(connections_of_three_calls(true).await, 1);
}

#[tokio::test]
async fn connections_are_not_reused_where_a_server_does_not_keep_them() {
    assert_eq!(connections_of_three_calls(false).await, 3);
}

/// Makes three calls and returns how many connections they took.
async fn connections_of_three_calls(reuse: bool) -> usize {
    let again = [send(chunked(&hello())), Step::NextRequest];
    let script = again
        .iter()
        .cloned()
        .cycle()
        .take(7)
        .chain([send(chunked(&hello()))])
        .collect();
    let mut server = Server::start(vec![script]).await;
    let client = server.builder().reuse_connections(reuse).build().unwrap();
    for _ in 0..3 {
        assert_eq!(call(&client).await.succeeded().text, "Hello");
    }
    let mut connections = 0;
    let mut requests = 0;
    while let Ok(seen) = server.seen.try_recv() {
        connections += usize::from(seen == Seen::Connection);
        requests += usize::from(matches!(seen, Seen::Request { .. }));
    }
    assert_eq!(requests, 3);
    connections
}

#[tokio::test]
async fn no_server_is_an_error_that_names_the_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{addr}/v1?key=sk-in-the-query");
    let client = throng_llm::HttpClient::builder(throng_llm::Wire::OpenAiChat)
        .base_url(url)
        .api_key("sk-very-secret-key")
        .build()
        .unwrap();
    let error = call(&client).await.failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Connect, ErrorClass::Transient)
    );
    assert_eq!(error.to_string(), format!("openai cannot be reached at {addr}"));
    let shown = format!("{error:?} {:?}", std::error::Error::source(&error));
    assert!(!shown.contains("sk-"), "{shown}");
}

#[tokio::test]
async fn the_connect_clock_ends_a_handshake_that_stalls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    // The connection is taken by the system, but nobody answers the TLS handshake.
    let timeouts = Timeouts::default().with_connect(std::time::Duration::from_millis(40));
    let client = throng_llm::HttpClient::builder(throng_llm::Wire::OpenAiChat)
        .base_url(format!("https://{addr}/v1"))
        .timeouts(timeouts)
        .build();
    let error = call(&client.expect("this system has certificates"))
        .await
        .failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Timeout(Clock::Connect), ErrorClass::Timeout)
    );
    assert_eq!(
        error.to_string(),
        format!("openai let no connection be made within 40ms (connect clock) at {addr}")
    );
    drop(listener);
}

#[tokio::test]
async fn the_clocks_also_run_before_the_answer_begins() {
    let server = Server::start(vec![vec![Step::AwaitClose]]).await;
    let ms = std::time::Duration::from_millis;
    for (timeouts, clock) in [
        (
            Timeouts::default().with_first_content(ms(30)),
            Clock::FirstContent,
        ),
        (Timeouts::default().with_total(ms(30)), Clock::Total),
    ] {
        let error = call(&server.builder().timeouts(timeouts).build().unwrap())
            .await
            .failed();
        assert_eq!(error.kind(), &ErrorKind::Timeout(clock));
        assert!(error.before_first_content());
    }
    let cx = CallContext::new().with_deadline(tokio::time::Instant::now() + ms(30));
    let error = server
        .client()
        .call(question(), cx)
        .await
        .err()
        .expect("nothing was answered");
    assert_eq!(error.kind(), &ErrorKind::Timeout(Clock::Deadline));
    let timeouts = Timeouts::default().with_first_content(ms(30)).with_total(ms(50));
    let error = call(&server.builder().timeouts(timeouts).stream(false).build().unwrap())
        .await
        .failed();
    assert_eq!(
        error.kind(),
        &ErrorKind::Timeout(Clock::Total),
        "the first content of an answer in one piece is its end"
    );
}
