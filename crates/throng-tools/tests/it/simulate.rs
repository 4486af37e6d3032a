//! Simulation: the graphs of the Standard Task Graph set beside their optima, traces of real workflows beside their
//! bound, and what is no graph.

use std::fs;
use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Once;

use throng_tools::{Workload, simulate};

/// Returns a folder of the graphs of others, or `None` after having said that it is absent.
fn data(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("THRONG_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join("tools").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    let required = std::env::var_os("THRONG_REQUIRE").is_some_and(|value| value == "1");
    assert!(
        !required,
        "no graphs at {}, and THRONG_REQUIRE=1 asks for them",
        path.display()
    );
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Not by the macro, whose output the test harness swallows.
        let line = format!("SKIPPED: no graphs at {} (set THRONG_DATA)\n", path.display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    None
}

fn limit(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap()
}

/// Returns the optimal makespan of a graph of so many tasks.
fn optimum(folder: &Path, tasks: usize, graph: usize, limit: usize) -> f64 {
    let listed = folder.join(format!("Optimal_values/Case{tasks}_{limit}_OPT.csv"));
    let listed = fs::read_to_string(listed).unwrap();
    let start = format!("{tasks}/rand{graph:04}.stg,{limit},");
    let line = listed.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    // Where the optimum is not known there are two bounds, the lower one first.
    line.split(',').next().unwrap().parse().unwrap()
}

fn check_stg(tasks: usize) {
    let Some(folder) = data("stg") else { return };
    for p in [2, 4, 8, 16] {
        let mut ratios = Vec::new();
        for graph in 0..10 {
            let text = fs::read_to_string(folder.join(format!("n{tasks}_rand{graph:04}.stg"))).unwrap();
            let workload = Workload::parse(&text).unwrap();
            assert_eq!(workload.len(), tasks + 2);
            let found = simulate(&workload, limit(p));
            let optimum = optimum(&folder, tasks, graph, p);
            assert!(
                found.makespan >= optimum,
                "graph {graph}, limit {p}: {found:?} beats {optimum}"
            );
            assert!(found.makespan <= (2.0 - 1.0 / p as f64) * optimum);
            assert!(found.bound <= optimum);
            ratios.push(found.makespan / optimum);
        }
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        assert!(mean <= 1.01, "limit {p}: {mean} on average, {ratios:?}");
    }
}

#[test]
fn task_graphs_of_50_come_within_a_hundredth_of_the_optimum() {
    check_stg(50);
}

#[test]
fn task_graphs_of_100_come_within_a_hundredth_of_the_optimum() {
    check_stg(100);
}

#[test]
fn real_workflows_come_within_a_tenth_of_the_bound() {
    let Some(folder) = data("wfinstances") else { return };
    let file = fs::File::open(folder.join("half.json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let graphs: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(graphs.len() > 50);
    let ratios: Vec<f64> = graphs
        .iter()
        .map(|graph| {
            let workload = Workload::from_json(&graph.to_string()).unwrap();
            let found = simulate(&workload, limit(16));
            assert!(
                found.ratio >= 1.0 && found.ratio <= 2.0 - 1.0 / 16.0,
                "{}: {found:?}",
                graph["file"]
            );
            found.ratio
        })
        .collect();
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    assert!(mean <= 1.10, "{mean} on average");
}

#[test]
fn one_at_a_time_takes_the_sum_and_any_number_the_longest_way() {
    let workload = Workload::new(vec![0.25, 2.0, 0.5, 0.0], &[vec![], vec![0], vec![0], vec![1, 2]]).unwrap();
    let one = simulate(&workload, limit(1));
    assert_eq!((one.makespan, one.bound, one.ratio), (2.75, 2.75, 1.0));
    let many = simulate(&workload, limit(usize::MAX));
    assert_eq!(
        (many.makespan, many.critical_path, many.bound),
        (2.25, 2.25, 2.25)
    );
    let nothing = simulate(&Workload::new(Vec::new(), &[]).unwrap(), limit(3));
    assert_eq!((nothing.makespan, nothing.bound, nothing.ratio), (0.0, 0.0, 1.0));
}

#[test]
fn durations_of_any_size_are_simulated() {
    for scale in [1e-12, 1.0, 1e12, 1e300] {
        let workload = Workload::new(vec![scale, 2.5 * scale], &[vec![], vec![0]]).unwrap();
        let found = simulate(&workload, limit(2));
        assert!(
            (found.makespan / (3.5 * scale) - 1.0).abs() < 1e-9,
            "{scale}: {found:?}"
        );
    }
}

#[test]
fn random_graphs_keep_to_the_bounds() {
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let n_nodes = random.usize(1..60);
        let durations: Vec<f64> = (0..n_nodes).map(|_| f64::from(random.u32(0..20))).collect();
        let parents: Vec<Vec<usize>> = (0..n_nodes)
            .map(|node| {
                (0..random.usize(0..4).min(node))
                    .map(|_| random.usize(0..node))
                    .collect()
            })
            .collect();
        let workload = Workload::new(durations, &parents).unwrap();
        let p = random.usize(1..9);
        let found = simulate(&workload, limit(p));
        // Graham's bound for the list schedule, by what no schedule can be below.
        let graham = found.bound + found.critical_path * (1.0 - 1.0 / p as f64);
        assert!(
            found.makespan >= found.bound && found.makespan <= graham + 1e-9,
            "seed {seed}: {found:?}"
        );
    }
}

#[test]
fn what_is_no_workload_is_refused() {
    let check = |text: &str, expect: &str| {
        let error = Workload::parse(text).unwrap_err().to_string();
        assert!(error.contains(expect), "{text}: {error}");
    };
    check("{", "not JSON");
    check(r#"{"dur_s":[1],"parents":[]}"#, "1 durations have 0 lists");
    check(r#"{"dur_s":[-1],"parents":[[]]}"#, "node 0 takes -1");
    check(
        r#"{"dur_s":[1],"parents":[[0]]}"#,
        "node 0 comes after node 0 of 1",
    );
    check(
        r#"{"dur_s":[1],"parents":[[7]]}"#,
        "node 0 comes after node 7 of 1",
    );
    check(r#"{"dur_s":[1,1],"parents":[[1],[0]]}"#, "a cycle: 2 nodes");
    check("", "line 1 of the STG file: it is missing");
    check("x", "line 1 of the STG file: `x` is not the number of tasks");
    check(
        "1\n0 0 0\n1 4\n",
        "line 3 of the STG file: `1 4` has fewer than three numbers",
    );
    check("1\n0 0 0\n2 4 0\n", "task 2 in the place of task 1");
    check("1\n0 0 0\n1 4 2 0\n", "announces 2 tasks and names 1");
    check("5\n0 0 0\n", "5 tasks are announced, 1 are there");
}
