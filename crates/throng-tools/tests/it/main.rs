//! Tests of the crate through its public API.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod conflicts;
mod corpora;
mod cycles;
mod fuzzed;
mod graph;
mod plan_text;
mod plans;
mod references;
mod shapes;
