//! Starting, limits on what a stranger can send, and stopping without leaving anything behind.

use std::time::Duration;

use throng_sim::{Behaviour, End, Gate, HoldAt, Match, SimServer};

use crate::client::{CHAT, Client, ask, instant, request, soon, start, stream_request};

fn n_tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// A server with open requests of every kind: held before the head, held in mid-stream, idle, half a request.
async fn busy() -> (SimServer, Vec<Client>) {
    let gate = Gate::new();
    let server = start(
        instant()
            .script(
                Match::prompt_contains("head"),
                Behaviour::Hold {
                    at: HoldAt::Head,
                    gate: gate.clone(),
                },
            )
            .script(
                Match::any(),
                Behaviour::Hold {
                    at: HoldAt::Tokens(1),
                    gate,
                },
            ),
    )
    .await;
    let mut clients = Vec::new();
    for body in [request("head"), stream_request("stream")] {
        let mut client = Client::connect(server.addr()).await;
        client.send("POST", CHAT, "", &body.to_string()).await.unwrap();
        clients.push(client);
    }
    let mut idle = Client::connect(server.addr()).await;
    assert_eq!(idle.get("/health").await.unwrap().status, 200);
    let mut half = Client::connect(server.addr()).await;
    half.write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 100\r\n\r\n{")
        .await
        .unwrap();
    clients.extend([idle, half]);
    soon(server.wait_until(|stats| stats.open == 2 && stats.connections_open == 4)).await;
    (server, clients)
}

#[tokio::test]
async fn shutdown_leaves_no_task_and_closes_every_connection() {
    let before = n_tasks();
    let (server, mut clients) = busy().await;
    assert_eq!(
        n_tasks(),
        before + 5,
        "the accept loop and a task for each connection"
    );
    let addr = server.addr();
    soon(server.shutdown()).await;
    assert_eq!(n_tasks(), before);
    for client in &mut clients {
        assert!(soon(client.read()).await.map_or(true, |reply| !reply.ended));
    }
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn dropping_the_server_aborts_its_tasks() {
    let before = n_tasks();
    let (server, mut clients) = busy().await;
    drop(server);
    soon(async {
        while n_tasks() > before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    for client in &mut clients {
        assert!(soon(client.read()).await.map_or(true, |reply| !reply.ended));
    }
}

#[tokio::test]
async fn what_a_shutdown_ends_is_logged_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let hold = Behaviour::Hold {
        at: HoldAt::Head,
        gate: Gate::new(),
    };
    let server = start(instant().log_file(&path).script(Match::any(), hold)).await;
    let mut client = Client::connect(server.addr()).await;
    client
        .send("POST", CHAT, "", &request("x").to_string())
        .await
        .unwrap();
    soon(server.wait_until(|stats| stats.scripted == 1)).await;
    soon(server.shutdown()).await;
    let line: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(line["end"], serde_json::to_value(End::ServerClosed).unwrap());
}

#[tokio::test]
async fn a_connection_serves_many_requests_pipelined_ones_included() {
    let server = start(instant()).await;
    let mut client = Client::connect(server.addr()).await;
    for prompt in 0..50 {
        let prompt = prompt.to_string();
        assert_eq!(
            client.post(&request(&prompt)).await.unwrap().content(),
            server.config().expected_text(&prompt)
        );
        let streamed = client.post(&stream_request(&prompt)).await.unwrap();
        assert_eq!(streamed.streamed(0), server.config().expected_text(&prompt));
    }
    for prompt in ["a", "b", "c"] {
        client
            .send("POST", CHAT, "", &request(prompt).to_string())
            .await
            .unwrap();
    }
    for prompt in ["a", "b", "c"] {
        assert_eq!(
            client.read().await.unwrap().content(),
            server.config().expected_text(prompt)
        );
    }
    let stats = server.stats();
    assert_eq!((stats.requests, stats.connections), (103, 1));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let server = start(instant().max_body_bytes(1000)).await;
    let empty = request("").to_string().len();
    assert_eq!(ask(&server, &"x".repeat(1000 - empty)).await.status, 200);
    let refused = ask(&server, &"x".repeat(1001 - empty)).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["code"]),
        (413, &"request_too_large".into())
    );
    assert_eq!(
        ask(&server, &"x".repeat(5_000_000)).await.status,
        413,
        "most of it is read and thrown away"
    );
    assert_eq!(server.stats().refused, 2);
}

#[tokio::test]
async fn a_body_of_many_pieces_is_read_whole() {
    let server = start(instant()).await;
    let prompt = "é".repeat(1_000_000);
    assert_eq!(
        ask(&server, &prompt).await.content(),
        server.config().expected_text(&prompt)
    );
    let mut client = Client::connect(server.addr()).await;
    client
        .write(b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    for piece in request("pieces").to_string().as_bytes().chunks(7) {
        client
            .write(format!("{:x}\r\n", piece.len()).as_bytes())
            .await
            .unwrap();
        client.write(piece).await.unwrap();
        client.write(b"\r\n").await.unwrap();
    }
    client.write(b"0\r\n\r\n").await.unwrap();
    assert_eq!(
        client.read().await.unwrap().content(),
        server.config().expected_text("pieces")
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_or_too_slow_is_refused() {
    let server = start(instant().read_timeout(Duration::from_millis(50))).await;
    let mut client = Client::connect(server.addr()).await;
    let _ = client
        .send(
            "GET",
            "/health",
            &format!("x-long: {}\r\n", "y".repeat(200_000)),
            "",
        )
        .await;
    assert!(
        soon(client.read())
            .await
            .map_or(true, |reply| reply.status == 431)
    );
    let mut slow = Client::connect(server.addr()).await;
    slow.write(b"GET /health HTT").await.unwrap();
    assert!(soon(slow.read()).await.is_err(), "closed without a response");
    // On a busy machine the head itself may come too late; then there is no response, and another try.
    let reply = soon(async {
        loop {
            let mut slow = Client::connect(server.addr()).await;
            let sent = slow
                .write(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 100\r\n\r\n{")
                .await;
            if let (Ok(()), Ok(reply)) = (sent, slow.read().await) {
                break reply;
            }
        }
    })
    .await;
    assert_eq!(reply.status, 408);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = start(instant().max_connections(2)).await;
    let mut first = Client::connect(server.addr()).await;
    let mut second = Client::connect(server.addr()).await;
    assert_eq!(first.get("/health").await.unwrap().status, 200);
    assert_eq!(second.get("/health").await.unwrap().status, 200);
    let mut third = Client::connect(server.addr()).await;
    third.send("GET", "/health", "", "").await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(30), third.read())
            .await
            .is_err()
    );
    assert_eq!(server.stats().connections, 2);
    drop(first);
    assert_eq!(soon(third.read()).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_base_url_and_the_address_agree() {
    let server = start(instant()).await;
    assert_eq!(
        server.base_url(),
        format!("http://127.0.0.1:{}/v1", server.addr().port())
    );
    let taken = SimServer::start_on(server.addr(), instant().build().unwrap())
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}
