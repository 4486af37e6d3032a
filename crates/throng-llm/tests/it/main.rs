//! Tests of the crate through its public API: decoders on bytes, clocks on paused time, the client on real sockets.
#![cfg(feature = "openai")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod anthropic;
mod anthropic_requests;
mod cache;
mod cassettes;
mod chat;
mod clocks;
mod cost;
#[cfg(all(feature = "anthropic", feature = "gemini", feature = "ollama"))]
mod dialects;
mod dropped;
mod faults;
mod fuzzed;
#[cfg(feature = "gemini")]
mod gemini;
#[cfg(feature = "gemini")]
mod gemini_requests;
mod http;
mod identity;
mod judges;
mod keys;
mod laws;
mod llama;
mod models;
#[cfg(feature = "ollama")]
mod ollama;
mod rates;
mod recorded;
mod recorded_wires;
mod replay;
mod responses;
mod responses_requests;
mod sim;
mod spans;
mod sse;
mod support;
mod two_wires;
