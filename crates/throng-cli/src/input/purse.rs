//! What one record has cost so far, and why the provider before did not answer it: kept beside the job, because attempts
//! that fail or are dropped count as well.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use throng_core::Usage;
use throng_llm::{Cost, LlmError, Price};

/// What one record has cost so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purse(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cost: Option<Cost>,
    /// What the last call ended with.
    error: Option<LlmError>,
    /// Attempts of the executor in which nobody was called.
    uncalled: u32,
}

impl Purse {
    /// Begins a call at a price, if it is known.
    pub(crate) fn bill(&self, price: Option<&Price>) -> Bill {
        Bill {
            purse: self.clone(),
            price: price.cloned(),
            usage: Usage::NONE,
            free: false,
        }
    }

    /// Returns what was spent, if a price was known.
    pub(crate) fn cost(&self) -> Option<Cost> {
        self.lock().cost
    }

    /// Notes what a call ended with.
    pub(crate) fn failed(&self, error: &LlmError) {
        self.lock().error = Some(error.clone());
    }

    /// Returns what the last call ended with, if it failed.
    pub(crate) fn last_error(&self) -> Option<LlmError> {
        self.lock().error.clone()
    }

    /// Notes an attempt in which nobody was called.
    pub(crate) fn pass(&self) {
        self.lock().uncalled += 1;
    }

    /// Returns in how many attempts nobody was called.
    pub(crate) fn uncalled(&self) -> u32 {
        self.lock().uncalled
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call, which is paid for when this is dropped: also a call that is cut off has used tokens.
#[derive(Debug)]
pub(crate) struct Bill {
    purse: Purse,
    price: Option<Price>,
    usage: Usage,
    free: bool,
}

impl Bill {
    /// Takes the tokens that were used so far.
    pub(crate) fn used(&mut self, usage: &Usage) {
        self.usage.replace_with(usage);
    }

    /// Says that the answer costs nothing.
    pub(crate) fn waive(&mut self) {
        self.free = true;
    }
}

impl Drop for Bill {
    fn drop(&mut self) {
        let cost = match &self.price {
            _ if self.free => Cost::ZERO,
            Some(price) => price.cost(&self.usage),
            None => return,
        };
        *self.purse.lock().cost.get_or_insert(Cost::ZERO) += cost;
    }
}
