//! A child that runs: started in a group of its own, watched without being waited for, killed with its group when dropped.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::exit::ExitWatch;
use crate::group::Group;
use crate::{Command, End, Leak, LimitKind, Limits, ProcessError, Signal, limits, lookup};

/// How long a process is waited for after `SIGKILL`.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// After what time it is looked again whether a group has emptied that outlived its leader; the time doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(1);

/// A child that runs, or that ended and was not waited for.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) inner: tokio::process::Child,
    program: OsString,
    pid: u32,
    group: Group,
    exit: ExitWatch,
    limits: Limits,
    /// How it ended. From then on its id and its group's may be somebody else's.
    status: Option<(ExitStatus, End)>,
    /// Whether its group was seen to be empty, or was killed, after it was waited for.
    cleaned: bool,
}

/// Returns the instant that comes after a wait from now; a wait that no clock can hold ends in a year.
pub(crate) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait)
        .unwrap_or_else(|| now + Duration::from_secs(365 * 86_400))
}

/// How a child that was asked to end did so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ladder {
    /// Whether it took `SIGKILL`.
    pub(crate) killed: bool,
    /// When the grace of the step at which it ended is over.
    pub(crate) grace_ends: Option<Instant>,
}

impl Process {
    /// Starts a child.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start(
        command: &Command,
        stdin: Stdio,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Self, ProcessError> {
        let path = lookup::find(command)?;
        let mut std = std::process::Command::new(&path);
        std.arg0(&command.program)
            .args(&command.args)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr);
        command.environment.apply(&mut std);
        if let Some(folder) = &command.folder {
            std.current_dir(folder);
        }
        let session = command.session;
        if !session {
            // A process that leads a group cannot begin a session, which makes it lead a group as well.
            std.process_group(0);
        }
        let settings = command.limits.settings();
        if session || !settings.is_empty() {
            before_exec(&mut std, move || limits::before_exec(session, &settings));
        }
        let inner = match tokio::process::Command::from(std).spawn() {
            Ok(inner) => inner,
            Err(error) => return Err(lookup::diagnose(command, path, error)),
        };
        let ids = inner.id().and_then(|pid| Some((pid, Group::led_by(pid)?)));
        let (pid, group) = ids.expect("a child that nobody has waited for has an id above 0");
        tracing::debug!(pid, program = %command.program.display(), "Started a process.");
        Ok(Self {
            inner,
            program: command.program.clone(),
            pid,
            group,
            exit: ExitWatch::new(group.leader()),
            limits: command.limits,
            status: None,
            cleaned: false,
        })
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the child has ended, without waiting for it in the system's sense. Can be dropped and called again.
    pub(crate) async fn ended(&self) -> Result<(), ProcessError> {
        if self.status.is_some() {
            return Ok(());
        }
        self.exit.ended().await.map_err(|error| self.wait_error(error))
    }

