//! Tests of the crate through its public API, on a paused clock except where threads are the point.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod conflicts;
mod corpora;
mod cycles;
mod fuzzed;
mod graph;
mod plan_text;
mod plans;
mod references;
mod run;
mod shapes;
mod support;
