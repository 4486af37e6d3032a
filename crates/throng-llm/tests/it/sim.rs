//! Every wire against the scripted server on a real socket, which speaks them by code of its own: texts, reasoning, tool
//! calls, structured answers, and every fault that it has. Never a false success, and never a failure of a whole answer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use throng_llm::{
    CallContext, ErrorKind, FinishReason, HttpClient, Message, Request, ResponseFormat, StreamEvent,
    ToolChoice, ToolSpec, Wire,
};
use throng_sim::{Fault, FaultMix, SimConfig, SimConfigBuilder, SimServer};

use crate::fuzzed::laws;
use crate::support::{Ended, call_with};

const KEY: &str = "sk-sim-test";

fn config() -> SimConfigBuilder {
    SimConfig::builder()
        .seed(11)
        .instant()
        .api_key(KEY)
        .output_tokens(12..=40)
        .slow(Duration::from_millis(2), 3)
}

fn base_url(server: &SimServer, wire: Wire) -> String {
    server.base_url_of(match wire {
        Wire::OpenAiChat => throng_sim::Wire::OpenAiChat,
        Wire::OpenAiResponses => throng_sim::Wire::OpenAiResponses,
        Wire::Anthropic => throng_sim::Wire::Anthropic,
        Wire::Gemini => throng_sim::Wire::Gemini,
        Wire::Ollama => throng_sim::Wire::Ollama,
        other => panic!("the server does not speak {other}"),
    })
}

fn client(server: &SimServer, wire: Wire, stream: bool) -> HttpClient {
    HttpClient::builder(wire)
        .base_url(base_url(server, wire))
        .api_key(KEY)
        .stream(stream)
        .build()
        .unwrap()
}

async fn ask(client: &HttpClient, request: Request) -> Ended {
    let ended = call_with(client, Arc::new(request), CallContext::new()).await;
    laws(&ended.events, ended.error.is_some());
    ended
}

