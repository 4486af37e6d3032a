//! An adaptive limit by itself, for a scheduler that is not an [`Executor`](crate::Executor).

use std::time::Duration;

use crate::error::InvalidConfig;
use crate::limit::{AdaptiveLimit, Limit};
use crate::machine::{Adaptive, Change, Signal};
use crate::rate::Tick;

/// The state of one [`AdaptiveLimit`]: told of every attempt, it says how many may run at the same time.
///
/// It reads no clock: `now` is the time since an instant of the caller's choice, and never goes back.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::time::Duration;
/// use throng_exec::{AdaptiveLimit, AttemptSignal, LimitController};
///
/// let policy = AdaptiveLimit::new().initial(NonZeroUsize::MIN);
/// let mut controller = LimitController::new(&policy)?;
/// assert_eq!(controller.limit(), 1);
/// for second in 0..8 {
///     let now = Duration::from_secs(second);
///     let (epoch, _) = controller.started(now, 1);
///     let took = Duration::from_millis(20);
///     let signal = AttemptSignal::Succeeded { first_try: true, first_output: None };
///     controller.ended(now + took, epoch, signal, took, 1);
/// }
/// assert_eq!(controller.limit(), 2, "it grows no further while only one attempt runs");
/// # Ok::<(), throng_exec::InvalidConfig>(())
/// ```
#[derive(Debug)]
pub struct LimitController(Adaptive);

impl LimitController {
    /// Makes a limit that is at its beginning.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`] if the settings contradict each other.
    pub fn new(policy: &AdaptiveLimit) -> Result<Self, InvalidConfig> {
        Limit::Adaptive(policy.clone()).validate()?;
        Ok(Self(Adaptive::new(policy)))
    }

    /// Returns how many attempts may run at the same time.
    pub fn limit(&self) -> usize {
        self.0.limit()
    }

    /// Notes that an attempt starts. Returns what [`Self::ended`] has to be told of it, and the change that the start has
    /// led to.
    pub fn started(&mut self, now: Duration, running_including_this: usize) -> (u32, Option<LimitChange>) {
        let started = self.0.started(tick(now), running_including_this);
        (started.epoch, started.change.map(LimitChange::new))
    }

    /// Notes that an attempt has ended, which took `latency`. `running_before` includes it.
    pub fn ended(
        &mut self,
        now: Duration,
        epoch: u32,
        signal: AttemptSignal,
        latency: Duration,
        running_before: usize,
    ) -> Option<LimitChange> {
        let signal = match signal {
            AttemptSignal::Succeeded {
                first_try,
                first_output,
            } => Signal::Success {
                first_try,
                first_output: first_output.map(tick),
            },
            AttemptSignal::Refused => Signal::Refused,
            AttemptSignal::Ignored => Signal::Ignored,
        };
        self.0
            .ended(tick(now), epoch, signal, tick(latency), running_before)
            .map(LimitChange::new)
    }
}

/// How an attempt ended, as far as an adaptive limit is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptSignal {
    /// It was accepted and succeeded.
    Succeeded {
        /// It was the first attempt of its job.
        first_try: bool,
        /// From its start to its first output, if that is known.
        first_output: Option<Duration>,
    },
    /// The other side refused it because of a limit or of overload.
    Refused,
    /// Anything else: says nothing about the limit.
    Ignored,
}

/// A change of an adaptive limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitChange {
    /// What the limit was.
    pub from: usize,
    /// What it is.
    pub to: usize,
    /// Why, in one or two words.
    pub cause: &'static str,
}

impl LimitChange {
    fn new(change: Change) -> Self {
        Self {
            from: change.from,
            to: change.to,
            cause: change.cause.as_str(),
        }
    }
}

fn tick(time: Duration) -> Tick {
    Tick::try_from(time.as_nanos()).unwrap_or(Tick::MAX)
}
