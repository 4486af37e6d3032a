//! Notices that a provider cannot be used at all, so that a run stops soon instead of trying every prompt.

use std::sync::{Mutex, PoisonError};

use throng_llm::{Clock, ErrorKind, LlmError};
use tokio::sync::Notify;

/// How many attempts in a row must be refused for a reason that will not go away.
const REFUSALS: u32 = 3;

/// Watches the ends of attempts.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<State>,
    /// How many attempts in a row must find no server before anything was ever reached.
    first: u32,
    /// How many, once the server had been reached.
    later: u32,
    given_up: Notify,
}

#[derive(Debug, Default)]
struct State {
    reached: bool,
    succeeded: bool,
    unreachable: u32,
    refused: u32,
    verdict: Option<LlmError>,
    /// The last error that says something about the provider and not about one prompt.
    suspect: Option<LlmError>,
}

impl Health {
    /// Makes a watcher of a run with so many attempts at a time and so many attempts for each job.
    pub(crate) fn new(max_concurrent: u32, attempts: u32) -> Self {
        let first = max_concurrent.max(3);
        // After a success, an outage is sat out for as long as the retries of a whole wave of jobs last.
        let later = first.saturating_mul(attempts.max(1));
        Self {
            state: Mutex::default(),
            first,
            later,
            given_up: Notify::new(),
        }
    }

    /// Takes the end of an attempt.
    pub(crate) fn observe(&self, error: Option<&LlmError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            *state = State {
                reached: true,
                succeeded: true,
                verdict: state.verdict.take(),
                ..State::default()
            };
            return;
        };
        let given_up = match error.kind() {
            ErrorKind::Connect | ErrorKind::Timeout(Clock::Connect) => {
                state.unreachable += 1;
                state.suspect = Some(error.clone());
                state.unreachable >= if state.reached { self.later } else { self.first }
            }
            ErrorKind::Auth | ErrorKind::NotFound | ErrorKind::QuotaExhausted => {
                state.reached = true;
                state.unreachable = 0;
                state.refused += 1;
                state.suspect = Some(error.clone());
                state.refused >= REFUSALS
            }
            _ => {
                state.reached = true;
                state.unreachable = 0;
                false
            }
        };
        if given_up && state.verdict.is_none() {
            state.verdict = Some(error.clone());
            self.given_up.notify_one();
        }
    }

    /// Waits until the provider is given up.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// Returns why the provider was given up; or, when nothing succeeded at all, the last error that speaks of the
    /// provider and not of a prompt.
    pub(crate) fn verdict(&self) -> Option<LlmError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let suspect = if state.succeeded {
            None
        } else {
            state.suspect.clone()
        };
        state.verdict.clone().or(suspect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> LlmError {
        LlmError::new(kind, "p", "failed")
    }

    fn feed(health: &Health, kinds: &[Option<ErrorKind>]) -> bool {
        for kind in kinds {
            health.observe(kind.clone().map(error).as_ref());
        }
        health.state.lock().unwrap().verdict.is_some()
    }

    #[test]
    fn a_server_that_was_never_reached_is_given_up_after_one_wave() {
        let health = Health::new(4, 7);
        assert!(!feed(&health, &vec![Some(ErrorKind::Connect); 3]));
        assert!(feed(&health, &[Some(ErrorKind::Connect)]));
    }

    #[test]
    fn a_server_that_was_reached_is_given_the_time_of_all_retries() {
        let health = Health::new(4, 7);
        assert!(!feed(&health, &[Some(ErrorKind::Server)]));
        assert!(!feed(&health, &vec![Some(ErrorKind::Connect); 27]));
        assert!(!feed(&health, &[None]), "one answer begins the count anew");
        assert!(!feed(&health, &vec![Some(ErrorKind::Connect); 27]));
        assert!(feed(&health, &[Some(ErrorKind::Connect)]));
    }

    #[test]
    fn refused_keys_count_only_in_a_row_of_failures() {
        let health = Health::new(32, 7);
        let auth = || Some(ErrorKind::Auth);
        assert!(!feed(&health, &[auth(), auth(), None, auth(), auth()]));
        assert!(feed(&health, &[auth()]));
        let health = Health::new(32, 7);
        assert!(
            !feed(&health, &vec![Some(ErrorKind::BadRequest); 50]),
            "prompts may be wrong one by one"
        );
        assert!(health.verdict().is_none());
        assert!(!feed(&health, &[auth()]));
        assert!(
            health.verdict().is_some(),
            "nothing ever succeeded and the key was refused"
        );
        assert!(!feed(&health, &[None]));
        assert!(health.verdict().is_none());
    }
}
