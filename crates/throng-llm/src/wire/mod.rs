//! Decoders of the providers' wires. Pure: bytes go in, events come out, and nothing here does I/O or reads a clock.

pub mod chat;
pub mod sse;

mod fault;
mod lenient;
mod surrogate;

#[cfg(feature = "http")]
pub(crate) use fault::Fault;
