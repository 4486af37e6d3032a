//! Prices, sums, and limits to what calls may cost.

use std::sync::Arc;

use futures_util::StreamExt;
use throng_core::{Classify, ErrorClass, Usage};
use throng_llm::{
    Cache, CacheStore, CallContext, Cost, ErrorKind, LlmClient, LlmError, Metered, Price, PriceTable,
    Request, StreamEvent, UnknownPrices,
};

use crate::support::{Scripted, call_with, hello_events, question};

fn usage(input: u64, cached: u64, output: u64, reasoning: u64) -> Usage {
    let mut usage = Usage::of(input, output);
    usage.cached_input_tokens = Some(cached);
    usage.reasoning_tokens = Some(reasoning);
    usage
}

fn table() -> PriceTable {
    PriceTable::from_json(
        r#"{
            "sample_spec": {"input_cost_per_token": "dollars", "max_tokens": "tokens"},
            "m1": {"litellm_provider": "p", "mode": "chat", "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6,
                   "cache_read_input_token_cost": 2.5e-7, "output_cost_per_reasoning_token": 8e-6},
            "q/m2": {"litellm_provider": "q", "input_cost_per_token": 1e-7, "output_cost_per_token": 2e-7},
            "m3": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6,
                   "input_cost_per_token_above_128k_tokens": 3e-6, "output_cost_per_token_above_128k_tokens": 4e-6,
                   "input_cost_per_token_above_200k_tokens": 5e-6},
            "image-model": {"output_cost_per_image": 0.04}
        }"#,
    )
    .unwrap()
}

#[test]
fn sums_are_exact() {
    let check = |text: &str, picodollars: u64, shown: &str| {
        let cost: Cost = text.parse().unwrap();
        assert_eq!(
            (cost.picodollars(), cost.to_string().as_str()),
            (picodollars, shown),
            "{text}"
        );
    };
    check("0", 0, "$0.00");
    check("2.5", 2_500_000_000_000, "$2.50");
    check("$12.50", 12_500_000_000_000, "$12.50");
    check(".000000000001", 1, "$0.000000000001");
    check("0.00000015", 150_000, "$0.00000015");
    for bad in [
        "",
        "$",
        ".",
        "-1",
        "1e3",
        "1.0000000000001",
        "99999999",
        "1,5",
        "+1",
    ] {
        assert!(bad.parse::<Cost>().is_err(), "{bad}");
    }
    let tenth: Cost = "0.1".parse().unwrap();
    assert_eq!((0..10).map(|_| tenth).sum::<Cost>(), Cost::from_dollars(1));
    let most = Cost::from_picodollars(u64::MAX);
    assert_eq!(most + most, most);
    assert_eq!(most.times(3), most);
}

#[test]
fn what_a_call_costs() {
    let table = table();
    let cost = |model, usage: &Usage| table.price("", model).unwrap().cost(usage).picodollars();
    assert_eq!(
        cost("m1", &usage(1_000, 400, 200, 50)),
        600 * 1_000_000 + 400 * 250_000 + 150 * 4_000_000 + 50 * 8_000_000
    );
    assert_eq!(cost("m1", &Usage::NONE), 0);
    assert_eq!(
        cost("m1", &usage(10, 99, 0, 9)),
        10 * 250_000,
        "nonsense stays within the sums"
    );
    assert_eq!(
        cost("m3", &Usage::of(128_000, 1)),
        128_000 * 1_000_000 + 1_000_000
    );
    assert_eq!(
        cost("m3", &Usage::of(128_001, 1)),
        128_001 * 3_000_000 + 4_000_000
    );
    assert_eq!(
        cost("m3", &Usage::of(200_001, 1)),
        200_001 * 5_000_000 + 1_000_000
    );
}

