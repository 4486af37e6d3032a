//! What a request asks for, whatever the wire. A wire turns bytes into a [`Call`] and a
//! [`Reply`](crate::reply::Reply) into bytes; everything between the two knows no wire.

use serde_json::Value;

use crate::api_error::ApiError;
use crate::text::prompt_text;

/// A request, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) model: String,
    /// The texts of the messages, joined as `prompt_text` says.
    pub(crate) prompt: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) n: u32,
    pub(crate) seed: Option<i64>,
    pub(crate) form: Form,
    pub(crate) tag: Option<String>,
    /// How often tools were called since the user last said something.
    pub(crate) rounds: u32,
    /// The functions that may be called if the model likes.
    pub(crate) tools: Vec<Function>,
    /// Whether the request says that it wants no reasoning.
    pub(crate) no_reasoning: bool,
}

/// What the answer has to be.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Text,
    /// Any JSON object.
    JsonObject,
    /// A value of this schema.
    Json(Value),
    /// A call of this function.
    Tool(Function),
}

/// A function that can be called.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// The schema of its arguments.
    pub(crate) parameters: Value,
}

impl Function {
    /// Makes a function; one without a schema takes an empty object.
    pub(crate) fn new(name: impl Into<String>, parameters: Option<&Value>) -> Self {
        let parameters = parameters.filter(|schema| schema.is_object()).cloned();
        Self {
            name: name.into(),
            parameters: parameters.unwrap_or_else(|| serde_json::json!({"type": "object"})),
        }
    }
}

/// Whether a tool has to be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    None,
    Auto,
    /// Any of them; the first is taken.
    Any,
    Named(String),
}

impl ToolChoice {
    /// Returns what the answer has to be, `otherwise` if no tool has to be called, and the functions that may be.
    /// `param` is the request's field.
    pub(crate) fn decide(
        self,
        functions: Vec<Function>,
        otherwise: Form,
        param: &'static str,
    ) -> Result<(Form, Vec<Function>), ApiError> {
        let found = match self {
            Self::None => return Ok((otherwise, Vec::new())),
            Self::Auto => return Ok((otherwise, functions)),
            Self::Any => functions
                .into_iter()
                .next()
                .ok_or_else(|| format!("'{param}' insists on a tool, but 'tools' holds no function")),
            Self::Named(name) => functions
                .into_iter()
                .find(|function| function.name == name)
                .ok_or_else(|| format!("Tool choice '{name}' not found in 'tools'")),
        };
        found
            .map(|function| (Form::Tool(function), Vec::new()))
            .map_err(|message| ApiError::bad(message, param))
    }
}

/// A conversation as the wires read it: its texts in order, and how often tools were called in it.
///
/// The same conversation gives the same texts on every wire: a system text, each message and each tool result
/// is one text. A message that only calls tools is an empty one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    texts: Vec<String>,
    rounds: u32,
}

impl Transcript {
    /// Adds what a system or a user said.
    pub(crate) fn told(&mut self, text: impl Into<String>) {
        self.rounds = 0;
        self.texts.push(text.into());
    }

    /// Adds what the model answered.
    pub(crate) fn answered(&mut self, text: impl Into<String>, called_tools: bool) {
        self.rounds += u32::from(called_tools);
        self.texts.push(text.into());
    }

    /// Adds the result of a tool.
    pub(crate) fn resulted(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    /// Notes tool calls that are no message of their own.
    pub(crate) fn called(&mut self) {
        self.rounds += 1;
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds
    }

    pub(crate) fn prompt(&self) -> String {
        prompt_text(self.texts.iter().map(String::as_str))
    }
}
