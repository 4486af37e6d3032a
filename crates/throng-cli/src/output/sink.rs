//! Where result lines go: one write for each line, flushed as the job ends. A file is locked against a second run,
//! and a line that could only be written in part is taken back.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::existing::{Existing, NotResults, replace};
use super::line::ResultLine;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::{Fingerprint, Fingerprints};

/// What to do with an output file that has results already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnExisting {
    /// Refuse.
    Refuse,
    /// Keep what succeeded and do the rest.
    Resume,
    /// Begin anew.
    Overwrite,
}

/// Takes result lines.
pub(crate) struct Sink {
    target: Target,
    written: u64,
    line: Vec<u8>,
}

enum Target {
    Stdout(io::Stdout),
    /// A file that can be truncated: with its length after the last whole line.
    File {
        file: File,
        path: PathBuf,
        length: u64,
    },
    /// A pipe or a device with a name.
    Device {
        file: File,
        path: PathBuf,
        torn: bool,
    },
}

/// A result could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteFailed {
    /// Nobody reads any more.
    #[error("the reader of the output closed the pipe")]
    Closed,
    /// Anything else.
    #[error("cannot write results to {0}")]
    Io(String, #[source] io::Error),
}

/// An output that was opened, and what it held.
pub(crate) struct Opened {
    /// Takes the result lines.
    pub(crate) sink: Sink,
    /// What the file held; empty unless it is resumed.
    pub(crate) existing: Existing,
}

impl Sink {
    /// Opens the output; no path, or `-`, means standard output.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, is in use by another run, or has content that `on_existing` does not expect.
    pub(crate) fn open(
        path: Option<&Path>,
        on_existing: OnExisting,
        prints: &Fingerprints,
    ) -> Result<Opened, CliError> {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            if on_existing == OnExisting::Resume {
                return Err(
                    CliError::usage("--resume needs a file to resume").hint("name it with --out FILE")
                );
            }
            let sink = Self {
                target: Target::Stdout(io::stdout()),
                written: 0,
                line: Vec::new(),
            };
            return Ok(Opened {
                sink,
                existing: Existing::default(),
            });
        };
        let failed = |error: io::Error| {
            let cli = CliError::usage(format!("cannot open the output {}", path.display())).cause(&error);
            match error.kind() {
                io::ErrorKind::NotFound => cli.hint("make its folder first"),
                io::ErrorKind::PermissionDenied => cli.hint("choose a file that you may write to"),
                _ => cli,
            }
        };
        if on_existing == OnExisting::Resume {
            // Looked at before it is opened, because opening a pipe waits for its reader.
            refuse_device(path)?;
        }
        let (mut file, regular) = open_locked(path, failed)?;
        if !regular {
            let target = Target::Device {
                file,
                path: path.to_owned(),
                torn: false,
            };
            return Ok(Opened {
                sink: Self {
                    target,
                    written: 0,
                    line: Vec::new(),
                },
                existing: Existing::default(),
            });
        }
        let mut length = file.metadata().map_err(failed)?.len();
        let mut existing = Existing::default();
        match on_existing {
            // Looked at again under the lock: another run may have written since the first look.
            OnExisting::Refuse => Self::refuse_results(path)?,
            OnExisting::Overwrite => {
                file.set_len(0).map_err(failed)?;
                length = 0;
            }
            OnExisting::Resume => {
                existing = Existing::read(&mut file, prints).map_err(|error| not_results(path, &error))?;
                if existing.torn > 0 {
                    file.set_len(existing.complete).map_err(failed)?;
                    length = existing.complete;
                }
            }
        }
        let target = Target::File {
            file,
            path: path.to_owned(),
            length,
        };
        Ok(Opened {
            sink: Self {
                target,
                written: 0,
                line: Vec::new(),
            },
            existing,
        })
    }

    /// Refuses a file that has content.
    ///
    /// # Errors
    ///
    /// If it has.
    pub(crate) fn refuse_results(path: &Path) -> Result<(), CliError> {
        if path.metadata().is_ok_and(|data| data.is_file() && data.len() > 0) {
            return Err(
                CliError::usage(format!("the output {} exists and is not empty", path.display()))
                    .hint("--resume keeps its results and does the rest; --overwrite begins anew"),
            );
        }
        Ok(())
    }

    /// Reads what a file holds without changing or locking it; one that does not exist holds nothing.
    ///
    /// # Errors
    ///
    /// If it is something else than results.
    pub(crate) fn look_at(path: &Path, prints: &Fingerprints) -> Result<Existing, CliError> {
        refuse_device(path)?;
        match File::open(path) {
            Ok(file) => Existing::read(file, prints).map_err(|error| not_results(path, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Existing::default()),
            Err(error) => {
                Err(CliError::usage(format!("cannot open the output {}", path.display())).cause(&error))
            }
        }
    }

    /// Drops what newer results supersede, atomically. `again` are failed ids that will be tried again.
    ///
    /// # Errors
    ///
    /// If the file cannot be rewritten; it is then as it was.
    pub(crate) fn compact(
        &mut self,
        existing: &Existing,
        prints: &Fingerprints,
        again: &HashSet<Fingerprint>,
    ) -> Result<(), CliError> {
        let Target::File { file, path, length } = &mut self.target else {
            return Ok(());
        };
        if !existing.is_loose(again) {
            return Ok(());
        }
        let (new, new_length) = replace(path, file, existing, prints, again).map_err(|error| {
            CliError::new(
                ExitStatus::SomeFailed,
                format!("cannot compact the output {}", path.display()),
            )
            .cause(&error)
            .hint("the file is as it was; free space in its folder and run again with --resume")
        })?;
        *file = new;
        *length = new_length;
        Ok(())
    }

    /// Compacts after a run that wrote second results for ids.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or rewritten; it is then as it was.
    pub(crate) fn tidy_up(&mut self, prints: &Fingerprints) -> Result<(), CliError> {
        let Target::File { file, path, .. } = &mut self.target else {
            return Ok(());
        };
        let existing = io::Seek::rewind(file)
            .map_err(NotResults::from)
            .and_then(|()| Existing::read(file, prints))
            .map_err(|error| not_results(path, &error))?;
        self.compact(&existing, prints, &HashSet::new())
    }

    /// Writes one line.
    ///
    /// # Errors
    ///
    /// If the line could not be written; then nothing of it stays in a regular file.
    pub(crate) fn write(&mut self, line: &ResultLine<'_>) -> Result<(), WriteFailed> {
        self.line.clear();
        let encoded = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        self.line.push(b'\n');
        let result = encoded.and_then(|()| self.target.append(&self.line));
        result.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => WriteFailed::Closed,
            _ => WriteFailed::Io(self.target.name(), error),
        })?;
        self.written += 1;
        Ok(())
    }

    /// Makes the file safe against a loss of power.
    pub(crate) fn sync(&self) {
        if let Target::File { file, .. } = &self.target {
            // Some file systems refuse; the lines are with the system in any case.
            let _ = file.sync_data();
        }
    }

    /// Returns how many lines were written.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Returns the name of the output for messages.
    pub(crate) fn name(&self) -> String {
        self.target.name()
    }

    /// Returns true if standard output is taken by results.
    pub(crate) const fn is_stdout(&self) -> bool {
        matches!(self.target, Target::Stdout(_))
    }

    /// Returns true if results can be taken up again from this output.
    pub(crate) const fn is_resumable(&self) -> bool {
        matches!(self.target, Target::File { .. })
    }

    /// Returns true if results appear on a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(&self.target, Target::Stdout(stdout) if stdout.is_terminal())
    }
}

