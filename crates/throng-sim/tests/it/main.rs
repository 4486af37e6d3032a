//! What a client sees of the simulated server, over real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bucket;
mod client;
mod determinism;
mod faults;
mod lifecycle;
mod limits;
mod load;
mod log;
mod openai;
mod reader;
mod requests;
mod script;
mod shapes;
mod wire_errors;
mod wire_faults;
mod wires;
