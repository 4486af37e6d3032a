//! Finds the file of a program before it is started, and says what is wrong when it cannot be.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::{Command, ProcessError};

/// Where programs are looked for when a child has no `PATH`, as `execvp` does.
const DEFAULT_PATH: &str = "/usr/bin:/bin";

/// Finds the file of the program of a command.
///
/// # Errors
///
/// If the working directory or the program is not there, if it may not be run, or if an argument holds a zero byte.
pub(crate) fn find(command: &Command) -> Result<PathBuf, ProcessError> {
    let program = &command.program;
    zero_bytes(command)?;
    if let Some(folder) = &command.folder
        && !folder.is_dir()
    {
        return Err(ProcessError::NoFolder {
            program: program.clone(),
            folder: folder.clone(),
        });
    }
    let place = |path: &Path| match &command.folder {
        Some(folder) => folder.join(path),
        None => path.to_owned(),
    };
    if program.as_bytes().contains(&b'/') {
        let path = place(Path::new(program));
        return match path.metadata() {
            Ok(file) if runs(&file) => Ok(path),
            Ok(_) => Err(ProcessError::NotExecutable { path }),
            Err(_) => Err(ProcessError::NoSuchFile { path }),
        };
    }
    let searched = command
        .environment
        .get("PATH")
        .unwrap_or_else(|| DEFAULT_PATH.into());
    let mut barred = None;
    for folder in std::env::split_paths(&searched) {
        if program.is_empty() {
            break;
        }
        let path = place(&folder).join(program);
        match path.metadata() {
            Ok(file) if runs(&file) => return Ok(path),
            Ok(file) if file.is_file() => barred = barred.or(Some(path)),
            _ => {}
        }
    }
    Err(match barred {
        Some(path) => ProcessError::NotExecutable { path },
        None => ProcessError::NotFound {
            program: program.clone(),
            searched,
        },
    })
}

/// Says what an error of the system at starting the file at `path` means.
pub(crate) fn diagnose(command: &Command, path: PathBuf, source: io::Error) -> ProcessError {
    let is = |errno: Errno| source.raw_os_error() == Some(errno.raw_os_error());
    if is(Errno::NOENT)
        && let Some(interpreter) = interpreter(&path)
    {
        return ProcessError::NoInterpreter { path, interpreter };
    }
    if is(Errno::ACCESS) {
        return ProcessError::NotExecutable { path };
    }
    if is(Errno::TOOBIG) {
        return ProcessError::TooLong {
            program: command.program.clone(),
            bytes: command.args.iter().map(|arg| arg.len() + 1).sum(),
        };
    }
    ProcessError::Start {
        program: command.program.clone(),
        source,
    }
}

fn runs(file: &Metadata) -> bool {
    file.is_file() && file.permissions().mode() & 0o111 != 0
}

fn zero_bytes(command: &Command) -> Result<(), ProcessError> {
    let has_zero = |text: &OsStr| text.as_bytes().contains(&0);
    let what = if has_zero(&command.program) {
        "the name".to_owned()
    } else if let Some(at) = command.args.iter().position(|arg| has_zero(arg)) {
        format!("argument {}", at + 1)
    } else if let Some(name) = command.environment.with_zero_byte() {
        format!("the environment variable `{}`", name.display())
    } else {
        return Ok(());
    };
    Err(ProcessError::ZeroByte {
        program: OsString::from(
            String::from_utf8_lossy(command.program.as_bytes()).replace('\0', "\u{fffd}"),
        ),
        what,
    })
}

/// Returns the interpreter that the first line of a script asks for.
fn interpreter(path: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    Some(line.split_whitespace().next()?.to_owned())
}
