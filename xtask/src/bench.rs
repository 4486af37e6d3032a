//! `cargo xtask bench`: runs bench targets and keeps their figures in one form.
//!
//! The targets are those of package `throng-benches`, and those of `benches/peers`, a workspace of its own. Each finds
//! in `THRONG_BENCH_OUT` the file into which it writes
//! `{"results":[{"name","unit","median","min","max"}],"ratios":{NAME:NUMBER}}`. This command adds where and on what
//! the figures were measured.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::thread;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use xshell::cmd;

use crate::flags;
use crate::fuzz::targets;
use crate::project::Project;

/// The package of the workspace whose bench targets these are.
const PACKAGE: &str = "throng-benches";

/// The package beside the workspace that has more of them.
const PEERS: &str = "benches/peers";

/// Where a bench target lives.
#[derive(Clone, Copy, PartialEq)]
enum Home {
    Workspace,
    Peers,
}

/// Runs one target, or all of them.
pub(crate) fn run(project: &Project, flags: &flags::Bench) -> Result<()> {
    let metadata = project.metadata()?;
    let package = metadata
        .member(PACKAGE)
        .with_context(|| format!("the workspace has no package {PACKAGE}"))?;
    let peers = project.root.join(PEERS).join("Cargo.toml");
    let peers = targets(&project.sh.read_file(peers)?, "[[bench]]");
    let known = package.benches.iter().map(|target| (target, Home::Workspace));
    let known: Vec<_> = known
        .chain(peers.iter().map(|target| (target, Home::Peers)))
        .collect();
    let picked: Vec<_> = known
        .iter()
        .copied()
        .filter(|(target, _)| flags.target.as_ref().is_none_or(|only| only == *target))
        .collect();
    if picked.is_empty() {
        let names: Vec<_> = known.iter().map(|(target, _)| target.as_str()).collect();
        let asked = flags.target.as_deref().unwrap_or_default();
        bail!("`{asked}` is not one of the bench targets {}", names.join(", "));
    }
    let kept = metadata.target_dir.join("throng-bench");
    let mut all = Vec::new();
    for (target, home) in picked {
        let file = format!("{target}.json");
        // Read before the run, so that one name may be compared with and overwritten.
        let before = flags
            .compare
            .as_ref()
            .map(|name| read(project, &kept.join(name).join(&file)))
            .transpose()?;
        let report = measure(project, target, home, flags.quick)?;
        print!("{}", table(&report, before.as_ref()));
        if let Some(name) = &flags.save {
            project
                .sh
                .write_file(kept.join(name).join(&file), pretty(&report))?;
        }
        all.push(report);
    }
    if let Some(path) = &flags.json {
        let json = if flags.target.is_some() {
            all.remove(0)
        } else {
            Value::Array(all)
        };
        project
            .sh
            .write_file(env::current_dir()?.join(path), pretty(&json))?;
    }
    Ok(())
}

fn read(project: &Project, path: &std::path::Path) -> Result<Value> {
    let text = project
        .sh
        .read_file(path)
        .context("nothing is kept under this name; keep it first: --save NAME")?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn pretty(json: &Value) -> String {
    format!("{json:#}\n")
}

fn measure(project: &Project, target: &str, home: Home, quick: bool) -> Result<Value> {
    let sh = &project.sh;
    let dir = sh.create_temp_dir()?;
    let out = dir.path().join("out.json");
    let load = fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| load(&text));
    let commit = commit(project)?;
    let cargo = project.cargo();
    let mut cmd = match home {
        Home::Workspace => cargo.args(["bench", "-p", PACKAGE]),
        Home::Peers => cargo.args(["bench", "--manifest-path", &format!("{PEERS}/Cargo.toml")]),
    };
    if home == Home::Peers && env::var_os("CARGO_TARGET_DIR").is_none() {
        cmd = cmd.env("CARGO_TARGET_DIR", project.root.join(PEERS).join("target"));
    }
    cmd = cmd.args(["--bench", target]).env("THRONG_BENCH_OUT", &out);
    if quick {
        cmd = cmd.env("THRONG_BENCH_QUICK", "1");
    }
    cmd.run()?;
    ensure!(
        sh.path_exists(&out),
        "the bench target {target} wrote no figures to $THRONG_BENCH_OUT"
    );
    let figures = serde_json::from_str(&sh.read_file(&out)?).context("the figures are not JSON")?;
    let cpu = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| cpu(&text));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    report(
        &figures,
        json!({"v": 1, "target": target, "commit": commit, "cpu": cpu, "cores": cores, "load": load, "quick": quick}),
    )
}

/// Returns the commit that was measured, marked if the tree differs from it.
fn commit(project: &Project) -> Result<String> {
    let sh = &project.sh;
    let commit = cmd!(sh, "git rev-parse --short=12 HEAD").quiet().read()?;
    let changes = cmd!(sh, "git status --porcelain --untracked-files=no")
        .quiet()
        .read()?;
    Ok(if changes.is_empty() {
        commit
    } else {
        format!("{commit}-dirty")
    })
}

fn load(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok()
}

