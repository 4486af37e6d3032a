//! The definition of a rate, as slowly as can be: every interval is looked at.

use std::time::Duration;

use super::plan::Limits;
use crate::support::ms;

/// Returns true if no interval has more starts than burst + rate × time.
pub(super) fn within(starts: &[Duration], limits: Limits) -> bool {
    let Some(rate) = limits.requests else {
        return true;
    };
    let minute = Duration::from_secs(60).as_nanos();
    let burst = (ms(limits.burst).as_nanos() * u128::from(rate)).max(minute);
    (0..starts.len()).all(|from| {
        (from..starts.len()).all(|to| {
            let time = (starts[to] - starts[from]).as_nanos();
            (to - from + 1) as u128 * minute <= burst + time * u128::from(rate)
        })
    })
}
