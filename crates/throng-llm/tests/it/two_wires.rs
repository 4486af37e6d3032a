//! Anthropic's Messages and OpenAI's Responses: the faults over real sockets, and the laws for random answers.

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_llm::{ErrorKind, Wire};

use crate::fuzzed::{check, laws};
use crate::support::{
    Ended, Server, Step, answer, call, cases, chunked, decode_of, named, pause, send, stream,
};
use crate::{anthropic, responses};

/// What a fault needs of a wire.
struct Words {
    wire: Wire,
    hello: fn() -> String,
    begin: fn() -> Value,
    text: fn(&str) -> Value,
    /// The model's last word.
    last: &'static str,
    /// Errors of the kind `Server` in the middle of a stream.
    errors: &'static [&'static str],
}

const WORDS: [Words; 2] = [
    Words {
        wire: Wire::Anthropic,
        hello: anthropic::hello,
        begin: anthropic::message_start,
        text: anthropic::text,
        last: "\"end_turn\"",
        errors: &[
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"boom\"}}\n\n",
            "event: error\ndata: {\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}\n\n",
            "data: {\"error\":{\"message\":\"boom\"}}\n\n",
            "event: error\ndata: boom\n\n",
        ],
    },
    Words {
        wire: Wire::OpenAiResponses,
        hello: responses::hello,
        begin: responses::created,
        text: responses::text,
        last: "\"response.completed\"",
        errors: &[
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"boom\",\"param\":null}\n\n",
            "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"boom\"}}}\n\n",
            "data: {\"error\":{\"message\":\"boom\"}}\n\n",
            "event: error\ndata: boom\n\n",
        ],
    },
];

impl Words {
    async fn answering(&self, bytes: impl Into<Vec<u8>>) -> Ended {
        let server = Server::answering(bytes).await;
        call(&server.builder_of(self.wire).build().unwrap()).await
    }

    async fn fails(&self, bytes: Vec<u8>, kind: ErrorKind, text: &str) {
        let ended = self.answering(bytes).await;
        assert_eq!(ended.completion().text, text, "{}", self.wire);
        let error = ended.failed();
        assert_eq!(error.kind(), &kind, "{}: {error}", self.wire);
        assert_eq!(error.before_first_content(), text.is_empty());
    }

    /// A stream that has begun and said `Hi`.
    fn hi(&self) -> String {
        named(&[(self.begin)(), (self.text)("Hi")])
    }
}

#[tokio::test]
async fn the_fault_table() {
    use ErrorKind::{Protocol, Transport, Truncated};
    for words in WORDS {
        let hi = words.hi();
        // The stream ends after half an answer, at a frame's end or within one, with or without [DONE].
        words.fails(stream(&hi), Truncated, "Hi").await;
        words
            .fails(stream(named(&[(words.begin)()])), Truncated, "")
            .await;
        words
            .fails(stream(format!("{hi}data: {{\"type\":\"con")), Truncated, "Hi")
            .await;
        words
            .fails(stream(format!("{hi}data: [DONE]\n\n")), Truncated, "Hi")
            .await;
        // The connection breaks.
        let whole = chunked(&hi);
        words
            .fails(whole[..whole.len() - 5].to_vec(), Transport, "Hi")
            .await;
        for error in words.errors {
            for tail in ["", "data: [DONE]\n\n", &(words.hello)()] {
                words
                    .fails(stream(format!("{hi}{error}{tail}")), ErrorKind::Server, "Hi")
                    .await;
                words
                    .fails(stream(format!("{error}{tail}")), ErrorKind::Server, "")
                    .await;
            }
        }
        // Status 200 with HTML, JSON of something else, text, nothing.
        words
            .fails(
                answer(200, &["content-type: text/html"], "<html>login</html>"),
                Protocol,
                "",
            )
            .await;
        words.fails(stream("<html>login</html>"), Protocol, "").await;
        words
            .fails(
                answer(200, &["content-type: application/json"], "{\"ok\":true}"),
                Protocol,
                "",
            )
            .await;
        words.fails(stream("[]"), Protocol, "").await;
        words
            .fails(answer(200, &["content-type: text/plain"], "hello"), Protocol, "")
            .await;
        words.fails(stream(""), Truncated, "").await;
        words
            .fails(stream(format!("{hi}data: {{broken\n\n")), Protocol, "Hi")
            .await;
    }
}

