//! A child that lives long and speaks a protocol over its standard input and output.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::capture::Capture;
use crate::process::{Process, after};
use crate::{Captured, Command, End, ProcessError, Signal, pump};

/// A child with pipes to its standard input and output. Dropping it kills its whole group with `SIGKILL`.
#[derive(Debug)]
pub struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Collector,
    ladder: Vec<(Signal, Duration)>,
    leak_wait: Duration,
    /// Until when what it started may outlive it; known once it has ended.
    closing: Option<Instant>,
}

/// Reads the standard error all the time, so that a child that logs much is never held up.
#[derive(Debug)]
struct Collector {
    kept: Arc<Mutex<Capture>>,
    task: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Child {
    pub(crate) fn start(command: &Command) -> Result<Self, ProcessError> {
        let mut process = Process::start(command, Stdio::piped(), Stdio::piped(), Stdio::piped())?;
        let kept = Arc::new(Mutex::new(Capture::new(command.stderr)));
        let pipe = process.inner.stderr.take();
        let shared = Arc::clone(&kept);
        let task = tokio::spawn(pump::drain(pipe, move |bytes| {
            shared.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }));
        Ok(Self {
            stdin: process.inner.stdin.take(),
            stdout: process.inner.stdout.take(),
            process,
            stderr: Collector { kept, task },
            ladder: command.ladder.clone(),
            leak_wait: command.leak_wait,
            closing: None,
        })
    }

    /// Returns the process id, which is also that of its group.
    pub const fn id(&self) -> u32 {
        self.process.pid()
    }

    /// Takes the pipe to the standard input. Dropping the pipe closes it.
    pub const fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Takes the pipe from the standard output. Whoever takes it has to read it, or the child waits.
    pub const fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Returns what was kept of the standard error until now.
    pub fn stderr(&self) -> Captured {
        self.stderr
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .captured()
    }

    /// Sends a signal to its whole group. Does nothing once the child has been waited for.
    ///
    /// # Errors
    ///
    /// If the system refuses, as it does for processes of another user.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Waits until it ends, and kills what is left of its group.
    ///
    /// The pipes that were not taken stay open, so a child that reads its input to the end does not end by this.
    ///
    /// # Errors
    ///
    /// If the system does not say how it ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it can be dropped and called again. After the end it returns the same again.
    pub async fn wait(&mut self) -> Result<End, ProcessError> {
        self.process.ended().await?;
        // A wait that is dropped and begun again must not begin the clock again.
        let closing = *self.closing.get_or_insert_with(|| after(self.leak_wait));
        let task = &mut self.stderr.task;
        // A task that has been waited for must not be waited for again.
        let closed = task.is_finished() || timeout_at(closing, task).await.is_ok();
        let (_, end, _) = self.process.clean_up(!closed, closing).await?;
        Ok(end)
    }

    /// Closes its standard input if the pipe was not taken, gives it `patience` to end by itself, and then makes it end
    /// by the [`ladder`](Command::ladder).
    ///
    /// # Errors
    ///
    /// If the system does not say how it ended, or cannot end it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills the child's whole group with `SIGKILL`.
    pub async fn shut_down(mut self, patience: Duration) -> Result<End, ProcessError> {
        drop(self.stdin.take());
        if let Ok(end) = timeout(patience, self.process.ended()).await {
            end?;
            return self.wait().await;
        }
        let ladder = self.process.descend(&self.ladder).await?;
        self.wait().await?;
        Ok(End::Stopped {
            killed: ladder.killed,
        })
    }
}
