//! Fuzzes plans in their three languages, references in arguments, resources, and models' messages; see `sse.rs` for how
//! to run it.
#![no_main]

#[path = "../../crates/throng-tools/tests/it/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::check(data));
