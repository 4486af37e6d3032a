//! How BAML reads text (`jsonish` at d794f28, Apache-2.0, Boundary): as all that it may mean. Which reading is meant, a
//! schema decides.

mod fix;
mod read;
mod value;

pub(crate) use read::read;
pub(crate) use value::Ish;
