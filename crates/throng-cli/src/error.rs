//! The error that ends a command: one sentence, the chain of causes, an optional excerpt of a file, and hints.

use std::error::Error;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::json;

use crate::exit::ExitStatus;

/// Why a command ended early, with what the user can do about it.
#[derive(Debug)]
pub(crate) struct CliError {
    status: ExitStatus,
    message: String,
    causes: Vec<String>,
    excerpt: String,
    hints: Vec<String>,
}

impl CliError {
    /// Makes an error that ends the program with `status`; `message` is one sentence without a full stop.
    pub(crate) fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            causes: Vec::new(),
            excerpt: String::new(),
            hints: Vec::new(),
        }
    }

    /// Makes an error of usage, configuration or input.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// Adds what caused it, down to the root.
    pub(crate) fn cause(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause that is known only as text.
    pub(crate) fn because(mut self, text: impl Into<String>) -> Self {
        self.causes.push(text.into());
        self
    }

    /// Adds lines that show the place or list more of the same, each with its line end.
    pub(crate) fn excerpt(mut self, excerpt: String) -> Self {
        self.excerpt = excerpt;
        self
    }

    /// Adds something that the user can do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns the exit status that the error calls for.
    pub(crate) const fn status(&self) -> ExitStatus {
        self.status
    }

    /// Returns the sentence itself.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Lays the error out for people.
    pub(crate) fn render(&self) -> String {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let mut text = format!("{red}error:{red:#} {}\n", self.message);
        for cause in &self.causes {
            let _ = writeln!(text, "  caused by: {cause}");
        }
        text.push_str(&self.excerpt);
        let cyan = Style::new().bold().fg_color(Some(AnsiColor::Cyan.into()));
        for (index, hint) in self.hints.iter().enumerate() {
            if index == 0 {
                text.push('\n');
            }
            let _ = writeln!(text, "{cyan}hint:{cyan:#} {hint}");
        }
        text
    }

    /// Returns the error as one JSON value, for `--output json` and `ndjson`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({
            "v": 1,
            "event": "error",
            "message": self.message,
            "causes": self.causes,
            "excerpt": self.excerpt,
            "hints": self.hints,
            "exit_code": self.status.code(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_sentence_causes_blank_line_hint() {
        let io = std::io::Error::other("no such device");
        let text = CliError::usage("cannot open x")
            .cause(&io)
            .hint("plug it in")
            .render();
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "error: cannot open x\n  caused by: no such device\n\nhint: plug it in\n"
        );
    }
}
