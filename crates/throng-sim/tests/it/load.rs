//! Many at once.

use throng_sim::{Behaviour, Gate, HoldAt, Match, expected_text};

use crate::client::{CHAT, Client, instant, request, soon, start, stream_request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_at_a_time() {
    let gate = Gate::new();
    let server = start(instant().script(
        Match::any(),
        Behaviour::Hold {
            at: HoldAt::Tokens(2),
            gate: gate.clone(),
        },
    ))
    .await;
    let addr = server.addr();
    let mut clients = tokio::task::JoinSet::new();
    for prompt in 0..1000 {
        clients.spawn(async move {
            let prompt = format!("prompt {prompt}");
            let mut client = Client::connect(addr).await;
            client
                .send("POST", CHAT, "", &stream_request(&prompt).to_string())
                .await
                .unwrap();
            let reply = client.read().await.unwrap();
            assert!(reply.ended);
            assert_eq!(reply.streamed(0), expected_text(0, &prompt));
        });
    }
    soon(server.wait_until(|stats| stats.open == 1000)).await;
    gate.open();
    while let Some(done) = soon(clients.join_next()).await {
        done.unwrap();
    }
    let stats = soon(server.wait_until(|stats| stats.open == 0)).await;
    assert_eq!(
        (stats.complete, stats.peak_open, stats.requests),
        (1000, 1000, 1000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_over_few_connections_are_all_counted_once() {
    let server = start(instant().seed(3)).await;
    let addr = server.addr();
    let mut clients = tokio::task::JoinSet::new();
    for lane in 0..8 {
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            for at in 0..250 {
                let prompt = format!("{lane}/{at}");
                assert_eq!(
                    client.post(&request(&prompt)).await.unwrap().content(),
                    expected_text(3, &prompt)
                );
            }
        });
    }
    while let Some(done) = soon(clients.join_next()).await {
        done.unwrap();
    }
    let log = server.log();
    assert_eq!(
        log.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        (1..=2000).collect::<Vec<u64>>()
    );
    assert_eq!(server.stats().answered, 2000);
}
