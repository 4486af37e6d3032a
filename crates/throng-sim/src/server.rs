//! The server: its listener, its connections, and what they share. Every task belongs to the accept loop, and the
//! accept loop to the [`SimServer`], so that nothing outlives it.

use std::fs::File;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use throng_core::Usage;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::admit::{Asked, Door, Verdict};
use crate::config::SimConfig;
use crate::log::{Decision, End, Log, LogEntry, Stats};
use crate::script::{Behaviour, Match};
use crate::service::serve;
use crate::wire::Wire;

/// The largest head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long the server waits before it accepts again when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A running server. Dropping it aborts all its tasks; [`SimServer::shutdown`] also waits for their end.
#[derive(Debug)]
pub struct SimServer {
    shared: Arc<Shared>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl SimServer {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Fails if there is no such port, or if the log file cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing runs before the future is done.
    pub async fn start(config: SimConfig) -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0), config).await
    }

    /// Starts a server on an address. Only the health path is open to everybody if a key is configured; without
    /// one, so are the log and the reset, so an address beyond loopback is better used with a key.
    ///
    /// # Errors
    ///
    /// Fails if the address cannot be bound, or if the log file cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing runs before the future is done.
    pub async fn start_on(addr: impl ToSocketAddrs, config: SimConfig) -> io::Result<Self> {
        let file = match &config.log_file {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(config, file));
        let accepting = tokio::spawn(accept_all(listener, Arc::clone(&shared), stopped));
        Ok(Self {
            shared,
            addr,
            stop,
            accepting,
        })
    }

    /// Returns the address that the server listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the URL that clients of OpenAI take as their base: `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        self.base_url_of(Wire::OpenAiChat)
    }

    /// Returns the URL that clients of a wire take as their base: `http://127.0.0.1:PORT/v1` for OpenAI and Anthropic,
    /// `http://127.0.0.1:PORT/v1beta` for Gemini, `http://127.0.0.1:PORT` for Ollama.
    pub fn base_url_of(&self, wire: Wire) -> String {
        format!("http://{}{}", self.addr, wire.base_path())
    }

    /// Returns the configuration.
    pub fn config(&self) -> &SimConfig {
        &self.shared.config
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Returns the entries of the log in memory, oldest first.
    pub fn log(&self) -> Vec<LogEntry> {
        self.shared.entries(0, usize::MAX)
    }

    /// Adds a rule behind those of the script.
    pub fn script(&self, on: Match, behaviour: Behaviour) {
        self.shared.state().door.add_rule(on, behaviour);
    }

    /// Forgets the log, the counters and the attempts, fills the rate limits and starts the script from its
    /// beginning. Requests that are open stay open.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Waits until a condition holds for the counters, and returns them. It is looked at after every change.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait_until(&self, mut holds: impl FnMut(&Stats) -> bool) -> Stats {
        let changed = self.shared.changed.notified();
        tokio::pin!(changed);
        loop {
            // Enabled before the look, so that a change between the look and the wait is not missed.
            changed.as_mut().enable();
            let stats = self.stats();
            if holds(&stats) {
                return stats;
            }
            changed.as_mut().await;
            changed.set(self.shared.changed.notified());
        }
    }

    /// Stops accepting, closes every connection, and waits until all tasks have ended.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: when the future is dropped the server is aborted, and nothing waits for its tasks.
    pub async fn shutdown(mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
        report((&mut self.accepting).await);
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        self.accepting.abort();
    }
}

