//! Server-sent events: the cases of the standard, every split, and a comparison with the crate `sse-core`.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use throng_llm::wire::sse::{EventTooLarge, SseDecoder, SseEvent};

use crate::support::cases;

/// An event in owned form; comments as `None`.
type Owned = Option<(String, String, Option<String>)>;

fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Owned>, Option<EventTooLarge>) {
    let mut decoder = SseDecoder::new(limit);
    let mut events = Vec::new();
    let mut error = None;
    for piece in pieces {
        let result = decoder.push(piece, |event| {
            events.push(match event {
                SseEvent::Message { event, data, id } => {
                    Some((event.into(), data.into(), id.map(Into::into)))
                }
                _ => None,
            });
        });
        error = error.or(result.err());
    }
    (events, error)
}

/// Checks the messages of a text, for every split in two and byte by byte.
#[track_caller]
fn check(bytes: impl AsRef<[u8]>, expect: &[(&str, &str)]) {
    let bytes = bytes.as_ref();
    let whole = decode([bytes], 1 << 20);
    let messages: Vec<_> = whole
        .0
        .iter()
        .flatten()
        .map(|(event, data, _)| (&**event, &**data))
        .collect();
    assert_eq!(messages, expect, "{}", String::from_utf8_lossy(bytes));
    assert_eq!(whole, decode(bytes.chunks(1), 1 << 20), "bytewise");
    for at in 0..=bytes.len() {
        assert_eq!(
            whole,
            decode([&bytes[..at], &bytes[at..]], 1 << 20),
            "split at {at}"
        );
    }
    assert_eq!(
        whole.0.into_iter().flatten().collect::<Vec<_>>(),
        by_sse_core(bytes),
        "sse-core"
    );
}

fn by_sse_core(mut bytes: &[u8]) -> Vec<(String, String, Option<String>)> {
    let mut decoder = sse_core::SseDecoder::with_limit(NonZeroUsize::MAX);
    let mut events = Vec::new();
    while let Some(event) = decoder.next(&mut bytes) {
        if let sse_core::SseEvent::Message(message) = event.unwrap() {
            events.push((
                message.event.into(),
                message.data,
                message.last_event_id.map(|id| id.to_string()),
            ));
        }
    }
    events
}

#[test]
fn the_cases_of_the_standard() {
    check("data: a\n\n", &[("message", "a")]);
    check(
        "data:a\r\rdata:b\r\n\r\ndata:c\n\r\n",
        &[("message", "a"), ("message", "b"), ("message", "c")],
    );
    check("data: a\r\r", &[("message", "a")]);
    check("data:  two spaces\n\n", &[("message", " two spaces")]);
    check("data: a\ndata: b\ndata\n\n", &[("message", "a\nb\n")]);
    check(
        "data\n\ndata\ndata\n\ndata:\n\n",
        &[("message", ""), ("message", "\n"), ("message", "")],
    );
    check(
        ": comment\n\n:\n\ndata: a\n: within\ndata: b\n\n",
        &[("message", "a\nb")],
    );
    check(
        "event: ping\ndata: a\n\ndata: b\n\n",
        &[("ping", "a"), ("message", "b")],
    );
    check("event: lost\n\ndata: b\n\n", &[("message", "b")]);
    check("event: x\nevent\ndata: b\n\n", &[("message", "b")]);
    check(
        "retry: 5\nunknown: x\ndatax: y\n data: z\ndata: a\n\n",
        &[("message", "a")],
    );
    check("data: cut", &[]);
    check("data: cut\n", &[]);
    check("data: a\n\ndata: cut\n", &[("message", "a")]);
    check("\u{feff}data: a\n\n", &[("message", "a")]);
    check("\u{feff}\u{feff}data: a\n\n", &[]);
    check("\u{feff}", &[]);
    check(b"\xef\xbbdata: a\n\ndata: b\n\n", &[("message", "b")]);
    check("data: \u{feff}🦀é\n\n", &[("message", "\u{feff}🦀é")]);
    check(
        b"data: \xff\xfe \xf0\x9f\xa6\n\n",
        &[("message", "\u{fffd}\u{fffd} \u{fffd}")],
    );
    check("data: a\u{0}b\n\n", &[("message", "a\u{0}b")]);
    check("\n\n\r\n\r\n\r\r", &[]);
    check("", &[]);
}

#[test]
fn an_id_stays_until_another_comes_and_one_with_nul_does_not_count() {
    let text = b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n";
    let (events, _) = decode([&text[..]], 1 << 20);
    let ids: Vec<_> = events
        .iter()
        .flatten()
        .map(|(_, data, id)| (&**data, id.as_deref()))
        .collect();
    assert_eq!(
        ids,
        [("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("d", None)]
    );
}

#[test]
fn a_comment_is_a_sign_of_life() {
    let (events, _) = decode([&b": OPENROUTER PROCESSING\n\n:\n"[..]], 1 << 20);
    assert_eq!(events, [None, None]);
}

#[test]
fn a_line_that_ends_with_cr_is_not_held_back() {
    let (events, _) = decode([&b"data: a\r\r"[..]], 1 << 20);
    assert_eq!(events.len(), 1, "without waiting for a line feed");
}

#[test]
fn an_event_over_the_limit_fails_once_after_the_events_before_it() {
    let long = "x".repeat(200);
    let text = format!("data: a\n\ndata: {long}\n\ndata: b\n\n");
    for pieces in [
        vec![text.as_bytes()],
        text.as_bytes().chunks(1).collect(),
        text.as_bytes().chunks(7).collect(),
    ] {
        let (events, error) = decode(pieces, 100);
        assert_eq!(events, [Some(("message".into(), "a".into(), None))]);
        assert_eq!(
            error.unwrap().to_string(),
            "an event of the stream has more than 100 bytes"
        );
    }
    let lines = "data: 0123456789\n".repeat(20);
    assert!(
        decode([lines.as_bytes()], 100).1.is_some(),
        "many short lines of one event"
    );
    let comment = format!(":{long}\n");
    assert!(
        decode([comment.as_bytes()], 100).1.is_none(),
        "a comment is not kept"
    );
    assert!(decode(comment.as_bytes().chunks(1), 100).1.is_none());
}

#[test]
fn one_long_line_in_small_pieces_takes_linear_time() {
    let line = format!("data: {}\n\n", "x".repeat(2 << 20));
    let (events, _) = decode(line.as_bytes().chunks(3), 4 << 20);
    assert_eq!(
        events.len(),
        1,
        "a quadratic decoder would not come here within minutes"
    );
}

/// Text of the things that matter to a decoder.
fn awkward() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"data".to_vec()),
        Just(b"event".to_vec()),
        Just(b"id".to_vec()),
        Just(b"retry".to_vec()),
        Just(b":".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\xef\xbb\xbf".to_vec()),
        Just("🦀".as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(2_000)))]

    #[test]
    fn any_split_gives_the_events_of_sse_core(bytes in awkward(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let whole = decode([&bytes[..]], 1 << 20);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut from = 0;
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(&whole, &decode(pieces, 1 << 20));
        prop_assert_eq!(&whole, &decode(bytes.chunks(1), 1 << 20));
        prop_assert_eq!(whole.0.into_iter().flatten().collect::<Vec<_>>(), by_sse_core(&bytes));
    }
}
