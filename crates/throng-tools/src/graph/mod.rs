//! What has to end before a call may begin, and why.

mod analyze;
mod cycle;
mod dependencies;
mod dry_run;
mod edge;
mod explain;
mod frontier;
mod growing;
mod path;
mod render;

pub use analyze::{AnalyzeError, Declared};
pub use cycle::{Cycle, CycleStep, Cycles};
pub use dependencies::Dependencies;
pub use dry_run::{DryRun, DryRunEdge};
pub use edge::{Edge, EdgeKind};
pub use explain::Explanation;
pub use growing::{Added, Growing};
