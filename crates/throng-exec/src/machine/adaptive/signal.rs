//! What an adaptive limit is told of attempts, and what it answers. Nothing here decides anything.

use crate::limit::LimitCause;
use crate::rate::Tick;

/// How an attempt ended, as far as the limit is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// It was accepted and succeeded.
    Success {
        /// It was the first attempt of its job.
        first_try: bool,
        /// From its start to its first output, if it reported one.
        first_output: Option<Tick>,
    },
    /// The other side refused it because of a limit or of overload.
    Refused,
    /// Anything else.
    Ignored,
}

/// A change of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) cause: LimitCause,
}

/// What the start of an attempt leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    /// To be handed back when the attempt ends.
    pub(crate) epoch: u32,
    /// The limit was lowered after a rest.
    pub(crate) change: Option<Change>,
}
