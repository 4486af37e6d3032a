//! The JSON in which providers ask for tool calls, and in which they want the results.

mod error;
mod kind;
mod read;
mod turn;
mod write;

pub use error::ShapeError;
pub use kind::{Shape, UnknownShape};
pub use turn::{Answer, Turn};