#[test]
fn how_a_model_is_found() {
    let table = table();
    for (provider, model, found) in [
        ("", "m1", true),
        ("whoever", "m1", true),
        ("", "p/m1", true),
        ("", "r/m1", false),
        ("q", "m2", true),
        ("", "m2", false),
        ("", "q/m2", true),
        ("", "m1-2025-04-14", true),
        ("", "p/m1-20250414", true),
        ("q", "m2@20250414", true),
        ("", "m1-0414", false),
        ("", "m1-latest", false),
        ("", "m1-mini", false),
        ("", "m", false),
        ("", "", false),
        ("", "image-model", false),
        ("", "sample_spec", false),
    ] {
        assert_eq!(
            table.price(provider, model).is_some(),
            found,
            "{provider} {model}"
        );
    }
    let mut ours = PriceTable::new();
    ours.insert(
        "m1",
        Price::new(Cost::from_picodollars(1), Cost::from_picodollars(2)),
    );
    let merged = table.merged(ours);
    assert_eq!(
        merged
            .price("p", "m1")
            .unwrap()
            .cost(&Usage::of(1, 1))
            .picodollars(),
        3
    );
    assert_eq!(merged.len(), table.len());
    for bad in ["", "[]", "{\"m\": 1}"] {
        assert!(PriceTable::from_json(bad).is_err(), "{bad}");
    }
    let error = PriceTable::from_json(r#"{"m": {"input_cost_per_token": -1, "output_cost_per_token": 1}}"#);
    let text = error.unwrap_err().to_string();
    assert_eq!(
        text,
        "the price `input_cost_per_token` of model `m` is not between 0 and 1 dollar per token"
    );
}

#[test]
fn the_table_of_this_crate() {
    let table = PriceTable::builtin();
    assert!(table.len() > 500, "{}", table.len());
    for (provider, model) in [
        ("openai", "gpt-4.1-mini"),
        ("openai", "gpt-4.1-mini-2025-04-14"),
        ("anthropic", "claude-sonnet-4-5"),
        ("gemini", "gemini-2.5-pro"),
        ("deepseek", "deepseek-chat"),
    ] {
        let price = table.price(provider, model).expect(model);
        assert_eq!(price.provider, provider, "{model}");
        assert!(
            price.output > price.input && price.input > Cost::ZERO,
            "{model}: {price:?}"
        );
    }
    let mini = table.price("openai", "gpt-4.1-mini").unwrap();
    assert_eq!(mini.cost(&Usage::of(1_000_000, 1_000_000)), Cost::from_dollars(2));
}

fn metered(live: &Scripted) -> Metered<Scripted> {
    Metered::new(live.clone(), table())
}

/// What `hello_events` cost.
const HELLO: u64 = 600 * 1_000_000 + 400 * 250_000 + 150 * 4_000_000 + 50 * 8_000_000;

fn whole() -> Vec<Result<StreamEvent, LlmError>> {
    hello_events().into_iter().map(Ok).collect()
}

#[tokio::test]
async fn calls_add_up_also_those_that_fail_or_are_dropped() {
    let cut = LlmError::new(ErrorKind::Truncated, "scripted", "stopped");
    let failed = hello_events()
        .into_iter()
        .take(6)
        .map(Ok)
        .chain([Err(cut)])
        .collect();
    let silent = vec![Ok(StreamEvent::TextDelta("x".into()))];
    let live = Scripted::new([whole(), failed, whole(), silent, whole()]);
    let client = metered(&live);
    let spending = client.spending();
    call_with(&client, question(), CallContext::new())
        .await
        .succeeded();
    assert_eq!(spending.total().cost.picodollars(), HELLO);
    call_with(&client, question(), CallContext::new()).await.failed();
    let reported = 1_000 * 1_000_000 + 4_000_000;
    assert_eq!(spending.total().cost.picodollars(), HELLO + reported);
    let mut dropped = client.call(question(), CallContext::new()).await.unwrap();
    for _ in 0..4 {
        dropped.next().await.unwrap().unwrap();
    }
    assert_eq!(spending.total().calls, 2, "booked when it ends");
    drop(dropped);
    assert_eq!(spending.total().cost.picodollars(), HELLO + 2 * reported);
    drop(client.call(question(), CallContext::new()).await.unwrap());
    let unknown = Arc::new(Request::new("m9").user("x"));
    call_with(&client, unknown, CallContext::new()).await.succeeded();
    let total = spending.total();
    assert_eq!((total.calls, total.unreported, total.unpriced), (5, 1, 1));
    assert_eq!(
        total.cost.picodollars(),
        HELLO + 2 * reported,
        "nothing is guessed"
    );
    assert_eq!(total.usage.input_tokens, Some(4_000));
    let models = spending.models();
    let names: Vec<_> = models
        .iter()
        .map(|(model, spent)| (model.as_str(), spent.calls))
        .collect();
    assert_eq!(names, [("m1", 4), ("m9", 1)]);
    assert!(total.is_incomplete() && !throng_llm::Spent::default().is_incomplete());
}

#[tokio::test]
async fn a_limit_refuses_calls_before_they_are_sent() {
    let live = Scripted::new([whole()]);
    let client = metered(&live).with_max_cost(Cost::from_picodollars(HELLO + 1));
    for _ in 0..2 {
        call_with(&client, question(), CallContext::new())
            .await
            .succeeded();
    }
    let error = call_with(&client, question(), CallContext::new()).await.failed();
    assert_eq!(error.kind(), &ErrorKind::CostLimit);
    assert_eq!(error.classify(), ErrorClass::Permanent);
    assert_eq!(
        error.to_string(),
        "scripted was not called: the calls so far cost $0.0034, which reaches the limit of $0.001700000001"
    );
    assert_eq!((live.calls(), client.spending().total().calls), (2, 2));

    let other = Metered::new(live.clone(), table())
        .with_spending(client.spending())
        .with_max_cost(Cost::from_picodollars(HELLO));
    let error = call_with(&other, question(), CallContext::new()).await.failed();
    assert_eq!(error.kind(), &ErrorKind::CostLimit, "the account is shared");
}

#[tokio::test]
async fn a_model_without_a_price_cannot_be_held_to_a_limit() {
    let live = Scripted::new([whole()]);
    let limited = metered(&live).with_max_cost(Cost::from_dollars(1));
    let unknown = || Arc::new(Request::new("m9").user("x"));
    let error = call_with(&limited, unknown(), CallContext::new()).await.failed();
    assert_eq!(error.kind(), &ErrorKind::UnknownPrice);
    assert_eq!(error.classify(), ErrorClass::Permanent);
    let text = error.to_string();
    assert!(text.contains("`m9`") && text.contains("price file"), "{text}");
    assert_eq!(live.calls(), 0);
    let allowed = limited.with_unknown_prices(UnknownPrices::Count);
    call_with(&allowed, unknown(), CallContext::new())
        .await
        .succeeded();
    assert_eq!(allowed.spending().total().unpriced, 1);
}

#[tokio::test]
async fn an_answer_from_a_cache_is_free_in_either_order() {
    let live = Scripted::new([whole()]);
    let store = || CacheStore::in_memory(std::num::NonZeroUsize::MIN, 1 << 20);
    let outside = Metered::new(Cache::new(live.clone(), store()), table());
    let inside = metered(&live);
    let below = Cache::new(inside.clone(), store());
    for client in [&outside as &dyn LlmClient, &below] {
        for _ in 0..3 {
            call_with(client, question(), CallContext::new())
                .await
                .succeeded();
        }
    }
    let (outside, inside) = (outside.spending().total(), inside.spending().total());
    assert_eq!(
        (outside.calls, outside.cached, outside.cost.picodollars()),
        (3, 2, HELLO)
    );
    assert_eq!(
        (inside.calls, inside.cached, inside.cost.picodollars()),
        (1, 0, HELLO)
    );
}
