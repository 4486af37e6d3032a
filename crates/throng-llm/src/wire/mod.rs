//! Decoders of the providers' wires. Pure: bytes go in, events come out, and nothing here does I/O or reads a clock.

mod anthropic;
mod body;
mod calls;
mod chat;
mod decoder;
mod draft;
mod fault;
mod fill;
mod gemini;
mod kind;
mod lenient;
mod ollama;
mod pattern;
mod protocol;
mod read;
mod responses;
pub mod sse;
mod surrogate;

pub use decoder::{Decoder, events};
pub use kind::Wire;

#[cfg(feature = "http")]
pub(crate) use fault::Fault;
#[cfg(feature = "gemini")]
pub(crate) use gemini::{Of, Signed};
