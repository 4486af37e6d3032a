//! Tests of the crate through its public API, on a paused clock except where threads are the point.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod faults;
mod journal;
mod peers;
mod policies;
mod references;
mod run;
mod serializable;
mod streaming;
mod support;
