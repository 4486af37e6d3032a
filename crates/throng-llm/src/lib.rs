//! One trait for calls to a large language model, and the providers that speak it.
//!
//! - [`LlmClient`]: takes a [`Request`], gives a stream of [`StreamEvent`]s or an [`LlmError`]. Made for
//!   `Arc<dyn LlmClient>`. [`complete`] folds the stream into a [`Completion`].
#![cfg_attr(
    feature = "http",
    doc = "- [`HttpClient`]: the client for OpenAI, Anthropic, Gemini, Ollama, and every server that speaks like them."
)]
//! - [`Dialect`]: servers that are known, and how each wants to be spoken to.
//! - [`Cache`], [`Metered`], [`RateWatch`]: clients around clients. Prices are in a [`PriceTable`].
#![cfg_attr(
    feature = "http",
    doc = "- [`Recorder`] and [`Replay`]: calls as files, recorded below everything else and answered again without a network."
)]
//! - [`wire`]: the decoders by themselves, for bytes from any source.
//!
//! An answer is never taken as complete without the provider's word for it: a body that ends early, an HTML page
//! with status 200, or an error in the middle of a stream is an error of the call. Every call is one attempt;
//! [`LlmError`] implements [`Classify`](throng_core::Classify) for whoever retries.
//!
//! # Features
//!
//! - `openai`, `anthropic`, `gemini`, `ollama` (all on by default): the requests of those wires. Each brings `http`.
//! - `http`: the HTTP client, reqwest with rustls and ring. Without it this crate
//!   does no I/O but that of a [`CacheStore`] in a directory.
#![forbid(unsafe_code)]

#[cfg(all(doctest, feature = "openai"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod bell;
mod client;
mod completion;
mod dialect;
#[cfg(feature = "http")]
mod encode;
mod error;
mod event;
mod fingerprint;
#[cfg(feature = "http")]
mod http;
mod invalid;
mod kind;
mod message;
mod middleware;
mod model;
mod price;
mod rate;
mod reply;
mod request;
mod span;
mod timeouts;
pub mod wire;

pub use client::{CallContext, EventStream, LlmClient, complete};
pub use completion::Completion;
pub use dialect::Dialect;
#[cfg(feature = "http")]
pub use encode::MaxTokensField;
pub use error::LlmError;
pub use event::{FinishReason, Started, StreamEvent};
pub use fingerprint::{Fingerprint, InvalidFingerprint};
#[cfg(feature = "http")]
pub use http::{HttpClient, HttpClientBuilder, InvalidRecording, Recorder, Replay};
pub use invalid::InvalidConfig;
pub use kind::{Clock, ErrorKind, Limited, Overflow, Received};
pub use message::{Image, ImageSource, InvalidArguments, Message, Part, Role, ToolCall};
pub use middleware::{Cache, CacheStore, Metered, RateState, RateWatch, Spending, Spent, UnknownPrices};
pub use model::Model;
pub use price::{Cost, InvalidCost, InvalidPrices, Price, PriceTable};
pub use rate::{RateLimit, RateLimits};
pub use request::{Request, ResponseFormat, ToolChoice, ToolSpec};
pub use throng_core::Secret;
pub use timeouts::{Limits, Timeouts};
pub use wire::Wire;
