//! Learns that a child ended without waiting for it, so that its id and its group's stay its own until its group is
//! cleaned up.

use std::io;

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;

use rustix::process::{Pid, WaitId, WaitIdOptions};
#[cfg(target_os = "linux")]
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};

/// Learns that a child ended.
#[derive(Debug)]
pub(crate) struct ExitWatch {
    pid: Pid,
    /// Readable once the process has ended. `None` on kernels before 5.3.
    #[cfg(target_os = "linux")]
    descriptor: Option<AsyncFd<OwnedFd>>,
}

impl ExitWatch {
    /// Watches a child that nobody has waited for.
    pub(crate) fn new(pid: Pid) -> Self {
        #[cfg(target_os = "linux")]
        let descriptor = {
            use rustix::process::{PidfdFlags, pidfd_open};
            let open = pidfd_open(pid, PidfdFlags::empty()).ok();
            open.and_then(|fd| register(fd).ok())
        };
        Self {
            pid,
            #[cfg(target_os = "linux")]
            descriptor,
        }
    }

    /// Waits until the process has ended. Can be dropped and called again.
    pub(crate) async fn ended(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(descriptor) = &self.descriptor {
            // The readiness is not cleared: a process that ended stays so.
            descriptor.readable().await?.retain_ready();
            return Ok(());
        }
        // The stream of signals begins before the first look, so that no end falls between the two.
        let mut children = signal(SignalKind::child())?;
        while !self.has_ended()? {
            children.recv().await;
        }
        Ok(())
    }

    /// Returns true if the process has ended. It is not waited for by this.
    pub(crate) fn has_ended(&self) -> io::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        match rustix::process::waitid(WaitId::Pid(self.pid), options) {
            Ok(status) => Ok(status.is_some()),
            // Somebody else in this process waits for every child: it is gone.
            Err(rustix::io::Errno::CHILD) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "tokio cannot know that a descriptor stays open and the same; an `OwnedFd` does"
)]
fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, so it stays open until the `AsyncFd` is dropped, and is never exchanged.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, tokio::io::Interest::READABLE) };
    Ok(registered?)
}
