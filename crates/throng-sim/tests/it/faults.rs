//! Each fault looks as it is described, on streams and without.

use std::time::Duration;

use serde_json::Value;
use throng_sim::{Behaviour, Decision, End, Fault, FaultMix, Match, SimServer, expected_text};

use crate::client::{Reply, ask, ask_stream, instant, post, request, start, stream_request};

/// A server where every request meets one fault, and slowness is quick.
async fn only(fault: Fault) -> SimServer {
    let slow = Duration::from_millis(10);
    start(instant().fail(1.0).fault_mix(FaultMix::only(fault)).slow(slow, 2)).await
}

fn check_logged(server: &SimServer, fault: Fault, end: End) {
    let log = server.log();
    assert!(!log.is_empty());
    for entry in &log {
        assert_eq!(
            (entry.decision, entry.end),
            (Decision::Fault(fault), Some(end)),
            "{entry:?}"
        );
    }
    assert_eq!(server.stats().faults_by_kind[fault.as_str()], log.len() as u64);
}

#[tokio::test]
async fn error_statuses_come_with_their_bodies() {
    for (fault, status) in [
        (Fault::ServerError, 500),
        (Fault::Unavailable, 503),
        (Fault::Overloaded, 529),
    ] {
        let server = only(fault).await;
        for reply in [ask(&server, "x").await, ask_stream(&server, "x").await] {
            assert_eq!(
                (reply.status, reply.header("content-type")),
                (status, Some("application/json"))
            );
            assert!(reply.json()["error"]["message"].is_string());
            assert_eq!(reply.header("retry-after"), None);
        }
        check_logged(&server, fault, End::Complete);
    }
    let server = only(Fault::ServerErrorText).await;
    for reply in [ask(&server, "x").await, ask_stream(&server, "x").await] {
        assert_eq!(reply.status, 500);
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
    }
    check_logged(&server, Fault::ServerErrorText, End::Complete);
}

#[tokio::test]
async fn overload_can_say_how_long_to_wait() {
    let mix = FaultMix::only(Fault::Unavailable);
    let server = start(
        instant()
            .fail(1.0)
            .fault_mix(mix)
            .overload_retry_after(Duration::from_millis(1500)),
    )
    .await;
    assert_eq!(ask(&server, "x").await.header("retry-after"), Some("2"));
}

#[tokio::test]
async fn a_cut_stream_has_some_tokens_and_no_end() {
    let server = only(Fault::Cut).await;
    for prompt in 0..20 {
        let prompt = prompt.to_string();
        let reply = ask_stream(&server, &prompt).await;
        let (whole, part) = (expected_text(0, &prompt), reply.streamed(0));
        assert_eq!((reply.status, reply.ended), (200, false));
        assert!(
            !part.is_empty() && whole.starts_with(&part) && part.len() < whole.len(),
            "{part:?} of {whole:?}"
        );
        assert!(!reply.text().contains("[DONE]") && !reply.text().contains("\"stop\""));
    }
    check_logged(&server, Fault::Cut, End::Cut);
}

#[tokio::test]
async fn a_cut_answer_is_shorter_than_promised() {
    let server = only(Fault::Cut).await;
    let reply = ask(&server, "x").await;
    assert_eq!((reply.status, reply.ended), (200, false));
    let promised: usize = reply.header("content-length").unwrap().parse().unwrap();
    assert!(!reply.body.is_empty() && reply.body.len() < promised);
    check_logged(&server, Fault::Cut, End::Cut);
}

