//! Fuzzes the answers of the wire `gemini`. The first byte of an input says how the others are split; the split must change
//! nothing, and the events must keep their laws.
#![no_main]

#[path = "../../crates/throng-llm/tests/it/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::check(Some(throng_llm::Wire::Gemini), data));
