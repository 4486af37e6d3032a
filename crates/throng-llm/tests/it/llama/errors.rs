//! What the server refuses, and what fails while it answers.

use futures_util::StreamExt;
use serde_json::json;
use throng_llm::{
    CallContext, ErrorKind, HttpClient, LlmClient, LlmError, Request, StreamEvent, ToolChoice, Wire,
};

use super::server::{Llama, PATIENCE, PLAIN, WIRES, ask};
use super::tools::{TOOLS, look};
use crate::support::{Ended, call_with, collect};

async fn refused(client: &HttpClient, request: Request) -> LlmError {
    call_with(client, request.into(), CallContext::new())
        .await
        .failed()
}

#[tokio::test]
async fn a_prompt_beyond_the_context() {
    let Some(llama) = Llama::start(PLAIN, &["--parallel", "1", "--ctx-size", "512"]).await else {
        return;
    };
    for wire in WIRES {
        for stream in [true, false] {
            let client = llama.builder(wire).stream(stream).build().unwrap();
            let request = ask(8).user("crab ".repeat(300));
            let error = refused(&client, request).await;
            assert_eq!(error.kind(), &ErrorKind::ContextOverflow, "{wire:?}: {error}");
            assert_eq!(error.status(), Some(400), "{wire:?}: {error}");
            assert_eq!(error.overflow().limit, Some(512), "{wire:?}: {error}");
            assert!(error.overflow().requested > Some(900), "{wire:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn requests_that_the_server_refuses() {
    let arguments = [
        "--parallel",
        "1",
        "--ctx-size",
        "1024",
        "--api-key",
        "sk-right-key",
    ];
    let Some(llama) = Llama::start(PLAIN, &arguments).await else {
        return;
    };
    for wire in WIRES {
        let error = refused(&llama.client(wire), ask(8)).await;
        assert_eq!(
            (error.kind(), error.status()),
            (&ErrorKind::Auth, Some(401)),
            "{wire:?}: {error}"
        );
        // A new one each time: the server closes the connection after a streamed answer without having said so, and a call
        // that takes it from the pool before that is seen fails.
        let client = || llama.builder(wire).api_key("sk-right-key").build().unwrap();
        llama.whole(&client(), ask(8)).await;
        for (name, value) in [
            ("grammar", json!("root ::= ((")),
            ("top_k", json!("many")),
            ("chat_template_kwargs", json!({"enable_thinking": "yes"})),
        ] {
            if (wire, name) == (Wire::Anthropic, "grammar") {
                // Here the server reads no grammar.
                continue;
            }
            let error = refused(&client(), ask(8).extra(name, value)).await;
            assert_eq!(
                (error.kind(), error.status()),
                (&ErrorKind::BadRequest, Some(400)),
                "{wire:?} {name}: {error}"
            );
            assert!(!error.message().is_empty(), "{wire:?} {name}: {error:?}");
        }
        let client = llama.builder(wire).base_url(llama.url().replace("/v1", "/v7"));
        let client = client.api_key("sk-right-key").build().unwrap();
        let error = refused(&client, ask(8)).await;
        assert_eq!(
            (error.kind(), error.status()),
            (&ErrorKind::NotFound, Some(404)),
            "{wire:?}: {error}"
        );
    }
}

#[tokio::test]
async fn an_error_while_the_server_answers() {
    // Two slots share one context, and two answers together do not fit into it.
    let arguments = ["--parallel", "2", "--ctx-size", "2048", "--kv-unified"];
    let Some(llama) = Llama::start(PLAIN, &arguments).await else {
        return;
    };
    for wires in [
        [Wire::OpenAiChat, Wire::Anthropic],
        [Wire::OpenAiResponses, Wire::OpenAiChat],
    ] {
        let mut streams = Vec::new();
        for wire in wires {
            let mut stream = llama
                .client(wire)
                .call(ask(1_700).into(), CallContext::new())
                .await
                .unwrap();
            let mut events = Vec::new();
            while !events.iter().any(StreamEvent::is_content) {
                events.push(stream.next().await.unwrap().unwrap());
            }
            streams.push((wire, events, stream));
        }
        for (wire, mut events, stream) in streams {
            let rest = tokio::time::timeout(PATIENCE, collect(stream))
                .await
                .expect("an answer never ends");
            events.extend(rest.events);
            let error = Ended {
                events,
                error: rest.error,
            }
            .failed();
            assert_eq!(error.kind(), &ErrorKind::Server, "{wire:?}: {error}");
            assert_eq!(error.message(), "Context size has been exceeded.", "{wire:?}");
            assert_eq!(error.status(), None, "{wire:?}: the answer had begun");
            assert!(!error.before_first_content(), "{wire:?}");
            assert!(error.received().text_bytes > 0, "{wire:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_the_server_itself_cannot_read() {
    // Under this template an answer must name to whom it speaks, and noise does not.
    let Some(llama) = Llama::start(TOOLS, &["--parallel", "1", "--ctx-size", "2048"]).await else {
        return;
    };
    for wire in WIRES {
        for (stream, status) in [(true, None), (false, Some(500))] {
            let client = llama.builder(wire).stream(stream).build().unwrap();
            let request = ask(8).tool(look()).tool_choice(ToolChoice::None);
            let error = refused(&client, request).await;
            assert_eq!(
                (error.kind(), error.status()),
                (&ErrorKind::Server, status),
                "{wire:?}: {error}"
            );
            assert!(error.message().contains("does not match"), "{wire:?}: {error}");
        }
    }
}
