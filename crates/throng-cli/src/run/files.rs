//! The files of a run: none of them is used for two things, and results go to a place that keeps them.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::input::{Feed, Source};

/// Returns the file that `--out` names; `-` is standard output, as no `--out` is.
pub(super) fn named(out: Option<&Path>) -> Option<&Path> {
    out.filter(|path| path.as_os_str() != "-")
}

/// Refuses to use one file for two things.
///
/// # Errors
///
/// If two of the paths lead to the same file, or `--summary` is `-`.
pub(super) fn refuse_same(
    feed: &Feed,
    out: Option<&Path>,
    summary: Option<&Path>,
    log: Option<&Path>,
) -> Result<(), CliError> {
    if summary.is_some_and(|path| path.as_os_str() == "-") {
        return Err(CliError::usage("--summary cannot be standard output")
            .hint("`--output json` prints the summary; --summary FILE writes it to a file"));
    }
    let inputs = feed.sources.iter().filter_map(|source| match source {
        Source::File(path) => Some(("an input", path.as_path())),
        Source::Stdin => None,
    });
    let outputs = [("--out", out), ("--summary", summary), ("--log-file", log)]
        .into_iter()
        .filter_map(|(name, path)| path.map(|path| (name, path)));
    let mut seen: Vec<(&str, &Path)> = inputs.collect();
    for (name, path) in outputs {
        if let Some((other, _)) = seen.iter().find(|(_, other)| is_same(path, other)) {
            let message = match *other {
                "an input" => format!("{} is input and output at once", path.display()),
                other => format!("{} is {other} and {name} at once", path.display()),
            };
            return Err(CliError::usage(message).hint(format!("name another file with {name}")));
        }
        seen.push((name, path));
    }
    Ok(())
}

/// Returns true if two paths lead to the same regular file, or would if it were made.
fn is_same(a: &Path, b: &Path) -> bool {
    let is_device = |path: &Path| path.metadata().is_ok_and(|data| !data.is_file());
    if is_device(a) || is_device(b) {
        return false;
    }
    match (target(a), target(b)) {
        (Some(a), Some(b)) if a == b => true,
        _ => is_linked(a, b),
    }
}

/// Returns where a path leads, its last part not needing to exist.
fn target(path: &Path) -> Option<PathBuf> {
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(path) = path.canonicalize() {
            return Some(path);
        }
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return None,
        };
        match path.read_link() {
            Ok(link) => path = folder.join(link),
            Err(_) => return Some(folder.canonicalize().ok()?.join(path.file_name()?)),
        }
    }
    None
}

#[cfg(unix)]
fn is_linked(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_linked(_a: &Path, _b: &Path) -> bool {
    false
}

/// Refuses a standard output that was closed (`>&-`), where results would be lost without an error.
///
/// The standard library puts `/dev/null`, open for reading and writing, in the place of a closed descriptor before
/// `main`. A shell's `> /dev/null` is open for writing alone and is taken as what the user wants.
///
/// # Errors
///
/// If standard output was closed. Known on Linux only.
pub(super) fn refuse_closed_stdout() -> Result<(), CliError> {
    const ACCESS: u32 = 0o3;
    const READ_WRITE: u32 = 0o2;
    let is_null = std::fs::read_link("/proc/self/fd/1").is_ok_and(|path| path == Path::new("/dev/null"));
    if !is_null {
        return Ok(());
    }
    let info = std::fs::read_to_string("/proc/self/fdinfo/1").unwrap_or_default();
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    if flags.is_some_and(|flags| flags & ACCESS == READ_WRITE) {
        return Err(
            CliError::usage("standard output is closed, so every result would be lost")
                .hint("name a file with --out FILE; `--out /dev/null` drops the results on purpose"),
        );
    }
    Ok(())
}

/// Makes the file of the summary.
///
/// # Errors
///
/// If it cannot be made.
pub(super) fn create_summary(path: &Path) -> Result<(File, PathBuf), CliError> {
    let file = File::create(path).map_err(|error| {
        CliError::usage(format!("cannot create the summary {}", path.display()))
            .cause(&error)
            .hint("choose a file that you may write to")
    })?;
    Ok((file, path.to_owned()))
}
