//! Rate limits and the limit on parallel requests, as clients see them.

use std::time::Duration;

use throng_sim::{Behaviour, Decision, Gate, HoldAt, Match, ParallelStatus, count_tokens, expected_text};

use crate::client::{CHAT, Client, ask, instant, request, soon, start};

#[tokio::test]
async fn a_request_beyond_the_limit_is_told_when_to_come_back() {
    let server = start(instant().rpm(1).rpm_burst(2)).await;
    let first = ask(&server, "a").await;
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("1"));
    assert!(first.header("x-ratelimit-reset-requests").unwrap().ends_with('s'));
    assert_eq!(ask(&server, "b").await.status, 200);
    let refused = ask(&server, "c").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    let millis: u64 = refused.header("retry-after-ms").unwrap().parse().unwrap();
    assert!(
        (30..=60).contains(&seconds),
        "a request a minute, but told to wait {seconds} s"
    );
    assert_eq!(millis.div_ceil(1000), seconds, "the whole seconds are rounded up");
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["code"], &error["type"]),
        (&"rate_limit_exceeded".into(), &"requests".into())
    );
    let stats = server.stats();
    assert_eq!((stats.answered, stats.rate_limited, stats.requests), (2, 1, 3));
    assert_eq!(server.log()[2].decision, Decision::RateLimited);
    server.reset();
    assert_eq!(ask(&server, "c").await.status, 200, "a reset fills the limits");
}

#[tokio::test]
async fn who_comes_back_when_told_is_served_and_refusals_use_up_nothing() {
    let server = start(instant().rpm(1_200)).await;
    let (mut served, mut refused) = (0, 0);
    soon(async {
        while served < 25 {
            let reply = ask(&server, &format!("prompt {served}")).await;
            if reply.status == 200 {
                served += 1;
                continue;
            }
            refused += 1;
            let millis: u64 = reply.header("retry-after-ms").unwrap().parse().unwrap();
            assert!(millis <= 50, "twenty a second, but told to wait {millis} ms");
            // Half of the refusals are not heeded; they must not push the others back.
            if refused % 2 == 0 {
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
        }
    })
    .await;
    let log = server.log();
    let served: Vec<_> = log
        .iter()
        .filter(|entry| entry.decision == Decision::Answered)
        .collect();
    assert!(
        served.iter().all(|entry| entry.attempt == 1),
        "a refused request is no attempt"
    );
    assert!(refused >= 1, "{refused}");
}

#[tokio::test]
async fn tokens_are_limited_together_and_apart() {
    let cost = count_tokens("a prompt") + count_tokens(&expected_text(0, "a prompt"));
    let server = start(instant().tpm(1).token_burst(cost)).await;
    let first = ask(&server, "a prompt").await;
    assert_eq!(
        (first.status, first.header("x-ratelimit-remaining-tokens")),
        (200, Some("0"))
    );
    let refused = ask(&server, "a prompt").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (429, &"tokens".into())
    );
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (cost * 60 - 30..=cost * 60).contains(&seconds),
        "a token a minute, but told to wait {seconds} s"
    );

    let server = start(instant().itpm(60).otpm(6_000_000)).await;
    let long = "word ".repeat(100);
    assert_eq!(
        ask(&server, &long).await.status,
        200,
        "dearer than the burst, but the bucket was full"
    );
    let refused = ask(&server, "b").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["type"]),
        (429, &"input_tokens".into())
    );
    assert_eq!(refused.header("x-ratelimit-limit-input-tokens"), Some("60"));
    assert!(
        refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 100,
        "the debt has to be paid first"
    );
}

#[tokio::test]
async fn only_so_many_requests_are_worked_on_at_a_time() {
    for (status, number) in [
        (ParallelStatus::TooManyRequests, 429),
        (ParallelStatus::Unavailable, 503),
    ] {
        let gate = Gate::new();
        let hold = Behaviour::Hold {
            at: HoldAt::Head,
            gate: gate.clone(),
        };
        let config = instant()
            .max_parallel(2, status)
            .script(Match::prompt_contains("hold"), hold);
        let server = start(config).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut client = Client::connect(server.addr()).await;
            client
                .send("POST", CHAT, "", &request("hold").to_string())
                .await
                .unwrap();
            held.push(client);
        }
        soon(server.wait_until(|stats| stats.scripted == 2)).await;
        let refused = ask(&server, "x").await;
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (number, Some("1"))
        );
        held.pop();
        soon(server.wait_until(|stats| stats.client_closed == 1)).await;
        assert_eq!(
            ask(&server, "x").await.status,
            200,
            "a client that left makes room"
        );
        gate.open();
        assert_eq!(soon(held[0].read()).await.unwrap().status, 200);
        assert_eq!(server.stats().parallel_limited, 1);
    }
}
