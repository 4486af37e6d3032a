//! The flags of `throng models`.

use clap::Args;

use super::flags::{Flags, PROVIDER};

const EXAMPLES: &str = "\
Examples:
  throng models --provider anthropic
  throng models --provider ollama
  throng models --base-url http://localhost:8080/v1 --output ndjson";

/// List the models that a provider offers, with their prices where they are known
///
/// One line for each model on standard output: its name, its context, and the prices of a million tokens of input and of
/// output. The list comes from the provider, the prices from the program's own table and --prices.
#[derive(Debug, Args)]
#[command(before_long_help = EXAMPLES)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    pub(crate) provider: Flags<PROVIDER>,
}
