//! Nodes with durations, and which of them come after which; read from text.

use serde::Deserialize;

use crate::{AnalyzeError, Assume, Declared, Dependencies, Plan};

/// Durations of nodes, and which nodes have to end before each.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    durations: Vec<f64>,
    /// Each edge from the node that comes first.
    edges: Vec<(u32, u32)>,
}

/// Why something is not a workload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWorkload {
    /// The text is not JSON of the form `{"dur_s":[..],"parents":[[..]]}`.
    #[error("the graph is not JSON with `dur_s` and `parents`")]
    Json(#[source] serde_json::Error),
    /// There are not as many lists of parents as durations.
    #[error("{durations} durations have {parents} lists of parents")]
    Lengths {
        /// How many durations there are.
        durations: usize,
        /// How many lists of parents there are.
        parents: usize,
    },
    /// A line of an STG file is not as it should be.
    #[error("line {line} of the STG file: {problem}")]
    Stg {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A duration is negative, or no number.
    #[error("node {node} takes {duration}")]
    Duration {
        /// The node, from 0.
        node: usize,
        /// Its duration.
        duration: f64,
    },
    /// A node comes after one that does not exist, or after itself.
    #[error("node {node} comes after node {parent} of {nodes}")]
    Parent {
        /// The node, from 0.
        node: usize,
        /// The one that it comes after.
        parent: usize,
        /// How many nodes there are.
        nodes: usize,
    },
    /// There are more nodes or edges than fit.
    #[error("{nodes} nodes are too many")]
    TooLarge {
        /// How many nodes there are.
        nodes: usize,
    },
    /// A call of a plan says nothing of its duration.
    #[error("call `{call}` has no `expected_ms`")]
    Unexpected {
        /// Its id.
        call: String,
    },
    /// The dependencies of a plan cannot be found out.
    #[error("the dependencies of the plan cannot be found out")]
    Analyze(#[source] AnalyzeError),
    /// Nodes wait for each other.
    #[error("the graph has a cycle: {nodes} nodes are on it or behind it")]
    Cyclic {
        /// How many nodes never become ready.
        nodes: usize,
    },
}

impl Workload {
    /// Makes a workload of durations in any unit and the nodes that each node comes after.
    ///
    /// # Errors
    ///
    /// The lists have different lengths, a duration is negative or no number, or a node that others come after does not
    /// exist, or nodes wait for each other.
    pub fn new(durations: Vec<f64>, parents: &[Vec<usize>]) -> Result<Self, InvalidWorkload> {
        let nodes = durations.len();
        if nodes != parents.len() {
            return Err(InvalidWorkload::Lengths {
                durations: nodes,
                parents: parents.len(),
            });
        }
        let edges: usize = parents.iter().map(Vec::len).sum();
        if u32::try_from(nodes.max(edges)).is_err() {
            return Err(InvalidWorkload::TooLarge { nodes });
        }
        let bad = |duration: &f64| !duration.is_finite() || *duration < 0.0;
        if let Some(node) = durations.iter().position(bad) {
            return Err(InvalidWorkload::Duration {
                node,
                duration: durations[node],
            });
        }
        let mut edges = Vec::with_capacity(edges);
        for (node, parents) in parents.iter().enumerate() {
            for parent in parents.iter().copied() {
                if parent >= nodes || parent == node {
                    return Err(InvalidWorkload::Parent { node, parent, nodes });
                }
                edges.push((index(parent), index(node)));
            }
        }
        let this = Self { durations, edges };
        match this.in_order() {
            n if n == nodes => Ok(this),
            n => Err(InvalidWorkload::Cyclic { nodes: nodes - n }),
        }
    }

    /// Reads a graph: STG text, or JSON.
    ///
    /// # Errors
    ///
    /// It is neither of the two, or not a workload.
    pub fn parse(text: &str) -> Result<Self, InvalidWorkload> {
        if text.trim_start().starts_with('{') {
            Self::from_json(text)
        } else {
            Self::from_stg(text)
        }
    }

    /// Reads `{"dur_s":[..],"parents":[[..]]}`, where parents are given by their index from 0. Other members are left
    /// alone.
    ///
    /// # Errors
    ///
    /// The text has another form, or is not a workload.
    pub fn from_json(text: &str) -> Result<Self, InvalidWorkload> {
        #[derive(Deserialize)]
        struct Form {
            dur_s: Vec<f64>,
            parents: Vec<Vec<usize>>,
        }
        let form: Form = serde_json::from_str(text).map_err(InvalidWorkload::Json)?;
        Self::new(form.dur_s, &form.parents)
    }

    /// Reads a graph of the Standard Task Graph set: the number of tasks, then for each task, and for an entry and an
    /// exit without work, a line with its number, its time, and how many and which tasks come before it.
    ///
    /// # Errors
    ///
    /// The text has another form, or is not a workload.
    pub fn from_stg(text: &str) -> Result<Self, InvalidWorkload> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let wrong = |line: usize, problem: String| InvalidWorkload::Stg { line, problem };
        let Some((line, tasks)) = lines.next() else {
            return Err(wrong(1, "it is missing".to_owned()));
        };
        let tasks: usize = tasks
            .parse()
            .map_err(|_| wrong(line, format!("`{tasks}` is not the number of tasks")))?;
        let (mut durations, mut parents) = (Vec::new(), Vec::new());
        let mut last = line;
        for (line, text) in lines {
            last = line;
            let numbers: Result<Vec<usize>, _> = text.split_whitespace().map(str::parse).collect();
            let numbers =
                numbers.map_err(|_| wrong(line, format!("`{text}` does not hold numbers alone")))?;
            let [task, time, n_parents, before @ ..] = &numbers[..] else {
                return Err(wrong(line, format!("`{text}` has fewer than three numbers")));
            };
            if *task != durations.len() {
                let due = durations.len();
                return Err(wrong(
                    line,
                    format!("it has task {task} in the place of task {due}"),
                ));
            }
            if *n_parents != before.len() {
                let found = before.len();
                return Err(wrong(
                    line,
                    format!("it announces {n_parents} tasks and names {found}"),
                ));
            }
            durations.push(exact(*time));
            parents.push(before.to_vec());
        }
        // Sets without the entry and the exit exist too.
        if durations.len() != tasks + 2 && durations.len() != tasks {
            let found = durations.len();
            return Err(wrong(
                last,
                format!("{tasks} tasks are announced, {found} are there"),
            ));
        }
        Self::new(durations, &parents)
    }

    /// Makes a workload of a plan, each call of which says how long it is expected to take. Its unit is the millisecond.
    ///
    /// A call of which nothing is known touches what `assume` says, or else the plan's policy, or else everything.
    ///
    /// # Errors
    ///
    /// A call does not say how long it is expected to take, or calls wait for each other.
    pub fn from_plan(plan: &Plan, assume: Option<Assume>) -> Result<Self, InvalidWorkload> {
        let analyzed = Dependencies::analyze(plan, assume, |_| Declared::nothing());
        let dependencies = analyzed.map_err(InvalidWorkload::Analyze)?;
        let stuck = (0..plan.calls().len()).filter(|call| dependencies.is_blocked(index(*call)));
        match stuck.count() {
            0 => {}
            nodes => return Err(InvalidWorkload::Cyclic { nodes }),
        }
        let mut durations = Vec::with_capacity(plan.calls().len());
        for call in plan.calls() {
            let Some(expected) = call.expected else {
                let call = call.id.clone();
                return Err(InvalidWorkload::Unexpected { call });
            };
            durations.push(expected.as_secs_f64() * 1e3);
        }
        let mut parents = vec![Vec::new(); durations.len()];
        for (from, to) in dependencies.pairs() {
            parents[to as usize].push(from as usize);
        }
        Self::new(durations, &parents)
    }

    /// Returns how many nodes there are.
    pub fn len(&self) -> usize {
        self.durations.len()
    }

    /// Returns whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.durations.is_empty()
    }

    pub(super) fn durations(&self) -> &[f64] {
        &self.durations
    }

    pub(super) fn edges(&self) -> &[(u32, u32)] {
        &self.edges
    }

    /// Returns how many nodes can be put in order.
    fn in_order(&self) -> usize {
        let mut before = vec![0_u32; self.len()];
        let mut after: Vec<Vec<u32>> = vec![Vec::new(); self.len()];
        for (from, to) in &self.edges {
            before[*to as usize] += 1;
            after[*from as usize].push(*to);
        }
        let mut free: Vec<usize> = (0..self.len()).filter(|node| before[*node] == 0).collect();
        let mut n = 0;
        while let Some(node) = free.pop() {
            n += 1;
            for to in &after[node] {
                let left = &mut before[*to as usize];
                *left -= 1;
                if *left == 0 {
                    free.push(*to as usize);
                }
            }
        }
        n
    }
}

fn index(at: usize) -> u32 {
    u32::try_from(at).expect("there are at most so many nodes")
}

#[expect(clippy::cast_precision_loss, reason = "no task takes 2^53 units")]
fn exact(units: usize) -> f64 {
    units as f64
}
