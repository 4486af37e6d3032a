//! What a simulation comes to.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::Workload;
use super::look_ahead::look_ahead;
use crate::schedule::Tick;

/// What the scheduler makes of a workload, in the unit of its durations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Simulation {
    /// How long the whole takes.
    pub makespan: f64,
    /// How long the longest way through the graph takes.
    pub critical_path: f64,
    /// What no schedule can be shorter than: the critical path, or all work divided by the limit.
    pub bound: f64,
    /// The makespan divided by the bound; 1 if there is nothing to do.
    pub ratio: f64,
}

/// The most ticks that a whole workload may take, so that no sum overflows and each is exact as a float.
const MOST_TICKS: f64 = 9_007_199_254_740_992.0;

/// Runs a workload in virtual time on the scheduler that runs tool calls, at most `limit` nodes at the same time.
///
/// A node starts when those before it have ended and there is room, never later. Among those that are ready the one goes first
/// from which the longest way is left; because the durations are known, the plan is also run backwards and forwards a
/// few times to find a better order. No makespan is longer than (2 − 1 / limit) times the shortest.
///
/// # Complexity
///
/// O((n + m) log n) for n nodes and m edges.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_tools::{Workload, simulate};
///
/// // One node of 3 beside a chain of 1 and 2, in the time of 3.
/// let workload = Workload::from_json(r#"{"dur_s":[3,1,2],"parents":[[],[],[1]]}"#)?;
/// let simulation = simulate(&workload, NonZeroUsize::MIN.saturating_add(1));
/// assert_eq!(simulation.makespan, 3.0);
/// assert_eq!(simulation.ratio, 1.0);
/// # Ok::<(), throng_tools::InvalidWorkload>(())
/// ```
pub fn simulate(workload: &Workload, limit: NonZeroUsize) -> Simulation {
    let scale = scale(workload.durations());
    let scaled = workload.durations().iter().map(|duration| duration * scale);
    let durations: Vec<Tick> = scaled.map(to_ticks).collect();
    let work: Tick = durations.iter().sum();
    let limit = u64::try_from(limit.get()).unwrap_or(u64::MAX);
    let best = look_ahead(&durations, workload.edges(), limit, work.div_ceil(limit))
        .expect("a workload that was made has no cycle");
    let makespan = to_float(best.makespan) / scale;
    let critical_path = to_float(best.critical_path) / scale;
    let bound = critical_path.max(to_float(work) / to_float(limit) / scale);
    Simulation {
        makespan,
        critical_path,
        bound,
        ratio: if bound > 0.0 { makespan / bound } else { 1.0 },
    }
}

/// Returns how many ticks a unit has: one if the durations are whole, else 10^9, or a power of ten that fits better.
fn scale(durations: &[f64]) -> f64 {
    let sum: f64 = durations.iter().sum();
    let whole = durations.iter().all(|duration| duration.fract() == 0.0);
    let mut scale = if whole { 1.0 } else { 1e9 };
    while sum * scale > MOST_TICKS && scale > 1e-300 {
        scale /= 10.0;
    }
    while sum > 0.0 && sum * scale < 1e9 && !whole {
        scale *= 10.0;
    }
    scale
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "no duration is negative, and the sum of all is at most 2^53"
)]
fn to_ticks(duration: f64) -> Tick {
    duration.round() as Tick
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times are at most 2^53, and a limit beyond that is above all that is run"
)]
fn to_float(ticks: Tick) -> f64 {
    ticks as f64
}
