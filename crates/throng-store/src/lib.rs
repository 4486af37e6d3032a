//! Keeps runs, tool calls, metrics and journals in one SQLite file; the crate's README says how.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod compare;
mod error;
mod insert;
mod journal;
mod options;
mod prune;
mod queue;
mod record;
mod schema;
mod sink;
mod stats;
mod store;
mod tracker;
mod trend;
mod writer;

pub use compare::{Comparison, MIN_RUNS, Shift, Side, Verdict};
pub use error::{OpenError, StoreError};
pub use journal::StoreJournal;
pub use options::{Clock, Durability, StoreOptions};
pub use prune::{PruneReport, Retention};
pub use record::{Kind, Metric, ResultKind, ResultRecord, RunRecord, ToolBatch, ToolCallRecord};
pub use sink::RunSink;
pub use stats::{BatchStats, Filter, Rate, RunStats, Stats, Times, ToolMedian, ToolStats};
pub use store::{Store, StoreCounts};
pub use trend::{Change, EARLIER, JournalSummary, Last, Point, RECENT, Series, StoredRun, Trend};
