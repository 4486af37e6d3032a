//! Scripts: each request meets what the test said.

use std::num::NonZeroUsize;
use std::time::Duration;

use throng_sim::{Behaviour, End, Fault, Gate, HoldAt, Match, RawReply, SimServer, expected_text};

use crate::client::{CHAT, Client, ask, ask_stream, instant, post, request, soon, start, stream_request};

#[tokio::test]
async fn first_a_500_then_an_answer() {
    let server = start(instant().script(Match::once(), Behaviour::Fault(Fault::ServerError))).await;
    assert_eq!(ask(&server, "x").await.status, 500);
    assert_eq!(ask(&server, "x").await.content(), expected_text(0, "x"));
    let log = server.log();
    assert_eq!(
        (log[0].attempt, log[1].attempt),
        (1, 2),
        "a scripted request is an attempt"
    );
}

#[tokio::test]
async fn rules_go_by_prompt_number_and_attempt() {
    let server = start(
        instant()
            .script(
                Match::prompt_contains("cat").attempt(2),
                Behaviour::Text("cat again".into()),
            )
            .script(Match::any().nth(2), Behaviour::Text("second request".into()))
            .script(Match::prompt_contains("dog"), Behaviour::Fault(Fault::Overloaded)),
    )
    .await;
    assert_eq!(ask(&server, "a cat").await.content(), expected_text(0, "a cat"));
    assert_eq!(ask(&server, "a dog").await.content(), "second request");
    assert_eq!(ask(&server, "a cat").await.content(), "cat again");
    assert_eq!(ask(&server, "a dog").await.status, 529);
    assert_eq!(ask(&server, "a cat").await.content(), expected_text(0, "a cat"));
    server.reset();
    assert_eq!(ask(&server, "a cat").await.content(), expected_text(0, "a cat"));
    assert_eq!(ask(&server, "a dog").await.content(), "second request");
}

