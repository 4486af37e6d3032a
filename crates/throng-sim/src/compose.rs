//! Writes what a reply says: the usual answer in the form that was asked for, or what the script puts in its place.

use crate::call::{Call, Choice, Form, Reply, ToolCall};
use crate::config::SimConfig;
use crate::schema::arguments;
use crate::script::Behaviour;
use crate::text::{answer, count_tokens};

/// Writes the answer to a call. Its id is set later, when the number of the attempt is known.
pub(crate) fn compose(config: &SimConfig, call: &Call, prompt: u64) -> Reply {
    let variant = config.variant(call.seed);
    let choice = |index: u32| {
        let index = variant.saturating_mul(call.n).saturating_add(index);
        usual(config, call, prompt, index)
    };
    reply(call, (0..call.n).map(choice).collect())
}

/// Writes one choice of the usual answer.
fn usual(config: &SimConfig, call: &Call, prompt: u64, index: u32) -> Choice {
    match &call.form {
        Form::Text => Choice::text(answer(config.seed, prompt, index, &config.output_tokens), call),
        Form::JsonObject => {
            let text = answer(config.seed, prompt, index, &config.output_tokens);
            Choice::text(serde_json::json!({ "answer": text }).to_string(), call)
        }
        Form::Json(schema) => Choice::text(arguments(config.seed, prompt, index, schema).to_string(), call),
        Form::Tool { name, parameters } => {
            let arguments = arguments(config.seed, prompt, index, parameters).to_string();
            Choice::tools(vec![ToolCall::new(name, arguments)], call)
        }
    }
}

/// Puts choices that were written elsewhere in place of the usual answer.
fn reply(call: &Call, choices: Vec<Choice>) -> Reply {
    Reply {
        id: 0,
        model: call.model.clone(),
        include_usage: call.include_usage,
        input_tokens: count_tokens(&call.prompt),
        output_tokens: choices.iter().map(Choice::tokens).sum(),
        choices,
    }
}

/// Returns the reply that a scripted behaviour puts in place of the usual one, if it does.
pub(crate) fn scripted_reply(behaviour: &Behaviour, call: &Call) -> Option<Reply> {
    let choice = match behaviour {
        Behaviour::Text(text) => Choice::text(text.clone(), call),
        Behaviour::ToolCalls(calls) => Choice::tools(calls.clone(), call),
        _ => return None,
    };
    Some(reply(call, vec![choice; call.n as usize]))
}
