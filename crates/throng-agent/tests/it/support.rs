//! A server that calls tools as a script says, and tools that remember their calls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use throng_agent::{Agent, AgentBuilder};
use throng_llm::{HttpClient, Message, Part, Role, Wire};
use throng_sim::{Behaviour, Match, SimConfig, SimServer, ToolCall};
use throng_tools::{ToolError, ToolExecutor, ToolFn, ToolSpec, Tools};

pub(crate) const WIRES: [Wire; 5] = [
    Wire::OpenAiChat,
    Wire::OpenAiResponses,
    Wire::Anthropic,
    Wire::Gemini,
    Wire::Ollama,
];

/// What was done, in the order in which it was.
#[derive(Clone, Default)]
pub(crate) struct Done(Arc<Mutex<Vec<String>>>);

impl Done {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, start: &str) -> usize {
        self.list().iter().filter(|what| what.starts_with(start)).count()
    }
}

fn city_schema() -> Value {
    json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
}

/// `weather` looks, `note` has effects, `fail` fails, `slow` takes its time.
pub(crate) fn tools(done: &Done) -> ToolExecutor {
    let of = |name: &'static str| (done.clone(), ToolSpec::new(name).parameters(city_schema()));
    let (seen, spec) = of("weather");
    let weather = ToolFn::new(spec.read_only(), move |args: Value| {
        let seen = seen.clone();
        async move {
            let city = args["city"].as_str().unwrap_or_default().to_owned();
            seen.add(format!("begin {city}"));
            tokio::time::sleep(Duration::from_millis(20)).await;
            seen.add(format!("end {city}"));
            Ok(json!({"city": city, "sky": "rain"}))
        }
    });
    let (seen, spec) = of("note");
    let note = ToolFn::new(spec, move |args: Value| {
        let seen = seen.clone();
        async move {
            seen.add(format!("note {}", args["city"].as_str().unwrap_or_default()));
            Ok("noted")
        }
    });
    let (seen, spec) = of("fail");
    let fail = ToolFn::new(spec, move |_: Value| {
        let seen = seen.clone();
        async move {
            seen.add("fail");
            Err::<Value, _>(ToolError::permanent("the sky has fallen"))
        }
    });
    let (seen, spec) = of("slow");
    let slow = ToolFn::new(spec.read_only(), move |_: Value| {
        let seen = seen.clone();
        async move {
            seen.add("slow");
            tokio::time::sleep(Duration::from_secs(60)).await;
            Ok("late")
        }
    });
    let tools = Tools::new()
        .with(weather)
        .and_then(|tools| tools.with(note))
        .and_then(|tools| tools.with(fail))
        .and_then(|tools| tools.with(slow));
    ToolExecutor::builder(tools.unwrap()).build().unwrap()
}

pub(crate) fn call(name: &str, city: &str) -> ToolCall {
    ToolCall::new(name, json!({"city": city}).to_string())
}

/// A server that makes these calls in each round, and then says `done`.
pub(crate) async fn server(rounds: &[&[ToolCall]]) -> SimServer {
    server_with(None, rounds).await
}

/// The same, with something that comes before all of it.
pub(crate) async fn server_with(first: Option<(Match, Behaviour)>, rounds: &[&[ToolCall]]) -> SimServer {
    let mut config = SimConfig::builder().instant();
    if let Some((on, behaviour)) = first {
        config = config.script(on, behaviour);
    }
    for (round, calls) in rounds.iter().enumerate() {
        config = config.script(
            Match::any().tool_round(u32::try_from(round).unwrap()),
            Behaviour::ToolCalls(calls.to_vec()),
        );
    }
    let last = Match::any().tool_round(u32::try_from(rounds.len()).unwrap());
    let config = config.script(last, Behaviour::Text("done".into()));
    SimServer::start(config.build().unwrap()).await.unwrap()
}

pub(crate) fn client(server: &SimServer, wire: Wire) -> Arc<HttpClient> {
    let url = server.base_url_of(match wire {
        Wire::OpenAiChat => throng_sim::Wire::OpenAiChat,
        Wire::OpenAiResponses => throng_sim::Wire::OpenAiResponses,
        Wire::Anthropic => throng_sim::Wire::Anthropic,
        Wire::Gemini => throng_sim::Wire::Gemini,
        Wire::Ollama => throng_sim::Wire::Ollama,
        other => panic!("the server does not speak {other}"),
    });
    Arc::new(
        HttpClient::builder(wire)
            .base_url(url)
            .api_key("sk")
            .build()
            .unwrap(),
    )
}

pub(crate) fn agent(server: &SimServer, done: &Done) -> AgentBuilder {
    Agent::builder(client(server, Wire::OpenAiChat), "gpt-4o-mini").tools(tools(done))
}

pub(crate) fn text(message: &Message) -> String {
    let parts = message.content.iter().map(|part| match part {
        Part::Text(text) => text.as_str(),
        other => panic!("{other:?}"),
    });
    parts.collect()
}

/// Every call of the conversation is answered once, right after the message that makes it, in the order of the calls.
pub(crate) fn check_answered(messages: &[Message]) {
    let mut at = 0;
    while let Some(message) = messages.get(at) {
        at += 1;
        assert_ne!(message.role, Role::Tool, "an answer without a call: {message:?}");
        for call in &message.tool_calls {
            let answer = messages
                .get(at)
                .unwrap_or_else(|| panic!("no answer to {call:?}"));
            assert_eq!(answer.role, Role::Tool);
            assert_eq!(answer.tool_call_id.as_deref(), Some(call.id.as_str()));
            at += 1;
        }
    }
}