#[tokio::test]
async fn a_stream_without_terminal_ends_cleanly() {
    let server = only(Fault::MissingTerminal).await;
    for prompt in 0..20 {
        let reply = ask_stream(&server, &prompt.to_string()).await;
        assert!(reply.ended);
        let events = reply.events();
        assert!(
            events.len() >= 2
                && events
                    .iter()
                    .all(|event| event.contains(r#""finish_reason":null"#))
        );
    }
    let reply = ask(&server, "x").await;
    assert!(
        reply.ended && serde_json::from_slice::<Value>(&reply.body).is_err(),
        "half a JSON that looks whole"
    );
    check_logged(&server, Fault::MissingTerminal, End::Complete);
}

#[tokio::test]
async fn an_error_event_ends_the_stream() {
    let last_json = |reply: &Reply| {
        let events = reply.events();
        let last = events.iter().rfind(|event| *event != "[DONE]").unwrap();
        (
            serde_json::from_str::<Value>(last).unwrap(),
            events.last().unwrap() == "[DONE]",
        )
    };
    let server = only(Fault::StreamError).await;
    let reply = ask_stream(&server, "x").await;
    assert!((reply.status, reply.ended) == (200, true) && !reply.streamed(0).is_empty());
    let (error, done) = last_json(&reply);
    assert!(error["error"]["message"].is_string() && error.get("choices").is_none() && !done);
    let whole = ask(&server, "x").await;
    assert!(whole.status == 200 && whole.json()["error"]["message"].is_string());
    check_logged(&server, Fault::StreamError, End::Complete);

    let server = only(Fault::StreamErrorBesideChoices).await;
    let (error, done) = last_json(&ask_stream(&server, "x").await);
    assert!(error["error"]["message"].is_string() && error["choices"] == serde_json::json!([]) && done);
    let whole = ask(&server, "x").await.json();
    assert!(whole["error"]["message"].is_string() && whole["choices"] == serde_json::json!([]));
    check_logged(&server, Fault::StreamErrorBesideChoices, End::Complete);
}

#[tokio::test]
async fn garbage_replaces_one_event() {
    let server = only(Fault::Garbage).await;
    for prompt in 0..20 {
        let prompt = prompt.to_string();
        let reply = ask_stream(&server, &prompt).await;
        let events = reply.events();
        let broken = events
            .iter()
            .filter(|event| serde_json::from_str::<Value>(event).is_err() && *event != "[DONE]");
        assert_eq!(broken.count(), 1);
        assert_eq!(events.last().unwrap(), "[DONE]");
        assert_ne!(
            reply.streamed(0),
            expected_text(0, &prompt),
            "skipping it must not give the whole text"
        );
        assert!(std::str::from_utf8(&reply.body).is_err(), "not even UTF-8");
    }
    let whole = ask(&server, "x").await;
    assert!(whole.status == 200 && serde_json::from_slice::<Value>(&whole.body).is_err());
    check_logged(&server, Fault::Garbage, End::Complete);
}

#[tokio::test]
async fn an_html_page_and_an_empty_body_have_status_200() {
    let server = only(Fault::HtmlPage).await;
    for reply in [ask(&server, "x").await, ask_stream(&server, "x").await] {
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(reply.text().contains("<html>"));
    }
    check_logged(&server, Fault::HtmlPage, End::Complete);
    let server = only(Fault::EmptyBody).await;
    for reply in [ask(&server, "x").await, ask_stream(&server, "x").await] {
        assert_eq!((reply.status, reply.body.len(), reply.ended), (200, 0, true));
    }
    check_logged(&server, Fault::EmptyBody, End::Complete);
}

#[tokio::test]
async fn a_dropped_connection_gives_no_byte() {
    let server = only(Fault::Dropped).await;
    assert!(post(&server, &request("x")).await.is_err());
    assert!(post(&server, &stream_request("x")).await.is_err());
    check_logged(&server, Fault::Dropped, End::Cut);
    assert_eq!(server.log()[0].status, None);
}

#[tokio::test]
async fn a_slow_reply_pauses_and_is_whole() {
    let server = only(Fault::Slow).await;
    assert_eq!(ask_stream(&server, "x").await.streamed(0), expected_text(0, "x"));
    assert_eq!(ask(&server, "x").await.content(), expected_text(0, "x"));
    check_logged(&server, Fault::Slow, End::Complete);
}

#[tokio::test]
async fn every_fault_can_be_met_by_every_shape_of_request() {
    let tool = serde_json::json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"});
    for fault in Fault::ALL {
        let server = only(fault).await;
        server.script(Match::prompt_contains("empty"), Behaviour::Text(String::new()));
        for body in [
            request("x"),
            stream_request("x"),
            request("empty"),
            stream_request("empty"),
        ] {
            // Whatever comes, it comes to an end.
            let _ = post(&server, &body).await;
            let _ = post(&server, &crate::client::with(body, tool.clone())).await;
        }
        let _ = post(
            &server,
            &crate::client::with(stream_request("x"), serde_json::json!({"max_tokens": 1})),
        )
        .await;
        assert_eq!(server.stats().requests, 9, "{fault}");
        crate::client::soon(server.wait_until(|stats| stats.open == 0)).await;
    }
}
