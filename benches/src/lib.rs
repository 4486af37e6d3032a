//! What every bench target needs: figures that were measured in turns, and the report that `cargo xtask bench` reads.

pub mod python;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, measurement::WallTime};
use serde_json::{Value, json};

/// How often all figures of a target are measured, one after another, so that a change in the machine's speed meets
/// them all alike.
const PASSES: usize = 3;

/// The figures of one bench target.
#[derive(Debug, Default)]
pub struct Report {
    results: Vec<Figure>,
    ratios: BTreeMap<String, f64>,
}

#[derive(Debug)]
struct Figure {
    name: String,
    unit: String,
    samples: Vec<f64>,
}

/// One thing to measure: its name, and a function that does it so many times and returns how long that took.
pub type Subject<'a> = (&'static str, Box<dyn FnMut(u64) -> Duration + 'a>);

impl Report {
    /// Measures each subject in turn, pass after pass, with criterion, and records the time per element.
    ///
    /// `elements` is how many elements one iteration of a subject handles.
    pub fn measure(&mut self, group: &str, elements: u64, subjects: &mut [Subject<'_>]) {
        let quick = is_quick();
        let passes = if quick { 1 } else { PASSES };
        let mut samples: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
        for pass in 0..passes {
            for (index, (name, run)) in subjects.iter_mut().enumerate() {
                let id = format!("{group}.{name}");
                let mut criterion = Criterion::default().without_plots();
                let mut bench = criterion.benchmark_group(id.clone());
                configure(&mut bench, quick);
                bench.bench_function(format!("pass{pass}"), |b| b.iter_custom(&mut *run));
                bench.finish();
                samples[index].extend(read_samples(&id, pass, elements));
            }
        }
        for ((name, _), samples) in subjects.iter().zip(samples) {
            self.results.push(Figure {
                name: format!("{group}.{name}"),
                unit: "ns/job".to_owned(),
                samples,
            });
        }
    }

    /// Records a figure that was measured otherwise.
    pub fn record(&mut self, name: &str, unit: &str, samples: Vec<f64>) {
        self.results.push(Figure {
            name: name.to_owned(),
            unit: unit.to_owned(),
            samples,
        });
    }

    /// Records the ratio of the medians of two figures.
    pub fn ratio(&mut self, name: &str, of: &str, to: &str) {
        let median = |name: &str| {
            self.results
                .iter()
                .find(|figure| figure.name == name)
                .map(Figure::median)
        };
        if let (Some(of), Some(to)) = (median(of), median(to)) {
            self.ratios.insert(name.to_owned(), of / to);
        }
    }

    /// Writes the report to the file that `THRONG_BENCH_OUT` names, if it is set.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written.
    pub fn finish(&self) -> std::io::Result<()> {
        let Some(path) = std::env::var_os("THRONG_BENCH_OUT") else {
            return Ok(());
        };
        let results: Vec<Value> = self.results.iter().map(Figure::to_json).collect();
        let report = json!({ "results": results, "ratios": self.ratios });
        std::fs::write(path, format!("{report:#}\n"))
    }
}

impl Figure {
    fn sorted(&self) -> Vec<f64> {
        let mut samples = self.samples.clone();
        samples.sort_by(f64::total_cmp);
        samples
    }

    fn median(&self) -> f64 {
        let samples = self.sorted();
        let middle = samples.len() / 2;
        match samples.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => samples[middle],
            _ => f64::midpoint(samples[middle - 1], samples[middle]),
        }
    }

    fn to_json(&self) -> Value {
        let samples = self.sorted();
        json!({
            "name": self.name,
            "unit": self.unit,
            "median": self.median(),
            "min": samples.first(),
            "max": samples.last(),
            "samples": samples.len(),
        })
    }
}

/// Returns true if `THRONG_BENCH_QUICK` asks for a short run, which shows that a target works and measures little.
pub fn is_quick() -> bool {
    std::env::var_os("THRONG_BENCH_QUICK").is_some_and(|value| value != "0")
}

/// Returns the peak of this process's resident memory in bytes, where the system tells.
pub fn peak_memory() -> Option<u64> {
    memory("VmHWM:")
}

/// Returns this process's resident memory in bytes, where the system tells.
pub fn resident_memory() -> Option<u64> {
    memory("VmRSS:")
}

fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn configure(bench: &mut BenchmarkGroup<'_, WallTime>, quick: bool) {
    bench.sampling_mode(SamplingMode::Flat).sample_size(10);
    let (warm_up, measure) = if quick { (10, 20) } else { (500, 2_000) };
    bench
        .warm_up_time(Duration::from_millis(warm_up))
        .measurement_time(Duration::from_millis(measure));
}

/// Reads the samples that criterion has just written, as nanoseconds per element.
fn read_samples(id: &str, pass: usize, elements: u64) -> Vec<f64> {
    let path = criterion_dir()
        .join(id.replace('/', "_"))
        .join(format!("pass{pass}"))
        .join("new/sample.json");
    let Some(sample) = read_json(&path) else {
        return Vec::new();
    };
    let numbers = |key: &str| -> Vec<f64> {
        sample[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_f64)
            .collect()
    };
    numbers("times")
        .into_iter()
        .zip(numbers("iters"))
        .map(|(time, iterations)| time / iterations / elements as f64)
        .collect()
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn criterion_dir() -> PathBuf {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return home.into();
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")),
        PathBuf::from,
    );
    target.join("criterion")
}
