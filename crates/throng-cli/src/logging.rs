//! Log lines: which ones, and where they go. Off unless they are asked for.

use std::fs::File;
use std::sync::Mutex;

use anstream::ColorChoice;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::error::CliError;
use crate::settings::Settings;

/// Installs the subscriber if log lines were asked for by `--log`, `--log-file` or `-v`.
///
/// # Errors
///
/// If the filter makes no sense or the file cannot be opened.
pub(crate) fn install(settings: &Settings, verbose: u8, color: ColorChoice) -> Result<(), CliError> {
    let file = settings.path("log-file");
    let by_flag = match verbose {
        0 if file.is_some() => Some("throng=info"),
        0 => None,
        1 => Some("throng=info"),
        2 => Some("throng=debug"),
        _ => Some("throng=trace"),
    };
    let Some(filter) = settings.text("log").or(by_flag) else {
        return Ok(());
    };
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        CliError::usage(format!("the log filter {filter:?} makes no sense"))
            .cause(&error)
            .hint("write a level such as `debug`, or levels for parts: `throng_llm=debug,throng_exec=info`")
    })?;
    match file {
        Some(path) => {
            let file = File::options()
                .append(true)
                .create(true)
                .open(path)
                .map_err(|error| {
                    CliError::usage(format!("cannot open the log file {}", path.display())).cause(&error)
                })?;
            subscribe(filter, Mutex::new(file), false);
        }
        None => subscribe(filter, std::io::stderr, colored(color)),
    }
    Ok(())
}

fn subscribe(filter: EnvFilter, writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static, ansi: bool) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ansi)
        .with_writer(writer);
    // Only the first subscriber of a process counts; a second call happens in tests only.
    let _ = builder.try_init();
}

fn colored(color: ColorChoice) -> bool {
    matches!(color, ColorChoice::Always | ColorChoice::AlwaysAnsi)
}
