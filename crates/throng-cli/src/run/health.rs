//! Notices that a provider cannot be used at all, so that a run stops soon instead of trying every prompt.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use throng_llm::{Clock, ErrorKind, LlmError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::explain;

/// How many attempts in a row must be refused for a reason that will not go away.
const REFUSALS: u32 = 3;

/// For how long no call may get through to a server that had answered before. It is a time and not a count, because
/// the attempts of many jobs fail within milliseconds while a server restarts. The guide names it.
const OUTAGE: Duration = Duration::from_secs(60);

/// Watches the ends of attempts.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<State>,
    /// How many attempts must find no server, or no API, before anything else was ever found.
    first: u32,
    given_up: Notify,
}

#[derive(Debug, Default)]
struct State {
    reached: bool,
    succeeded: bool,
    unreachable: u32,
    /// When the first call of a row of calls found no server.
    outage_began: Option<Instant>,
    refused: u32,
    /// Answers that no API gives.
    strange: u32,
    /// Something else than such an answer came at least once.
    speaks_api: bool,
    verdict: Option<LlmError>,
    /// The last error that says something about the provider and not about one prompt.
    suspect: Option<LlmError>,
}

impl Health {
    /// Makes a watcher of a run with so many attempts in its first wave.
    pub(crate) fn new(first_wave: u32) -> Self {
        Self {
            state: Mutex::default(),
            first: first_wave.max(3),
            given_up: Notify::new(),
        }
    }

    /// Returns how many attempts its first wave has, at least.
    pub(crate) const fn first_wave(&self) -> u32 {
        self.first
    }

    /// Returns why the provider was given up, if it was.
    pub(crate) fn given_up_because(&self) -> Option<LlmError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.verdict.clone()
    }

    /// Takes the end of an attempt.
    pub(crate) fn observe(&self, error: Option<&LlmError>) {
        self.observe_at(Instant::now(), error);
    }

    fn observe_at(&self, now: Instant, error: Option<&LlmError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(error) = error else {
            *state = State {
                reached: true,
                succeeded: true,
                speaks_api: true,
                verdict: state.verdict.take(),
                ..State::default()
            };
            return;
        };
        let given_up = match error.kind() {
            ErrorKind::Connect | ErrorKind::Timeout(Clock::Connect) => {
                state.unreachable += 1;
                state.suspect = Some(error.clone());
                let began = *state.outage_began.get_or_insert(now);
                if state.reached {
                    now.saturating_duration_since(began) >= OUTAGE
                } else {
                    state.unreachable >= self.first
                }
            }
            kind => {
                state.reached = true;
                state.unreachable = 0;
                state.outage_began = None;
                let strange = explain::is_no_api(error);
                let refused = matches!(
                    kind,
                    ErrorKind::Auth | ErrorKind::NotFound | ErrorKind::QuotaExhausted
                );
                // A connection that breaks says nothing about who would have answered.
                state.speaks_api |= !strange && *kind != ErrorKind::Transport;
                if refused || (strange && !state.speaks_api) {
                    state.suspect = Some(error.clone());
                }
                state.refused += u32::from(refused);
                state.strange += u32::from(strange);
                (refused && state.refused >= REFUSALS)
                    || (strange && !state.speaks_api && state.strange >= self.first)
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
        let health = Health::new(4);
        assert!(!feed(&health, &vec![Some(ErrorKind::Connect); 3]));
        assert!(feed(&health, &[Some(ErrorKind::Connect)]));
    }

    #[test]
    fn a_server_that_was_reached_is_given_up_after_a_time_and_never_after_a_count() {
        let health = Health::new(4);
        let began = Instant::now();
        let fails_at = |after: Duration| {
            health.observe_at(began + after, Some(&error(ErrorKind::Connect)));
            health.state.lock().unwrap().verdict.is_some()
        };
        assert!(!feed(&health, &[Some(ErrorKind::Server)]));
        for _ in 0..10_000 {
            assert!(!fails_at(Duration::ZERO));
        }
        assert!(!fails_at(OUTAGE - Duration::from_millis(1)));
        health.observe_at(began + OUTAGE, None);
        assert!(!fails_at(OUTAGE * 2), "one answer begins the time anew");
        assert!(!fails_at(OUTAGE * 3 - Duration::from_millis(1)));
        assert!(fails_at(OUTAGE * 3));
    }

    #[test]
    fn a_server_that_gives_pages_only_is_given_up_after_one_wave() {
        let page = || LlmError::new(ErrorKind::Protocol, "p", "sent an HTML page");
        let redirect = || LlmError::from_status(ErrorKind::BadRequest, "p", 302, "a redirect");
        let given_up = |health: &Health| health.state.lock().unwrap().verdict.is_some();
        let health = Health::new(4);
        for error in [page(), redirect(), page()] {
            health.observe(Some(&error));
            assert!(!given_up(&health));
        }
        health.observe(Some(&redirect()));
        assert!(given_up(&health));
        let health = Health::new(4);
        assert!(!feed(&health, &[Some(ErrorKind::Server)]));
        for _ in 0..50 {
            health.observe(Some(&page()));
        }
        assert!(!given_up(&health), "the API had spoken before");
    }

    #[test]
    fn refused_keys_count_only_in_a_row_of_failures() {
        let health = Health::new(32);
        let auth = || Some(ErrorKind::Auth);
        assert!(!feed(&health, &[auth(), auth(), None, auth(), auth()]));
        assert!(feed(&health, &[auth()]));
        let health = Health::new(32);
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