fn cpu(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Joins what a bench target wrote with where it was measured, after a check of its form.
fn report(figures: &Value, mut report: Value) -> Result<Value> {
    let results = figures["results"]
        .as_array()
        .context("the figures have no `results`")?;
    for result in results {
        for key in ["name", "unit"] {
            ensure!(result[key].is_string(), "a result has no text `{key}`: {result}");
        }
        for key in ["median", "min", "max"] {
            ensure!(
                result[key].is_number(),
                "a result has no number `{key}`: {result}"
            );
        }
    }
    let ratios = figures["ratios"]
        .as_object()
        .context("the figures have no `ratios`")?;
    ensure!(
        ratios.values().all(Value::is_number),
        "a ratio is not a number: {}",
        figures["ratios"]
    );
    report["results"] = figures["results"].clone();
    report["ratios"] = figures["ratios"].clone();
    Ok(report)
}

/// Writes the figures as a table; with a report of before, each with its change in per cent.
fn table(report: &Value, before: Option<&Value>) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let mut out = format!(
        "\n{} at {} on {} ({} cores, load {})\n",
        text(&report["target"]),
        text(&report["commit"]),
        text(&report["cpu"]),
        report["cores"],
        report["load"]
    );
    if let Some(before) = before {
        out.push_str(&format!("changes are against {}\n", text(&before["commit"])));
    }
    let old = before.map(medians).unwrap_or_default();
    let change = |name: &str, new: f64| match (before, old.get(name)) {
        (None, _) => String::new(),
        (Some(_), Some(old)) if *old != 0.0 => format!("{:>+10.1} %", (new / old - 1.0) * 100.0),
        (Some(_), _) => format!("{:>12}", "new"),
    };
    let rows = report["results"].as_array().map_or(&[][..], Vec::as_slice);
    let ratios = report["ratios"].as_object();
    let names = rows
        .iter()
        .map(|row| text(&row["name"]))
        .chain(ratios.into_iter().flat_map(|map| map.keys().cloned()));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(8);
    out.push_str(&format!(
        "{:<width$} {:>12} {:>12} {:>12} unit\n",
        "result", "median", "min", "max"
    ));
    for row in rows {
        let name = text(&row["name"]);
        let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
        let median = number("median");
        out.push_str(&format!(
            "{name:<width$} {:>12} {:>12} {:>12} {:<8}{}\n",
            figure(median),
            figure(number("min")),
            figure(number("max")),
            text(&row["unit"]),
            change(&name, median)
        ));
    }
    for (name, ratio) in ratios.into_iter().flatten() {
        let ratio = ratio.as_f64().unwrap_or(f64::NAN);
        out.push_str(&format!(
            "{name:<width$} {ratio:>12.3} {:>12} {:>12} {:<8}{}\n",
            "",
            "",
            "ratio",
            change(name, ratio)
        ));
    }
    out.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Returns every median and every ratio by its name.
fn medians(report: &Value) -> BTreeMap<&str, f64> {
    let results = report["results"].as_array().into_iter().flatten();
    let results = results.filter_map(|row| Some((row["name"].as_str()?, row["median"].as_f64()?)));
    let ratios = report["ratios"].as_object().into_iter().flatten();
    results
        .chain(ratios.filter_map(|(name, ratio)| Some((name.as_str(), ratio.as_f64()?))))
        .collect()
}

/// Writes a number with four significant digits or more.
fn figure(number: f64) -> String {
    let decimals = match number.abs() {
        n if n >= 1000.0 => 0,
        n if n >= 100.0 => 1,
        n if n >= 1.0 => 3,
        _ => 5,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(median: f64, ratio: f64) -> Value {
        json!({"results": [{"name": "bare", "unit": "ns", "median": median, "min": 1, "max": 900}],
               "ratios": {"bare_vs_workers": ratio}})
    }

    fn made(median: f64, ratio: f64, commit: &str) -> Value {
        let place = json!({"v": 1, "target": "exec", "commit": commit, "cpu": "x", "cores": 2, "load": 0.5});
        report(&figures(median, ratio), place).unwrap()
    }

    #[test]
    fn a_report_says_where_its_figures_are_from() {
        let report = made(200.0, 1.5, "abc");
        assert_eq!(report["v"], 1);
        assert_eq!(report["commit"], "abc");
        assert_eq!(report["results"][0]["median"], 200.0);
        assert_eq!(report["ratios"]["bare_vs_workers"], 1.5);
    }

    #[test]
    fn figures_of_another_form_are_refused() {
        let bad = |figures: Value, expect: &str| {
            let error = report(&figures, json!({})).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        bad(json!({"ratios": {}}), "no `results`");
        bad(json!({"results": []}), "no `ratios`");
        bad(json!({"results": [], "ratios": {"a": "1.2"}}), "not a number");
        bad(
            json!({"results": [{"name": "a", "unit": "ns", "median": null, "min": 1, "max": 1}], "ratios": {}}),
            "`median`",
        );
    }

    #[test]
    fn a_comparison_shows_the_change_of_each_figure() {
        let text = table(&made(150.0, 1.2, "new"), Some(&made(200.0, 1.0, "old")));
        assert!(text.contains("changes are against old"), "{text}");
        let line = |name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert!(line("bare ").ends_with("-25.0 %"), "{text}");
        assert!(line("bare_vs_workers").ends_with("+20.0 %"), "{text}");
        assert!(!table(&made(150.0, 1.2, "new"), None).contains('%'));
    }

    #[test]
    fn the_machine_is_read_from_the_system() {
        assert_eq!(load("0.52 0.40 0.31 2/500 1234\n"), Some(0.52));
        assert_eq!(
            cpu("processor : 0\nmodel name\t: Fast CPU @ 3 GHz\n").as_deref(),
            Some("Fast CPU @ 3 GHz")
        );
        assert_eq!(cpu("processor : 0\n"), None);
    }
}
