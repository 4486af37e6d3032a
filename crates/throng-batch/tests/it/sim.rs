//! Over a socket: the simulated server answers prompts of several agents, rightly or not, and throng-llm reads its streams.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use throng_batch::{
    Act, AgentId, AgentSnapshot, BatchEvent, BatchInferenceExecutor, BatchInferenceExecutorBuilder,
    BatchReport, Duplicates, Plan, Tier,
};
use throng_llm::{HttpClient, Wire};
use throng_sim::{BatchFault, Behaviour, Gate, HoldAt, Match, SimConfig, SimServer};

async fn server() -> SimServer {
    let config = SimConfig::builder().seed(5).instant().build().unwrap();
    SimServer::start(config).await.unwrap()
}

fn client(server: &SimServer, stream: bool) -> Arc<HttpClient> {
    let client = HttpClient::builder(Wire::OpenAiChat)
        .base_url(server.base_url())
        .stream(stream)
        .build()
        .unwrap();
    Arc::new(client)
}

fn agents(n: i64) -> Vec<AgentSnapshot> {
    (1..=n)
        .map(|id| {
            AgentSnapshot::new(
                id,
                "guard",
                json!({"hp": 100 - id, "at": [id, 2], "says": "{\"é\": ["}),
            )
        })
        .collect()
}

fn builder() -> BatchInferenceExecutorBuilder {
    BatchInferenceExecutor::builder("m")
        .acts([
            Act::new("scan", "looks around"),
            Act::new("move", "goes"),
            Act::new("wait", ""),
        ])
        .max_batch_size(NonZeroUsize::new(64).unwrap())
}

/// The plan that the server has for each agent: what it says when the agent is asked about alone.
async fn right(server: &SimServer, n: i64) -> Vec<Plan> {
    let executor = builder().max_batch_size(NonZeroUsize::MIN).build().unwrap();
    let report = executor.plan(client(server, false), agents(n)).await.unwrap();
    report
        .results
        .into_iter()
        .map(|result| result.plan.unwrap())
        .collect()
}

