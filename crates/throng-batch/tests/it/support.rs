//! A model whose answers the test writes, on a clock that may be paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde_json::{Value, json};
use throng_batch::{
    Act, AgentId, AgentSnapshot, BatchInferenceExecutor, BatchInferenceExecutorBuilder, BatchReport,
};
use throng_llm::{
    CallContext, ErrorKind, EventStream, FinishReason, LlmClient, LlmError, Part, Request, Started,
    StreamEvent,
};

/// A part of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Text(String),
    Wait(u64),
    Finish(FinishReason),
    Fail(ErrorKind),
}

/// What a model is asked: the snapshots of the prompt, each with its alias as `agent_id`.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Which request it is, from 0.
    pub(crate) nth: usize,
    pub(crate) agents: Vec<Value>,
    pub(crate) system: String,
    pub(crate) user: String,
}

impl Asked {
    pub(crate) fn secrets(&self) -> Vec<i64> {
        let secret = |agent: &Value| agent["state"]["secret"].as_i64().expect("a secret");
        self.agents.iter().map(secret).collect()
    }

    /// The right plan of each agent: it says the secret of its snapshot.
    pub(crate) fn plans(&self) -> Vec<Value> {
        self.agents.iter().map(plan).collect()
    }
}

pub(crate) fn plan(agent: &Value) -> Value {
    json!({
        "agent_id": agent["agent_id"],
        "plan_id": format!("p-{}", agent["state"]["secret"]),
        "steps": [{"act": "say", "secret": agent["state"]["secret"]}, {"act": "wait", "for": "a \"word\" {[é]}"}],
    })
}

type Answer = Box<dyn Fn(&Asked) -> Vec<Move> + Send + Sync>;

/// A model that answers as a function says.
pub(crate) struct Model {
    answer: Answer,
    pub(crate) asked: Mutex<Vec<Asked>>,
}

impl Model {
    pub(crate) fn new(answer: impl Fn(&Asked) -> Vec<Move> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            answer: Box::new(answer),
            asked: Mutex::default(),
        })
    }

    /// A model that answers with this text.
    pub(crate) fn saying(text: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Arc<Self> {
        Self::new(move |asked| vec![Move::Text(text(asked)), Move::Finish(FinishReason::Stop)])
    }

    /// A model that plans rightly.
    pub(crate) fn right() -> Arc<Self> {
        Self::saying(|asked| json!(asked.plans()).to_string())
    }

    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl LlmClient for Model {
    fn provider(&self) -> &str {
        "scripted"
    }

    fn call(
        &self,
        request: Arc<Request>,
        _: CallContext,
    ) -> BoxFuture<'static, Result<EventStream, LlmError>> {
        let text = |role: usize| match &request.messages[role].content[0] {
            Part::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        };
        let (system, user) = (text(0), text(1));
        let mut asked = self.asked.lock().unwrap();
        let this = Asked {
            nth: asked.len(),
            agents: snapshots(&user),
            system,
            user,
        };
        asked.push(this.clone());
        drop(asked);
        let mut moves = (self.answer)(&this);
        if let Some(Move::Fail(kind)) = moves.first().cloned() {
            return Box::pin(async move { Err(LlmError::new(kind, "scripted", "as the test says")) });
        }
        let started = Ok(StreamEvent::Started(Box::new(Started::new())));
        moves.reverse();
        let rest = stream::unfold(moves, |mut moves| async move {
            loop {
                let event = match moves.pop()? {
                    Move::Wait(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        continue;
                    }
                    Move::Text(text) => Ok(StreamEvent::TextDelta(text)),
                    Move::Finish(finish) => Ok(StreamEvent::Finished {
                        finish,
                        usage: throng_core::Usage::NONE,
                    }),
                    Move::Fail(kind) => Err(LlmError::new(kind, "scripted", "as the test says")),
                };
                return Some((event, moves));
            }
        });
        Box::pin(async move { Ok(stream::iter([started]).chain(rest).boxed()) })
    }
}

/// Reads the snapshots of a prompt, whatever its wording.
fn snapshots(user: &str) -> Vec<Value> {
    let mut shared = json!({});
    let mut columns: Option<Vec<String>> = None;
    let mut agents = Vec::new();
    for line in user.lines().skip(1) {
        if let Some(text) = line.strip_prefix("shared by all: ") {
            shared = serde_json::from_str(text).unwrap();
        } else if let Some(text) = line.strip_prefix("columns: ") {
            columns = Some(serde_json::from_str(text).unwrap());
        } else if let Some(columns) = &columns {
            let row: Vec<Value> = serde_json::from_str(line).unwrap();
            let mut agent = json!({});
            let common = shared.as_object().unwrap().clone().into_iter();
            for (column, value) in common.chain(columns.iter().cloned().zip(row)) {
                let mut at = &mut agent;
                for part in column.split('.') {
                    at = &mut at[part];
                }
                *at = value;
            }
            agents.push(agent);
        } else {
            agents.push(serde_json::from_str(line).unwrap());
        }
    }
    agents
}

/// An agent whose secret is its id.
pub(crate) fn agent(id: i64) -> AgentSnapshot {
    AgentSnapshot::new(id, "guard", json!({"secret": id, "hp": 100 - id}))
}

pub(crate) fn agents(n: i64) -> Vec<AgentSnapshot> {
    (1..=n).map(agent).collect()
}

pub(crate) fn builder() -> BatchInferenceExecutorBuilder {
    BatchInferenceExecutor::builder("m").acts([Act::new("say", "says a secret"), Act::new("wait", "")])
}

/// Every agent has one result, in the order of the ids, and no plan but its own.
pub(crate) fn check(report: &BatchReport<throng_batch::Plan>, n: i64) {
    let ids: Vec<AgentId> = report.results.iter().map(|result| result.id.clone()).collect();
    assert_eq!(ids, (1..=n).map(AgentId::from).collect::<Vec<_>>());
    for result in &report.results {
        let Some(plan) = &result.plan else { continue };
        assert_eq!(plan.agent_id, result.id);
        if let Some(secret) = plan.steps.first().and_then(|step| step.arguments.get("secret")) {
            assert_eq!(
                json!(result.id),
                *secret,
                "a plan reached the wrong agent: {result:?}"
            );
        }
    }
}
