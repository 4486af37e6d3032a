//! Tests of throng-store through its public API, on real files.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod journal;
mod kill;
mod open;
mod prune;
mod sharing;
mod sink;
mod stats;
mod support;