/// Returns the kind of error that a fault has to become on a wire, or `None` if the answer is whole.
fn expected(fault: Fault, wire: Wire, stream: bool) -> &'static [ErrorKind] {
    use ErrorKind::*;
    match fault {
        fault if fault.still_succeeds() => &[],
        Fault::ServerError | Fault::ServerErrorText => &[Server],
        Fault::Unavailable | Fault::Overloaded => &[Overloaded],
        Fault::Cut | Fault::Dropped => &[Transport],
        Fault::StreamError | Fault::StreamErrorBesideChoices => &[Server, Overloaded],
        Fault::Garbage | Fault::HtmlPage => &[Protocol],
        Fault::EmptyBody => &[Truncated],
        Fault::QuotaExhausted => &[QuotaExhausted],
        Fault::ContextOverflow => &[ContextOverflow],
        Fault::ContentFilter => &[ContentFilter, BadRequest],
        // An answer in one piece that lacks its reason is JSON of something else.
        Fault::EmptyFinish if !stream && wire != Wire::Ollama => &[Protocol, Truncated],
        _ => &[Truncated],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_any_wire_passes_as_an_answer_and_no_answer_as_a_fault() {
    for fault in Fault::ALL {
        let config = config()
            .fail(1.0)
            .fault_mix(FaultMix::only(fault))
            .build()
            .unwrap();
        let server = SimServer::start(config.clone()).await.unwrap();
        for wire in Wire::ALL {
            for stream in [true, false] {
                let met = format!("{fault} on {wire}, stream {stream}");
                let prompt = format!("Which fault is {met}?");
                let ended = ask(&client(&server, wire, stream), Request::new("sim").user(&prompt)).await;
                let kinds = expected(fault, wire, stream);
                match &ended.error {
                    None if kinds.is_empty() => {
                        let done = ended.succeeded();
                        let text = config.expected_text(&prompt);
                        assert!(
                            done.text.starts_with(&text),
                            "{met}: {} instead of {text}",
                            done.text
                        );
                        assert!(
                            done.usage.output_tokens.is_some_and(|n| n > 0),
                            "{met}: {:?}",
                            done.usage
                        );
                    }
                    // A filter's word is the reason of a whole answer where the wire has one for it.
                    None if fault == Fault::ContentFilter => {
                        let finish = ended.succeeded().finish;
                        let filtered = [Some(FinishReason::ContentFilter), Some(FinishReason::Refusal)];
                        assert!(filtered.contains(&finish), "{met}: {finish:?}");
                    }
                    None => panic!("{met}: a false success: {:?}", ended.events),
                    Some(error) => {
                        assert!(kinds.contains(error.kind()), "{met}: {error}: {:?}", error.kind());
                        let content = ended.events.iter().any(StreamEvent::is_content);
                        assert_eq!(error.before_first_content(), !content, "{met}");
                        if fault == Fault::ContextOverflow {
                            let sizes = error.overflow();
                            assert!(
                                sizes.requested > sizes.limit && sizes.limit.is_some(),
                                "{met}: {error}: {sizes:?}"
                            );
                        }
                        assert!(!format!("{error} {error:?}").contains(KEY), "{met}");
                    }
                }
            }
        }
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_reasoning_are_those_of_the_server_and_the_same_in_one_piece() {
    let config = config().reasoning_tokens(5..=20).build().unwrap();
    let server = SimServer::start(config.clone()).await.unwrap();
    for wire in Wire::ALL {
        let mut whole = Vec::new();
        for stream in [true, false] {
            let prompt = format!("Why is {wire}?");
            let request = Request::new("sim")
                .system("Be brief.")
                .user(&prompt)
                .max_output_tokens(4_000);
            let done = ask(&client(&server, wire, stream), request).await.succeeded();
            let prompt = format!("Be brief.\n{prompt}");
            assert_eq!(
                done.text,
                config.expected_text(&prompt),
                "{wire}, stream {stream}"
            );
            assert_eq!(
                done.reasoning,
                config.expected_reasoning(&prompt).unwrap_or_default(),
                "{wire}, stream {stream}"
            );
            // Ids and signatures are made anew for each answer.
            let opaque = done.reasoning_opaque.len();
            whole.push((done.text, done.reasoning, opaque, done.finish, done.usage));
        }
        assert_eq!(
            whole[0], whole[1],
            "{wire}: a stream folds to the answer in one piece"
        );
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_of_parallel_tool_calls_with_their_reasoning_come_to_an_end() {
    let schema = json!({"type": "object", "required": ["city", "days"],
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}}});
    let two = NonZeroU32::new(2).unwrap();
    let config = config()
        .reasoning_tokens(3..=9)
        .tool_rounds(3, two)
        .build()
        .unwrap();
    let server = SimServer::start(config).await.unwrap();
    for wire in Wire::ALL {
        for stream in [true, false] {
            let client = client(&server, wire, stream);
            let mut request = Request::new("sim")
                .user(format!("Plan with tools, {wire}, {stream}."))
                .tool(ToolSpec::new("weather", schema.clone()));
            let mut rounds = 0;
            let text = loop {
                let done = ask(&client, request.clone()).await.succeeded();
                request = request.message(done.to_message());
                if done.tool_calls.is_empty() {
                    break done.text;
                }
                assert_eq!(done.finish, Some(FinishReason::ToolCalls), "{wire}");
                assert_eq!(done.tool_calls.len(), 2, "{wire}: {:?}", done.tool_calls);
                for call in &done.tool_calls {
                    let arguments = call.parse_arguments().unwrap();
                    assert!(
                        arguments["city"].is_string() && arguments["days"].is_u64(),
                        "{wire}: {arguments}"
                    );
                    request = request.message(Message::tool(&call.id, "{\"degrees\":21}"));
                }
                rounds += 1;
                assert!(rounds <= 3, "{wire}: more rounds than the server plays");
            };
            assert_eq!(rounds, 3, "{wire}, stream {stream}");
            assert!(!text.is_empty(), "{wire}");
        }
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn structured_answers_and_forced_calls_keep_to_their_schema() {
    let schema = json!({"type": "object", "additionalProperties": false, "required": ["name", "n"],
        "properties": {"name": {"type": "string"}, "n": {"type": "integer", "minimum": 2, "maximum": 4}}});
    let keeps = |value: &Value| value["name"].is_string() && matches!(value["n"].as_i64(), Some(2..=4));
    let server = SimServer::start(config().build().unwrap()).await.unwrap();
    for wire in Wire::ALL {
        for stream in [true, false] {
            let client = client(&server, wire, stream);
            let form = ResponseFormat::JsonSchema {
                name: "thing".to_owned(),
                schema: schema.clone(),
                strict: true,
            };
            let request = Request::new("sim")
                .user(format!("A thing, {wire}."))
                .response_format(form);
            let done = ask(&client, request).await.succeeded();
            assert!(
                serde_json::from_str(&done.text).is_ok_and(|value| keeps(&value)),
                "{wire}: {}",
                done.text
            );
            // Ollama has no word for a call that must be.
            if wire != Wire::Ollama {
                let request = Request::new("sim")
                    .user(format!("Call it, {wire}."))
                    .tool(ToolSpec::new("make", schema.clone()))
                    .tool_choice(ToolChoice::Required);
                let done = ask(&client, request).await.succeeded();
                assert_eq!(done.tool_calls.len(), 1, "{wire}");
                assert!(
                    keeps(&done.tool_calls[0].parse_arguments().unwrap()),
                    "{wire}: {:?}",
                    done.tool_calls
                );
            }
        }
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_limit_says_when_to_come_back_on_every_wire() {
    for wire in Wire::ALL {
        let config = config().rpm(60).rpm_burst(1).build().unwrap();
        let server = SimServer::start(config).await.unwrap();
        let client = client(&server, wire, true);
        ask(&client, Request::new("sim").user("First.")).await.succeeded();
        let error = ask(&client, Request::new("sim").user("Second.")).await.failed();
        assert_eq!(error.kind(), &ErrorKind::RateLimited, "{wire}: {error}");
        let after = error.retry_after().expect("a time to come back");
        assert!(
            (Duration::from_millis(100)..=Duration::from_secs(2)).contains(&after),
            "{wire}: {after:?}"
        );
        server.shutdown().await;
        let wrong = SimServer::start(self::config().build().unwrap()).await.unwrap();
        let builder = HttpClient::builder(wire)
            .base_url(base_url(&wrong, wire))
            .api_key("sk-wrong");
        let error = ask(&builder.build().unwrap(), Request::new("sim").user("Hello."))
            .await
            .failed();
        assert_eq!(error.kind(), &ErrorKind::Auth, "{wire}: {error}");
        wrong.shutdown().await;
    }
}
