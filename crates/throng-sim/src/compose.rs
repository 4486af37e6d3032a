//! Writes what a reply says: the usual answer in the form that was asked for, or what the script puts in its place.

use crate::batch::Batch;
use crate::call::{Call, Form, Function};
use crate::config::SimConfig;
use crate::reply::{Choice, Finish, Parts, Reply, ToolCall};
use crate::schema::arguments;
use crate::script::Behaviour;
use crate::text::{DEFAULT_REASONING_TOKENS, answer, count_tokens, reasoning};

/// Writes the answer to a call. Its id is set later, when the number of the attempt is known.
pub(crate) fn compose(config: &SimConfig, call: &Call, prompt: u64) -> Reply {
    let choice = |index| {
        let parts = Parts {
            reasoning: configured_reasoning(config, call, prompt, index),
            ..usual(config, call, prompt, index)
        };
        Choice::new(parts, call)
    };
    reply(call, indices(config, call).map(choice).collect())
}

/// Returns the reply that a scripted behaviour puts in place of the usual one, if it does.
pub(crate) fn scripted_reply(
    config: &SimConfig,
    call: &Call,
    prompt: u64,
    behaviour: &Behaviour,
) -> Option<Reply> {
    if let Behaviour::Batch(fault) = behaviour {
        let batch = Batch::read(&call.prompt)?;
        let choice = |index| {
            let (text, cut) = batch.spoilt(config, prompt, index, *fault);
            let parts = Parts {
                reasoning: configured_reasoning(config, call, prompt, index),
                text: Some(text),
                tools: Vec::new(),
            };
            let mut choice = Choice::new(parts, call);
            if cut {
                choice.finish = Finish::Length;
            }
            choice
        };
        return Some(reply(call, indices(config, call).map(choice).collect()));
    }
    let parts = |index: u32| {
        Some(match behaviour {
            Behaviour::Text(text) => Parts {
                reasoning: configured_reasoning(config, call, prompt, index),
                text: Some(text.clone()),
                tools: Vec::new(),
            },
            Behaviour::ToolCalls(calls) => Parts {
                reasoning: configured_reasoning(config, call, prompt, index),
                text: None,
                tools: calls.clone(),
            },
            Behaviour::Reply(said) => Parts {
                reasoning: said.reasoning.clone(),
                text: said.text.clone(),
                tools: said.tools.clone(),
            },
            Behaviour::Reasoning => {
                let length = config
                    .reasoning_tokens
                    .as_ref()
                    .unwrap_or(&DEFAULT_REASONING_TOKENS);
                Parts {
                    reasoning: Some(reasoning(config.seed, prompt, index, length)),
                    ..usual(config, call, prompt, index)
                }
            }
            _ => return None,
        })
    };
    let choices: Option<Vec<Choice>> = indices(config, call)
        .map(|index| Some(Choice::new(parts(index)?, call)))
        .collect();
    Some(reply(call, choices?))
}

/// Returns the numbers by which the choices of a reply are drawn.
fn indices(config: &SimConfig, call: &Call) -> impl Iterator<Item = u32> + use<> {
    let first = config.variant(call.seed).saturating_mul(call.n);
    (0..call.n).map(move |index| first.saturating_add(index))
}

/// Returns the text or the tool calls of one choice of the usual answer.
fn usual(config: &SimConfig, call: &Call, prompt: u64, index: u32) -> Parts {
    let calls = own_calls(config, call);
    if !calls.is_empty() {
        let written = calls
            .into_iter()
            .map(|function| written(config, function, prompt, index));
        return Parts {
            tools: written.collect(),
            ..Parts::default()
        };
    }
    let text = match &call.form {
        Form::Text => match Batch::read(&call.prompt) {
            Some(batch) => serde_json::Value::from(batch.plans(config, index)).to_string(),
            None => answer(config.seed, prompt, index, &config.output_tokens),
        },
        Form::JsonObject => {
            let text = answer(config.seed, prompt, index, &config.output_tokens);
            serde_json::json!({ "answer": text }).to_string()
        }
        Form::Json(schema) => arguments(config.seed, prompt, index, schema).to_string(),
        Form::Tool(function) => {
            return Parts {
                tools: vec![written(config, function, prompt, index)],
                ..Parts::default()
            };
        }
    };
    Parts {
        text: Some(text),
        ..Parts::default()
    }
}

/// Returns the functions that the model calls by itself in the round that it is in.
fn own_calls<'a>(config: &SimConfig, call: &'a Call) -> Vec<&'a Function> {
    if call.rounds >= config.tool_rounds {
        return Vec::new();
    }
    let parallel = config.parallel_calls.get() as usize;
    let first = (call.rounds as usize).saturating_mul(parallel);
    let functions = call.tools.iter().cycle();
    // No function is found among none, however long it is sought.
    functions
        .skip(first.checked_rem(call.tools.len()).unwrap_or(0))
        .take(parallel)
        .collect()
}

fn written(config: &SimConfig, function: &Function, prompt: u64, index: u32) -> ToolCall {
    let arguments = arguments(config.seed, prompt, index, &function.parameters);
    ToolCall::new(&function.name, arguments.to_string())
}

fn configured_reasoning(config: &SimConfig, call: &Call, prompt: u64, index: u32) -> Option<String> {
    let length = config.reasoning_tokens.as_ref().filter(|_| !call.no_reasoning)?;
    Some(reasoning(config.seed, prompt, index, length))
}

fn reply(call: &Call, choices: Vec<Choice>) -> Reply {
    let mut reply = Reply {
        id: 0,
        model: call.model.clone(),
        include_usage: call.include_usage,
        input_tokens: count_tokens(&call.prompt),
        output_tokens: 0,
        reasoning_tokens: 0,
        choices,
        surrogates: None,
    };
    reply.count();
    reply
}
