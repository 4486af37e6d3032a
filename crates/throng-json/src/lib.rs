#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod baml;
mod bare;
mod coerce;
mod envelope;
mod event;
mod grammar;
mod lenient;
mod once;
mod options;
mod parser;
mod profile;
mod prose;
mod scanner;
mod wrapped;

pub use coerce::{CoerceError, Coerced, Schema, SchemaError};
pub use event::{Element, Ending, Event, Finish, Fix, Part, Path, Reason, Rejected, Repair, Span, Step};
pub use once::{ParseError, Parsed, parse, parse_bytes, parse_chunks};
pub use options::{Limits, Markers, Mode, Options, Profile, Split};
pub use parser::{Events, Parser};
