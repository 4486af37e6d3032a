//! Where the store is, how long things are kept there, and how its errors are told.

use std::path::PathBuf;

use throng_store::{Kind, OpenError, Retention, Store, StoreError, StoreOptions};

use crate::app::Context;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Layers, Settings};
use crate::suggest;

/// Opens the store that the settings name; with `create` it is made if need be.
///
/// # Errors
///
/// If there is none, or it cannot be opened.
pub(super) fn open(settings: &Settings, layers: &Layers, create: bool) -> Result<Store, CliError> {
    let (path, is_default) = match settings.path("store") {
        Some(path) => (path.to_owned(), false),
        None => (default_path(layers)?, true),
    };
    if create
        && is_default
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder).map_err(|error| {
            CliError::usage(format!("cannot make the folder {}", folder.display()))
                .cause(&error)
                .hint("name a file elsewhere: --store FILE")
        })?;
    }
    let options = StoreOptions::default()
        .create(create)
        .retention(retention(settings)?);
    Store::open(path, options).map_err(|error| not_opened(&error))
}

fn default_path(layers: &Layers) -> Result<PathBuf, CliError> {
    layers.store_file.clone().ok_or_else(|| {
        CliError::usage("this user has no folder for data that the store could be in")
            .hint("name a file: --store FILE")
    })
}

fn not_opened(error: &OpenError) -> CliError {
    let status = match error {
        OpenError::Absent { .. } => ExitStatus::NothingSelected,
        _ => ExitStatus::Usage,
    };
    let told = CliError::new(status, error.to_string());
    let told = match std::error::Error::source(error) {
        Some(cause) => told.cause(cause),
        None => told,
    };
    match error {
        OpenError::Absent { .. } => told
            .hint("`throng run --record-stats` records runs")
            .hint("--store FILE names another store"),
        _ => told.hint(error.advice()),
    }
}

/// Tells that the store could not be read or written.
pub(super) fn failed(error: &StoreError) -> CliError {
    let told = CliError::new(ExitStatus::SomeFailed, error.to_string());
    let told = match std::error::Error::source(error) {
        Some(cause) => told.cause(cause),
        None => told,
    };
    match error {
        StoreError::Locked { .. } => told.hint("try again when the other program has ended"),
        StoreError::Damaged { .. } => {
            told.hint("move the file away; `sqlite3 FILE .recover` may save what is left")
        }
        _ => told,
    }
}

/// Returns how long things are kept: the defaults, and what `keep` says otherwise.
fn retention(settings: &Settings) -> Result<Retention, CliError> {
    let mut retention = Retention::default().max_bytes(settings.count("keep-bytes"));
    for item in settings.list("keep") {
        let wrong = |what: String| {
            CliError::usage(format!("--keep {item:?}: {what}"))
                .hint("write it as KIND=TIME, such as test-run=24h or metric=forever")
        };
        let (name, time) = item
            .split_once('=')
            .ok_or_else(|| wrong("it has no time".to_owned()))?;
        let kind = Kind::from_name(name.trim()).ok_or_else(|| {
            let known = Kind::ALL.map(Kind::as_str);
            wrong(
                match suggest::nearest(name, known.iter().map(|kind| (*kind, *kind))) {
                    Some(nearest) => format!("there is no kind {name:?}; did you mean {nearest}?"),
                    None => format!("there is no kind {name:?}; there are {}", known.join(", ")),
                },
            )
        })?;
        let age = match time.trim() {
            "forever" => None,
            time => Some(
                humantime::parse_duration(time)
                    .map_err(|_| wrong(format!("{time:?} is neither a time, such as 7d, nor forever")))?,
            ),
        };
        retention = retention.keep(kind, age);
    }
    Ok(retention)
}

/// Returns the time as milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// Opens the store for a command that reads it.
pub(super) fn open_existing(context: &Context) -> Result<Store, CliError> {
    open(&context.settings, &context.layers, false)
}

/// Opens the store for a command that writes to it.
pub(crate) fn open_or_make(context: &Context) -> Result<Store, CliError> {
    open(&context.settings, &context.layers, true)
}
