//! Runs a child to its end: its pipes, its clock, the ladder, and what it leaves.

use std::future::Future;
use std::pin::pin;
use std::process::Stdio;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::capture::Capture;
use crate::process::{Ladder, Process, after};
use crate::pump::{Pump, serve};
use crate::{Command, End, Finished, ProcessError};

/// Why the wait for a child is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Ended,
    Timeout,
    Stop,
}

/// Runs a child to its end.
///
/// # Errors
///
/// If it cannot be started or waited for.
pub(crate) async fn run(command: &Command, stop: impl Future<Output = ()>) -> Result<Finished, ProcessError> {
    let began = Instant::now();
    let stdin = if command.input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    let mut process = Process::start(command, stdin, Stdio::piped(), Stdio::piped())?;
    let mut stdout = Capture::new(command.stdout);
    let mut stderr = Capture::new(command.stderr);
    let (cause, ladder, (status, mut end, leak)) = {
        let work = pin!(serve(
            (process.inner.stdin.take(), &command.input),
            (process.inner.stdout.take(), &mut stdout),
            (process.inner.stderr.take(), &mut stderr),
        ));
        let mut pump = Pump::new(work);
        let deadline = command.timeout.map(after);
        let cause = pump.alongside(first(&process, deadline, stop)).await?;
        let mut ladder = None;
        let mut closing = after(command.leak_wait);
        if cause != Cause::Ended {
            let descent = pump.alongside(process.descend(&command.ladder)).await?;
            // Processes of the group that are still ending have what is left of the grace.
            closing = after(command.leak_wait).max(descent.grace_ends.unwrap_or(began));
            ladder = Some(descent);
        }
        let closed = timeout_at(closing, pump.finish()).await.is_ok();
        let left = process.clean_up(!closed, closing).await?;
        if !closed {
            // What was in the group is dead; what left it may hold the pipes for ever.
            let _ = timeout(command.leak_wait, pump.finish()).await;
        }
        (cause, ladder, left)
    };
    let killed = ladder.is_some_and(|Ladder { killed, .. }| killed);
    match cause {
        Cause::Ended => {}
        Cause::Timeout => end = End::TimedOut { killed },
        Cause::Stop => end = End::Stopped { killed },
    }
    let elapsed = began.elapsed();
    tracing::debug!(
        pid = process.pid(),
        %end,
        elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        "A process ended."
    );
    Ok(Finished {
        end,
        status,
        stdout: stdout.captured(),
        stderr: stderr.captured(),
        leak,
        elapsed,
    })
}

/// Waits for what comes first. A child that ended just as its time was up has ended.
async fn first(
    process: &Process,
    deadline: Option<Instant>,
    stop: impl Future<Output = ()>,
) -> Result<Cause, ProcessError> {
    let expired = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = process.ended() => ended.map(|()| Cause::Ended),
        () = stop => Ok(Cause::Stop),
        () = expired => Ok(Cause::Timeout),
    }
}
