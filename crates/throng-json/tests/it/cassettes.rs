//! Recorded streams of providers: the JSON that models wrote in them parses to its value, from any split.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use throng_json::{Ending, Event, Options};

use crate::data::data;
use crate::split::events;

/// Joins the pieces of each text, reasoning aside, and of each tool call's arguments.
fn outputs<'a>(stream: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut message = 0;
    let mut add = |key: String, piece: &Value| {
        if let Some(piece) = piece.as_str() {
            texts.entry(key).or_default().push_str(piece);
        }
    };
    for event in stream.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        message += usize::from(event["type"] == "message_start");
        let block = format!("{message}.{}", event["index"]);
        add(format!("text {block}"), &event["delta"]["text"]);
        add(format!("arguments {block}"), &event["delta"]["partial_json"]);
        if event["type"] == "response.function_call_arguments.delta" {
            add(format!("item {}", event["item_id"]), &event["delta"]);
        }
        if event["type"] == "response.output_text.delta" {
            add(
                format!("item {} {}", event["item_id"], event["content_index"]),
                &event["delta"],
            );
        }
        for choice in event["choices"].as_array().into_iter().flatten() {
            let delta = &choice["delta"];
            add(format!("content {}", choice["index"]), &delta["content"]);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                add(
                    format!("call {} {}", choice["index"], call["index"]),
                    &call["function"]["arguments"],
                );
            }
        }
    }
    texts.into_values().collect()
}

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Asserts that a text gives its value whole, byte by byte, and from splits in two.
fn check(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    let expect = |found: (Vec<Event>, Ending)| {
        let [Event::ElementComplete(element)] = found.0.as_slice() else {
            panic!("{text}: {found:?}")
        };
        assert_eq!((&element.value, found.1), (&value, Ending::Whole));
    };
    for options in [Options::strict().whole(), Options::tolerant().whole()] {
        let bytes = text.as_bytes();
        let each: Vec<usize> = (0..bytes.len()).collect();
        expect(events(bytes, &[], &options));
        expect(events(bytes, &each, &options));
        for cut in (1..bytes.len()).step_by(bytes.len() / 200 + 1) {
            expect(events(bytes, &[cut], &options));
        }
    }
}

#[test]
fn what_models_wrote_in_recorded_streams() {
    let (Some(streams), Some(cassettes)) = (data("provider_streams"), data("cassettes")) else {
        return;
    };
    let mut texts = Vec::new();
    let mut found = Vec::new();
    files(&streams, &mut found);
    let n_streams = found.len();
    files(&cassettes, &mut found);
    for (at, path) in found.iter().enumerate() {
        let text = std::fs::read_to_string(path).unwrap();
        if at < n_streams {
            texts.extend(outputs(text.lines()));
        } else if path.extension().is_some_and(|ext| ext == "yaml") {
            for document in serde_norway::Deserializer::from_str(&text) {
                let document: Value = serde::Deserialize::deserialize(document).unwrap();
                let body = document["then"]["body"].as_str().unwrap_or_default();
                texts.extend(outputs(
                    body.lines().filter_map(|line| line.strip_prefix("data:")),
                ));
            }
        }
    }
    let texts: Vec<&String> = texts
        .iter()
        .filter(|text| {
            text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_ok()
        })
        .collect();
    assert!(texts.len() >= 40, "{} texts that are JSON", texts.len());
    texts.iter().for_each(|text| check(text));
}

#[test]
fn the_events_of_recorded_streams_are_documents() {
    let Some(folder) = data("provider_streams") else {
        return;
    };
    let mut found = Vec::new();
    files(&folder, &mut found);
    for path in found
        .iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "txt"))
    {
        let text = std::fs::read_to_string(path).unwrap();
        let expect: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        assert!(!expect.is_empty(), "{}", path.display());
        for size in [1, 7, 100, usize::MAX] {
            let cuts: Vec<usize> = (0..text.len()).step_by(size).collect();
            let (events, ending) = events(text.as_bytes(), &cuts, &Options::tolerant());
            let values: Vec<Value> = events
                .into_iter()
                .map(|event| match event {
                    Event::ElementComplete(element) => element.value,
                    other => json!(format!("{other:?}")),
                })
                .collect();
            assert_eq!(values, expect, "{}", path.display());
            assert_eq!(ending, Ending::Whole);
        }
    }
}
