//! Writes calls to files. One thread does all the writing: a call that is dropped leaves its recording there, and
//! neither a task nor the caller waits for the disk.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::cassette::Cassette;
use crate::Fingerprint;
use crate::middleware::write_whole;

/// The largest body that is recorded.
const MAX_BODY: usize = 64 << 20;

/// Records what an [`HttpClient`](crate::HttpClient) sends and receives, one file a call, for
/// [`Replay`](crate::Replay). Set it with [`HttpClientBuilder::record`](crate::HttpClientBuilder::record). Clones share
/// the directory; so can several clients.
///
/// A file holds the request's body, some headers of the answer, its body byte for byte in the pieces in which it came, their
/// times, and how the call ended: also if it failed or the caller dropped it. Headers of the request, queries of
/// addresses and cookies are never in it, and the client's secrets are cut out of everything, also where one was split over
/// two pieces. Prompts and answers are in it as they are; so is a key that a model spells out over several deltas.
///
/// The files are written in the background: call [`flush`](Self::flush) before the program ends. What waits to be
/// written is held in memory. A call whose body is larger than 64 MiB is not recorded, with a warning by `tracing`.
///
/// The first call of a request and repeat replaces what an earlier recorder had written of it to the directory; the
/// calls after it (retries) are numbered.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    orders: Sender<Order>,
    attempts: Mutex<HashMap<CallKey, u32>>,
}

/// Which call it is: provider, fingerprint, repeat.
pub(super) type CallKey = (Arc<str>, Fingerprint, u32);

/// What the writer is told. The channel has no bound, since whoever drops a call must not wait; it holds at most the
/// calls that ended while the disk was busy.
enum Order {
    /// Removes what an earlier recorder wrote of a call.
    Forget(CallKey),
    Write(Box<Cassette>),
    Flush(oneshot::Sender<Option<io::Error>>),
}

impl Recorder {
    /// Makes a recorder into a directory, which is made, and starts its thread.
    ///
    /// # Errors
    ///
    /// If the directory or the thread cannot be made.
    pub fn create(dir: impl AsRef<Path>) -> io::Result<Self> {
        let dir = dir.as_ref().to_owned();
        std::fs::create_dir_all(&dir)?;
        let (orders, received) = channel();
        let writer_dir = dir.clone();
        std::thread::Builder::new()
            .name("throng-llm-recorder".to_owned())
            .spawn(move || write_all(&writer_dir, &received))?;
        Ok(Self(Arc::new(Inner {
            dir,
            orders,
            attempts: Mutex::default(),
        })))
    }

    /// Waits until everything is written of the calls that have ended.
    ///
    /// # Errors
    ///
    /// The first error of writing since the last flush.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, but the error that it would have given is lost.
    pub async fn flush(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        let gone = || io::Error::other("the recorder's thread has ended");
        self.0.orders.send(Order::Flush(done)).map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?.map_or(Ok(()), Err)
    }

    /// Numbers a call that begins.
    pub(super) fn attempt(&self, key: &CallKey) -> u32 {
        let mut attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = attempts.get_mut(key) {
            *last += 1;
            return *last;
        }
        attempts.insert(key.clone(), 0);
        self.order(Order::Forget(key.clone()));
        0
    }

    pub(super) fn write(&self, cassette: Cassette) {
        self.order(Order::Write(Box::new(cassette)));
    }

    pub(super) const fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn order(&self, order: Order) {
        if self.0.orders.send(order).is_err() {
            tracing::warn!("The recorder's thread has ended; a call is not recorded.");
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recorder").field(&self.0.dir).finish()
    }
}

/// Carries out orders until the last recorder is gone.
fn write_all(dir: &Path, orders: &Receiver<Order>) {
    let mut first_error = None;
    for order in orders {
        let done = match order {
            Order::Forget((provider, fingerprint, repeat)) => {
                forget(dir, |attempt| file_name(&provider, fingerprint, repeat, attempt))
            }
            Order::Write(cassette) => {
                let name = file_name(
                    &cassette.provider,
                    cassette.fingerprint,
                    cassette.repeat,
                    cassette.attempt,
                );
                serde_json::to_vec_pretty(&cassette)
                    .map_err(io::Error::from)
                    .and_then(|bytes| write_whole(&dir.join(name), &bytes))
            }
            Order::Flush(done) => {
                // Whoever asked may have gone.
                let _ = done.send(first_error.take());
                continue;
            }
        };
        if let Err(error) = done {
            tracing::warn!(dir = %dir.display(), error = %error, "A call could not be recorded.");
            first_error.get_or_insert(error);
        }
    }
}

fn forget(dir: &Path, name: impl Fn(u32) -> String) -> io::Result<()> {
    for attempt in 0.. {
        match std::fs::remove_file(dir.join(name(attempt))) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns the name of a call's file. It is for people: a replay looks into the files.
fn file_name(provider: &str, fingerprint: Fingerprint, repeat: u32, attempt: u32) -> String {
    let provider: String = provider
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .take(32)
        .collect();
    format!("{provider}-{fingerprint}-{repeat}-{attempt}.json")
}
