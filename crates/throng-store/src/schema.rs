//! The tables, and how a file of an older version becomes one of the newest. A step of [`MIGRATIONS`] that has been
//! released never changes: what comes later is a further step.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};

use crate::OpenError;

/// Marks a SQLite file as a store of Throng: `Thrn`.
const APPLICATION_ID: i64 = 0x5468_726e;

/// Step `n` (from 0) makes version `n + 1` out of version `n`.
const MIGRATIONS: &[&str] = &[
    // 1: runs, tool calls, metrics and journals.
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
     CREATE TABLE runs (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         run BLOB UNIQUE,
         command TEXT NOT NULL,
         session TEXT NOT NULL,
         started_ms INTEGER NOT NULL,
         wall_us INTEGER,
         work_us INTEGER NOT NULL DEFAULT 0,
         attempts INTEGER NOT NULL DEFAULT 0,
         succeeded INTEGER NOT NULL DEFAULT 0,
         failed INTEGER NOT NULL DEFAULT 0,
         timed_out INTEGER NOT NULL DEFAULT 0,
         cancelled INTEGER NOT NULL DEFAULT 0,
         panicked INTEGER NOT NULL DEFAULT 0,
         shed INTEGER NOT NULL DEFAULT 0,
         skipped INTEGER NOT NULL DEFAULT 0,
         lost_events INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     CREATE INDEX runs_started ON runs (started_ms);
     CREATE TABLE jobs (
         run INTEGER NOT NULL,
         job INTEGER NOT NULL,
         admitted_us INTEGER,
         ended_us INTEGER,
         attempts INTEGER NOT NULL,
         outcome TEXT,
         PRIMARY KEY (run, job)
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE attempts (
         run INTEGER NOT NULL,
         job INTEGER NOT NULL,
         attempt INTEGER NOT NULL,
         started_us INTEGER,
         ended_us INTEGER,
         ending TEXT,
         PRIMARY KEY (run, job, attempt)
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE tool_batches (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         session TEXT NOT NULL,
         plan TEXT NOT NULL,
         started_ms INTEGER NOT NULL,
         wall_us INTEGER NOT NULL,
         work_us INTEGER NOT NULL,
         success INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX tool_batches_started ON tool_batches (started_ms);
     CREATE TABLE tool_calls (
         batch INTEGER NOT NULL,
         idx INTEGER NOT NULL,
         id TEXT NOT NULL,
         tool TEXT NOT NULL,
         outcome TEXT NOT NULL,
         started_us INTEGER NOT NULL,
         ended_us INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         error TEXT,
         PRIMARY KEY (batch, idx)
     ) WITHOUT ROWID, STRICT;
     CREATE TABLE metrics (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         session TEXT NOT NULL,
         name TEXT NOT NULL,
         value REAL NOT NULL,
         unit TEXT NOT NULL,
         at_ms INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX metrics_name ON metrics (name, at_ms);
     CREATE INDEX metrics_at ON metrics (at_ms);
     CREATE TABLE journal (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         run TEXT NOT NULL,
         step TEXT NOT NULL,
         input TEXT NOT NULL,
         attempts INTEGER NOT NULL,
         ending TEXT,
         touched_ms INTEGER NOT NULL,
         UNIQUE (run, step)
     ) STRICT;",
    // 2: results that are kept for a while.
    "CREATE TABLE results (
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         kind TEXT NOT NULL,
         key TEXT NOT NULL,
         at_ms INTEGER NOT NULL,
         body TEXT NOT NULL
     ) STRICT;
     CREATE INDEX results_kind ON results (kind, at_ms);",
];

/// The version of the newest schema.
pub(crate) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Where the data is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    /// A database in memory, by its name for SQLite's `memdb`.
    Memory(String),
}

impl Place {
    /// Returns how the place is named in messages.
    pub(crate) fn shown(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Memory(_) => Path::new("(in memory)"),
        }
    }

    /// Opens a connection that only reads.
    pub(crate) fn reader(&self, busy: Duration) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match self {
            Self::File(path) => Connection::open_with_flags(path, flags)?,
            Self::Memory(name) => Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI)?,
        };
        conn.busy_timeout(busy)?;
        conn.pragma_update(None, "query_only", true)?;
        Ok(conn)
    }
}

