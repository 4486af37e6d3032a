//! Makes values fit a JSON schema: numbers in strings, labels by their closest match, unions by the reading that needs the
//! fewest changes, defaults. It needs no parser of this crate.

mod best;
mod fit;
mod labels;
mod numbers;
mod schema;

pub use schema::{CoerceError, Coerced, Schema, SchemaError};
