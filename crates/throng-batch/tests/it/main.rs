//! Tests of throng-batch through its public API.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod compact;
mod faults;
mod packing;
mod rules;
mod running;
mod sim;
mod sizing;
mod support;
