//! The clocks, on paused time and without sockets: a body is a list of what comes and when.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use throng_core::{Classify, ErrorClass};
use throng_llm::Wire;
use throng_llm::wire::{Decoder, events};
use throng_llm::{CallContext, Clock, ErrorKind, EventStream, Limits, StreamEvent, Timeouts};
use tokio::time::{Instant, sleep};

use crate::support::{collect, delta, finish, hello, sse};

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timeouts() -> Timeouts {
    Timeouts::default()
        .with_first_content(s(20))
        .with_idle(s(10))
        .with_total(s(100))
}

/// A body that gives each piece after its wait, and then stays silent for ever.
fn body(pieces: Vec<(Duration, String)>) -> Body {
    let pieces = stream::iter(pieces).then(|(wait, piece)| async move {
        sleep(wait).await;
        Ok(Bytes::from(piece))
    });
    Box::pin(pieces.chain(stream::pending()))
}

fn reply(body: Body, cx: &CallContext) -> EventStream {
    events(
        body,
        Decoder::new(Wire::OpenAiChat, "test", Limits::default()),
        timeouts(),
        cx,
    )
}

/// Checks which clock ends a body, and when.
async fn check(pieces: Vec<(Duration, String)>, clock: Clock, after: Duration, text: &str) {
    let start = Instant::now();
    let error = collect(reply(body(pieces), &CallContext::new())).await.failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Timeout(clock), ErrorClass::Timeout),
        "{error}"
    );
    let took = start.elapsed();
    assert!(
        took >= after && took <= after + Duration::from_millis(2),
        "{took:?} instead of {after:?}"
    );
    assert_eq!(error.to_string(), text);
}

fn frame(frame: &str) -> String {
    sse(&[frame])
}

#[tokio::test(start_paused = true)]
async fn silence_ends_by_the_first_content_clock() {
    let text = "test sent no content within 20s (first content clock), after 0 frames with 0 bytes of text";
    check(vec![], Clock::FirstContent, s(20), text).await;
}

