//! Tests of the crate through its public API: decoders on bytes, clocks on paused time, the client on real sockets.
#![cfg(feature = "openai")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod anthropic;
mod anthropic_requests;
mod cassettes;
mod chat;
mod clocks;
mod faults;
mod fuzzed;
mod http;
mod laws;
mod llama;
mod recorded;
mod recorded_wires;
mod responses;
mod responses_requests;
mod sse;
mod support;
mod two_wires;
