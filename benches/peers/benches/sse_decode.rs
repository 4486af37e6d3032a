//! What it costs to turn the bytes of a streamed chat completion into events, without a socket: throng-llm's decoder beside
//! crates that split server-sent events, each with the JSON reading that goes with it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use cpu_time::ThreadTime;
use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde::Deserialize;
use throng_bench_peers::allocations::{self, Counting};
use throng_bench_peers::{PIECE, body};
use throng_benches::{Report, is_quick};
use throng_llm::wire::Decoder;
use throng_llm::{Limits, StreamEvent, Wire};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A way to decode: takes the pieces of a body, returns how many bytes of text it found.
type Decode = fn(&[Bytes]) -> usize;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut report = Report::default();
    let n = if is_quick() { 500 } else { 10_000 };
    let rounds = if is_quick() { 2 } else { 15 };
    let subjects: [(&str, Decode); 4] = [
        ("throng", throng),
        ("sse_core_typed", sse_core_typed),
        ("eventsource_value", eventsource_value),
        ("typed_json_alone", typed_json_alone),
    ];
    for size in [1_460, 10] {
        let pieces = cut(&body(n), size);
        let mut times = vec![Vec::new(); subjects.len()];
        let mut allocated = vec![0.0; subjects.len()];
        // Each in turn, so that a change in the machine's speed meets them all alike.
        for _ in 0..rounds {
            for (at, (name, decode)) in subjects.iter().enumerate() {
                let before = allocations::so_far();
                let began = ThreadTime::now();
                let text = decode(black_box(&pieces));
                times[at].push(began.elapsed().as_nanos() as f64 / n as f64);
                allocated[at] = (allocations::so_far() - before) as f64 / n as f64;
                assert_eq!(text, n * PIECE.len(), "{name}");
            }
        }
        for (at, (name, _)) in subjects.iter().enumerate() {
            report.record(&format!("{name}.{size}"), "ns/event", times[at].clone());
            report.record(&format!("{name}.{size}.allocations"), "per event", vec![allocated[at]]);
        }
    }
    report.ratio("throng_vs_eventsource_value", "throng.1460", "eventsource_value.1460");
    report.ratio("throng_vs_sse_core_typed", "throng.1460", "sse_core_typed.1460");
    bytewise(&mut report, if is_quick() { 100 } else { 2_000 }, rounds);
    report.finish()?;
    Ok(())
}

/// Measures the time for twice the bytes against that for once, in pieces of one byte.
fn bytewise(report: &mut Report, n: usize, rounds: usize) {
    let (once, twice) = (cut(&body(n), 1), cut(&body(2 * n), 1));
    for (name, pieces) in [("bytewise.once", &once), ("bytewise.twice", &twice)] {
        let time = |_| {
            let began = ThreadTime::now();
            black_box(throng(black_box(pieces)));
            began.elapsed().as_nanos() as f64
        };
        report.record(name, "ns", (0..rounds).map(time).collect());
    }
    report.ratio("bytewise_twice_vs_once", "bytewise.twice", "bytewise.once");
}

fn cut(body: &[u8], size: usize) -> Vec<Bytes> {
    body.chunks(size).map(Bytes::copy_from_slice).collect()
}

fn throng(pieces: &[Bytes]) -> usize {
    let mut decoder = Decoder::new(Wire::OpenAiChat, "bench", Limits::default());
    let mut events = VecDeque::new();
    let mut text = 0;
    for piece in pieces {
        decoder.push(piece, &mut events).expect("the body is whole");
        while let Some(event) = events.pop_front() {
            if let StreamEvent::TextDelta(delta) = event {
                text += delta.len();
            }
        }
    }
    text
}

/// The members that a client cannot do without, borrowed.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<std::borrow::Cow<'a, str>>,
}

fn typed(data: &str) -> usize {
    if data == "[DONE]" {
        return 0;
    }
    let chunk: Chunk<'_> = serde_json::from_str(data).expect("JSON");
    let texts = chunk.choices.into_iter().filter_map(|choice| choice.delta.content);
    texts.map(|text| black_box(text.into_owned()).len()).sum()
}

fn sse_core_typed(pieces: &[Bytes]) -> usize {
    let mut decoder = sse_core::SseDecoder::new();
    let mut text = 0;
    for piece in pieces {
        let mut piece = piece.clone();
        while let Some(event) = decoder.next(&mut piece) {
            if let Ok(sse_core::SseEvent::Message(message)) = event {
                text += typed(&message.data);
            }
        }
    }
    text
}

fn eventsource_value(pieces: &[Bytes]) -> usize {
    let stream = futures_util::stream::iter(pieces.iter().cloned().map(Ok::<_, Infallible>));
    let counting = stream.eventsource().fold(0, |text, event| async move {
        let data = event.expect("an event").data;
        let value: serde_json::Value = serde_json::from_str(&data).unwrap_or_default();
        text + value.pointer("/choices/0/delta/content").and_then(|text| text.as_str()).map_or(0, str::len)
    });
    futures_util::FutureExt::now_or_never(counting).expect("nothing is waited for")
}

/// The JSON alone, of frames that are cut already: what no decoder can go below.
fn typed_json_alone(pieces: &[Bytes]) -> usize {
    let body = pieces.concat();
    let body = std::str::from_utf8(&body).expect("UTF-8");
    body.split("\n\n").filter_map(|frame| frame.strip_prefix("data: ")).map(typed).sum()
}
