//! Rehearsals: a run in virtual time, against a model of the other side.

mod model;
mod simulate;

pub use model::ProviderModel;
pub use simulate::{Answer, Ask, Provider};
