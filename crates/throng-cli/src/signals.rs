//! Ctrl-C, SIGTERM and SIGHUP: the first lets running jobs end, the second stops them, the third leaves at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use throng_exec::RunHandle;

use crate::exit::ExitStatus;
use crate::ui::Ui;

/// Counts interruptions and steers the run that is going on.
pub(crate) struct Signals {
    count: AtomicU32,
    /// The run, and what its jobs are called.
    run: Mutex<Option<(RunHandle, &'static str)>>,
    ui: Arc<Ui>,
}

impl Signals {
    /// Begins to listen. Needs a Tokio runtime.
    pub(crate) fn listen(ui: &Arc<Ui>) -> Arc<Self> {
        let signals = Arc::new(Self {
            count: AtomicU32::new(0),
            run: Mutex::new(None),
            ui: Arc::clone(ui),
        });
        let listener = Arc::clone(&signals);
        let mut terminate = Terminate::new();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    received = tokio::signal::ctrl_c() => if received.is_err() { return },
                    () = terminate.received() => {}
                }
                listener.interrupted();
            }
        });
        signals
    }

    /// Sets the run that interruptions steer, and what its jobs are called. A run that begins after an interruption ends at
    /// once.
    pub(crate) fn steer(&self, run: RunHandle, jobs: &'static str) {
        match self.count.load(Ordering::SeqCst) {
            0 => {}
            1 => run.drain(),
            _ => run.abort(),
        }
        *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some((run, jobs));
    }

    /// Returns true if there was an interruption.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    fn interrupted(&self) {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((run, jobs)) = run else {
            // Nothing runs yet, so nothing is lost.
            std::process::exit(i32::from(ExitStatus::Interrupted.code()));
        };
        match self.count.fetch_add(1, Ordering::SeqCst) {
            0 => {
                run.drain();
                let running = run.progress().running;
                self.ui.note(&format!(
                    "interrupted: {running} running {jobs} go on to their end; interrupt again to stop them"
                ));
            }
            1 => {
                run.abort();
                self.ui
                    .note(&format!("interrupted again: the running {jobs} are stopped"));
            }
            _ => std::process::exit(i32::from(ExitStatus::Interrupted.code())),
        }
    }
}

/// SIGTERM and SIGHUP, where there are such signals.
struct Terminate {
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    hangup: Option<tokio::signal::unix::Signal>,
}

impl Terminate {
    fn new() -> Self {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Self {
                terminate: signal(SignalKind::terminate()).ok(),
                hangup: hears_hangup()
                    .then(|| signal(SignalKind::hangup()).ok())
                    .flatten(),
            }
        }
        #[cfg(not(unix))]
        Self {}
    }

    async fn received(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.hangup) => {}
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Returns true unless SIGHUP is ignored, as `nohup` has it: then the run goes on when the terminal closes. Where
/// that cannot be known, SIGHUP is left alone.
#[cfg(unix)]
fn hears_hangup() -> bool {
    const HANGUP: u64 = 1;
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        })
        .is_some_and(|ignored| ignored & HANGUP == 0)
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP.
pub(crate) async fn interruption() {
    let mut terminate = Terminate::new();
    tokio::select! {
        received = tokio::signal::ctrl_c() => {
            if received.is_err() {
                std::future::pending::<()>().await;
            }
        }
        () = terminate.received() => {}
    }
}
