//! The known servers: the table itself, the requests that each is sent, and recorded traffic of theirs.

use serde_json::{Value, json};
use throng_llm::{CallContext, Dialect, FinishReason, Message, Part, Request, Role, ToolCall, Wire};

use crate::recorded::{data, recorded};
use crate::support::{Server, call, call_with, decode, every_split, hello, sse, stream};

#[test]
fn the_table_is_sound() {
    let names: Vec<_> = Dialect::all().iter().map(Dialect::name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted, "sorted, and each once");
    for dialect in Dialect::all() {
        let name = dialect.name();
        assert_eq!(Dialect::find(name), Some(dialect));
        assert!(name.starts_with(dialect.provider()), "{name}");
        assert_eq!(
            dialect.needs_key(),
            !dialect.base_url().is_some_and(|url| url.contains("127.0.0.1")),
            "{name}"
        );
        assert!(
            !dialect.needs_key() || !dialect.key_variables().is_empty(),
            "{name}"
        );
        let built = dialect.client().api_key("sk-1").build();
        assert_eq!(built.is_ok(), dialect.base_url().is_some(), "{name}: {built:?}");
        if let Ok(client) = built {
            assert_eq!(client.wire(), dialect.wire(), "{name}");
        }
    }
    for wire in Wire::ALL {
        assert!(
            Dialect::all().iter().any(|dialect| dialect.wire() == wire),
            "{wire}"
        );
    }
    assert_eq!(Dialect::find("Llama-CPP").map(Dialect::name), Some("llama.cpp"));
    assert_eq!(Dialect::find("LM_Studio").map(Dialect::name), Some("lmstudio"));
    assert_eq!(Dialect::find("unheard-of"), None);
    let error = Dialect::find("azure").unwrap().client().build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "base URL `` is not a URL: relative URL without a base"
    );
}

/// Sends a request in a dialect, and returns head and body as they stood on the wire.
async fn sent(name: &str, request: Request) -> (String, Value) {
    let mut server = Server::answering(stream(hello())).await;
    let dialect = Dialect::find(name).unwrap();
    let client = dialect
        .client()
        .base_url(server.url())
        .api_key("sk-1")
        .build()
        .unwrap();
    call_with(&client, request.into(), CallContext::new())
        .await
        .succeeded();
    let (head, body) = server.request().await;
    (head.to_ascii_lowercase(), body)
}

#[tokio::test]
async fn each_server_is_spoken_to_in_its_way() {
    let plain = ("authorization: bearer sk-1", "max_tokens", "seed", true);
    for (name, (key, max_tokens, seed, usage)) in [
        (
            "openai",
            (
                "authorization: bearer sk-1",
                "max_completion_tokens",
                "seed",
                true,
            ),
        ),
        ("azure", ("api-key: sk-1", "max_completion_tokens", "seed", true)),
        (
            "cerebras",
            (
                "authorization: bearer sk-1",
                "max_completion_tokens",
                "seed",
                true,
            ),
        ),
        (
            "mistral",
            ("authorization: bearer sk-1", "max_tokens", "random_seed", false),
        ),
        (
            "openrouter",
            ("authorization: bearer sk-1", "max_tokens", "seed", false),
        ),
        (
            "perplexity",
            ("authorization: bearer sk-1", "max_tokens", "seed", false),
        ),
        ("deepseek", plain),
        ("groq", plain),
        ("together", plain),
        ("fireworks", plain),
        ("xai", plain),
        ("llama.cpp", plain),
        ("vllm", plain),
        ("sglang", plain),
        ("lmstudio", plain),
        ("ollama-openai", plain),
    ] {
        let (head, body) = sent(name, Request::new("m").user("u").max_output_tokens(9).seed(7)).await;
        assert!(head.starts_with("post /v1/chat/completions "), "{name}: {head}");
        assert!(head.lines().any(|line| line == key), "{name}: {head}");
        let mut expect =
            json!({"model": "m", "messages": [{"role": "user", "content": "u"}], "stream": true});
        expect[max_tokens] = 9.into();
        expect[seed] = 7.into();
        if usage {
            expect["stream_options"] = json!({"include_usage": true});
        }
        assert_eq!(body, expect, "{name}");
    }
}