async fn accept_all(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(shared.config.read_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(true);
    let mut connections = JoinSet::new();
    let mut pause = None;
    loop {
        shared.set_connections_open(connections.len());
        tokio::select! {
            _ = stop.changed() => break,
            Some(ended) = connections.join_next() => report(ended),
            () = async { tokio::time::sleep_until(pause.unwrap_or_else(Instant::now)).await }, if pause.is_some() => {
                pause = None;
            }
            accepted = listener.accept(), if pause.is_none() && connections.len() < shared.config.max_connections => {
                match accepted {
                    Ok((socket, _)) => {
                        shared.state().log.stats.connections += 1;
                        connections.spawn(connection(http.clone(), socket, Arc::clone(&shared)));
                    }
                    Err(err) => {
                        tracing::warn!(error = %err, "Could not accept a connection.");
                        pause = Some(Instant::now() + ACCEPT_PAUSE);
                    }
                }
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
    shared.set_connections_open(0);
}

async fn connection(http: http1::Builder, socket: TcpStream, shared: Arc<Shared>) {
    // Without this, small events wait for the acknowledgement of those before them.
    if let Err(err) = socket.set_nodelay(true) {
        tracing::debug!(error = %err, "Could not set TCP_NODELAY.");
    }
    let service = service_fn(move |request| serve(Arc::clone(&shared), request));
    if let Err(err) = http.serve_connection(TokioIo::new(socket), service).await {
        tracing::debug!(error = %err, "A connection ended early.");
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(err) = ended
        && err.is_panic()
    {
        tracing::error!(error = %err, "A task of the simulated server panicked.");
    }
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: SimConfig,
    started: Instant,
    closing: AtomicBool,
    state: Mutex<State>,
    file: Option<Mutex<File>>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    door: Door,
    log: Log,
}

impl Shared {
    fn new(config: SimConfig, file: Option<File>) -> Self {
        let state = State {
            door: Door::new(&config, Duration::ZERO),
            log: Log::new(config.log_entries),
        };
        Self {
            config,
            started: Instant::now(),
            closing: AtomicBool::new(false),
            state: Mutex::new(state),
            file: file.map(Mutex::new),
            changed: Notify::new(),
        }
    }

    /// Opens a request that is refused before anybody looks at what it asks.
    pub(crate) fn open(
        self: &Arc<Self>,
        arrived: Instant,
        wire: Wire,
        tag: Option<String>,
    ) -> (Ticket, LogEntry) {
        let seq = self.state().log.open();
        self.ticket(seq, arrived, wire, tag, false)
    }

    /// Opens a request and decides about it.
    pub(crate) fn knock(
        self: &Arc<Self>,
        arrived: Instant,
        wire: Wire,
        tag: Option<String>,
        asked: &Asked<'_>,
    ) -> (Ticket, LogEntry, u32, Verdict) {
        let mut state = self.state();
        let seq = state.log.open();
        // Read under the lock, so that the limits see a time that never goes back.
        let now = self.started.elapsed();
        let (attempt, verdict) = state.door.knock(&self.config, now, asked);
        drop(state);
        let inside = matches!(verdict, Verdict::Admitted { .. });
        let (ticket, entry) = self.ticket(seq, arrived, wire, tag, inside);
        (ticket, entry, attempt, verdict)
    }

    fn ticket(
        self: &Arc<Self>,
        seq: u64,
        arrived: Instant,
        wire: Wire,
        tag: Option<String>,
        inside: bool,
    ) -> (Ticket, LogEntry) {
        let entry = LogEntry {
            seq,
            at: arrived.saturating_duration_since(self.started),
            ended: None,
            wire,
            tag,
            prompt_hash: 0,
            prompt: String::new(),
            model: String::new(),
            stream: false,
            attempt: 0,
            decision: Decision::BadRequest,
            status: None,
            end: None,
            usage: Usage::default(),
        };
        (
            Ticket {
                shared: Arc::clone(self),
                seq,
                inside,
                end: None,
                line: None,
            },
            entry,
        )
    }

    fn set_connections_open(&self, n: usize) {
        self.state().log.stats.connections_open = n as u64;
        self.changed.notify_waiters();
    }

    pub(crate) fn stats(&self) -> Stats {
        self.state().log.stats.clone()
    }

    pub(crate) fn entries(&self, after: u64, limit: usize) -> Vec<LogEntry> {
        self.state().log.entries(after, limit)
    }

    pub(crate) fn reset(&self) {
        let mut state = self.state();
        let now = self.started.elapsed();
        state.door.reset(&self.config, now);
        state.log.reset();
        drop(state);
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock; if something did, the counters would still be worth having.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an entry to the log file. The write blocks, as briefly as a write to the page cache does.
    fn write(&self, file: &Mutex<File>, entry: &LogEntry) {
        let written = serde_json::to_vec(entry)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                file.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .write_all(&line)
            });
        if let Err(err) = written {
            let mut state = self.state();
            state.log.stats.log_errors += 1;
            if state.log.stats.log_errors == 1 {
                tracing::warn!(error = %err, "Could not write to the request log; later lines may be lost too.");
            }
        }
    }
}

/// An open request. Dropping it closes the request: by the client's doing, unless it was said otherwise.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    seq: u64,
    inside: bool,
    end: Option<End>,
    /// What the log file gets when the request ends, if there is a file.
    line: Option<Box<LogEntry>>,
}

impl Ticket {
    /// Returns the number of the request.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Puts the request into the log. Called once.
    pub(crate) fn decide(&mut self, entry: LogEntry) {
        self.line = self.shared.file.is_some().then(|| Box::new(entry.clone()));
        self.shared.state().log.decide(entry);
        self.shared.changed.notify_waiters();
    }

    /// Closes the request.
    pub(crate) fn close(mut self, end: End) {
        self.end = Some(end);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let closing = self.shared.closing.load(Ordering::Relaxed);
        let end = self.end.unwrap_or(if closing {
            End::ServerClosed
        } else {
            End::ClientClosed
        });
        let mut state = self.shared.state();
        if self.inside {
            state.door.leave();
        }
        let at = self.shared.started.elapsed();
        state.log.close(self.seq, end, at);
        drop(state);
        if let (Some(file), Some(line)) = (&self.shared.file, self.line.take()) {
            self.shared.write(
                file,
                &LogEntry {
                    end: Some(end),
                    ended: Some(at),
                    ..*line
                },
            );
        }
        self.shared.changed.notify_waiters();
    }
}
