//! What lionagi's alcall does, as recorded by tests/alcall/record.py, and what ours does with the same jobs: the same,
//! or on purpose something else, and then the test says what alcall did.

mod batches;
mod errors;
mod limits;
mod lists;
mod retries;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use throng_core::{ErrorClass, Outcome};
use throng_exec::{Attempt, Executor, Finished, RunReport};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Gauge, ms};

/// The unit of every scripted time.
const STEP: u64 = 50;

fn recording() -> Value {
    serde_json::from_str(include_str!("../alcall/recorded.json")).unwrap()
}

/// Returns what alcall did in a case.
fn recorded(case: &str) -> Value {
    let found = recording()["cases"][case].take();
    assert!(found.is_object(), "nothing is recorded of {case}");
    found
}

/// A job that takes so many steps, fails with its error in its first attempts, and returns its number.
#[derive(Clone, Debug)]
struct Job {
    item: u64,
    steps: u64,
    fails: u32,
    class: ErrorClass,
}

fn job(item: u64) -> Job {
    Job {
        item,
        steps: 0,
        fails: 0,
        class: ErrorClass::Transient,
    }
}

impl Job {
    fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }

    fn fails(mut self, times: u32) -> Self {
        self.fails = times;
        self
    }

    fn permanently(mut self) -> Self {
        self.class = ErrorClass::Permanent;
        self
    }
}

/// Logs the attempts of jobs as record.py logs calls.
#[derive(Clone, Debug)]
struct Probe {
    began: Instant,
    starts: Arc<Mutex<Vec<(u64, u64)>>>,
    gauge: Gauge,
}

impl Probe {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            starts: Arc::default(),
            gauge: Gauge::default(),
        }
    }

    fn runner(&self) -> impl Fn(Job, Attempt) -> Running + Send + Sync + use<> {
        let probe = self.clone();
        move |job, cx| {
            let inside = probe.gauge.enter();
            let now = probe.now();
            probe
                .starts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((job.item, now));
            Box::pin(async move {
                sleep(ms(job.steps * STEP)).await;
                drop(inside);
                if cx.number().get() <= job.fails {
                    Err(Fault(job.class))
                } else {
                    Ok(job.item)
                }
            })
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    fn calls(&self) -> Value {
        json!(self.starts.lock().unwrap().len())
    }

    /// The inputs of the attempts, in the order of their starts.
    fn inputs(&self) -> Value {
        self.starts.lock().unwrap().iter().map(|start| start.0).collect()
    }

    /// When the attempts started, in milliseconds.
    fn starts_ms(&self) -> Value {
        self.starts.lock().unwrap().iter().map(|start| start.1).collect()
    }

    fn peak(&self) -> Value {
        json!(self.gauge.peak())
    }

    fn wall_ms(&self) -> Value {
        json!(self.now())
    }
}

type Running = std::pin::Pin<Box<dyn Future<Output = Result<u64, Fault>> + Send>>;
type Report = RunReport<Job, u64, Fault>;

async fn run(executor: &Executor, jobs: impl IntoIterator<Item = Job>) -> (Probe, Report) {
    let probe = Probe::new();
    let jobs: Vec<Job> = jobs.into_iter().collect();
    let report = executor.run(jobs, probe.runner()).await;
    (probe, report)
}

/// One entry for each job, as alcall returns it with `return_exceptions`.
fn result(report: &Report) -> Value {
    report.finished.iter().map(entry).collect()
}

fn entry(job: &Finished<Job, u64, Fault>) -> Value {
    let error = match &job.outcome {
        Outcome::Succeeded(value) => return json!(value),
        Outcome::Failed(Fault(ErrorClass::Permanent)) => "KeyError",
        Outcome::Failed(_) => "ConnectionError",
        Outcome::TimedOut(_) => "TimeoutError",
        _ => "CancelledError",
    };
    json!({ "error": error })
}

/// The least time between two starts that follow each other.
fn least_gap(starts_ms: &Value) -> u64 {
    let mut starts: Vec<u64> = starts_ms
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    starts.sort_unstable();
    starts.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap()
}

#[test]
fn every_recorded_case_and_every_parameter_of_alcall_has_a_test() {
    let tests = [
        include_str!("alcall/batches.rs"),
        include_str!("alcall/errors.rs"),
        include_str!("alcall/limits.rs"),
        include_str!("alcall/lists.rs"),
        include_str!("alcall/retries.rs"),
    ]
    .concat();
    let recording = recording();
    let cases = recording["cases"].as_object().unwrap();
    for case in cases.keys() {
        assert!(tests.contains(&format!("\"{case}\"")), "{case} has no test");
    }
    for parameter in recording["parameters"].as_array().unwrap() {
        let name = parameter.as_str().unwrap();
        let is_tested = cases.keys().any(|case| case.split('.').next() == Some(name));
        assert!(
            is_tested || ["input_", "func"].contains(&name),
            "{name} has no case"
        );
    }
}
