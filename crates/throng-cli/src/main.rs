//! The program `throng`.
#![forbid(unsafe_code)]

mod agent;
mod app;
mod args;
mod batch;
mod bench;
mod codegen;
mod error;
mod exit;
mod explain;
mod input;
mod logging;
mod models;
mod output;
mod parse;
mod provider;
mod run;
mod settings;
mod signals;
mod sim;
mod simulate;
mod stats;
mod suggest;
mod template;
mod tools;
mod ui;
mod vote;

fn main() -> std::process::ExitCode {
    app::main()
}
