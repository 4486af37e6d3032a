//! Texts of servers and of errors, made fit to be shown.

use rmcp::model::ErrorData;

/// How much of a text of the server an error keeps.
const TEXT_CHARS: usize = 4096;

pub(super) fn error_text(error: &ErrorData) -> String {
    match &error.data {
        Some(data) => format!("{} (error {}): {data}", error.message, error.code.0),
        None => format!("{} (error {})", error.message, error.code.0),
    }
}

/// Returns the texts of an error and of its sources, without those that repeat what was said.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

/// Shortens a text of a server, and makes control characters harmless.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(TEXT_CHARS)
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(TEXT_CHARS).is_some() {
        short.push('…');
    }
    short
}
