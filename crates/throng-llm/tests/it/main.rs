//! Tests of the crate through its public API: decoders on bytes, clocks on paused time, the client on real sockets.
#![cfg(feature = "openai")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cache;
mod cassettes;
mod chat;
mod clocks;
mod cost;
mod dropped;
mod faults;
mod fuzzed;
mod http;
mod identity;
mod keys;
mod laws;
mod rates;
mod recorded;
mod replay;
mod spans;
mod sse;
mod support;