#[tokio::test]
async fn raw_bytes_come_as_given_chunk_by_chunk() {
    let body = "data: {\"é\":\"🦀\"}\r\n\r\ndata: [DONE]\n\n";
    let pause = Duration::from_millis(2);
    let raw = RawReply::new(body)
        .split(NonZeroUsize::new(3).unwrap())
        .pause(pause)
        .header("x-extra", "1");
    let server = start(
        instant()
            .script(Match::prompt_contains("whole"), Behaviour::Raw(raw.clone()))
            .script(Match::prompt_contains("torn"), Behaviour::Raw(raw.without_end()))
            .script(
                Match::prompt_contains("chunks"),
                Behaviour::Raw(RawReply::chunks(["da", "ta: x\n", "\n"])),
            )
            .script(
                Match::prompt_contains("json"),
                Behaviour::Raw(RawReply::json(418, r#"{"tea":true}"#)),
            ),
    )
    .await;

    let mut client = Client::connect(server.addr()).await;
    client
        .send("POST", CHAT, "", &stream_request("whole").to_string())
        .await
        .unwrap();
    let head = client.read_head().await.unwrap();
    assert_eq!(
        (head.header("content-type"), head.header("x-extra")),
        (Some("text/event-stream"), Some("1"))
    );
    let mut chunks = Vec::new();
    while let Some(chunk) = client.read_chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert_eq!(
        chunks,
        body.as_bytes().chunks(3).map(<[u8]>::to_vec).collect::<Vec<_>>()
    );

    let torn = ask_stream(&server, "torn").await;
    assert_eq!((torn.text().as_str(), torn.ended), (body, false));
    assert_eq!(ask_stream(&server, "chunks").await.text(), "data: x\n\n");
    let json = ask(&server, "json").await;
    assert_eq!(
        (json.status, json.header("content-type")),
        (418, Some("application/json"))
    );
    assert_eq!(json.header("content-length"), Some("12"));
    let ends: Vec<_> = server.log().iter().map(|entry| entry.end).collect();
    assert_eq!(
        ends,
        [
            Some(End::Complete),
            Some(End::Cut),
            Some(End::Complete),
            Some(End::Complete)
        ]
    );
}

#[tokio::test]
async fn a_raw_reply_is_never_refused_by_http() {
    let raw = RawReply::chunks(["", "a", ""])
        .status(99)
        .header("content-length", "5")
        .header("bad name", "x");
    let server = start(instant().script(Match::any(), Behaviour::Raw(raw))).await;
    let reply = ask(&server, "x").await;
    assert_eq!(
        (reply.status, reply.text().as_str(), reply.ended),
        (500, "a", true)
    );
    server.script(Match::any(), Behaviour::Answer);
    assert_eq!(ask(&server, "x").await.status, 500, "earlier rules come first");
}

async fn hold(at: HoldAt) -> (SimServer, Gate) {
    let gate = Gate::new();
    let behaviour = Behaviour::Hold {
        at,
        gate: gate.clone(),
    };
    (start(instant().script(Match::any(), behaviour)).await, gate)
}

#[tokio::test]
async fn a_response_is_held_until_its_gate_opens() {
    for (at, body) in [
        (HoldAt::Head, request("x")),
        (HoldAt::Head, stream_request("x")),
        (HoldAt::Tokens(3), stream_request("x")),
        (HoldAt::Tokens(3), request("x")),
        (HoldAt::Tokens(0), stream_request("x")),
        (HoldAt::Tokens(u32::MAX), stream_request("x")),
    ] {
        let (server, gate) = hold(at).await;
        let mut client = Client::connect(server.addr()).await;
        client.send("POST", CHAT, "", &body.to_string()).await.unwrap();
        soon(async {
            while gate.n_waiting() == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(server.log()[0].end, None, "{at:?}");
        gate.open();
        let reply = soon(client.read()).await.unwrap();
        let text = if body.get("stream").is_some() {
            reply.streamed(0)
        } else {
            reply.content()
        };
        assert_eq!(text, expected_text(0, "x"), "{at:?}");
        assert_eq!(ask(&server, "y").await.status, 200, "an open gate holds nobody");
    }
}

#[tokio::test]
async fn tokens_before_the_hold_are_sent() {
    let (server, _gate) = hold(HoldAt::Tokens(3)).await;
    let mut client = Client::connect(server.addr()).await;
    client
        .send("POST", CHAT, "", &stream_request("x").to_string())
        .await
        .unwrap();
    client.read_head().await.unwrap();
    for _ in 0..4 {
        assert!(
            soon(client.read_chunk()).await.unwrap().is_some(),
            "the role and three tokens"
        );
    }
    let next = tokio::time::timeout(Duration::from_millis(30), client.read_chunk()).await;
    assert!(next.is_err(), "{next:?}");
}

#[tokio::test]
async fn the_server_sees_that_a_client_went_away() {
    for (at, body) in [
        (HoldAt::Head, request("x")),
        (HoldAt::Head, stream_request("x")),
        (HoldAt::Tokens(2), stream_request("x")),
    ] {
        let (server, _gate) = hold(at).await;
        let mut client = Client::connect(server.addr()).await;
        client.send("POST", CHAT, "", &body.to_string()).await.unwrap();
        if at != HoldAt::Head {
            client.read_head().await.unwrap();
        }
        soon(server.wait_until(|stats| stats.open == 1 && stats.scripted == 1)).await;
        drop(client);
        let stats = soon(server.wait_until(|stats| stats.client_closed == 1)).await;
        assert_eq!((stats.open, stats.complete), (0, 0));
        assert_eq!(server.log()[0].end, Some(End::ClientClosed), "{at:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_in_mid_stream_is_seen() {
    let server = start(instant().tokens_per_second(20.0).output_tokens(60..=60)).await;
    let mut client = Client::connect(server.addr()).await;
    client
        .send("POST", CHAT, "", &stream_request("x").to_string())
        .await
        .unwrap();
    client.read_head().await.unwrap();
    client.read_chunk().await.unwrap();
    drop(client);
    soon(server.wait_until(|stats| stats.client_closed == 1)).await;
}

#[tokio::test]
async fn a_rule_can_be_added_while_the_server_runs() {
    let server = start(instant()).await;
    assert_eq!(ask(&server, "x").await.status, 200);
    server.script(Match::once(), Behaviour::Fault(Fault::Unavailable));
    assert_eq!(ask(&server, "x").await.status, 503);
    assert_eq!(post(&server, &request("x")).await.unwrap().status, 200);
}
