//! Tests of the crate through its public API.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
#[cfg(feature = "declare")]
mod commands;
#[cfg(feature = "declare")]
mod declared;
#[cfg(all(feature = "declare", feature = "http"))]
mod http;
mod references;
