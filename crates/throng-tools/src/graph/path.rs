//! Levels and the longest way through the graph.

use std::time::Duration;

use super::Dependencies;

impl Dependencies {
    /// Returns the calls by level: those of a level wait only for calls of levels before it. A view, and not the way in
    /// which calls are run. Calls in cycles are in no level.
    ///
    /// # Complexity
    ///
    /// Linear in the size of the graph.
    pub fn waves(&self) -> Vec<Vec<u32>> {
        let mut levels = vec![0_usize; self.len()];
        let mut waves: Vec<Vec<u32>> = Vec::new();
        for &call in self.order() {
            let before = self
                .incoming(call)
                .iter()
                .filter(|edge| !self.is_blocked(edge.from));
            let level = before
                .filter_map(|edge| levels.get(edge.from as usize))
                .map(|level| level + 1)
                .max()
                .unwrap_or(0);
            if let Some(own) = levels.get_mut(call as usize) {
                *own = level;
            }
            if waves.len() <= level {
                waves.resize_with(level + 1, Vec::new);
            }
            if let Some(wave) = waves.get_mut(level) {
                wave.push(call);
            }
        }
        for wave in &mut waves {
            wave.sort_unstable();
        }
        waves
    }

    /// Returns the longest chain of calls by the times that calls are expected to take. A call without one takes the
    /// mean of the others; if none has one, the chain with the most calls is returned.
    pub fn critical_path(&self) -> Vec<u32> {
        self.critical_path_by(|_| None)
    }

    /// Returns the longest chain of calls, as [`Self::critical_path`], with times that are known better: `expected` goes
    /// before what a call says itself.
    ///
    /// # Complexity
    ///
    /// Linear in the size of the graph.
    pub fn critical_path_by(&self, expected: impl Fn(u32) -> Option<Duration>) -> Vec<u32> {
        let times: Vec<Option<f64>> = (0..)
            .take(self.len())
            .map(|call| {
                let own = || self.facts(call).and_then(|facts| facts.expected);
                expected(call).or_else(own).map(|time| time.as_secs_f64())
            })
            .collect();
        let known = times.iter().flatten().count();
        let mean = match known {
            0 => 1.0,
            #[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 52 bits")]
            known => times.iter().flatten().sum::<f64>() / known as f64,
        };
        // The end of each call if nothing but its dependencies held it back, and the one that it waits for longest.
        let mut ends = vec![(0.0_f64, None::<u32>); self.len()];
        let mut last: Option<(f64, u32)> = None;
        for &call in self.order() {
            let (mut start, mut after) = (0.0, None);
            for edge in self.incoming(call) {
                if let Some(&(end, _)) = ends.get(edge.from as usize)
                    && !self.is_blocked(edge.from)
                    && (after.is_none() || end > start)
                {
                    (start, after) = (end, Some(edge.from));
                }
            }
            let end = start + times.get(call as usize).copied().flatten().unwrap_or(mean);
            if let Some(own) = ends.get_mut(call as usize) {
                *own = (end, after);
            }
            if last.is_none_or(|(longest, _)| end > longest) {
                last = Some((end, call));
            }
        }
        let mut path = Vec::new();
        let mut at = last.map(|(_, call)| call);
        while let Some(call) = at {
            path.push(call);
            at = ends.get(call as usize).and_then(|&(_, after)| after);
        }
        path.reverse();
        path
    }
}
