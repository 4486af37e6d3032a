//! What a run has done so far, as far as the dispatcher decides it.

use throng_core::{OutcomeKind, Usage};

use crate::machine::slot::{Ending, Slot};
use crate::rate::Tick;

/// Counts of a run.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) admitted: u64,
    /// Jobs that ended, by outcome, in the order of [`OutcomeKind::ALL`].
    pub(crate) ended: [u64; 7],
    pub(crate) retries: u64,
    pub(crate) attempts: u64,
    /// Second attempts beside a first one, and how many of them were first to succeed.
    pub(crate) hedges: u64,
    pub(crate) hedges_won: u64,
    /// Steps that jobs fell back to.
    pub(crate) fallbacks: u64,
    /// Retries that the budget refused.
    pub(crate) refused: u64,
    /// Attempts that the other side refused because of a limit.
    pub(crate) pushbacks: u64,
    pub(crate) usage: Usage,
    pub(crate) finished_at: Option<Tick>,
    pub(crate) input_exhausted: bool,
}

impl Stats {
    pub(crate) fn record(&mut self, slot: &Slot, ending: Ending) {
        self.ended[kind(ending) as usize] += 1;
        if !slot.reported.is_empty() {
            self.usage.add(&slot.reported.usage());
        }
    }
}

pub(crate) fn kind(ending: Ending) -> OutcomeKind {
    match ending {
        Ending::Succeeded => OutcomeKind::Succeeded,
        Ending::Failed => OutcomeKind::Failed,
        Ending::TimedOut(_) => OutcomeKind::TimedOut,
        Ending::Panicked => OutcomeKind::Panicked,
        Ending::Cancelled => OutcomeKind::Cancelled,
        Ending::Skipped => OutcomeKind::Skipped,
        Ending::Shed => OutcomeKind::Shed,
    }
}