#[tokio::test(start_paused = true)]
async fn signs_of_life_feed_no_content_clock() {
    let mut pieces = vec![(s(1), frame(&delta("")))];
    for _ in 0..10 {
        pieces.push((s(1), ": ping\n\n".into()));
        pieces.push((s(1), frame("null")));
        pieces.push((s(1), frame(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#)));
    }
    let text = "test sent no content within 20s (first content clock), after 13 frames with 0 bytes of text";
    check(pieces.clone(), Clock::FirstContent, s(20), text).await;
    pieces.insert(0, (s(1), frame(&delta("Hi"))));
    let text = "test sent no further content for 10s (idle clock), after 8 frames with 2 bytes of text";
    check(pieces, Clock::Idle, s(11), text).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_is_no_content() {
    let text = "test sent no further content for 10s (idle clock), after 1 frames with 2 bytes of text";
    let slow: Vec<_> = "data: {\"choices\":["
        .chars()
        .map(|c| (s(1), c.to_string()))
        .collect();
    check(
        [vec![(s(5), frame(&delta("Hi")))], slow].concat(),
        Clock::Idle,
        s(15),
        text,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn content_of_every_kind_feeds_the_idle_clock() {
    let frames = [
        delta("Hi"),
        r#"{"choices":[{"delta":{"reasoning_content":"r"}}]}"#.into(),
        r#"{"choices":[{"delta":{"refusal":"r"}}]}"#.into(),
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#.into(),
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]}"#.into(),
        r#"{"choices":[{"delta":{"reasoning_details":[{"type":"reasoning.encrypted","data":"x"}]}}]}"#.into(),
    ];
    let pieces = frames.iter().map(|text| (s(9), frame(text))).collect();
    let text = "test sent no further content for 10s (idle clock), after 6 frames with 5 bytes of text";
    check(pieces, Clock::Idle, s(64), text).await;
}

#[tokio::test(start_paused = true)]
async fn steady_content_ends_by_the_total_clock() {
    let pieces = (0..60).map(|_| (s(3), frame(&delta("x")))).collect();
    let text =
        "test did not complete its answer within 100s (total clock), after 33 frames with 33 bytes of text";
    check(pieces, Clock::Total, s(100), text).await;
}

/// A body that always has the next piece ready, so that no timer is ever waited for.
fn flood(piece: impl Into<Bytes>) -> Body {
    let piece = piece.into();
    Box::pin(stream::repeat_with(move || Ok(piece.clone())))
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_events_cannot_outrun_the_total_clock() {
    for piece in [": ping\n\n".to_owned(), frame(&delta("x"))] {
        let mut events = reply(flood(piece), &CallContext::new());
        let mut given = 0;
        let error = loop {
            match events.next().await.expect("an error comes before the end") {
                Ok(_) => given += 1,
                Err(error) => break error,
            }
            assert!(given < 200_000, "no clock stops the flood");
            if given % 100 == 0 {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        };
        assert_eq!(error.kind(), &ErrorKind::Timeout(Clock::Total));
        assert!((90_000..110_000).contains(&given), "{given} events in 100 s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_nothing_cannot_outrun_the_first_content_clock() {
    let waiting = tokio::spawn(collect(reply(
        flood(": a comment without end "),
        &CallContext::new(),
    )));
    // The task is first polled within the first step, and its clock runs from there.
    for step in 0..210 {
        assert!(step < 205 || waiting.is_finished(), "no clock stops the flood");
        assert!(step > 195 || !waiting.is_finished(), "too early, at step {step}");
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(
        waiting.await.unwrap().failed().kind(),
        &ErrorKind::Timeout(Clock::FirstContent)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_is_not_taken_for_a_silent_provider() {
    let pieces = (0..6)
        .map(|_| (s(1), frame(&delta("x"))))
        .chain([(s(1), frame(&finish("stop")))])
        .collect();
    let mut events = reply(body(pieces), &CallContext::new());
    let mut text = 0;
    let start = Instant::now();
    while let Some(event) = events.next().await {
        text += event.expect("only the caller is slow").text_bytes();
        sleep(s(12)).await;
    }
    assert_eq!(text, 6);
    assert!(
        start.elapsed() > s(84),
        "longer than idle and first content together"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_caller_ends_a_call() {
    let start = Instant::now();
    let cx = CallContext::new().with_deadline(start + s(7));
    let error = collect(reply(body(vec![(s(1), frame(&delta("Hi")))]), &cx))
        .await
        .failed();
    assert_eq!(error.kind(), &ErrorKind::Timeout(Clock::Deadline));
    assert_eq!(start.elapsed().as_secs(), 7);
    let text = "test did not complete its answer by the caller's deadline (deadline clock), after 1 frames with 2 bytes of text";
    assert_eq!(error.to_string(), text);
}

#[tokio::test(start_paused = true)]
async fn a_token_cancels_at_once() {
    let token = tokio_util::sync::CancellationToken::new();
    let cx = CallContext::new().with_cancellation(token.clone());
    let start = Instant::now();
    let collecting = collect(reply(body(vec![(s(1), frame(&delta("Hi")))]), &cx));
    let (ended, ()) = tokio::join!(collecting, async {
        sleep(s(3)).await;
        token.cancel();
    });
    assert_eq!(
        (ended.completion().text.as_str(), start.elapsed().as_secs()),
        ("Hi", 3)
    );
    let error = ended.failed();
    assert_eq!(
        (error.kind(), error.classify()),
        (&ErrorKind::Cancelled, ErrorClass::Permanent)
    );
}

#[tokio::test(start_paused = true)]
async fn after_the_last_word_the_rest_is_waited_for_briefly() {
    let start = Instant::now();
    let ended = collect(reply(
        body(vec![(s(1), frame(&delta("Hi"))), (s(1), frame(&finish("stop")))]),
        &CallContext::new(),
    ))
    .await;
    assert_eq!(ended.succeeded().text, "Hi");
    assert_eq!(start.elapsed().as_secs(), 7, "2 s and the tail");
    let start = Instant::now();
    let broken: Body = Box::pin(stream::iter([
        Ok(Bytes::from(frame(&finish("stop")))),
        Err(std::io::Error::other("reset")),
    ]));
    assert!(collect(reply(broken, &CallContext::new())).await.error.is_none());
    let late = vec![
        (s(1), frame(&finish("stop"))),
        (
            s(4),
            frame(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#),
        ),
        (s(4), frame("[DONE]")),
    ];
    let ended = collect(reply(body(late), &CallContext::new())).await;
    assert_eq!(ended.succeeded().usage.total(), 3, "usage within the tail counts");
    assert!(start.elapsed() < s(11));
}

#[tokio::test(start_paused = true)]
async fn the_rest_is_waited_for_briefly_where_no_other_clock_runs() {
    let start = Instant::now();
    let timeouts = Timeouts::default()
        .with_first_content(s(1))
        .with_idle(Duration::MAX)
        .with_total(Duration::MAX);
    let first = stream::iter([Ok(Bytes::from(frame(&delta("Hi"))))]);
    let decoder = Decoder::new(Wire::OpenAiChat, "test", Limits::default());
    let body = first.chain(body(vec![(s(20), frame(&finish("stop")))]));
    let ended = collect(events(body, decoder, timeouts, &CallContext::new())).await;
    assert_eq!(ended.succeeded().text, "Hi");
    assert_eq!(start.elapsed().as_secs(), 25, "20 s and the tail");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_goes_from_task_to_task_is_woken_where_it_is() {
    let token = tokio_util::sync::CancellationToken::new();
    let cx = CallContext::new().with_cancellation(token.clone());
    let mut answers = reply(body(vec![(s(1), frame(&delta("Hi")))]), &cx);
    let tried = tokio::time::timeout(Duration::from_millis(500), answers.next()).await;
    assert!(tried.is_err(), "nothing has come");
    let waiting = tokio::spawn(async move {
        let mut rest = Vec::new();
        while let Some(event) = answers.next().await {
            rest.push(event);
        }
        rest
    });
    sleep(s(3)).await;
    token.cancel();
    let rest = waiting.await.expect("it does not panic");
    let last = rest.last().expect("an error comes");
    let error = last.as_ref().expect_err("it was cancelled");
    assert_eq!(error.kind(), &ErrorKind::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_keeps_what_came_and_says_so() {
    let broken: Body = Box::pin(stream::iter([
        Ok(Bytes::from(frame(&delta("Hi")))),
        Err(std::io::Error::other("reset by peer")),
    ]));
    let ended = collect(reply(broken, &CallContext::new())).await;
    assert_eq!(ended.completion().text, "Hi");
    let error = ended.failed();
    assert_eq!(
        (error.kind(), error.before_first_content()),
        (&ErrorKind::Transport, false)
    );
    assert_eq!(
        error.to_string(),
        "test broke the connection, after 1 frames with 2 bytes of text"
    );
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "reset by peer"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_body_that_stays_open() {
    let start = Instant::now();
    let mut events = reply(body(vec![(Duration::ZERO, hello())]), &CallContext::new());
    while let Some(event) = events.next().await {
        if let StreamEvent::Finished { .. } = event.unwrap() {
            assert_eq!(start.elapsed(), Duration::ZERO, "the last event comes at once");
        }
    }
    assert!(
        start.elapsed() <= Duration::from_millis(60),
        "and the end of the stream soon"
    );
}
