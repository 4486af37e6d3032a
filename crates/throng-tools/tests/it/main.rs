//! Tests of the crate through its public API, on a paused clock except where threads are the point.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
#[cfg(feature = "declare")]
mod commands;
mod conflicts;
mod corpora;
mod cycles;
#[cfg(feature = "declare")]
mod declared;
mod fuzzed;
mod graph;
#[cfg(all(feature = "declare", feature = "http"))]
mod http;
mod plan_text;
mod plans;
mod references;
mod run;
mod shapes;
mod simulate;
mod support;
