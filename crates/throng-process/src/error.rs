//! Why a child could not be started or waited for.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use throng_core::{Classify, ErrorClass};

/// Why a child could not be started or waited for. How it ended is no error, but an [`End`](crate::End).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// None of the folders of `PATH` holds the program.
    #[error("program `{}` is in none of the folders of PATH: {}", program.display(), searched.display())]
    NotFound {
        /// The program as it was asked for.
        program: OsString,
        /// The `PATH` of the child.
        searched: OsString,
    },
    /// There is no file at the path of the program.
    #[error("there is no program at `{}`", path.display())]
    NoSuchFile {
        /// The path.
        path: PathBuf,
    },
    /// A file is there, but it may not be run.
    #[error("`{}` is not an executable file", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The program is a script whose interpreter is not there.
    #[error("`{}` needs the interpreter `{interpreter}`, which is not there", path.display())]
    NoInterpreter {
        /// The script.
        path: PathBuf,
        /// What its first line asks for.
        interpreter: String,
    },
    /// The working directory is not there, or is no directory.
    #[error("there is no directory `{}` to run `{}` in", folder.display(), program.display())]
    NoFolder {
        /// The program.
        program: OsString,
        /// The working directory as it was asked for.
        folder: PathBuf,
    },
    /// An argument or an environment variable holds a zero byte, which no system hands on.
    #[error("{what} of `{}` holds a zero byte", program.display())]
    ZeroByte {
        /// The program.
        program: OsString,
        /// Which one: `argument 2`.
        what: String,
    },
    /// The arguments and the environment are longer than the system takes.
    #[error("the arguments of `{}`, {bytes} bytes, and its environment are more than the system takes", program.display())]
    TooLong {
        /// The program.
        program: OsString,
        /// How long the arguments are together.
        bytes: usize,
    },
    /// The system refused to start it.
    #[error("`{}` could not be started", program.display())]
    Start {
        /// The program.
        program: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused to say how it ended.
    #[error("the end of `{}` could not be waited for", program.display())]
    Wait {
        /// The program.
        program: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It had `SIGKILL` and is still there: the kernel holds it, as it does with a disk or a network share that hangs.
    #[error("process {pid} (`{}`) did not end within {waited_s} s of SIGKILL", program.display())]
    Stuck {
        /// The program.
        program: OsString,
        /// Its process id.
        pid: u32,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
}

impl Classify for ProcessError {
    /// Too many processes, too many open files and too little memory pass; all else does not.
    fn classify(&self) -> ErrorClass {
        use rustix::io::Errno;
        const PASSING: [Errno; 4] = [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        let code = match self {
            Self::Start { source, .. } | Self::Wait { source, .. } => source.raw_os_error(),
            _ => None,
        };
        if code.is_some_and(|code| PASSING.iter().any(|errno| errno.raw_os_error() == code)) {
            ErrorClass::Transient
        } else {
            ErrorClass::Permanent
        }
    }
}
