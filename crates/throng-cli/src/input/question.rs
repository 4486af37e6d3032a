//! One question on the command line, or on standard input.

use std::io::Read as _;

use crate::error::CliError;

/// A longer question is refused.
const MAX_QUESTION: u64 = 1 << 20;

/// Reads a question; `-` is standard input.
///
/// # Errors
///
/// If it is empty, too long or no text.
pub(crate) fn question(text: &str) -> Result<String, CliError> {
    let mut question = text.to_owned();
    if text == "-" {
        question.clear();
        std::io::stdin()
            .take(MAX_QUESTION + 1)
            .read_to_string(&mut question)
            .map_err(|error| {
                CliError::usage("cannot read the question from standard input")
                    .cause(&error)
                    .hint("it must be text in UTF-8")
            })?;
        question.truncate(question.trim_end_matches(['\r', '\n']).len());
    }
    if question.len() as u64 > MAX_QUESTION {
        return Err(CliError::usage("the question is over 1 MiB").hint("ask something shorter"));
    }
    if question.trim().is_empty() {
        return Err(CliError::usage("the question is empty").hint("write it behind the command, in quotes"));
    }
    Ok(question)
}
