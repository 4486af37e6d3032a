//! `cargo xtask ci`: every gate of a pull request, in order.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::flags;
use crate::project::{Project, pick, seconds};
use crate::{codegen, guide, tidy};

type Gate = fn(&Project) -> Result<()>;

/// The gates: cheap ones first, and what builds the same things side by side.
const GATES: [(&str, &str, Gate); 7] = [
    ("fmt", "the code is formatted", fmt),
    ("tidy", "the rules of the repository hold", tidy::run),
    ("clippy", "clippy finds nothing", clippy),
    ("tests", "the tests pass", tests),
    ("docs", "the docs build without warnings", docs),
    ("codegen", "docs/reference/ is what the program says", |project| {
        codegen::run(project, true)
    }),
    (
        "guide",
        "the commands of the README and the guide work",
        |project| guide::run(project, &[]),
    ),
];

/// Runs the gates that the flags pick, up to the first that fails.
pub(crate) fn run(project: &Project, flags: &flags::Ci) -> Result<()> {
    let names = GATES.map(|(name, ..)| name);
    let picked = pick(&names, flags.only.as_deref(), flags.skip.as_deref())?;
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, headline, gate) in GATES.into_iter().filter(|(name, ..)| picked.contains(name)) {
        println!("\n==> {name}: {headline}");
        let start = Instant::now();
        let result = gate(project);
        times.push((name, start.elapsed()));
        if let Err(error) = result {
            print_times(&times);
            return Err(error).with_context(|| {
                format!("the gate `{name}` failed; repeat it: cargo xtask ci --only {name}")
            });
        }
    }
    print_times(&times);
    println!("all gates passed: {}", picked.join(", "));
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:<10} {:>8}", seconds(*time));
    }
    println!(
        "{:<10} {:>8}",
        "total",
        seconds(times.iter().map(|(_, time)| *time).sum())
    );
}

fn fmt(project: &Project) -> Result<()> {
    Ok(project.cargo().args(["fmt", "--all", "--check"]).run()?)
}

fn clippy(project: &Project) -> Result<()> {
    let clippy = || project.cargo().arg("clippy");
    clippy()
        .args([
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ])
        .run()?;
    // Features only add, so the crate whose features bring its dependencies must also build without them.
    clippy()
        .args([
            "-p",
            "throng-llm",
            "--no-default-features",
            "--",
            "-D",
            "warnings",
        ])
        .run()?;
    Ok(())
}

fn tests(project: &Project) -> Result<()> {
    test(project, &[])?;
    Ok(project.cargo().args(["test", "--workspace", "--doc"]).run()?)
}

/// Runs the tests of all targets but the benches, with nextest where it is installed.
pub(crate) fn test(project: &Project, more: &[&str]) -> Result<()> {
    let cmd = if project.has_cargo_command("nextest") {
        project.cargo().args(["nextest", "run", "--workspace"])
    } else {
        project
            .cargo()
            .args(["test", "--workspace", "--lib", "--bins", "--tests", "--examples"])
    };
    Ok(cmd.args(more).run()?)
}

fn docs(project: &Project) -> Result<()> {
    let cmd = project
        .cargo()
        .args(["doc", "--workspace", "--no-deps", "--all-features"]);
    Ok(cmd.env("RUSTDOCFLAGS", "-D warnings").run()?)
}
