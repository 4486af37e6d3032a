//! Packs many agents into one prompt; the modules below hold one subject each.
#![forbid(unsafe_code)]

mod pack;
mod size;
mod tokens;

pub use pack::{Load, Room, pack};
pub use size::{AdaptiveSize, Ending};
pub use tokens::{Estimate, TokenCounter};
