//! Everything that the program says to people: notes, warnings and errors on standard error, in the form and
//! the colours that were asked for. Data goes to standard output elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use indicatif::MultiProgress;
use serde_json::json;

use crate::error::CliError;

/// The form of what is not result data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputMode {
    /// Text for people.
    Human,
    /// One JSON document.
    Json,
    /// One JSON value a line.
    Ndjson,
}

/// How much the program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Errors only.
    Quiet,
    /// Notes, warnings and the summary.
    Normal,
    /// Log lines too.
    Verbose,
}

/// The voice of the program on standard error.
pub(crate) struct Ui {
    mode: OutputMode,
    verbosity: Verbosity,
    color: ColorChoice,
    bars: MultiProgress,
    held: Mutex<Option<Vec<String>>>,
}

impl Ui {
    /// Makes the voice. Warnings are held back until [`Ui::release`], so that the first line can be another.
    pub(crate) fn new(mode: OutputMode, verbosity: Verbosity, color: ColorChoice) -> Self {
        Self {
            mode,
            verbosity,
            color,
            bars: MultiProgress::new(),
            held: Mutex::new(Some(Vec::new())),
        }
    }

    /// Returns the form of what is not result data.
    pub(crate) const fn mode(&self) -> OutputMode {
        self.mode
    }

    /// Returns how much the program says.
    pub(crate) const fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Returns where progress bars are drawn, so that messages appear above them.
    pub(crate) const fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Returns true if standard error is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Says something that must be heard, even with `--quiet`.
    pub(crate) fn notice(&self, text: &str) {
        self.say("notice", "throng:", Style::new().bold(), text);
    }

    /// Says something worth knowing.
    pub(crate) fn note(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.say("note", "note:", Style::new().bold(), text);
        }
    }

    /// Says something that the user should act on. Held back until [`Ui::release`].
    pub(crate) fn warn(&self, text: &str) {
        if let Some(held) = self
            .held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .as_mut()
        {
            held.push(text.to_owned());
            return;
        }
        if self.verbosity >= Verbosity::Normal {
            let yellow = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
            self.say("warning", "warning:", yellow, text);
        }
    }

    /// Says the warnings that were held back, and holds none from now on.
    pub(crate) fn release(&self) {
        let held = self
            .held
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        for text in held.unwrap_or_default() {
            self.warn(&text);
        }
    }

    /// Says why the command ended.
    pub(crate) fn error(&self, error: &CliError) {
        self.release();
        match self.mode {
            OutputMode::Human => self.block(&error.render()),
            OutputMode::Json | OutputMode::Ndjson => self.block(&format!("{}\n", error.to_json())),
        }
    }

    /// Writes text to standard error as it is, unless `--quiet` was given.
    pub(crate) fn text(&self, text: &str) {
        if self.verbosity >= Verbosity::Normal {
            self.block(text);
        }
    }

    /// Writes text to standard error as it is, above the progress bars. A standard error that cannot be written
    /// to is no reason to stop.
    pub(crate) fn block(&self, text: &str) {
        self.bars.suspend(|| {
            let mut stream = AutoStream::new(std::io::stderr(), self.color).lock();
            let _ = stream.write_all(text.as_bytes());
            let _ = stream.flush();
        });
    }

    fn say(&self, event: &str, label: &str, style: Style, text: &str) {
        match self.mode {
            OutputMode::Human => self.block(&format!("{style}{label}{style:#} {text}\n")),
            OutputMode::Json | OutputMode::Ndjson => {
                self.block(&format!("{}\n", json!({"v": 1, "event": event, "message": text})));
            }
        }
    }
}

/// Writes a number of things: `1 prompt`, `2 prompts`.
pub(crate) fn counted(n: u64, thing: &str) -> String {
    match n {
        1 => format!("1 {thing}"),
        n => format!("{n} {thing}s"),
    }
}

/// Decides on colours for standard error from `--color`, which wins, and the usual variables of the environment.
pub(crate) fn color_choice(flag: &str) -> ColorChoice {
    match flag {
        "always" => ColorChoice::Always,
        "never" => ColorChoice::Never,
        // `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR` and `TERM=dumb` are read here.
        _ => AutoStream::choice(&std::io::stderr()),
    }
}
