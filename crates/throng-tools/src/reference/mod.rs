//! References from the arguments of a call to the results of other calls: finding them, and putting results in.

mod find;
mod names;
mod path;
mod resolve;
mod scan;

pub use find::{Reference, find};
pub use names::Names;
pub use path::{Path, Segment};
pub use resolve::{ReferenceError, ReferenceProblem, resolve};

pub(crate) use find::may_refer_to_later;
