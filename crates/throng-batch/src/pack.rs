//! Which agents share a request: as few requests as the model's window allows.
//!
//! Best fit decreasing, after D. S. Johnson, "Near-optimal bin packing algorithms", MIT, 1973, in two dimensions: the
//! window, which holds prompt and answer, and the longest answer. Up to [`EXACT`] agents a branch-and-bound search looks
//! for fewer requests.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;

/// Up to how many agents the smallest number of requests is searched for.
const EXACT: usize = 12;

/// What one agent takes of a request, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Its snapshot.
    pub input: usize,
    /// Its plan, as far as one knows.
    pub output: usize,
}

impl Load {
    /// Makes a load.
    pub const fn new(input: usize, output: usize) -> Self {
        Self { input, output }
    }

    const fn window(self) -> usize {
        self.input.saturating_add(self.output)
    }
}

/// What one request can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Room {
    /// Most agents.
    pub agents: NonZeroUsize,
    /// The model's window, less what all requests have in common: tokens of snapshots and plans together.
    pub window: usize,
    /// The longest answer, in tokens.
    pub output: usize,
}

impl Room {
    /// Makes a room for so many agents, of any length.
    pub const fn new(agents: NonZeroUsize) -> Self {
        Self {
            agents,
            window: usize::MAX,
            output: usize::MAX,
        }
    }

    /// Sets how many tokens snapshots and plans may have together.
    pub const fn window(mut self, tokens: usize) -> Self {
        self.window = tokens;
        self
    }

    /// Sets how many tokens plans may have together.
    pub const fn output(mut self, tokens: usize) -> Self {
        self.output = tokens;
        self
    }

    const fn holds(&self, load: Load) -> bool {
        load.window() <= self.window && load.output <= self.output
    }
}

/// Deals the agents out to requests. Each request lists its agents by their place in `loads`, in that order; requests
/// are in the order of their first agents, so that equal agents always make equal requests.
///
/// An agent that is too large for any request gets one of its own.
///
/// # Complexity
///
/// O(n log n) for n agents.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use throng_batch::{Load, Room, pack};
///
/// let room = Room::new(NonZeroUsize::new(10).ok_or("zero")?).window(100);
/// let loads = [60, 50, 40, 30].map(|input| Load::new(input, 0));
/// assert_eq!(pack(&loads, &room), [vec![0, 2], vec![1, 3]]);
/// # Ok::<(), &str>(())
/// ```
pub fn pack(loads: &[Load], room: &Room) -> Vec<Vec<usize>> {
    let (fitting, oversize): (Vec<usize>, Vec<usize>) =
        (0..loads.len()).partition(|&agent| room.holds(loads[agent]));
    let mut bins = best_fit(loads, room, &fitting);
    let floor = lower_bound(loads, room, &fitting);
    if bins.len() > floor && fitting.len() <= EXACT {
        bins = Search::new(loads, room, &fitting, bins).run(floor);
    }
    bins.extend(oversize.into_iter().map(|agent| vec![agent]));
    for bin in &mut bins {
        bin.sort_unstable();
    }
    bins.sort_unstable();
    bins
}

/// Returns the agents, the largest first: by the dimension that is scarcer for them, then by place.
fn decreasing(loads: &[Load], room: &Room, agents: &[usize]) -> Vec<usize> {
    let share = |load: Load| {
        let part = |of: usize, whole: usize| of as f64 / whole.max(1) as f64;
        part(load.window(), room.window).max(part(load.output, room.output))
    };
    let mut order = agents.to_vec();
    order.sort_by(|&a, &b| share(loads[b]).total_cmp(&share(loads[a])).then(a.cmp(&b)));
    order
}

/// What is left of a request.
#[derive(Clone, Copy, Debug)]
struct Left {
    agents: usize,
    window: usize,
    output: usize,
}

impl Left {
    const fn of(room: &Room) -> Self {
        Self {
            agents: room.agents.get(),
            window: room.window,
            output: room.output,
        }
    }

