//! Reads elements that are not JSON.

mod machine;
mod strings;

pub(crate) use machine::{Around, Lenient, Out};
