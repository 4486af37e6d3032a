//! What a node of a graph costs when it does nothing: throng-tools' executor with retries, timeouts, permits and events on,
//! its state machine alone, and crates that run graphs, on the same shapes.
//!
//! What the graph is made of is measured too: analysis and preparation for throng-tools, the making of nodes and edges for
//! the others. All run on two worker threads.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dagrs::{Action, Content, DefaultNode, EnvVar, Graph, InChannels, Node, NodeTable, OutChannels, Output};
use dagx::{DagRunner, TaskHandle, task};
use serde_json::{Value, json};
use throng_benches::{Report, is_quick};
use throng_tools::{
    Call, Plan, PlanEvent, PlanEvents, RunOptions, ToolContext, ToolEntry, ToolError, ToolExecutor, ToolFn,
    ToolSpec, Tools, Workload, simulate,
};
use tokio::runtime::Runtime;

/// The parents of each node.
type Parents = Vec<Vec<usize>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut report = Report::default();
    let (n, chain) = if is_quick() { (1_000, 100) } else { (10_000, 1_000) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let shapes: [(&str, Parents); 3] = [
        ("wide", vec![Vec::new(); n]),
        ("chain", layered(1, chain, 1)),
        ("layered", layered(100, n / 100, 2)),
    ];
    let rounds = if is_quick() { 2 } else { 9 };
    for (shape, parents) in &shapes {
        let subjects: [(&str, &dyn Fn(&Parents) -> Duration); 4] = [
            ("throng", &|parents| throng(&runtime, parents)),
            ("state_machine", &state_machine),
            ("dagx", &|parents| dagx(&runtime, parents)),
            ("dagrs", &|parents| dagrs(&runtime, parents)),
        ];
        compare(&mut report, shape, parents, rounds, &subjects);
        for peer in ["dagx", "dagrs"] {
            let (throng, of) = (format!("{shape}.throng"), format!("{shape}.{peer}"));
            report.ratio(&format!("{shape}.throng_vs_{peer}"), &throng, &of);
        }
    }
    let many = if is_quick() { 10_000 } else { 100_000 };
    let rounds = if is_quick() { 1 } else { 5 };
    let ours: [(&str, &dyn Fn(&Parents) -> Duration); 2] = [
        ("throng", &|parents| throng(&runtime, parents)),
        ("state_machine", &state_machine),
    ];
    compare(&mut report, "wide_100k", &vec![Vec::new(); many], rounds, &ours);
    compare(&mut report, "layered_100k", &layered(100, many / 100, 2), rounds, &ours);
    // A tenth of the edges, and all: a million.
    compare(&mut report, "edges_100k", &layered(100, many / 100, 1), rounds, &ours[1..]);
    compare(&mut report, "edges_1m", &layered(100, many / 100, 10), rounds, &ours[1..]);
    report.finish()?;
    Ok(())
}

/// Makes layers of so many nodes, each of which comes after so many of the layer before.
fn layered(width: usize, layers: usize, edges: usize) -> Parents {
    let node = |at: usize| -> Vec<usize> {
        let (layer, place) = (at / width, at % width);
        let before = |edge: usize| (layer - 1) * width + (place + edge * 7) % width;
        if layer == 0 { Vec::new() } else { (0..edges).map(before).collect() }
    };
    (0..width * layers).map(node).collect()
}

/// Measures each subject in turn, so that a change in the machine's speed meets them all alike.
fn compare(
    report: &mut Report,
    shape: &str,
    parents: &Parents,
    rounds: usize,
    subjects: &[(&str, &dyn Fn(&Parents) -> Duration)],
) {
    let mut times = vec![Vec::new(); subjects.len()];
    for _ in 0..rounds {
        for (at, (_, run)) in subjects.iter().enumerate() {
            times[at].push(run(parents).as_secs_f64() * 1e6 / parents.len() as f64);
        }
    }
    for ((name, _), times) in subjects.iter().zip(times) {
        report.record(&format!("{shape}.{name}"), "µs/node", times);
    }
}

/// Counts the events, so that each is made and handed over.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicU64>);

