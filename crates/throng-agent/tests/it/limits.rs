//! Every limit, reached once.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use throng_agent::{Limits, Stop};
use throng_llm::{Cost, Message, Price, PriceTable};
use throng_sim::{Behaviour, Fault, Match};

use crate::support::{Done, agent, call, check_answered, server, server_with, text};

const FIVE_ROUNDS: usize = 5;

/// Runs five rounds of one call each within limits, and returns the report and how many calls were made.
async fn run(limits: Limits) -> (throng_agent::AgentReport, usize) {
    let done = Done::default();
    let calls = [call("note", "Oslo")];
    let rounds: Vec<&[_]> = (0..FIVE_ROUNDS).map(|_| calls.as_slice()).collect();
    let server = server(&rounds).await;
    let mut prices = PriceTable::new();
    prices.insert(
        "gpt-4o-mini",
        Price::new("1".parse().unwrap(), "1".parse().unwrap()),
    );
    let agent = agent(&server, &done)
        .limits(limits)
        .prices(prices)
        .build()
        .unwrap();
    let report = agent.run("Go.").await;
    check_answered(&report.messages);
    (report, done.count("note"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_limits_all_rounds_are_run() {
    let (report, calls) = run(Limits::new()).await;
    assert!(
        report.stop.is_answered() && !report.stop.is_limit(),
        "{}",
        report.stop
    );
    assert_eq!((report.steps.len(), calls), (FIVE_ROUNDS + 1, FIVE_ROUNDS));
    assert!(report.spent.cost > Cost::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn steps() {
    let (report, calls) = run(Limits::new().max_steps(NonZeroU32::new(3).unwrap())).await;
    assert!(matches!(report.stop, Stop::MaxSteps), "{}", report.stop);
    assert_eq!(
        (report.steps.len(), calls),
        (3, 2),
        "the calls of the last answer are not run"
    );
    let last = report.messages.last().unwrap();
    assert!(
        text(last).contains("not run: the limit of steps"),
        "{}",
        text(last)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens() {
    let whole = run(Limits::new()).await.0.spent.usage.total();
    let (report, calls) = run(Limits::new().max_tokens(whole / 3)).await;
    assert!(matches!(report.stop, Stop::MaxTokens), "{}", report.stop);
    assert!(calls > 0 && calls < FIVE_ROUNDS, "{calls}");
    assert!(report.spent.usage.total() >= whole / 3 && report.spent.usage.total() < whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn cost() {
    let whole = run(Limits::new()).await.0.spent.cost;
    let third: Cost = format!("{:.9}", whole.dollars() / 3.0).parse().unwrap();
    let (report, calls) = run(Limits::new().max_cost(third)).await;
    assert!(matches!(report.stop, Stop::MaxCost), "{}", report.stop);
    assert!(calls > 0 && calls < FIVE_ROUNDS, "{calls}");
    assert!(report.spent.cost >= third && report.spent.cost < whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_of_the_run_and_of_a_step() {
    let (report, calls) = run(Limits::new().max_tool_calls(2)).await;
    assert!(matches!(report.stop, Stop::MaxToolCalls), "{}", report.stop);
    assert_eq!(calls, 2);

    let done = Done::default();
    let many: Vec<_> = (0..6).map(|_| call("note", "Rome")).collect();
    let server = server(&[&many]).await;
    let limits = Limits::new().max_calls_per_step(NonZeroU32::new(4).unwrap());
    let report = agent(&server, &done)
        .limits(limits)
        .build()
        .unwrap()
        .run("Go.")
        .await;
    assert!(report.stop.is_answered(), "{}", report.stop);
    assert_eq!(done.count("note"), 4);
    check_answered(&report.messages);
    let told = report.messages.iter().filter(|m| m.is_error).map(text);
    assert_eq!(told.filter(|text| text.contains("more than 4 calls")).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_cuts_off_tools_and_answers_their_calls() {
    let done = Done::default();
    let server = server(&[&[call("slow", "x"), call("note", "y")]]).await;
    let limits = Limits::new().max_time(Duration::from_millis(300));
    let report = agent(&server, &done)
        .limits(limits)
        .build()
        .unwrap()
        .run("Go.")
        .await;
    assert!(matches!(report.stop, Stop::MaxTime), "{}", report.stop);
    check_answered(&report.messages);
    let answers: Vec<_> = report
        .messages
        .iter()
        .filter(|m| m.tool_call_id.is_some())
        .map(text)
        .collect();
    assert!(answers[0].contains("cancelled"), "{answers:?}");
    assert!(
        report.elapsed < Duration::from_secs(30),
        "it did not wait for the tool"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_result_is_cut_and_says_so() {
    let done = Done::default();
    let server = server(&[&[call("weather", &"x".repeat(500))]]).await;
    let limits = Limits::new().max_result_bytes(NonZeroUsize::new(100).unwrap());
    let report = agent(&server, &done)
        .limits(limits)
        .build()
        .unwrap()
        .run("Go.")
        .await;
    let answer = report
        .messages
        .iter()
        .find(|m| m.tool_call_id.is_some())
        .map(text)
        .unwrap();
    assert!(
        answer.len() < 160 && answer.contains("[cut: the first 100 of"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_answers_its_calls_and_a_failed_one_says_why() {
    let done = Done::default();
    let server = server(&[&[call("slow", "x")]]).await;
    let run = agent(&server, &done)
        .build()
        .unwrap()
        .start([Message::user("Go.")]);
    let cancel = run.cancellation();
    let seen = done.clone();
    tokio::spawn(async move {
        while seen.count("slow") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    let report = run.finish().await;
    assert!(matches!(report.stop, Stop::Cancelled), "{}", report.stop);
    check_answered(&report.messages);

    let quota = (Match::any(), Behaviour::Fault(Fault::QuotaExhausted));
    let server = server_with(Some(quota), &[]).await;
    let report = agent(&server, &done).build().unwrap().run("Again.").await;
    assert!(matches!(report.stop, Stop::Failed(_)), "{}", report.stop);
    assert!(
        report.stop.to_string().contains("the model could not be asked"),
        "{}",
        report.stop
    );
}
