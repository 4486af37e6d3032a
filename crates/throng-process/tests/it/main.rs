//! Children that are real processes: `sh`, `cat` and other programs that every Unix has.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod child;
mod ends;
mod errors;
mod leaks;
mod limits;
mod output;
mod support;