    /// Sends a signal to the child's group, unless the child has been waited for.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.status {
            None => self.group.signal(signal),
            Some(_) => Ok(()),
        }
    }

    /// Makes the child end: step by step, at last with `SIGKILL`.
    pub(crate) async fn descend(&self, steps: &[(Signal, Duration)]) -> Result<Ladder, ProcessError> {
        for (signal, grace) in steps {
            self.ask(*signal);
            let grace_ends = Some(after(*grace));
            if let Ok(ended) = timeout(*grace, self.ended()).await {
                ended?;
                return Ok(Ladder {
                    killed: false,
                    grace_ends,
                });
            }
        }
        self.ask(Signal::Kill);
        match timeout(KILL_WAIT, self.ended()).await {
            Ok(ended) => ended?,
            Err(_) => {
                return Err(ProcessError::Stuck {
                    program: self.program.clone(),
                    pid: self.pid,
                    waited_s: KILL_WAIT.as_secs(),
                });
            }
        }
        Ok(Ladder {
            killed: true,
            grace_ends: None,
        })
    }

    /// Kills what is left of the group of a child that has ended, and waits for the child.
    ///
    /// `pipes` says that somebody still holds its output, `until` how long its group may be populated. Can be dropped and
    /// called again; a leak is reported once.
    pub(crate) async fn clean_up(
        &mut self,
        pipes: bool,
        until: Instant,
    ) -> Result<(ExitStatus, End, Option<Leak>), ProcessError> {
        let mut leak = None;
        if pipes && self.status.is_none() {
            leak = Some(Leak {
                pipes,
                processes: self.group.members().unwrap_or_default(),
            });
            // The child that is not waited for keeps the number of the group.
            self.ask(Signal::Kill);
        }
        let (status, end) = match self.status {
            Some(known) => known,
            None => self.reap()?,
        };
        // From here on only others that are in the group keep its number. It is asked at once, so nobody else has it.
        self.cleaned |= leak.is_some();
        let mut look = FIRST_LOOK;
        while !self.cleaned {
            // Where it is known who runs, processes that ended and that their own parent has not waited for do not count.
            let running = if self.group.is_empty() {
                Some(Vec::new())
            } else {
                self.group.members()
            };
            self.cleaned = running.as_ref().is_some_and(Vec::is_empty);
            let left = until.saturating_duration_since(Instant::now());
            if !self.cleaned && left.is_zero() {
                self.ask(Signal::Kill);
                self.cleaned = true;
                leak = Some(Leak {
                    pipes,
                    processes: running.unwrap_or_default(),
                });
            } else if !self.cleaned {
                sleep(look.min(left)).await;
                look *= 2;
            }
        }
        if let Some(leak) = &leak {
            tracing::debug!(
                pid = self.pid,
                pipes = leak.pipes,
                processes = ?leak.processes,
                "A process left others behind."
            );
        }
        Ok((status, end, leak))
    }

    /// Waits for a child that has ended.
    fn reap(&mut self) -> Result<(ExitStatus, End), ProcessError> {
        let cpu = self.limits.cpu_seconds();
        let used = cpu.and_then(|_| limits::cpu_time(self.pid));
        let status = match self.inner.try_wait() {
            Ok(Some(status)) => status,
            Ok(None) => return Err(self.wait_error(io::ErrorKind::WouldBlock.into())),
            Err(error) => return Err(self.wait_error(error)),
        };
        let is = |end: End, signal: rustix::process::Signal| {
            end == End::Signalled {
                signal: signal.as_raw(),
            }
        };
        let mut end = End::of(status);
        let over = cpu
            .zip(used)
            .is_some_and(|(limit, used)| used >= Duration::from_secs(limit));
        if cpu.is_some() && is(end, rustix::process::Signal::XCPU)
            || over && is(end, rustix::process::Signal::KILL)
        {
            end = End::LimitHit {
                limit: LimitKind::Cpu,
            };
        } else if self.limits.file_size.is_some() && is(end, rustix::process::Signal::XFSZ) {
            end = End::LimitHit {
                limit: LimitKind::FileSize,
            };
        }
        self.status = Some((status, end));
        Ok((status, end))
    }

    /// Sends a signal to whoever is in the group.
    fn ask(&self, signal: Signal) {
        if let Err(error) = self.group.signal(signal) {
            // As with a program that runs as another user: the steps below, and the caller's patience, go on.
            tracing::debug!(pid = self.pid, ?signal, %error, "A signal could not be sent.");
        }
    }

    fn wait_error(&self, source: io::Error) -> ProcessError {
        ProcessError::Wait {
            program: self.program.clone(),
            source,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.cleaned {
            // Tokio waits for the child once it has ended.
            self.ask(Signal::Kill);
        }
    }
}

#[expect(
    unsafe_code,
    reason = "code that runs between fork and exec is unsafe to give; limits that are set from outside come too late"
)]
fn before_exec(
    command: &mut std::process::Command,
    action: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the action is `limits::before_exec`, which makes system calls only and neither allocates nor locks.
    unsafe {
        command.pre_exec(action);
    }
}
