//! The client over HTTP.

mod address;
mod builder;
mod client;
mod headers;
mod models;
mod transport;

pub use builder::HttpClientBuilder;
pub use client::HttpClient;
