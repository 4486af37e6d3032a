//! The process group of a child: signals to all of it, and who is left in it.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, kill_process_group, test_kill_process_group};

use crate::Signal;

/// The process group that a child leads.
///
/// The kernel gives the number to nobody else while the child is not waited for or another process is in the group;
/// whoever signals it has to know that one of the two holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group(Pid);

impl Group {
    /// Takes the group that the process of this id leads.
    pub(crate) fn led_by(pid: u32) -> Option<Self> {
        i32::try_from(pid).ok().and_then(Pid::from_raw).map(Self)
    }

    pub(crate) const fn leader(self) -> Pid {
        self.0
    }

    /// Sends a signal to every process of the group. That nobody is left to take it is no error.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        match kill_process_group(self.0, signal.raw()) {
            Err(Errno::SRCH) => Ok(()),
            // macOS says so of a group in which only processes that ended are left.
            Err(Errno::PERM) if cfg!(target_vendor = "apple") => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Returns true if nobody is in the group, not even a process that ended and is not yet waited for.
    pub(crate) fn is_empty(self) -> bool {
        match test_kill_process_group(self.0) {
            Ok(()) => false,
            Err(Errno::PERM) => cfg!(target_vendor = "apple"),
            Err(_) => true,
        }
    }

    /// Returns the processes of the group that still run, each as `name (id)`, or `None` where the system cannot say.
    ///
    /// Reads the state of every process of the system: for the rare case that somebody is left.
    pub(crate) fn members(self) -> Option<Vec<String>> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let mut members = Vec::new();
        for entry in std::fs::read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // A process that ends meanwhile is none that is left.
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            if let Some(program) = self.running_member(&stat) {
                members.push(format!("{program} ({pid})"));
            }
        }
        members.sort();
        Some(members)
    }

    /// Returns the name in a line of `/proc/PID/stat` if that process runs and is in the group.
    fn running_member(self, stat: &str) -> Option<&str> {
        let (head, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let group = fields.nth(1)?.parse::<i32>().ok()?;
        let runs = !matches!(state, "Z" | "X") && group == self.0.as_raw_nonzero().get();
        runs.then(|| head.split_once('(').map(|(_, name)| name)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_members_of_the_group_are_named() {
        let group = Group::led_by(77).unwrap();
        assert_eq!(group.running_member("80 (a) b) S 1 77 77 0 -1"), Some("a) b"));
        assert_eq!(group.running_member("80 (sleep) Z 1 77 77 0 -1"), None);
        assert_eq!(group.running_member("80 (sleep) S 77 78 78 0 -1"), None);
        assert_eq!(group.running_member("80 (sleep"), None);
    }
}