impl Target {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => {
                let mut stdout = stdout.lock();
                stdout.write_all(line)?;
                stdout.flush()
            }
            Self::File { file, length, .. } => match file.write_all(line) {
                Ok(()) => {
                    *length += line.len() as u64;
                    Ok(())
                }
                Err(error) => {
                    // A part of the line may be in the file, and the next line must not join it.
                    file.set_len(*length)?;
                    Err(error)
                }
            },
            Self::Device { torn: true, .. } => Err(io::Error::other("an earlier line was cut off")),
            Self::Device { file, torn, .. } => file.write_all(line).inspect_err(|_| *torn = true),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout(_) => "standard output".to_owned(),
            Self::File { path, .. } | Self::Device { path, .. } => path.display().to_string(),
        }
    }
}

/// Opens a file for appending and locks it if it is a regular one. Says whether it is.
fn open_locked(path: &Path, failed: impl Fn(io::Error) -> CliError) -> Result<(File, bool), CliError> {
    const TRIES: usize = 10;
    for _ in 0..TRIES {
        if path
            .metadata()
            .is_ok_and(|data| !data.is_file() && !data.is_dir())
        {
            return Ok((File::options().append(true).open(path).map_err(failed)?, false));
        }
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(&failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(
                    CliError::usage(format!("another run writes to {}", path.display()))
                        .hint("wait for it to end, or name another file with --out"),
                );
            }
            // A file system without locks.
            Err(TryLockError::Error(_)) => return Ok((file, true)),
        }
        // Another run may have replaced the file between opening and locking it.
        if same_file(&file, path) {
            return Ok((file, true));
        }
    }
    Err(failed(io::Error::other("it is replaced again and again")))
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), path.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_file(_file: &File, _path: &Path) -> bool {
    true
}

/// Refuses to resume something that is no file.
fn refuse_device(path: &Path) -> Result<(), CliError> {
    match path.metadata() {
        Ok(data) if !data.is_file() && !data.is_dir() => Err(CliError::usage(format!(
            "cannot resume {}: it is not a regular file",
            path.display()
        ))
        .hint("name a regular file with --out FILE, or leave --resume out")),
        _ => Ok(()),
    }
}

fn not_results(path: &Path, error: &NotResults) -> CliError {
    CliError::usage(format!("cannot resume {}", path.display()))
        .cause(error)
        .hint("--resume reads only what `throng run --out` wrote; name another file, or use --overwrite")
}
