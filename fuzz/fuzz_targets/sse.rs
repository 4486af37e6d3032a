//! Fuzzes server-sent events. The first byte of an input says how the others are split; the split must change nothing.
//!
//! Without cargo-fuzz, on stable; the other targets likewise:
//!
//! ```sh
//! export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
//!   -Cllvm-args=-sanitizer-coverage-trace-compares"
//! cargo build --release --target x86_64-unknown-linux-gnu --bin sse
//! mkdir -p target/found
//! target/x86_64-unknown-linux-gnu/release/sse -max_total_time=60 -max_len=4096 target/found corpus/sse
//! ```
//!
//! New inputs go to the first folder; the seeds of the second are replayed by the tests of `throng-llm` as well.
#![no_main]

#[path = "../../crates/throng-llm/tests/it/fuzzed.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzzed::check(None, data));
