//! Tests of the crate through its public API: a server that misbehaves on cue, and real ones.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod real;
mod scripted;
