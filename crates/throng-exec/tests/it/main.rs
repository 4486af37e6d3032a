//! Tests of throng-exec through its public API, on a paused clock except where threads are the point.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod admission;
mod alcall;
mod blocking;
mod consumer;
mod control;
mod distinct;
mod equivalence;
mod events;
mod hedges;
mod input;
mod late;
mod lifecycle;
mod limits;
mod metrics_cache;
mod outcomes;
mod pace;
mod permit;
mod permit_random;
mod policies;
mod pool;
mod pool_random;
mod random;
mod rehearse;
mod retry;
mod submit;
mod support;
mod vote;
mod vote_rules;
