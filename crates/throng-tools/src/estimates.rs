//! How long calls of each tool take, learned from those that have ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many calls of a tool are remembered.
const REMEMBERED: usize = 63;

/// How long calls of each tool take: the median of the last ones. Clones mean the same estimates.
///
/// An executor learns from the calls that it runs; what earlier processes have measured can be fed in.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use throng_tools::Estimates;
///
/// let estimates = Estimates::new();
/// assert_eq!(estimates.median("search"), None);
/// for ms in [10, 900, 20] {
///     estimates.observe("search", Duration::from_millis(ms));
/// }
/// assert_eq!(estimates.median("search"), Some(Duration::from_millis(20)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Estimates(Arc<Mutex<HashMap<Box<str>, VecDeque<Duration>>>>);

impl Estimates {
    /// Makes estimates of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes how long a call of the tool took.
    pub fn observe(&self, tool: &str, took: Duration) {
        self.observe_all([(tool, took)]);
    }

    /// Notes how long calls took, with their tools.
    pub fn observe_all<'a>(&self, calls: impl IntoIterator<Item = (&'a str, Duration)>) {
        let mut tools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (tool, took) in calls {
            if !tools.contains_key(tool) {
                tools.insert(tool.into(), VecDeque::new());
            }
            if let Some(recent) = tools.get_mut(tool) {
                if recent.len() == REMEMBERED {
                    recent.pop_front();
                }
                recent.push_back(took);
            }
        }
    }

    /// Returns the median of the last calls of the tool, or `None` if there was none.
    pub fn median(&self, tool: &str) -> Option<Duration> {
        let tools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recent: Vec<_> = tools.get(tool)?.iter().copied().collect();
        let middle = recent.len().checked_sub(1)? / 2;
        Some(*recent.select_nth_unstable(middle).1)
    }
}