#[track_caller]
fn check(report: &BatchReport<Plan>, right: &[Plan], context: &str) {
    assert_eq!(report.results.len(), right.len(), "{context}");
    for (result, right) in report.results.iter().zip(right) {
        assert_eq!(result.plan.as_ref(), Some(right), "{context}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_an_answer_over_a_socket() {
    let server = server().await;
    let right = right(&server, 10).await;
    for fault in BatchFault::ALL {
        for n in [1, 2, 5, 10] {
            for stream in [true, false] {
                for early_stop in [true, false] {
                    let context =
                        format!("{fault:?} with {n} agents, streamed {stream}, stopped {early_stop}");
                    server.script(Match::once(), Behaviour::Batch(fault));
                    let executor = builder().early_stop(early_stop).stream(stream).build().unwrap();
                    let report = executor.plan(client(&server, stream), agents(n)).await.unwrap();
                    check(&report, &right[..n as usize], &context);
                    let first = &report.calls[0];
                    let again = report.calls.iter().skip(1).map(|call| call.agents.len()).max();
                    match fault {
                        BatchFault::Drop => assert_eq!(again, Some(1), "{context}"),
                        BatchFault::Truncate => {
                            assert_eq!(first.ending.as_str(), "truncated", "{context}");
                            let left = n as usize - first.plans;
                            let asked: usize =
                                report.calls.iter().skip(1).map(|call| call.agents.len()).sum();
                            assert!(left > 0 && asked >= left, "{context}");
                        }
                        BatchFault::Corrupt => {
                            assert!(again.is_none_or(|again| again <= n as usize), "{context}");
                        }
                        _ => assert_eq!(again, None, "{context}"),
                    }
                    if fault == BatchFault::Unknown && !early_stop {
                        assert_eq!(first.unknown.len(), 1, "{context}");
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_that_contradict_each_other_are_asked_for_again() {
    let server = server().await;
    let right = right(&server, 5).await;
    server.script(Match::once(), Behaviour::Batch(BatchFault::Duplicate));
    let executor = builder()
        .duplicates(Duplicates::RejectIfDifferent)
        .build()
        .unwrap();
    let report = executor.plan(client(&server, true), agents(5)).await.unwrap();
    check(&report, &right, "rejected");
    assert_eq!(
        report
            .calls
            .iter()
            .map(|call| call.agents.len())
            .collect::<Vec<_>>(),
        [5, 1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_plan_is_there_at_its_closing_brace() {
    for n in [1, 5, 10] {
        let server = server().await;
        let right = right(&server, n).await;
        // Four characters a token; the first plan of the answer ends where the second begins.
        let alias = "\"agent_id\":\"xxxxx\",";
        let first =
            serde_json::to_string(&json!({"plan_id": right[0].plan_id, "steps": right[0].steps})).unwrap();
        let end = 1 + first.chars().count() + alias.len();
        let gate = Gate::new();
        let at = HoldAt::Tokens(u32::try_from(end.div_ceil(4)).unwrap());
        server.script(
            Match::once(),
            Behaviour::Hold {
                at,
                gate: gate.clone(),
            },
        );
        let executor = builder().early_stop(false).build().unwrap();
        let mut run = executor.start(client(&server, true), agents(n)).unwrap();
        let mut steps = 0;
        // The server sends no further token before the gate opens, which is when the plan has been told.
        let result = loop {
            match run.next().await.unwrap() {
                BatchEvent::Step { .. } => steps += 1,
                BatchEvent::Result(result) => break result,
                _ => {}
            }
        };
        assert_eq!(result.plan.as_ref(), Some(&right[0]));
        assert_eq!(steps, right[0].steps.len(), "the steps come before their plan");
        gate.open();
        let report = run.finish().await.unwrap();
        check(&report, &right, &format!("{n} agents"));
        let call = &report.calls[0];
        assert!(call.first_chunk <= call.first_plan && call.first_plan <= Some(call.took));
        assert_eq!((report.calls.len(), call.plans), (1, n as usize));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_gives_the_same_plans() {
    let server = server().await;
    for n in [1, 5, 10] {
        let right = right(&server, n).await;
        for compact in [false, true] {
            let wording = if compact {
                throng_batch::Wording::Compact
            } else {
                throng_batch::Wording::Full
            };
            let executor = builder().wording(wording).build().unwrap();
            let report = executor.plan(client(&server, false), agents(n)).await.unwrap();
            check(&report, &right, &format!("{n} agents, compact {compact}"));
            assert_eq!(report.calls.len(), 1);
            assert_eq!(report.tiers(), [(Tier::Full, n as usize)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_waits_for_nothing_does_not_end_the_call_of_the_others() {
    let server = server().await;
    let right = right(&server, 2).await;
    let gate = Gate::new();
    let at = HoldAt::Tokens(1);
    server.script(
        Match::once(),
        Behaviour::Hold {
            at,
            gate: gate.clone(),
        },
    );
    let executor = BatchInferenceExecutor::<Hasty>::typed("m")
        .acts([Act::new("scan", ""), Act::new("move", ""), Act::new("wait", "")])
        .emergency([throng_batch::Step::new("wait")])
        .build()
        .unwrap();
    let hasty = agents(2).into_iter().map(Hasty);
    let mut run = executor.start(client(&server, true), hasty).unwrap();
    let late = loop {
        if let BatchEvent::Result(result) = run.next().await.unwrap() {
            break result;
        }
    };
    assert!(late.late);
    assert_eq!((late.id, late.tier), (AgentId::from(1), Some(Tier::Emergency)));
    gate.open();
    let report = run.finish().await.unwrap();
    assert_eq!(report.results[1].plan.as_ref(), Some(&right[1]));
}

/// A snapshot whose first agent waits a moment only.
#[derive(Clone, serde::Serialize)]
#[serde(transparent)]
struct Hasty(AgentSnapshot);

impl throng_batch::Snapshot for Hasty {
    fn id(&self) -> AgentId {
        self.0.id.clone()
    }

    fn role(&self) -> Option<&str> {
        self.0.role()
    }

    fn deadline(&self) -> Option<Duration> {
        (self.0.id == AgentId::from(1)).then_some(Duration::from_millis(20))
    }
}
