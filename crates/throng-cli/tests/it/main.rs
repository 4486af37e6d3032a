//! Drives the built program: every input, every bad input, resuming, interruptions, configuration.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod bad_input;
mod batch;
mod bills;
mod campaign;
mod commands;
mod config;
mod inputs;
mod interrupt;
mod output;
mod parse;
mod policies;
mod provider;
mod providers;
mod real_servers;
mod rehearse;
mod resume;
mod simulate;
mod stats;
mod support;
mod tools;
mod vote;
