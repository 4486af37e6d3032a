//! Servers that this project did not write judge the client, retries by throng-exec included: `llmock` of PyPI, which breaks
//! its answers on cue and reports what it thinks of the client, and aimock of npm.
//!
//! `THRONG_LLMOCK` and `THRONG_AIMOCK` name their programs. Without them a test says so and passes, and fails under
//! `THRONG_REQUIRE=1`.

mod aimock;
mod llmock;
mod server;
