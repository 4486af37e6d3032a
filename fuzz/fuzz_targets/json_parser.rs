//! Fuzzes the JSON parser. How to build it stands in `sse.rs`.
#![no_main]

#[path = "../../crates/throng-json/tests/it/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::check_parser(data));
