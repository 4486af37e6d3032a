//! The process of a server: watched by a task of its own, asked for the end of its standard error, shut down in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use throng_process::{Child, Command, Environment, Keep, ProcessError};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot, watch};

use super::health::Health;
use crate::config::Stdio;

/// How much of the standard error is kept.
const STDERR_BYTES: usize = 4096;
/// How long a server has to end by itself after its input was closed.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a process is waited for that closed its output: its exit code says more.
const END_WAIT: Duration = Duration::from_millis(500);

/// How the causes begin that say that a pipe is closed.
pub(super) const CLOSED_OUTPUT: &str = "it closed its standard output";
pub(super) const CLOSED_INPUT: &str = "it takes no more input";
const CLOSED_PIPES: [&str; 2] = [CLOSED_OUTPUT, CLOSED_INPUT];

/// A running process. When it is dropped, the process is shut down by its task.
#[derive(Debug)]
pub(super) struct Process {
    asks: mpsc::Sender<Ask>,
    ended: watch::Receiver<Option<Ended>>,
}

enum Ask {
    Stderr(oneshot::Sender<String>),
    ShutDown,
}

#[derive(Clone, Debug)]
struct Ended {
    how: String,
    stderr: String,
}

impl Process {
    /// Starts the process.
    pub(super) fn start(
        stdio: &Stdio,
        health: &Arc<Health>,
    ) -> Result<(Self, ChildStdin, ChildStdout), ProcessError> {
        let mut environment = if stdio.inherit_env {
            Environment::inherit()
        } else {
            Environment::empty()
        };
        for (name, value) in &stdio.env {
            environment = environment.set(name, value.expose());
        }
        let mut command = Command::new(&stdio.program)
            .args(&stdio.args)
            .environment(environment)
            .keep_stderr(Keep::last(STDERR_BYTES));
        if let Some(cwd) = &stdio.cwd {
            command = command.folder(Path::new(cwd));
        }
        let mut child = command.start()?;
        let pipes = child.take_stdin().zip(child.take_stdout());
        let (stdin, stdout) = pipes.expect("a child that has just been started has its pipes");
        let (asks, asked) = mpsc::channel(4);
        let (tell, ended) = watch::channel(None);
        tokio::spawn(supervise(child, asked, tell, Arc::clone(health)));
        Ok((Self { asks, ended }, stdin, stdout))
    }

    /// Returns the end of what it wrote to its standard error.
    pub(super) async fn stderr(&self) -> String {
        if let Some(ended) = &*self.ended.borrow() {
            return ended.stderr.clone();
        }
        let (answer, asked) = oneshot::channel();
        if self.asks.send(Ask::Stderr(answer)).await.is_ok()
            && let Ok(stderr) = asked.await
        {
            return stderr;
        }
        // It ended in between.
        let ended = self.ended.borrow();
        ended
            .as_ref()
            .map(|ended| ended.stderr.clone())
            .unwrap_or_default()
    }

    /// Returns how it ended, if it does within a short time.
    pub(super) async fn end_soon(&self) -> Option<String> {
        let mut ended = self.ended.clone();
        let waiting = tokio::time::timeout(END_WAIT, ended.wait_for(Option::is_some));
        let found = waiting.await.ok()?.ok()?;
        found.as_ref().map(|ended| ended.how.clone())
    }

    /// Asks for its end, and waits for it.
    pub(super) async fn shut_down(&self) {
        let _ = self.asks.send(Ask::ShutDown).await;
        let mut ended = self.ended.clone();
        // An error means that the task is gone, and the process with it.
        let _ = ended.wait_for(Option::is_some).await;
    }
}

/// Says why the connection to a process is broken.
pub(super) async fn how_it_broke(process: &Process, health: &Health) -> String {
    let ended = process.end_soon().await;
    let cause = health.cause();
    // How the process ended says more than that a pipe to it is closed.
    let pipe = cause.is_some_and(|cause| CLOSED_PIPES.iter().any(|closed| cause.starts_with(closed)));
    let mut how = match (ended, cause) {
        (Some(ended), Some(cause)) if !pipe && cause != ended => format!("{cause}; {ended}"),
        (Some(ended), _) => ended,
        (None, Some(cause)) => cause.to_owned(),
        (None, None) => "the connection was closed".to_owned(),
    };
    how.push_str(&health.stray_note());
    how
}

async fn supervise(
    mut child: Child,
    mut asked: mpsc::Receiver<Ask>,
    tell: watch::Sender<Option<Ended>>,
    health: Arc<Health>,
) {
    let tail = |child: &Child| child.stderr().text().into_owned();
    loop {
        tokio::select! {
            end = child.wait() => {
                let how = match end {
                    Ok(end) => format!("it {end}"),
                    Err(error) => format!("its end is not known: {error}"),
                };
                health.fail(how.clone());
                tell.send_replace(Some(Ended { how, stderr: tail(&child) }));
                return;
            }
            ask = asked.recv() => match ask {
                Some(Ask::Stderr(answer)) => {
                    let _ = answer.send(tail(&child));
                }
                Some(Ask::ShutDown) | None => break,
            },
        }
    }
    let stderr = tail(&child);
    let how = match child.shut_down(PATIENCE).await {
        Ok(end) => format!("it {end}"),
        Err(error) => format!("its end is not known: {error}"),
    };
    tell.send_replace(Some(Ended { how, stderr }));
}
