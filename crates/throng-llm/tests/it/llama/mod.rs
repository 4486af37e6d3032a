//! Tests against a real inference server: llama.cpp's, with a small model of random weights.

mod answers;
mod errors;
mod server;
mod slots;
mod tools;