#[tokio::test]
async fn what_only_looks_like_a_fault_is_an_answer() {
    for words in WORDS {
        let hello = (words.hello)();
        let odd = "event: ping\ndata: {\"type\":\"ping\"}\n\n: comment\n\ndata: null\n\nevent: keepalive\ndata: {}\n\nevent: new\ndata: {\"type\":\"new\"}\n\ndata: 7\n\n";
        for bytes in [
            stream(&hello),
            stream(format!("\u{feff}{hello}")),
            stream(format!("{odd}{hello}")),
            stream(hello.replace("\n\n", &format!("\n\n{odd}"))),
            stream(hello.replace('\n', "\r\n")),
            stream(format!("{hello}data: [DONE]\n\n")),
            answer(200, &["content-type: application/json"], &hello),
            answer(200, &[], &hello),
        ] {
            assert_eq!(
                words.answering(bytes).await.succeeded().text,
                "Hello",
                "{}",
                words.wire
            );
        }
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_does_for_a_stream() {
    let message = r#"{"type":"message","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn"}"#;
    let response = r#"{"object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hello"}]}]}"#;
    for (words, whole) in WORDS.iter().zip([message, response]) {
        for bytes in [
            stream(whole),
            answer(200, &["content-type: application/json"], whole),
        ] {
            assert_eq!(words.answering(bytes).await.succeeded().text, "Hello");
        }
    }
}

#[tokio::test]
async fn a_reset_in_mid_stream_is_a_transport_error() {
    for words in WORDS {
        let server = Server::start(vec![vec![send(stream(words.hi())), pause(30), Step::Reset]]).await;
        let ended = call(&server.builder_of(words.wire).build().unwrap()).await;
        assert_eq!(ended.completion().text, "Hi");
        assert_eq!(ended.failed().kind(), &ErrorKind::Transport);
    }
}

#[tokio::test]
async fn every_cut_of_a_stream_is_an_error_until_its_last_word_is_there() {
    for words in WORDS {
        let body = (words.hello)();
        let last = body.rfind(words.last).unwrap();
        let whole = last + body[last..].find("\n\n").unwrap() + 2;
        for at in 0..=body.len() {
            let ended = decode_of(words.wire, [&body.as_bytes()[..at]]);
            assert_eq!(
                ended.error.is_none(),
                at >= whole,
                "{} cut at {at}: {}",
                words.wire,
                ended.trace()
            );
        }
        for at in (0..body.len()).step_by(97) {
            let ended = words.answering(stream(&body[..at])).await;
            assert_eq!(ended.error.is_none(), at >= whole, "{} cut at {at}", words.wire);
        }
    }
}

#[test]
fn every_split_of_a_whole_stream_gives_the_same_events() {
    for words in WORDS {
        let body = (words.hello)();
        let bytes = body.as_bytes();
        let whole = decode_of(words.wire, [bytes]).trace();
        assert_eq!(whole, decode_of(words.wire, bytes.chunks(1)).trace());
        for at in 1..bytes.len() {
            assert_eq!(
                whole,
                decode_of(words.wire, [&bytes[..at], &bytes[at..]]).trace(),
                "split at {at}"
            );
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z ]{1,6}",
        Just("🦀é".to_owned()),
        Just("{\"x\":1}".to_owned()),
        Just("{\"x\":".to_owned()),
        Just("{}".to_owned())
    ]
}

/// What may come among the frames of both wires.
fn noise() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("{\"type\":\"ping\"}".to_owned()),
        Just("{\"type\":\"odd\"}".to_owned()),
        Just("{\"error\":null}".to_owned()),
        Just("{\"type\":\"error\",\"error\":{\"message\":\"m\"}}".to_owned()),
        Just("{".to_owned()),
        Just("[DONE]".to_owned()),
        Just("{\"type\":\"content_block_delta\",\"delta\":{\"text\":\"\\ud83e\"}}".to_owned()),
        Just("{\"type\":\"content_block_delta\",\"delta\":{\"thinking\":\"\\udd80\"}}".to_owned()),
        Just("{\"type\":\"response.output_text.delta\",\"delta\":\"\\ud83e\"}".to_owned()),
        Just("{\"type\":\"response.function_call_arguments.delta\",\"delta\":\"\\udd80\"}".to_owned()),
    ]
}

