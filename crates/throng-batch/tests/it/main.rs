//! Tests of throng-batch through its public API.

mod compact;
mod faults;
mod packing;
mod rules;
mod running;
mod sizing;
mod support;