impl PlanEvents for Counted {
    fn record(&self, event: &PlanEvent) {
        black_box(event);
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn throng(runtime: &Runtime, parents: &Parents) -> Duration {
    let spec = ToolSpec::new("nothing").read_only().touches_nothing();
    let tool = ToolFn::new(spec, |_: Value, _: ToolContext| async { Ok::<_, ToolError>(Value::Null) });
    let tools = Tools::new().with(ToolEntry::new(tool)).expect("one tool");
    let events = Counted::default();
    let executor = ToolExecutor::builder(tools)
        .max_concurrent(NonZeroUsize::new(64).expect("it is not zero"))
        .timeout(Some(Duration::from_secs(60)))
        .single_flight(false)
        .build()
        .expect("the settings are valid");
    let calls = parents.iter().enumerate().map(|(at, parents)| {
        let call = Call::new(format!("c{at}"), "nothing", json!({}));
        parents.iter().fold(call, |call, parent| call.after(format!("c{parent}")))
    });
    let calls: Vec<Call> = calls.collect();
    let plan = Plan::new(calls).expect("a plan");
    let options = RunOptions::new().events(events.clone());
    let began = Instant::now();
    let report = runtime
        .block_on(async move { tokio::spawn(async move { executor.run_with(plan, options).await }).await })
        .expect("it does not panic")
        .expect("the plan begins");
    let time = began.elapsed();
    assert_eq!(report.results.len(), parents.len());
    assert!(events.0.load(Ordering::Relaxed) >= 2 * parents.len() as u64);
    time
}

fn state_machine(parents: &Parents) -> Duration {
    let workload = Workload::new(vec![1.0; parents.len()], parents).expect("no cycle");
    let began = Instant::now();
    let found = simulate(&workload, NonZeroUsize::new(100).expect("it is not zero"));
    let time = began.elapsed();
    assert!(found.ratio >= 1.0);
    time
}

struct First;

#[task]
impl First {
    async fn run() -> usize {
        1
    }
}

struct AfterOne;

#[task]
impl AfterOne {
    async fn run(a: &usize) -> usize {
        *a
    }
}

struct AfterTwo;

#[task]
impl AfterTwo {
    async fn run(a: &usize, _b: &usize) -> usize {
        *a
    }
}

fn dagx(runtime: &Runtime, parents: &Parents) -> Duration {
    let parents = parents.clone();
    let began = Instant::now();
    runtime.block_on(async move {
        let run = async move {
            let dag = DagRunner::new();
            let mut nodes: Vec<TaskHandle<usize>> = Vec::with_capacity(parents.len());
            for parents in &parents {
                let node = match parents[..] {
                    [] => dag.add_task(First).into(),
                    [a] => dag.add_task(AfterOne).depends_on(&nodes[a]),
                    [a, b, ..] => dag.add_task(AfterTwo).depends_on((&nodes[a], &nodes[b])),
                };
                nodes.push(node);
            }
            dag.run(|future| {
                tokio::spawn(future);
            })
            .await
            .expect("no task fails");
        };
        tokio::spawn(run).await.expect("it does not panic");
    });
    began.elapsed()
}

struct Nothing;

#[async_trait]
impl Action for Nothing {
    async fn run(&self, inputs: &mut InChannels, outputs: &mut OutChannels, _: Arc<EnvVar>) -> Output {
        inputs.map(|content| black_box(content).is_ok()).await;
        outputs.broadcast(Content::new(1_usize)).await;
        Output::Out(None)
    }
}

fn dagrs(runtime: &Runtime, parents: &Parents) -> Duration {
    let began = Instant::now();
    let mut table = NodeTable::new();
    let mut graph = Graph::new();
    let mut ids = Vec::with_capacity(parents.len());
    for at in 0..parents.len() {
        let node = DefaultNode::with_action(format!("n{at}"), Nothing, &mut table);
        ids.push(node.id());
        graph.add_node(node).expect("a new node");
    }
    let mut children = vec![Vec::new(); parents.len()];
    for (at, parents) in parents.iter().enumerate() {
        for parent in parents {
            children[*parent].push(ids[at]);
        }
    }
    for (at, children) in children.into_iter().enumerate().filter(|(_, children)| !children.is_empty()) {
        graph.add_edge(ids[at], children).expect("both nodes are there");
    }
    graph.set_env(EnvVar::new(table));
    runtime.block_on(async move {
        let run = async move { graph.async_start().await.map(|_| ()) };
        tokio::spawn(run).await.expect("it does not panic").expect("no node fails");
    });
    began.elapsed()
}
