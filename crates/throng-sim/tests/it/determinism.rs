//! What happens to a request follows from the seed, the prompt and the attempt, and from nothing else.

use std::collections::BTreeMap;

use proptest::prelude::*;
use throng_sim::{Fault, FaultMix, SimConfig, SimConfigBuilder, expected_text};

use crate::bucket::cases;
use crate::client::{Client, instant, request, start, stream_request, with};

/// What a client saw, without the parts that number requests in order of arrival.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Nothing,
    Response { status: u16, body: Vec<u8>, ended: bool },
}

/// Faults that are quick, all of them.
fn all_faults(seed: u64) -> SimConfigBuilder {
    let mix = Fault::ALL
        .into_iter()
        .fold(FaultMix::none(), |mix, fault| mix.with(fault, 1));
    instant()
        .seed(seed)
        .fail(0.5)
        .fault_mix(mix)
        .slow(std::time::Duration::from_millis(1), 2)
}

#[tokio::test]
async fn the_seed_of_a_request_chooses_among_the_variants() {
    let variants = std::num::NonZeroU32::new(3).unwrap();
    let config = instant().seed(4).variants(variants);
    let known = config.clone().build().unwrap();
    let server = start(config).await;
    let ask = async |seed: Option<i64>| {
        let body = with(request("p"), serde_json::json!({ "seed": seed }));
        let response = Client::connect(server.addr()).await.post(&body).await.unwrap();
        response.content()
    };
    for (seed, variant) in [(None, 0), (Some(0), 0), (Some(4), 1), (Some(-1), 2)] {
        assert_eq!(ask(seed).await, known.expected_choice("p", variant), "{seed:?}");
    }
}

/// Sends the requests of an order over several connections at a time, and returns what each attempt of each prompt
/// saw.
async fn play(
    seed: u64,
    order: &[usize],
    n_parallel: usize,
) -> (BTreeMap<(usize, usize), Seen>, Vec<(String, u32, &'static str)>) {
    let server = start(all_faults(seed)).await;
    let addr = server.addr();
    let mut lanes: Vec<Vec<usize>> = vec![Vec::new(); n_parallel];
    for prompt in order {
        // A prompt stays in its lane, so that its attempts come one after another.
        let lane = if n_parallel == 1 { 0 } else { prompt % n_parallel };
        lanes[lane].push(*prompt);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for lane in lanes {
        tasks.spawn(async move {
            let mut attempts = BTreeMap::<usize, usize>::new();
            let mut seen = Vec::new();
            for prompt in lane {
                let attempt = attempts.entry(prompt).or_default();
                *attempt += 1;
                let text = format!("prompt {prompt}");
                let body = if prompt % 2 == 0 {
                    request(&text)
                } else {
                    stream_request(&text)
                };
                let what = match Client::connect(addr).await.post(&body).await {
                    Err(_) => Seen::Nothing,
                    Ok(reply) => Seen::Response {
                        status: reply.status,
                        body: reply.body,
                        ended: reply.ended,
                    },
                };
                seen.push(((prompt, *attempt), what));
            }
            seen
        });
    }
    let seen = tasks.join_all().await.into_iter().flatten().collect();
    let mut decided: Vec<_> = server
        .log()
        .into_iter()
        .map(|entry| (entry.prompt, entry.attempt, entry.decision.as_str()))
        .collect();
    decided.sort_unstable();
    server.shutdown().await;
    (seen, decided)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_order_of_arrival_changes_nothing() {
    let forward: Vec<usize> = (0..3).flat_map(|_| 0..40).collect();
    let mut shuffled = forward.clone();
    fastrand::Rng::with_seed(99).shuffle(&mut shuffled);
    let first = play(17, &forward, 1).await;
    assert_eq!(first.0.len(), 120);
    assert!(
        first.1.iter().any(|(_, _, what)| *what != "answered")
            && first.1.iter().any(|(_, _, what)| *what == "answered")
    );
    for (order, n_parallel) in [(&forward, 8), (&shuffled, 1), (&shuffled, 8)] {
        assert_eq!(play(17, order, n_parallel).await, first);
    }
    let other_seed = play(18, &forward, 8).await;
    assert_ne!(other_seed.1, first.1);
}

#[tokio::test]
async fn the_plan_foretells_what_the_server_does() {
    let config = all_faults(5).build().unwrap();
    let (_, decided) = play(5, &(0..3).flat_map(|_| 0..40).collect::<Vec<_>>(), 4).await;
    for (prompt, attempt, what) in decided {
        let planned = config
            .plan(&prompt, attempt)
            .fault
            .map_or("answered", Fault::as_str);
        assert_eq!(what, planned, "{prompt}, attempt {attempt}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn plans_and_texts_are_pure(seed: u64, prompt: String, attempt in 1..1_000_u32, others: Vec<(String, u32)>, fail in 0.0..1.0) {
        let config = |_| SimConfig::builder().seed(seed).fail(fail).build().unwrap();
        let (one, two) = (config(1), config(2));
        let (plan, text) = (one.plan(&prompt, attempt), one.expected_text(&prompt));
        for (other, attempt) in others {
            // Asking about others in between must not matter.
            two.plan(&other, attempt);
            two.expected_text(&other);
        }
        prop_assert_eq!(two.plan(&prompt, attempt), plan);
        prop_assert_eq!(&two.expected_text(&prompt), &text);
        prop_assert_eq!(expected_text(seed, &prompt), text);
    }
}
