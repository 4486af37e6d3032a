//! The property that the fuzz target checks, and the replay of its corpus. This file is also compiled into the fuzz
//! target; so it names nothing of the other test modules.

use std::collections::VecDeque;

use throng_llm::wire::Decoder;
use throng_llm::wire::sse::{SseDecoder, SseEvent};
use throng_llm::{Limits, StreamEvent, Wire};

/// Takes the first byte as the way to split the others, and checks that the split changes nothing, that nothing
/// panics, and that the events keep their laws. Without a wire, what is decoded are server-sent events.
pub(crate) fn check(wire: Option<Wire>, data: &[u8]) {
    let Some((&seed, body)) = data.split_first() else {
        return;
    };
    let mut state = u32::from(seed).wrapping_mul(0x9e37_79b9) | 1;
    let mut random = move |_: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state % (u32::from(seed) + 2)) as usize
    };
    let decode = |size: &mut dyn FnMut(usize) -> usize| match wire {
        Some(wire) => answer(wire, body, size),
        None => sse(body, size),
    };
    let whole = decode(&mut |left| left);
    assert_eq!(whole, decode(&mut |_| 1), "bytewise");
    assert_eq!(whole, decode(&mut random), "seed {seed}");
}

/// Cuts a body into pieces of the given sizes.
fn pieces<'a>(mut body: &'a [u8], size: &mut dyn FnMut(usize) -> usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !body.is_empty() {
        let (piece, rest) = body.split_at(size(body.len()).min(body.len()));
        pieces.push(piece);
        body = rest;
        if pieces.len() > 100_000 {
            pieces.push(std::mem::take(&mut body));
        }
    }
    pieces
}

fn sse(body: &[u8], size: &mut dyn FnMut(usize) -> usize) -> Vec<String> {
    let mut decoder = SseDecoder::new(1 << 12);
    let mut events = Vec::new();
    for piece in pieces(body, size) {
        let result = decoder.push(piece, |event| {
            if let SseEvent::Message { data, .. } = event {
                assert!(data.len() <= 3 << 12, "an event is larger than allowed");
            }
            events.push(format!("{event:?}"));
        });
        events.extend(result.err().map(|error| error.to_string()));
    }
    events
}

fn answer(wire: Wire, body: &[u8], size: &mut dyn FnMut(usize) -> usize) -> Vec<String> {
    let limits = Limits::default()
        .with_event_bytes(1 << 12)
        .with_text_bytes(1 << 10)
        .with_tool_args_bytes(1 << 10)
        .with_tool_calls(4)
        .with_body_bytes(1 << 12);
    let mut decoder = Decoder::new(wire, "fuzz", limits);
    let mut events = VecDeque::new();
    let mut error = None;
    for piece in pieces(body, size) {
        let given = events.len();
        let done = decoder.is_done();
        let result = decoder.push(piece, &mut events);
        assert!(
            !done || (events.len() == given && result.is_ok()),
            "something follows the end"
        );
        error = error.or(result.err());
    }
    error = error.or(decoder.finish(&mut events).err());
    let events = Vec::from(events);
    laws(&events, error.is_some());
    let mut trace: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
    trace.extend(error.map(|error| format!("{error} {:?} {:?}", error.kind(), error.received())));
    trace
}

/// Checks laws 1 and 3, and that deltas are not empty.
pub(crate) fn laws(events: &[StreamEvent], failed: bool) {
    let ends = events
        .iter()
        .filter(|event| matches!(event, StreamEvent::Finished { .. }))
        .count();
    assert_eq!(ends + usize::from(failed), 1, "one end or one error");
    if !failed {
        assert!(
            matches!(events.last(), Some(StreamEvent::Finished { .. })),
            "the end is last"
        );
    }
    let mut started = false;
    let mut calls: Vec<(String, bool)> = Vec::new();
    for event in events {
        match event {
            StreamEvent::KeepAlive | StreamEvent::Unknown { .. } => continue,
            StreamEvent::Started(_) => assert!(!std::mem::replace(&mut started, true), "started twice"),
            StreamEvent::TextDelta(text)
            | StreamEvent::ReasoningDelta(text)
            | StreamEvent::RefusalDelta(text) => {
                assert!(!text.is_empty(), "an empty delta");
            }
            StreamEvent::ToolCallStart { slot, .. } => {
                assert_eq!(*slot as usize, calls.len(), "slots count up");
                calls.push((String::new(), false));
            }
            StreamEvent::ToolArgsDelta { slot, fragment } => {
                let (arguments, ended) = &mut calls[*slot as usize];
                assert!(
                    !fragment.is_empty() && !*ended,
                    "a delta after the end of its call"
                );
                arguments.push_str(fragment);
            }
            StreamEvent::ToolCallEnd { slot, call } => {
                let (arguments, ended) = &mut calls[*slot as usize];
                assert!(!std::mem::replace(ended, true), "a call ends twice");
                assert_eq!(arguments, &call.arguments, "the deltas make up the call");
            }
            _ => {}
        }
        assert!(started, "{event:?} before the start");
    }
}

#[cfg(test)]
#[test]
fn the_corpora_of_the_fuzz_targets_replay() {
    let corpora = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    if !std::path::Path::new(corpora).is_dir() {
        // A published package has no corpus beside it.
        assert!(
            std::env::var_os("THRONG_REQUIRE").is_none(),
            "no fuzz corpora at {corpora}"
        );
        // Not by the macro, whose output the test harness swallows.
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"SKIPPED: no fuzz corpora beside the crate\n",
        )
        .unwrap();
        return;
    }
    replay(&format!("{corpora}/sse"), None);
    for wire in Wire::ALL {
        replay(&format!("{corpora}/{wire}"), Some(wire));
    }
}

#[cfg(test)]
fn replay(corpus: &str, wire: Option<Wire>) {
    let mut seeds = 0;
    for file in std::fs::read_dir(corpus).expect(corpus) {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        seeds += 1;
        check(wire, &bytes);
        // Every way to split a seed counts, not only the one that its first byte names.
        for seed in [0, 3, 17, 255] {
            let mut other = bytes.clone();
            if let Some(first) = other.first_mut() {
                *first = seed;
            }
            check(wire, &other);
        }
    }
    assert!(seeds >= 5, "{seeds} seeds at {corpus}");
}