/// Opens the connection that writes, and brings the schema up to date.
pub(crate) fn open(place: &Place, create: bool, busy: Duration) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match place {
        Place::File(path) => {
            prepare_file(path, create)?;
            Connection::open_with_flags(path, flags)
        }
        Place::Memory(name) => Connection::open_with_flags(
            name,
            flags | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_URI,
        ),
    };
    let path = place.shown();
    let wrong = |error| OpenError::from_sqlite(path, busy, error);
    let mut conn = connection.map_err(wrong)?;
    conn.busy_timeout(busy).map_err(wrong)?;
    refuse(&conn, path, busy)?;
    // Free pages can be given back by `prune`; takes effect in an empty file only.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .map_err(wrong)?;
    if matches!(place, Place::File(_)) {
        use_wal(&conn, busy).map_err(wrong)?;
    }
    // On macOS a flush reaches the disk only with these; elsewhere they change nothing.
    conn.pragma_update(None, "fullfsync", true).map_err(wrong)?;
    conn.pragma_update(None, "checkpoint_fullfsync", true)
        .map_err(wrong)?;
    migrate(&mut conn, MIGRATIONS).map_err(wrong)?;
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Makes the file for its owner alone, since arguments and results of tools are in it, and tells a read-only one.
fn prepare_file(path: &Path, create: bool) -> Result<(), OpenError> {
    let unreachable = |cause: io::Error| OpenError::Unreachable {
        path: path.to_owned(),
        cause: Box::new(cause),
    };
    let read_only = |cause: io::Error| OpenError::ReadOnly {
        path: path.to_owned(),
        cause: Box::new(cause),
    };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(unreachable(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        Ok(_) => {
            return match fs::OpenOptions::new().read(true).write(true).open(path) {
                Ok(_) => Ok(()),
                Err(error) if is_read_only(&error) => Err(read_only(error)),
                Err(error) => Err(unreachable(error)),
            };
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unreachable(error)),
    }
    if !create {
        return Err(OpenError::Absent {
            path: path.to_owned(),
        });
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if is_read_only(&error) => Err(read_only(error)),
        Err(error) => Err(unreachable(error)),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Refuses what is not ours, before anything is changed.
fn refuse(conn: &Connection, path: &Path, busy: Duration) -> Result<(), OpenError> {
    let wrong = |error| OpenError::from_sqlite(path, busy, error);
    let application = pragma(conn, "application_id").map_err(wrong)?;
    let version = pragma(conn, "user_version").map_err(wrong)?;
    let objects: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(wrong)?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || objects > 0) {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
        });
    }
    if version > NEWEST {
        let needs = conn
            .query_row("SELECT value FROM meta WHERE name = 'throng'", [], |row| {
                row.get(0)
            })
            .optional();
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            known: NEWEST,
            // A newer schema may keep it elsewhere.
            needs: needs.ok().flatten(),
        });
    }
    Ok(())
}

/// Switches to a write-ahead log. Two processes that open a new file at the same time can meet here without SQLite
/// waiting, so that waiting is ours.
fn use_wal(conn: &Connection, busy: Duration) -> rusqlite::Result<()> {
    let began = Instant::now();
    loop {
        let switched = conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()));
        match switched {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < busy =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return other,
        }
    }
}

fn migrate(conn: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if pragma(conn, "user_version")? >= newest {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been first.
    let version = pragma(&tx, "user_version")?;
    for step in migrations.iter().skip(usize::try_from(version).unwrap_or(0)) {
        tx.execute_batch(step)?;
    }
    if version < newest {
        tx.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('throng', ?1)",
            [env!("CARGO_PKG_VERSION")],
        )?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", newest)?;
    }
    tx.commit()
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_fails_leaves_the_file_as_it_was() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, &MIGRATIONS[..1]).unwrap();
        conn.execute("INSERT INTO metrics VALUES (1, '', 'm', 1.0, 's', 5)", [])
            .unwrap();
        let steps = [MIGRATIONS[0], "CREATE TABLE half (x); CREATE TABLE half (x);"];
        migrate(&mut conn, &steps).unwrap_err();
        assert_eq!(pragma(&conn, "user_version").unwrap(), 1);
        conn.execute("SELECT * FROM half", []).unwrap_err();
        migrate(&mut conn, MIGRATIONS).unwrap();
        assert_eq!(pragma(&conn, "user_version").unwrap(), NEWEST);
        let kept: f64 = conn
            .query_row("SELECT value FROM metrics", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept.to_bits(), 1.0_f64.to_bits());
    }
}
