//! Tests of throng-agent: a real client against a server on a socket, and tools that record what was done.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod aimock;
mod limits;
mod rounds;
mod support;