fn message_frame() -> impl Strategy<Value = String> {
    let index = prop::option::of(0..3usize);
    let kind = prop::sample::select(vec![
        "text",
        "thinking",
        "redacted_thinking",
        "tool_use",
        "server_tool_use",
    ]);
    let block = (kind, piece(), prop::option::of("[ab]"), any::<bool>()).prop_map(|(kind, text, id, full)| {
        let input = if full { json!({"x": text}) } else { json!({}) };
        json!({"type": kind, "text": text, "thinking": text, "signature": id, "data": text, "id": id, "name": "f", "input": input})
    });
    let kinds = vec![
        "text_delta",
        "thinking_delta",
        "signature_delta",
        "input_json_delta",
        "citations_delta",
    ];
    let delta = (prop::sample::select(kinds), piece())
        .prop_map(|(kind, text)| json!({"type": kind, "text": text, "thinking": text, "signature": text, "partial_json": text}));
    let reason = prop::option::of(prop::sample::select(vec![
        "end_turn",
        "tool_use",
        "max_tokens",
        "pause_turn",
        "odd",
    ]));
    let frame = prop_oneof![
        4 => (index.clone(), block).prop_map(|(index, block)| json!({"type": "content_block_start", "index": index, "content_block": block})),
        8 => (index.clone(), delta).prop_map(|(index, delta)| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        3 => index.prop_map(|index| json!({"type": "content_block_stop", "index": index})),
        1 => prop::option::of("[mn]").prop_map(|id| json!({"type": "message_start", "message": {"id": id, "usage": {"input_tokens": 3}}})),
        1 => (reason, 0..9u8).prop_map(|(reason, n)| json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": n}})),
        1 => Just(json!({"type": "message_stop"})),
    ];
    prop_oneof![12 => frame.prop_map(|frame| frame.to_string()), 1 => noise()]
}

fn item() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec![
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "web_search_call",
    ]);
    let status = prop::option::of(prop::sample::select(vec!["completed", "incomplete"]));
    (kind, piece(), prop::option::of("[ab]"), prop::option::of("[ab]"), status).prop_map(|(kind, text, id, call_id, status)| {
        json!({
            "type": kind, "id": id, "call_id": call_id, "name": "f", "arguments": text, "input": text, "status": status,
            "content": [{"type": "output_text", "text": text}], "summary": [{"text": text}], "encrypted_content": id,
        })
    })
}

fn response_frame() -> impl Strategy<Value = String> {
    let deltas = vec![
        "response.output_text",
        "response.refusal",
        "response.reasoning_text",
        "response.reasoning_summary_text",
        "response.function_call_arguments",
        "response.custom_tool_call_input",
    ];
    let end = prop::sample::select(vec!["delta", "delta", "delta", "done"]);
    let place = (prop::option::of(0..3usize), prop::option::of("[ab]"));
    let delta = (prop::sample::select(deltas), end, place, piece()).prop_map(|(kind, end, (index, id), text)| {
        json!({
            "type": format!("{kind}.{end}"), "output_index": index, "item_id": id, "delta": text, "text": text,
            "arguments": text, "input": text, "refusal": text,
        })
    });
    let item_event = (prop::sample::select(vec!["added", "done"]), prop::option::of(0..3usize), item())
        .prop_map(|(when, index, item)| json!({"type": format!("response.output_item.{when}"), "output_index": index, "item": item}));
    let last = (
        prop::sample::select(vec!["completed", "incomplete", "failed"]),
        prop::collection::vec(item(), 0..3),
        prop::option::of(prop::sample::select(vec!["max_output_tokens", "odd"])),
    )
        .prop_map(|(status, output, reason)| json!({"type": format!("response.{status}"), "response": {"output": output, "incomplete_details": {"reason": reason}}}));
    let frame = prop_oneof![8 => delta, 6 => item_event, 1 => last, 1 => Just(responses::created())];
    prop_oneof![12 => frame.prop_map(|frame| frame.to_string()), 1 => noise()]
}

