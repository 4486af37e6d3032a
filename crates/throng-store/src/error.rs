//! Why a store could not be opened, written or read. Every message names the file; [`OpenError::advice`] says what to do.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::ErrorCode;
use throng_core::{Classify, ErrorClass};

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file, and it was not to be made.
    #[error("there is no store at {}", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// The file, or its folder, cannot be opened or made.
    #[error("the store {} cannot be opened", path.display())]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The file, or the folder in which SQLite keeps its log beside it, cannot be written.
    #[error("the store {} cannot be written", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the system reported.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// Another process keeps the file locked.
    #[error("the store {} is locked by another process, still after {waited:?}", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The file is no SQLite database.
    #[error("{} is not a database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database of another program.
    #[error("{} is a database of another program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer Throng wrote the file.
    #[error(
        "the store {} has schema version {found}, and this Throng knows versions up to {known}",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that this crate knows.
        known: i64,
        /// The version of the Throng that made the schema, if the file says it.
        needs: Option<String>,
    },
    /// The file is a store and is damaged.
    #[error("the store {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite reported.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

impl OpenError {
    /// Returns what can be done about it, as one sentence without a full stop.
    pub fn advice(&self) -> String {
        match self {
            Self::Absent { .. } => "name another file, or record something first".to_owned(),
            Self::Unreachable { path, .. } => format!(
                "see that the folder of {} exists and may be entered",
                path.display()
            ),
            Self::ReadOnly { path, .. } => format!(
                "make {} and its folder writable, or name a store elsewhere",
                path.display()
            ),
            Self::Locked { path, .. } => format!(
                "end the program that holds {}, or name another store",
                path.display()
            ),
            Self::NotADatabase { .. } | Self::Foreign { .. } => {
                "name another file; this one was left as it is".to_owned()
            }
            Self::Newer { needs, .. } => match needs {
                Some(needs) => format!("use Throng {needs} or newer, or name another store"),
                None => "use a newer Throng, or name another store".to_owned(),
            },
            Self::Damaged { path, .. } => format!(
                "move {} away and begin a new store; `sqlite3 FILE .recover` may save what is left",
                path.display()
            ),
        }
    }

    pub(crate) fn from_sqlite(path: &Path, waited: Duration, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path, waited },
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged {
                path,
                cause: Box::new(error),
            },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly {
                path,
                cause: Box::new(error),
            },
            _ => Self::Unreachable {
                path,
                cause: Box::new(error),
            },
        }
    }
}

/// A store could not be written or read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store was closed, or its writer ended.
    #[error("the store {} is closed", path.display())]
    Closed {
        /// The file.
        path: Arc<Path>,
    },
    /// Another process kept the file locked for longer than the busy timeout.
    #[error("the store {} is locked by another process", path.display())]
    Locked {
        /// The file.
        path: Arc<Path>,
    },
    /// The disk is full.
    #[error("there is no room left for the store {}", path.display())]
    DiskFull {
        /// The file.
        path: Arc<Path>,
    },
    /// The file is damaged.
    #[error("the store {} is damaged", path.display())]
    Damaged {
        /// The file.
        path: Arc<Path>,
        /// What SQLite reported.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
    /// What was to be written is not allowed; nothing of it was written.
    #[error("{what}")]
    Refused {
        /// What is wrong with it.
        what: String,
    },
    /// SQLite failed in another way.
    #[error("the store {} could not be used", path.display())]
    Failed {
        /// The file.
        path: Arc<Path>,
        /// What SQLite reported.
        #[source]
        cause: Arc<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    pub(crate) fn from_sqlite(path: &Arc<Path>, error: rusqlite::Error) -> Self {
        let path = Arc::clone(path);
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged {
                path,
                cause: Arc::new(error),
            },
            _ => Self::Failed {
                path,
                cause: Arc::new(error),
            },
        }
    }
}

impl Classify for StoreError {
    /// A locked file may be free again; nothing else passes by itself.
    fn classify(&self) -> ErrorClass {
        match self {
            Self::Locked { .. } => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        }
    }
}