#[tokio::test]
async fn reasoning_goes_back_only_to_those_who_take_it() {
    let detail = json!({"type": "reasoning.encrypted", "data": "D", "index": 0});
    let mut answer = Message::assistant("a");
    answer.reasoning_opaque = vec![
        detail.clone(),
        json!({"type": "thought_signature", "signature": "S", "text": [0, 1]}),
    ];
    let request = || Request::new("m").message(answer.clone());
    let plain = json!({"role": "assistant", "content": "a"});
    let mut with = plain.clone();
    with["reasoning_details"] = json!([detail]);
    assert_eq!(sent("openrouter", request()).await.1["messages"], json!([with]));
    for name in ["openai", "deepseek", "groq", "mistral", "llama.cpp"] {
        assert_eq!(
            sent(name, request()).await.1["messages"],
            json!([plain]),
            "{name}"
        );
    }
    let mut server = Server::answering(stream(hello())).await;
    call_with(&server.client(), request().into(), CallContext::new())
        .await
        .succeeded();
    assert_eq!(
        server.request().await.1["messages"],
        json!([with]),
        "a server of which nothing is known"
    );
}

#[tokio::test]
async fn errors_name_the_server() {
    let server = Server::answering(stream("")).await;
    for (name, provider) in [
        ("groq", "groq"),
        ("ollama-openai", "ollama"),
        ("openai", "openai"),
    ] {
        let client = Dialect::find(name)
            .unwrap()
            .client()
            .base_url(server.url())
            .build()
            .unwrap();
        assert_eq!(call(&client).await.failed().provider(), provider);
    }
}

#[test]
fn recorded_servers_were_sent_what_the_table_says() {
    for name in ["deepseek", "groq", "mistral", "openrouter", "llama.cpp"] {
        let dialect = Dialect::find(name).unwrap();
        let folder = name.replace('.', "");
        let all = recorded(&[&folder], |path| path.ends_with("/chat/completions"));
        let mut limits = 0;
        for recorded in all.iter().filter(|recorded| recorded.status == 200) {
            let body: Value = serde_json::from_str(&recorded.request).unwrap();
            let object = body.as_object().unwrap();
            limits += usize::from(object.contains_key(dialect.max_tokens_member()));
            assert!(!object.contains_key("max_completion_tokens"), "{}", recorded.name);
            if body["stream"] == true {
                let asked = object.contains_key("stream_options");
                assert_eq!(asked, dialect.asks_for_usage(), "{}", recorded.name);
                assert!(
                    decode([recorded.body.as_bytes()])
                        .succeeded()
                        .usage
                        .output_tokens
                        .is_some(),
                    "{}",
                    recorded.name
                );
            }
            let sent_back = recorded.request.contains("\"reasoning_details\"");
            assert!(
                !sent_back || dialect.takes_reasoning_details(),
                "{}",
                recorded.name
            );
        }
        assert!(data().is_none() || limits > 0, "{name}");
    }
}

#[test]
fn recorded_streams_with_awkward_shapes() {
    let Some(root) = data() else { return };
    let read = |name: &str| std::fs::read_to_string(root.join("provider_streams").join(name)).unwrap();
    let streamed = |name: &str| {
        let text = read(name);
        let mut frames: Vec<_> = text.lines().collect();
        frames.push("[DONE]");
        let body = sse(&frames);
        every_split(Wire::OpenAiChat, &body);
        decode([body.as_bytes()]).succeeded()
    };
    let groq = streamed("groq-tool-call.chunks.txt");
    assert_eq!(groq.tool_calls, [ToolCall::new("tk85n1k4m", "weather", "{}")]);
    assert_eq!(
        (groq.finish, groq.usage.total()),
        (Some(FinishReason::ToolCalls), 225)
    );
    let deepseek = streamed("deepseek-tool-call.chunks.txt");
    let mut reasoning = String::new();
    for line in read("deepseek-tool-call.chunks.txt").lines() {
        let frame: Value = serde_json::from_str(line).unwrap();
        reasoning += frame["choices"][0]["delta"]["reasoning_content"]
            .as_str()
            .unwrap_or_default();
    }
    assert_eq!(deepseek.reasoning, reasoning);
    assert_eq!(
        (
            deepseek.usage.reasoning_tokens,
            deepseek.usage.cached_input_tokens
        ),
        (Some(39), Some(320))
    );
    assert!(deepseek.tool_calls[0].parse_arguments().unwrap().is_object());
    assert_eq!(deepseek.to_message().role, Role::Assistant);
    assert!(
        !deepseek.to_message().content.contains(&Part::Text(reasoning)),
        "reasoning is no part of the next turn"
    );
}
