//! What is known about a connection that breaks: why, and which requests it had sent by then.

use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use rmcp::model::RequestId;

/// How much of a line that is no message is kept for errors.
const STRAY_CHARS: usize = 200;

/// Shared by the pipe, the process and the calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Health {
    cause: OnceLock<String>,
    stray: Mutex<Option<String>>,
    /// Calls of tools of which at least the first byte was written.
    sent: Mutex<HashSet<RequestId>>,
}

impl Health {
    /// Notes why the connection is broken. The first cause counts: others follow from it.
    pub(super) fn fail(&self, cause: impl Into<String>) {
        let _ = self.cause.set(cause.into());
    }

    pub(super) fn is_broken(&self) -> bool {
        self.cause.get().is_some()
    }

    /// Returns why the connection is broken.
    pub(super) fn cause(&self) -> Option<&str> {
        self.cause.get().map(String::as_str)
    }

    /// Returns a note about the last line that was no message, to stand behind a cause.
    pub(super) fn stray_note(&self) -> String {
        let stray = self.stray.lock().unwrap_or_else(PoisonError::into_inner);
        let note = |line: &String| format!("; it had written a line that is no message: {line:?}");
        stray.as_ref().map(note).unwrap_or_default()
    }

    /// Keeps the beginning of a line that is no message.
    pub(super) fn stray(&self, line: &[u8]) {
        let line: String = String::from_utf8_lossy(line).chars().take(STRAY_CHARS).collect();
        *self.stray.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }

    pub(super) fn sending(&self, id: RequestId) {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
    }

    /// Returns whether a request may have reached the server, and forgets it.
    pub(super) fn was_sent(&self, id: &RequestId) -> bool {
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id)
    }
}
