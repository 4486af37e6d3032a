//! The client over HTTP.

mod address;
mod answer;
mod builder;
mod cassette;
mod client;
mod headers;
mod models;
mod recorder;
mod replay;
mod scrub;
mod tape;
mod transport;

pub use builder::HttpClientBuilder;
pub use client::HttpClient;
pub use recorder::Recorder;
pub use replay::{InvalidRecording, Replay};
