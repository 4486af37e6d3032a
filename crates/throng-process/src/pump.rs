//! Moves bytes between a child's pipes and memory while something else about the child is waited for.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::capture::Capture;

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// The work on the pipes of a child.
pub(crate) struct Pump<'a, F> {
    work: Pin<&'a mut F>,
    pub(crate) done: bool,
}

impl<'a, F: Future<Output = ()>> Pump<'a, F> {
    pub(crate) const fn new(work: Pin<&'a mut F>) -> Self {
        Self { work, done: false }
    }

    /// Waits for something while the pipes are served. It is looked at before the pipes, since a child that writes
    /// without end would use up the task's budget and keep clocks from being looked at.
    pub(crate) async fn alongside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        poll_fn(|cx| {
            if let Poll::Ready(output) = other.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if !self.done {
                self.done = self.work.as_mut().poll(cx).is_ready();
            }
            Poll::Pending
        })
        .await
    }

    /// Waits until all pipes are closed.
    pub(crate) async fn finish(&mut self) {
        if !self.done {
            self.work.as_mut().await;
            self.done = true;
        }
    }
}

/// Writes the whole input and closes the pipe.
pub(crate) async fn feed(pipe: Option<impl AsyncWrite + Unpin>, input: &[u8]) {
    let Some(mut pipe) = pipe else { return };
    // A child may end, or close its input, without having read all of it.
    let _ = pipe.write_all(input).await;
    let _ = pipe.shutdown().await;
}

/// Reads until the pipe is closed. A pipe that breaks is closed.
pub(crate) async fn drain(pipe: Option<impl AsyncRead + Unpin>, mut push: impl FnMut(&[u8])) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        push(&chunk[..read]);
    }
}

/// Serves the three pipes of a child.
pub(crate) async fn serve(
    stdin: (Option<tokio::process::ChildStdin>, &[u8]),
    stdout: (Option<tokio::process::ChildStdout>, &mut Capture),
    stderr: (Option<tokio::process::ChildStderr>, &mut Capture),
) {
    tokio::join!(
        feed(stdin.0, stdin.1),
        drain(stdout.0, |bytes| stdout.1.push(bytes)),
        drain(stderr.0, |bytes| stderr.1.push(bytes)),
    );
}
