//! Tests of throng-json through its public API.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking; tables hand over values"
)]

mod baml_schema;
mod cassettes;
mod coerce;
mod data;
mod elements;
mod fuzzed;
mod misses;
mod profiles;
mod split;
mod strict;
mod tolerant;
