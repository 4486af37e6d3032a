//! Plans: calls in their order of emission, and how they are to run.

mod error;
mod json;
mod limits;
mod llm_compiler;
mod policy;
mod python;
mod rewoo;
mod validate;

pub use error::{PlanError, PlanProblem};
pub use limits::PlanLimits;
pub use policy::{Assume, PlanPolicy, UnknownAssume};
pub use validate::Plan;
