//! Permits that runs, tasks and threads share: a limit that can change while it is used, and a fair queue for it.
//!
//! When a permit is granted, the weights of all permits that are out, its own included, add up to the limit at most.

mod acquire;
mod ledger;
mod permit_pool;
#[cfg(all(test, throng_loom))]
mod proofs_by_loom;
mod request;

pub use permit_pool::{Permit, PermitPool, PermitPoolBuilder};
pub use request::Request;
