//! The same request on every wire.

use serde_json::{Value, json};
use throng_sim::{SimServer, Wire};

use crate::client::{Client, Reply, soon};

/// How an answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Whole,
    Stream,
    /// A stream as a JSON array; Gemini only.
    Array,
}

/// Every way to ask for an answer.
pub(crate) fn ways() -> impl Iterator<Item = (Wire, Mode)> {
    let all = |wire| [Mode::Whole, Mode::Stream, Mode::Array].map(|mode| (wire, mode));
    Wire::ALL
        .into_iter()
        .flat_map(all)
        .filter(|(wire, mode)| *wire == Wire::Gemini || *mode != Mode::Array)
}

/// A request, before it takes the form of a wire.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) prompt: String,
    pub(crate) system: Option<String>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Option<String>,
    pub(crate) schema: Option<Value>,
    /// Functions and their schemas.
    pub(crate) tools: Vec<(&'static str, Value)>,
    /// Whether a tool has to be called; Ollama cannot say it.
    pub(crate) insists: bool,
    /// Rounds of calls with their results, as names, arguments and results.
    pub(crate) rounds: Vec<Vec<(&'static str, Value, &'static str)>>,
    /// Whether the message of the user has an image as well.
    pub(crate) image: bool,
}

impl Ask {
    pub(crate) fn new(prompt: impl Into<String>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// The texts of the conversation, as the server has to read them.
    pub(crate) fn texts(&self) -> String {
        let mut texts: Vec<&str> = self
            .system
            .as_deref()
            .into_iter()
            .chain([self.prompt.as_str()])
            .collect();
        for round in &self.rounds {
            texts.push("");
            texts.extend(round.iter().map(|(.., result)| *result));
        }
        throng_sim::prompt_text(texts)
    }

    /// The path and the body of the request on a wire.
    pub(crate) fn on(&self, wire: Wire, mode: Mode) -> (String, Value) {
        let mut body = match wire {
            Wire::OpenAiChat => self.chat(),
            Wire::OpenAiResponses => self.responses(),
            Wire::Anthropic => self.anthropic(),
            Wire::Gemini => self.gemini(),
            _ => self.ollama(),
        };
        let path = match (wire, mode) {
            (Wire::OpenAiChat, _) => "/v1/chat/completions",
            (Wire::OpenAiResponses, _) => "/v1/responses",
            (Wire::Anthropic, _) => "/v1/messages",
            (Wire::Gemini, Mode::Whole) => "/v1beta/models/m:generateContent",
            (Wire::Gemini, Mode::Stream) => "/v1beta/models/m:streamGenerateContent?alt=sse",
            (Wire::Gemini, Mode::Array) => "/v1beta/models/m:streamGenerateContent",
            _ => "/api/chat",
        };
        let fields = body.as_object_mut().unwrap();
        fields.retain(|_, value| !value.is_null());
        match (wire, mode) {
            (Wire::Gemini, _) | (Wire::Ollama, Mode::Stream) => {}
            (Wire::Ollama, _) => body["stream"] = json!(false),
            (Wire::OpenAiChat, Mode::Stream) => {
                body["stream"] = json!(true);
                body["stream_options"] = json!({"include_usage": true});
            }
            (_, Mode::Stream) => body["stream"] = json!(true),
            _ => {}
        }
        (path.to_owned(), body)
    }

    fn chat(&self) -> Value {
        let mut messages = Vec::new();
        messages.extend(
            self.system
                .as_ref()
                .map(|text| json!({"role": "system", "content": text})),
        );
        messages.push(if self.image {
            json!({"role": "user", "content": [{"type": "text", "text": self.prompt},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]})
        } else {
            json!({"role": "user", "content": self.prompt})
        });
        for (round, calls) in self.rounds.iter().enumerate() {
            let call = |(index, (name, arguments, _)): (usize, &(_, Value, _))| {
                json!({"id": format!("{round}-{index}"), "type": "function",
                    "function": {"name": name, "arguments": arguments.to_string()}})
            };
            let all: Vec<Value> = calls.iter().enumerate().map(call).collect();
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": all}));
            for (index, (.., result)) in calls.iter().enumerate() {
                messages.push(
                    json!({"role": "tool", "tool_call_id": format!("{round}-{index}"), "content": result}),
                );
            }
        }
        json!({
            "model": "m", "messages": messages, "max_tokens": self.max_tokens, "stop": self.stop,
            "tools": self.openai_tools(), "tool_choice": self.insists.then_some("required"),
            "response_format": self.schema.as_ref().map(|schema| {
                json!({"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": true}})
            })
        })
    }

    fn openai_tools(&self) -> Option<Vec<Value>> {
        let tool = |(name, schema): &(_, Value)| json!({"type": "function", "function": {"name": name, "parameters": schema}});
        (!self.tools.is_empty()).then(|| self.tools.iter().map(tool).collect())
    }

