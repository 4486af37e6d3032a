//! Keys show nowhere: not in errors, `Debug`, traces, recordings or stored answers, whatever the server echoes.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use throng_llm::{
    Cache, CacheStore, CallContext, Cost, LlmClient, LlmError, Metered, PriceTable, RateState, RateWatch,
    Recorder, Replay, Request, StreamEvent, UnknownPrices,
};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{
    Ended, Server, Step, answer, call_with, chunked, delta, hello, pause, send, sse, stream,
};

const KEY: &str = "sk-very-secret-key";

/// What is written by `tracing`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Everything that an error can show.
fn show(error: &LlmError) -> String {
    let mut text = format!(
        "{error} {error:?} {:?} {:?} {:?} {}\n",
        error.raw_body(),
        error.code(),
        error.request_id(),
        error.message()
    );
    let mut source = error.source();
    while let Some(cause) = source {
        writeln!(text, "{cause} {cause:?}").unwrap();
        source = cause.source();
    }
    text
}

/// The texts of all files of a directory.
fn files(dir: &Path) -> String {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The server sends the key whole, in halves over two pieces, and cut off.
fn scripts() -> Vec<Vec<Step>> {
    let (left, right) = KEY.split_at(9);
    let header = format!("x-request-id: {KEY}");
    let ratelimit = format!("x-ratelimit-limit-requests: {KEY}");
    let location = format!("location: http://user:{KEY}@h/{KEY}?key={KEY}");
    let cookie = format!("set-cookie: key={KEY}");
    let error = json!({"error": {"message": format!("bad key {KEY}"), "code": KEY, "type": KEY}}).to_string();
    let two = |status, body: &str| {
        let (head, tail) = body.split_once(KEY).unwrap();
        let first = answer(status, &[&header], format!("{head}{left}"));
        vec![send(first), pause(20), send(format!("{right}{tail}"))]
    };
    vec![
        vec![send(answer(
            200,
            &["content-type: text/event-stream", &header, &ratelimit, &cookie],
            hello(),
        ))],
        vec![send(answer(401, &[&header, &cookie], &error))],
        vec![send(answer(302, &[&location], KEY))],
        two(401, &error),
        two(500, &format!("<html>{KEY}</html>")),
        two(200, &sse(&[&delta("x"), &error])),
        two(200, &sse(&[&delta("x"), &format!("not JSON {KEY}")])),
        two(200, &format!("{{\"key\":\"{KEY}\"}}")),
        two(200, &format!(": {KEY}\n\n{}", hello())),
        vec![send(answer(403, &[], format!("wrong: {left}")))],
        vec![send(stream(format!("<html>{left}"))), pause(20), Step::Reset],
        vec![
            send(chunked(&format!("<html>{KEY}"))[..90].to_vec()),
            pause(20),
            Step::Reset,
        ],
    ]
}

#[tokio::test]
async fn keys_show_nowhere_in_the_whole_stack() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_span_events(FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    crate::support::listen_everywhere();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (tapes, answers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut shown = String::new();
    let mut outcomes = (0, 0);
    for script in scripts() {
        let dir = tempfile::tempdir_in(tapes.path()).unwrap();
        let server = Server::start(vec![script]).await;
        let recorder = Recorder::create(dir.path()).unwrap();
        let builder = server
            .builder()
            .header("x-my-token", KEY)
            .record(recorder.clone());
        write!(shown, "{builder:?}").unwrap();
        let http = builder.build().unwrap();
        let store = CacheStore::in_dir(answers.path()).unwrap();
        let memory = CacheStore::in_memory(NonZeroUsize::MIN, 1 << 20);
        let state = RateState::new();
        let watch = RateWatch::new(http.clone(), state.clone());
        let metered = Metered::new(watch.clone(), PriceTable::builtin())
            .with_max_cost(Cost::from_dollars(1))
            .with_unknown_prices(UnknownPrices::Count);
        let place = dir.path().display().to_string();
        let stored = Cache::new(metered.clone(), store.clone()).with_namespace(place.clone());
        let stack = Cache::new(stored, memory.clone()).with_namespace(place);
        let request = Arc::new(Request::new("m1").user(format!("Is {KEY} mine?")));
        let live = call_with(&stack, Arc::clone(&request), CallContext::new()).await;
        recorder.flush().await.unwrap();
        write!(
            shown,
            "{http:?} {recorder:?} {store:?} {memory:?} {state:?} {watch:?} {metered:?} {stack:?} {:?} {:?}",
            metered.spending(),
            CallContext::new()
        )
        .unwrap();
        let replay = Replay::open(dir.path()).unwrap();
        write!(shown, "{replay:?}").unwrap();
        let again = call_with(&replay, request, CallContext::new()).await;
        assert_eq!(live.error.is_some(), again.error.is_some(), "{live:?} {again:?}");
        for Ended { events, error } in [live, again] {
            match &error {
                Some(error) => {
                    outcomes.1 += 1;
                    shown += &show(error);
                }
                None => outcomes.0 += 1,
            }
            for event in events
                .iter()
                .filter(|event| matches!(event, StreamEvent::Started(_)))
            {
                write!(shown, "{event:?}").unwrap();
            }
        }
        let tape = files(dir.path());
        assert!(tape.contains("[redacted]"), "{tape}");
        shown += &tape;
    }
    assert_eq!(outcomes, (4, 20), "both kinds of outcomes were seen");
    let stored = files(answers.path());
    assert!(stored.contains("text_delta"), "an answer was stored");
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("gen_ai.request.model") && log.contains("A call failed."),
        "{log}"
    );
    for text in [shown, stored, log] {
        for part in [KEY, "very-secret", "sk-very-", "secret-key"] {
            let at = text.find(part);
            let around = at.map(|at| text.get(at.saturating_sub(300)..at + 40).unwrap_or(&text));
            assert_eq!(around, None, "{part}");
        }
    }
}

/// Makes sure that the stack is one that callers can hold as one client.
#[test]
fn a_stack_is_a_client() {
    fn is_client(_: impl LlmClient + 'static) {}
    let any: Arc<dyn LlmClient> = Arc::new(crate::support::Scripted::new([]));
    let metered = Metered::new(any, PriceTable::builtin());
    is_client(Cache::new(metered, CacheStore::in_memory(NonZeroUsize::MIN, 0)));
}
