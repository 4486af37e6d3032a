//! What a child may use: limits that the kernel holds, set between fork and exec, so that no instruction of the program
//! runs without them.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

/// What one process may use. Children of the child have the same limits, each for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Limits {
    /// CPU time, rounded up to whole seconds. At the limit the process gets `SIGXCPU`, a second later `SIGKILL`.
    pub cpu: Option<Duration>,
    /// Bytes of address space. Above it, allocations fail, which most programs report and end at. macOS may refuse it.
    pub address_space: Option<u64>,
    /// Bytes of the longest file that it may write. Above it, the process gets `SIGXFSZ`, or an error if it ignores that.
    pub file_size: Option<u64>,
    /// How many files it may have open at once.
    pub open_files: Option<u64>,
}

/// A limit that ended a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// [`Limits::cpu`].
    Cpu,
    /// [`Limits::file_size`].
    FileSize,
}

impl fmt::Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU time",
            Self::FileSize => "file size",
        })
    }
}

impl Limits {
    /// Sets no limit beyond those of this process.
    pub fn none() -> Self {
        Self::default()
    }

    /// Limits CPU time, rounded up to whole seconds.
    pub fn cpu(mut self, time: Duration) -> Self {
        self.cpu = Some(time);
        self
    }

    /// Limits the address space, in bytes.
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.address_space = Some(bytes);
        self
    }

    /// Limits the length of files that are written, in bytes.
    pub fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(bytes);
        self
    }

    /// Limits how many files are open at once.
    pub fn open_files(mut self, count: u64) -> Self {
        self.open_files = Some(count);
        self
    }

    /// Returns the limit of CPU time in the whole seconds that the kernel counts.
    pub(crate) fn cpu_seconds(&self) -> Option<u64> {
        let time = self.cpu?;
        Some((time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1))
    }

    /// Returns what is to be set. A stricter limit that this process is under itself stays.
    pub(crate) fn settings(&self) -> Vec<(Resource, Rlimit)> {
        let wanted = [
            // A second between the two, for a process that wants to say something at SIGXCPU.
            (Resource::Cpu, self.cpu_seconds(), 1),
            (Resource::As, self.address_space, 0),
            (Resource::Fsize, self.file_size, 0),
            (Resource::Nofile, self.open_files, 0),
        ];
        wanted
            .into_iter()
            .filter_map(|(resource, value, slack)| {
                let value = value?;
                let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
                let limit = Rlimit {
                    current: Some(value.min(most)),
                    maximum: Some(value.saturating_add(slack).min(most)),
                };
                Some((resource, limit))
            })
            .collect()
    }
}

/// What the child does between fork and exec.
///
/// Only system calls: after a fork of a process with threads nothing may allocate or lock.
pub(crate) fn before_exec(session: bool, settings: &[(Resource, Rlimit)]) -> io::Result<()> {
    if session {
        rustix::process::setsid()?;
    }
    for (resource, limit) in settings {
        rustix::process::setrlimit(*resource, *limit)?;
    }
    Ok(())
}

/// Returns the CPU time of a process that ended and is not yet waited for, if the system tells.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program is in parentheses and may hold anything; utime and stime are the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // USER_HZ, which is 100 wherever Linux runs.
    Some(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_rounded_up() {
        let seconds = |time| Limits::none().cpu(time).cpu_seconds();
        assert_eq!(seconds(Duration::from_millis(1)), Some(1));
        assert_eq!(seconds(Duration::ZERO), Some(1));
        assert_eq!(seconds(Duration::from_millis(2001)), Some(3));
        assert_eq!(Limits::none().cpu_seconds(), None);
    }
}
