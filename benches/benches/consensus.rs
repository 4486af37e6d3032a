//! How many calls a vote saves by its early stop, and what that costs in accuracy: simulated panels in virtual time,
//! through the same [`Panel`] that runs in life. Each panel is judged against the full vote over the very same answers.
//!
//! Agents answer independently: rightly with a given probability, else one of the wrong options, all of them alike. Calls
//! in flight when a vote ends count as asked. Latencies are log-normal with a median of 1 and a sigma of 0.5.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use std::num::NonZeroUsize;

use throng_benches::{Report, is_quick};
use throng_exec::{InvalidConfig, Panel, Release, Stop, Vote};

const KEYS: [&str; 4] = ["right", "wrong a", "wrong b", "wrong c"];
const ACCURACIES: [u32; 6] = [40, 50, 60, 70, 80, 90];
const LIKELY: [u32; 4] = [60, 70, 80, 90];

/// What is simulated.
#[derive(Clone, Copy)]
struct Cell {
    agents: usize,
    options: usize,
    /// Per cent.
    accuracy: u32,
    stop: Stop,
    release: Release,
    wave: usize,
}

impl Cell {
    fn new(agents: usize, options: usize, accuracy: u32) -> Self {
        Self {
            agents,
            options,
            accuracy,
            stop: Stop::Bayesian {
                confidence: Stop::CONFIDENCE,
            },
            release: Release::default(),
            wave: agents.min(8),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn vote(&self) -> Result<Vote, InvalidConfig> {
        let count = |n: usize| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        Vote::builder(count(self.agents))
            .wave(count(self.wave))
            .release(self.release)
            .stop(self.stop)
            .build()
    }
}

/// Means over the panels of a cell.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    /// Calls that were not made, per cent of all.
    saved: f64,
    /// Accuracy of the full vote less that of the early one, in percentage points.
    lost: f64,
    /// The standard error of `lost`, in percentage points.
    error: f64,
    /// Accuracy of the full vote, per cent.
    full: f64,
    /// Time to the end, in median latencies.
    time: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let panels = if is_quick() { 1_000 } else { 20_000 };
    let mut report = Report::default();
    let mut record = |name: String, cell: Cell| -> Result<Figures, Box<dyn std::error::Error>> {
        let figures = simulate(&cell, panels)?;
        for (figure, unit, value) in [
            ("saved", "%", figures.saved),
            ("lost", "points", figures.lost),
            ("error", "points", figures.error),
            ("full", "%", figures.full),
            ("time", "latencies", figures.time),
        ] {
            report.record(&format!("{name}.{figure}"), unit, vec![value]);
        }
        Ok(figures)
    };

    for options in [4, 2] {
        for accuracy in ACCURACIES {
            let cell = Cell::new(40, options, accuracy);
            let name = format!("stop.o{options}.p{accuracy}");
            for confidence in [0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999] {
                let cell = cell.with(|cell| cell.stop = Stop::Bayesian { confidence });
                record(format!("{name}.bayesian_{confidence}"), cell)?;
            }
            record(
                format!("{name}.certain"),
                cell.with(|cell| cell.stop = Stop::Certain),
            )?;
            record(format!("{name}.never"), cell.with(|cell| cell.stop = Stop::Never))?;
        }
    }
    for accuracy in LIKELY {
        for (name, release) in [
            ("needed", Release::Needed),
            ("rolling", Release::Rolling),
            ("batched", Release::Batched),
        ] {
            for wave in [1, 4, 8, 16] {
                let cell =
                    Cell::new(40, 4, accuracy).with(|cell| (cell.release, cell.wave) = (release, wave));
                record(format!("release.p{accuracy}.{name}_{wave}"), cell)?;
            }
        }
    }
    let mut missed = Vec::new();
    for agents in [5, 10, 20, 40, 80] {
        for options in [2, 4] {
            for accuracy in ACCURACIES {
                let figures = record(
                    format!("panel.n{agents}.o{options}.p{accuracy}"),
                    Cell::new(agents, options, accuracy),
                )?;
                let wanted = agents == 40 && options == 4 && LIKELY.contains(&accuracy);
                if wanted && (figures.saved < 50.0 || figures.lost > 0.5) {
                    missed.push((accuracy, figures));
                }
            }
        }
    }
    report.finish()?;
    assert!(
        missed.is_empty(),
        "less than half saved, or more than half a point lost: {missed:?}"
    );
    Ok(())
}

fn simulate(cell: &Cell, panels: u32) -> Result<Figures, Box<dyn std::error::Error>> {
    let vote = cell.vote()?;
    let (mut asked, mut lost, mut won, mut right_in_full, mut time) = (0, 0_u32, 0_u32, 0_u32, 0.0);
    for seed in 0..panels {
        let mut rng = fastrand::Rng::with_seed(seed.into());
        let accuracy = f64::from(cell.accuracy) / 100.0;
        let agents: Vec<(usize, f64)> = (0..cell.agents)
            .map(|_| {
                let right = rng.f64() < accuracy;
                let option = if right { 0 } else { rng.usize(1..cell.options) };
                (option, latency(&mut rng))
            })
            .collect();
        let (winner, calls, ended) = early(&vote, &agents)?;
        let (right, right_if_full) = (winner == Some(KEYS[0]), full(&agents) == 0);
        lost += u32::from(right_if_full && !right);
        won += u32::from(right && !right_if_full);
        right_in_full += u32::from(right_if_full);
        asked += calls;
        time += ended;
    }
    let panels = f64::from(panels);
    let share = |n: u32| f64::from(n) / panels;
    let difference = share(lost) - share(won);
    let variance = share(lost + won) - difference * difference;
    Ok(Figures {
        saved: 100.0 - 100.0 * asked as f64 / (panels * cell.agents as f64),
        lost: 100.0 * difference,
        error: 100.0 * (variance / panels).sqrt(),
        full: 100.0 * share(right_in_full),
        time: time / panels,
    })
}

fn latency(rng: &mut fastrand::Rng) -> f64 {
    let normal = (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (TAU * rng.f64()).cos();
    (0.5 * normal).exp()
}

/// Returns the winner, how many agents were asked, and when the vote ended.
fn early(
    vote: &Vote,
    agents: &[(usize, f64)],
) -> Result<(Option<&'static str>, usize, f64), Box<dyn std::error::Error>> {
    let mut panel = Panel::new(vote);
    let mut running = BinaryHeap::new();
    let mut now = 0.0;
    while panel.stop().is_none() {
        for agent in panel.release() {
            let end = now + agents[agent].1;
            // Whole units, so that instants have an order.
            running.push(Reverse(((end * 1e9) as u64, agent)));
        }
        let Reverse((end, agent)) = running.pop().ok_or("a vote is open and nothing runs")?;
        now = end as f64 / 1e9;
        let key = KEYS[agents[agent].0];
        panel.answer(agent, key, key)?;
    }
    let winner = panel.tally().leader().map(|choice| choice.answer);
    Ok((winner, panel.released(), now))
}

/// Returns the option with the most votes among all agents; of several, the one that was named first.
fn full(agents: &[(usize, f64)]) -> usize {
    let votes = |option: usize| agents.iter().filter(|agent| agent.0 == option).count();
    let first = |option: usize| agents.iter().position(|agent| agent.0 == option);
    (0..KEYS.len())
        .max_by_key(|&option| (votes(option), Reverse(first(option))))
        .unwrap_or(0)
}