    const fn holds(&self, load: Load) -> bool {
        self.agents > 0 && load.window() <= self.window && load.output <= self.output
    }

    const fn take(&mut self, load: Load) {
        self.agents -= 1;
        self.window -= load.window();
        self.output -= load.output;
    }

    const fn give(&mut self, load: Load) {
        self.agents += 1;
        self.window += load.window();
        self.output += load.output;
    }
}

fn best_fit(loads: &[Load], room: &Room, agents: &[usize]) -> Vec<Vec<usize>> {
    let mut bins: Vec<Vec<usize>> = Vec::new();
    let mut left: Vec<Left> = Vec::new();
    // Bins that have room for another agent, by what is left of the window.
    let mut open: BTreeSet<(usize, usize)> = BTreeSet::new();
    for agent in decreasing(loads, room, agents) {
        let load = loads[agent];
        let found = open
            .range((load.window(), 0)..)
            .find(|(_, bin)| left[*bin].holds(load))
            .copied();
        let bin = match found {
            Some(entry) => {
                open.remove(&entry);
                entry.1
            }
            None => {
                bins.push(Vec::new());
                left.push(Left::of(room));
                bins.len() - 1
            }
        };
        bins[bin].push(agent);
        left[bin].take(load);
        if left[bin].agents > 0 {
            open.insert((left[bin].window, bin));
        }
    }
    bins
}

/// Returns how many requests are needed at least.
fn lower_bound(loads: &[Load], room: &Room, agents: &[usize]) -> usize {
    let sum = |of: fn(Load) -> usize| agents.iter().map(|&agent| of(loads[agent]) as u128).sum::<u128>();
    let needed =
        |sum: u128, room: usize| usize::try_from(sum.div_ceil(room.max(1) as u128)).unwrap_or(usize::MAX);
    agents
        .len()
        .div_ceil(room.agents.get())
        .max(needed(sum(Load::window), room.window))
        .max(needed(sum(|load| load.output), room.output))
}

/// A search for fewer requests, agent by agent, the largest first.
struct Search<'a> {
    loads: &'a [Load],
    room: &'a Room,
    order: Vec<usize>,
    best: Vec<Vec<usize>>,
    bins: Vec<Vec<usize>>,
    left: Vec<Left>,
}

impl<'a> Search<'a> {
    fn new(loads: &'a [Load], room: &'a Room, agents: &[usize], best: Vec<Vec<usize>>) -> Self {
        Self {
            loads,
            room,
            order: decreasing(loads, room, agents),
            best,
            bins: Vec::new(),
            left: Vec::new(),
        }
    }

    fn run(mut self, floor: usize) -> Vec<Vec<usize>> {
        self.place(0, floor);
        self.best
    }

    fn place(&mut self, at: usize, floor: usize) {
        if self.best.len() <= floor || self.bins.len() >= self.best.len() {
            return;
        }
        let Some(&agent) = self.order.get(at) else {
            self.best.clone_from(&self.bins);
            return;
        };
        let load = self.loads[agent];
        let mut tried: Vec<Reverse<(usize, usize, usize)>> = Vec::new();
        for bin in 0..self.bins.len() {
            let left = self.left[bin];
            // A bin with the same room as one that was tried leads to the same end.
            let room = Reverse((left.agents, left.window, left.output));
            if !left.holds(load) || tried.contains(&room) {
                continue;
            }
            tried.push(room);
            self.left[bin].take(load);
            self.bins[bin].push(agent);
            self.place(at + 1, floor);
            self.bins[bin].pop();
            self.left[bin].give(load);
        }
        if self.bins.len() + 1 < self.best.len() {
            let mut left = Left::of(self.room);
            left.take(load);
            self.left.push(left);
            self.bins.push(vec![agent]);
            self.place(at + 1, floor);
            self.bins.pop();
            self.left.pop();
        }
    }
}
