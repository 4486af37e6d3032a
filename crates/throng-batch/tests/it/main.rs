//! Tests of throng-batch through its public API.

mod packing;
mod sizing;