fn keeps_the_laws(wire: Wire, frames: &[String], seed: u8) {
    let body: String = frames.iter().map(|frame| format!("data: {frame}\n\n")).collect();
    let ended = decode_of(wire, [body.as_bytes()]);
    laws(&ended.events, ended.error.is_some());
    check(Some(wire), &[&[seed], body.as_bytes()].concat());
}

/// What a random answer says.
#[derive(Clone, Debug)]
struct Said {
    thinking: String,
    signature: String,
    text: String,
    calls: Vec<(String, String)>,
    cut: bool,
    /// How many characters a piece has.
    piece: usize,
}

impl Said {
    fn pieces(&self, text: &str) -> Vec<String> {
        let chars: Vec<_> = text.chars().collect();
        chars
            .chunks(self.piece)
            .map(|chars| chars.iter().collect())
            .collect()
    }

    /// Returns the id, the name and the input of each call.
    fn calls(&self) -> impl Iterator<Item = (String, &str, Value)> {
        let input = |value: &str| {
            if value.is_empty() {
                json!({})
            } else {
                json!({"v": value})
            }
        };
        let calls = self.calls.iter().enumerate();
        calls.map(move |(at, (name, value))| (format!("c{at}"), &**name, input(value)))
    }
}

fn said() -> impl Strategy<Value = Said> {
    let calls = prop::collection::vec(("[fg]", "[a-z0-9 é]{0,9}"), 0..4);
    (piece(), "[a-z+/=]{0,5}", piece(), calls, any::<bool>(), 1..4usize).prop_map(
        |(thinking, signature, text, calls, cut, piece)| Said {
            thinking,
            signature,
            text,
            calls,
            cut,
            piece,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(600)))]

    #[test]
    fn random_messages_keep_the_laws(frames in prop::collection::vec(message_frame(), 0..16), seed in any::<u8>()) {
        keeps_the_laws(Wire::Anthropic, &frames, seed);
    }

    #[test]
    fn random_responses_keep_the_laws(frames in prop::collection::vec(response_frame(), 0..16), seed in any::<u8>()) {
        keeps_the_laws(Wire::OpenAiResponses, &frames, seed);
    }

    #[test]
    fn a_whole_stream_with_one_byte_changed_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), seed in any::<u8>()) {
        for words in WORDS {
            let mut body = (words.hello)().into_bytes();
            let at = at.index(body.len());
            body[at] = byte;
            check(Some(words.wire), &[&[seed], &body[..]].concat());
        }
    }

    #[test]
    fn folding_a_message_gives_what_it_says_in_one_piece(said in said()) {
        let reason = match (said.cut, said.calls.is_empty()) {
            // A cut in the last call is told from a whole one only in a stream.
            (true, true) => "max_tokens",
            (_, true) => "end_turn",
            _ => "tool_use",
        };
        let usage = json!({"input_tokens": 3, "output_tokens": 4});
        let mut content = vec![json!({"type": "thinking", "thinking": said.thinking, "signature": said.signature})];
        content.push(json!({"type": "text", "text": said.text}));
        content.extend(said.calls().map(|(id, name, input)| json!({"type": "tool_use", "id": id, "name": name, "input": input})));
        let body = json!({"type": "message", "id": "msg_1", "model": "claude-1", "content": content, "stop_reason": reason, "usage": usage});
        let mut frames = vec![json!({"type": "message_start", "message": {"id": "msg_1", "model": "claude-1", "usage": usage}})];
        frames.push(anthropic::start(0, json!({"type": "thinking", "thinking": "", "signature": ""})));
        frames.extend(said.pieces(&said.thinking).iter().map(|text| anthropic::delta(0, json!({"type": "thinking_delta", "thinking": text}))));
        frames.push(anthropic::delta(0, json!({"type": "signature_delta", "signature": said.signature})));
        frames.extend([anthropic::stop(0), anthropic::start(1, json!({"type": "text", "text": ""}))]);
        frames.extend(said.pieces(&said.text).iter().map(|text| anthropic::delta(1, json!({"type": "text_delta", "text": text}))));
        frames.push(anthropic::stop(1));
        for (at, (id, name, input)) in said.calls().enumerate() {
            frames.push(anthropic::start(at + 2, json!({"type": "tool_use", "id": id, "name": name, "input": {}})));
            let input = if input == json!({}) { String::new() } else { input.to_string() };
            let json = |piece: &String| anthropic::delta(at + 2, json!({"type": "input_json_delta", "partial_json": piece}));
            frames.push(json(&String::new()));
            frames.extend(said.pieces(&input).iter().map(json));
            frames.push(anthropic::stop(at + 2));
        }
        frames.extend([json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}), anthropic::message_stop()]);
        let streamed = decode_of(Wire::Anthropic, [named(&frames).as_bytes()]).succeeded();
        prop_assert_eq!(&streamed, &decode_of(Wire::Anthropic, [body.to_string().as_bytes()]).succeeded());
        prop_assert_eq!((&streamed.text, &streamed.reasoning, streamed.tool_calls.len()), (&said.text, &said.thinking, said.calls.len()));
        prop_assert_eq!(streamed.reasoning_opaque.len(), usize::from(!said.signature.is_empty()));
    }

    #[test]
    fn folding_a_response_gives_what_it_says_in_one_piece(said in said(), lost in any::<u8>()) {
        let mut output = vec![json!({"type": "reasoning", "id": "rs", "encrypted_content": said.signature, "summary": [{"type": "summary_text", "text": said.thinking}]})];
        output.push(json!({"type": "message", "id": "m", "content": [{"type": "output_text", "text": said.text}]}));
        output.extend(said.calls().map(|(id, name, input)| {
            json!({"type": "function_call", "id": format!("f{id}"), "call_id": id, "name": name, "arguments": input.to_string(), "status": "completed"})
        }));
        let mut last = responses::completed(json!(output));
        if said.cut {
            last["type"] = "response.incomplete".into();
            last["response"]["status"] = "incomplete".into();
            last["response"]["incomplete_details"] = json!({"reason": "max_output_tokens"});
        }
        let mut frames = vec![responses::created()];
        for (at, item) in output.iter().enumerate() {
            let mut begun = item.clone();
            begun["arguments"] = "".into();
            let delta = |kind: &str, text: &String| json!({"type": format!("response.{kind}.delta"), "output_index": at, "item_id": item["id"], "delta": text});
            let (kind, all) = match item["type"].as_str() {
                Some("message") => ("output_text", said.text.clone()),
                Some("reasoning") => ("reasoning_summary_text", said.thinking.clone()),
                _ => ("function_call_arguments", item["arguments"].as_str().unwrap().to_owned()),
            };
            // Gateways lose the one or the other; each item has its beginning or its end.
            if lost & 1 == 0 {
                frames.push(responses::added(at, begun));
                frames.extend(said.pieces(&all).iter().map(|piece| delta(kind, piece)));
            }
            if lost & 2 == 0 {
                frames.push(responses::done(at, item.clone()));
            }
        }
        let whole = last["response"].to_string();
        frames.push(last);
        let streamed = decode_of(Wire::OpenAiResponses, [named(&frames).as_bytes()]).succeeded();
        prop_assert_eq!(&streamed, &decode_of(Wire::OpenAiResponses, [whole.as_bytes()]).succeeded());
        prop_assert_eq!((&streamed.text, &streamed.reasoning, streamed.tool_calls.len()), (&said.text, &said.thinking, said.calls.len()));
    }
}