    fn responses(&self) -> Value {
        let mut input = vec![if self.image {
            json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": self.prompt},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]})
        } else {
            json!({"role": "user", "content": self.prompt})
        }];
        for (round, calls) in self.rounds.iter().enumerate() {
            let id = |index: usize| format!("{round}-{index}");
            for (index, (name, arguments, _)) in calls.iter().enumerate() {
                input.push(
                    json!({"type": "function_call", "call_id": id(index), "name": name,
                    "arguments": arguments.to_string()}),
                );
            }
            for (index, (.., result)) in calls.iter().enumerate() {
                input.push(json!({"type": "function_call_output", "call_id": id(index), "output": result}));
            }
        }
        let tool =
            |(name, schema): &(_, Value)| json!({"type": "function", "name": name, "parameters": schema});
        let tools: Option<Vec<Value>> =
            (!self.tools.is_empty()).then(|| self.tools.iter().map(tool).collect());
        json!({
            "model": "m", "instructions": self.system, "input": input, "max_output_tokens": self.max_tokens,
            "tools": tools, "tool_choice": self.insists.then_some("required"),
            "text": self.schema.as_ref().map(|schema| {
                json!({"format": {"type": "json_schema", "name": "s", "schema": schema, "strict": true}})
            })
        })
    }

    fn anthropic(&self) -> Value {
        let mut messages = vec![if self.image {
            json!({"role": "user", "content": [{"type": "text", "text": self.prompt},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]})
        } else {
            json!({"role": "user", "content": self.prompt})
        }];
        for (round, calls) in self.rounds.iter().enumerate() {
            let id = |index: usize| format!("toolu_{round}_{index}");
            let calls_and_results = calls
                .iter()
                .enumerate()
                .map(|(index, (name, arguments, result))| {
                    (
                        json!({"type": "tool_use", "id": id(index), "name": name, "input": arguments}),
                        json!({"type": "tool_result", "tool_use_id": id(index), "content": result}),
                    )
                });
            let (calls, results): (Vec<Value>, Vec<Value>) = calls_and_results.unzip();
            messages.push(json!({"role": "assistant", "content": calls}));
            messages.push(json!({"role": "user", "content": results}));
        }
        let tool = |(name, schema): &(_, Value)| json!({"name": name, "input_schema": schema});
        let tools: Option<Vec<Value>> =
            (!self.tools.is_empty()).then(|| self.tools.iter().map(tool).collect());
        json!({
            "model": "m", "system": self.system, "messages": messages, "max_tokens": self.max_tokens.unwrap_or(4096),
            "stop_sequences": self.stop.as_ref().map(|stop| [stop]), "tools": tools,
            "tool_choice": self.insists.then(|| json!({"type": "any"})),
            "output_config": self.schema.as_ref().map(|schema| {
                json!({"format": {"type": "json_schema", "schema": schema}})
            })
        })
    }

    fn gemini(&self) -> Value {
        let mut parts = vec![json!({"text": self.prompt})];
        if self.image {
            parts.push(json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}));
        }
        let mut contents = vec![json!({"role": "user", "parts": parts})];
        for calls in &self.rounds {
            let calls_and_results = calls.iter().map(|(name, arguments, result)| {
                (
                    json!({"functionCall": {"name": name, "args": arguments}}),
                    json!({"functionResponse": {"name": name, "response": {"result": result}}}),
                )
            });
            let (calls, results): (Vec<Value>, Vec<Value>) = calls_and_results.unzip();
            contents.push(json!({"role": "model", "parts": calls}));
            contents.push(json!({"role": "user", "parts": results}));
        }
        let tool = |(name, schema): &(_, Value)| json!({"name": name, "parametersJsonSchema": schema});
        let tools: Vec<Value> = self.tools.iter().map(tool).collect();
        let mut config = json!({
            "maxOutputTokens": self.max_tokens, "stopSequences": self.stop.as_ref().map(|stop| [stop]),
            "responseMimeType": self.schema.as_ref().map(|_| "application/json"), "responseJsonSchema": self.schema
        });
        config
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        json!({
            "systemInstruction": self.system.as_ref().map(|text| json!({"parts": [{"text": text}]})),
            "contents": contents, "generationConfig": config,
            "tools": (!tools.is_empty()).then(|| json!([{"functionDeclarations": tools}])),
            "toolConfig": self.insists.then(|| json!({"functionCallingConfig": {"mode": "ANY"}}))
        })
    }

    fn ollama(&self) -> Value {
        let mut messages = Vec::new();
        messages.extend(
            self.system
                .as_ref()
                .map(|text| json!({"role": "system", "content": text})),
        );
        let mut user = json!({"role": "user", "content": self.prompt});
        if self.image {
            user["images"] = json!(["AAAA"]);
        }
        messages.push(user);
        for calls in &self.rounds {
            let all: Vec<Value> = calls
                .iter()
                .map(|(name, arguments, _)| json!({"function": {"name": name, "arguments": arguments}}))
                .collect();
            messages.push(json!({"role": "assistant", "content": "", "tool_calls": all}));
            for (name, _, result) in calls {
                messages.push(json!({"role": "tool", "content": result, "tool_name": name}));
            }
        }
        let mut options =
            json!({"num_predict": self.max_tokens, "stop": self.stop.as_ref().map(|stop| [stop])});
        options
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        json!({
            "model": "m", "messages": messages, "options": options, "format": self.schema, "tools": self.openai_tools()
        })
    }
}

/// Sends a request on a connection of its own; an error means that there was no response.
pub(crate) async fn send(
    server: &SimServer,
    path: &str,
    headers: &str,
    body: &Value,
) -> std::io::Result<Reply> {
    let mut client = Client::connect(server.addr()).await;
    client.send("POST", path, headers, &body.to_string()).await?;
    soon(client.read()).await
}

/// Asks on a wire.
pub(crate) async fn ask(server: &SimServer, wire: Wire, mode: Mode, ask: &Ask) -> std::io::Result<Reply> {
    let (path, body) = ask.on(wire, mode);
    send(server, &path, "", &body).await
}
