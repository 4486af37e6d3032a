//! Tests of throng-exec through its public API, on a paused clock except where threads are the point.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod consumer;
mod control;
mod equivalence;
mod events;
mod input;
mod lifecycle;
mod limits;
mod outcomes;
mod pace;
mod random;
mod retry;
mod support;
mod vote;
mod vote_rules;
