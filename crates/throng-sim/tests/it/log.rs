//! The request log: in memory, in a file, and over HTTP.

use serde_json::{Value, json};
use throng_sim::{Behaviour, Decision, End, Fault, Match, prompt_hash};

use crate::client::{CHAT, Client, ask, instant, post, request, soon, start, with};

#[tokio::test]
async fn an_entry_says_what_was_asked_and_what_became_of_it() {
    let server = start(
        instant()
            .log_prompt_chars(5)
            .script(Match::any().nth(2), Behaviour::Fault(Fault::Cut)),
    )
    .await;
    ask(&server, "éclair and tea").await;
    ask(&server, "éclair and tea").await;
    let log = server.log();
    assert_eq!(log.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2]);
    let (first, second) = (&log[0], &log[1]);
    assert_eq!(
        (first.prompt.as_str(), first.prompt_hash),
        ("éclai", prompt_hash("éclair and tea"))
    );
    assert_eq!(
        (first.decision, first.status, first.end),
        (Decision::Answered, Some(200), Some(End::Complete))
    );
    assert_eq!(
        (second.decision, second.end, second.attempt),
        (Decision::Fault(Fault::Cut), Some(End::Cut), 2)
    );
    assert!(first.at <= first.ended.unwrap() && first.ended.unwrap() <= second.at);
    assert_eq!(first.usage.input_tokens, Some(4));
}

#[tokio::test]
async fn the_tag_is_the_header_else_metadata_else_user() {
    let server = start(instant()).await;
    let mut client = Client::connect(server.addr()).await;
    let fields = [
        json!({"user": "u", "metadata": {"tag": "t", "id": "i"}}),
        json!({"user": "u", "metadata": {"id": "i"}}),
        json!({"user": "u"}),
        json!({"user": "x".repeat(500)}),
    ];
    for fields in &fields {
        client.post(&with(request("x"), fields.clone())).await.unwrap();
    }
    client
        .send(
            "POST",
            CHAT,
            "x-request-tag: h\r\n",
            &with(request("x"), fields[0].clone()).to_string(),
        )
        .await
        .unwrap();
    client.read().await.unwrap();
    let tags: Vec<String> = server.log().into_iter().map(|entry| entry.tag.unwrap()).collect();
    assert_eq!(tags, ["t", "i", "u", &"x".repeat(200), "h"]);
}

#[tokio::test]
async fn the_log_is_bounded_and_the_counters_are_not() {
    let server = start(instant().log_entries(10)).await;
    let mut client = Client::connect(server.addr()).await;
    for prompt in 0..35 {
        client.post(&request(&prompt.to_string())).await.unwrap();
    }
    let log = server.log();
    assert_eq!((log.len(), log[0].seq, log[9].seq), (10, 26, 35));
    let stats = server.stats();
    assert_eq!(
        (stats.requests, stats.answered, stats.complete, stats.log_dropped),
        (35, 35, 35, 25)
    );
}

#[tokio::test]
async fn every_request_is_a_line_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("requests.jsonl");
    std::fs::write(&path, "{\"earlier\":true}\n").unwrap();
    let config = instant()
        .log_entries(2)
        .log_file(&path)
        .script(Match::any().nth(3), Behaviour::Fault(Fault::Dropped));
    let server = start(config).await;
    for prompt in 0..6 {
        let _ = post(
            &server,
            &with(
                request(&format!("line\n{prompt}")),
                json!({"user": format!("id-{prompt}")}),
            ),
        )
        .await;
    }
    let mut client = Client::connect(server.addr()).await;
    client.send("POST", CHAT, "", "not JSON").await.unwrap();
    client.read().await.unwrap();
    // Each line is there as soon as its request has ended, though the log in memory keeps two entries only.
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (lines.len(), &lines[0]),
        (8, &json!({"earlier": true})),
        "the file is appended to"
    );
    for (at, line) in lines[1..7].iter().enumerate() {
        assert_eq!(
            (&line["tag"], &line["seq"]),
            (&json!(format!("id-{at}")), &json!(at + 1))
        );
        assert_eq!(line["prompt"], format!("line\n{at}"));
        assert!(line["at_ms"].is_f64() && line["ended_ms"].is_f64());
    }
    assert_eq!(
        (&lines[3]["decision"], &lines[3]["end"], &lines[3]["status"]),
        (&json!("dropped"), &json!("cut"), &Value::Null)
    );
    assert_eq!(
        (&lines[7]["decision"], &lines[7]["status"]),
        (&json!("bad_request"), &json!(400))
    );
}

#[tokio::test]
async fn a_full_disk_is_counted_and_harms_no_reply() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let server = start(instant().log_file("/dev/full")).await;
    assert_eq!(ask(&server, "x").await.status, 200);
    assert_eq!(ask(&server, "x").await.status, 200);
    soon(server.wait_until(|stats| stats.log_errors == 2)).await;
}

#[tokio::test]
async fn a_log_file_that_cannot_be_opened_is_an_error_of_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let config = instant()
        .log_file(dir.path().join("absent/requests.jsonl"))
        .build()
        .unwrap();
    let err = throng_sim::SimServer::start(config).await.unwrap_err();
    assert_eq!(err.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn the_log_can_be_read_and_reset_over_http() {
    let server = start(instant()).await;
    let mut client = Client::connect(server.addr()).await;
    for prompt in ["a", "b", "c", "a"] {
        client.post(&request(prompt)).await.unwrap();
    }
    let stats = client.get("/_sim/stats").await.unwrap().json();
    assert_eq!(
        (&stats["requests"], &stats["answered"], &stats["connections"]),
        (&json!(4), &json!(4), &json!(1))
    );
    let entries = client.get("/_sim/log").await.unwrap().json()["entries"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!((entries.len(), &entries[3]["attempt"]), (4, &json!(2)));
    assert_eq!(entries[0]["prompt_hash"], format!("{:016x}", prompt_hash("a")));
    assert_eq!(
        (&entries[0]["decision"], &entries[0]["end"]),
        (&json!("answered"), &json!("complete"))
    );
    let some = client.get("/_sim/log?after=1&limit=2").await.unwrap().json();
    let seqs: Vec<_> = some["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["seq"].clone())
        .collect();
    assert_eq!(seqs, [json!(2), json!(3)]);

    client.send("POST", "/_sim/reset", "", "").await.unwrap();
    assert_eq!(client.read().await.unwrap().status, 200);
    client.post(&request("a")).await.unwrap();
    let entries = client.get("/_sim/log").await.unwrap().json()["entries"].clone();
    assert_eq!(
        (&entries[0]["seq"], &entries[0]["attempt"]),
        (&json!(5), &json!(1)),
        "attempts count anew"
    );
    assert_eq!(server.stats().requests, 1);
}
