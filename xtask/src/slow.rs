//! `cargo xtask slow`: the gates at full size, before an area is called done.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::project::{Project, pick, seconds};
use crate::{bench, ci, flags, fuzz, llama, release};

const PARTS: [&str; 7] = ["tests", "loom", "shuttle", "fuzz", "release", "llama", "bench"];

/// Runs the parts that the flags pick, up to the first that fails.
pub(crate) fn run(project: &Project, flags: &flags::Slow) -> Result<()> {
    let cases = flags.cases.unwrap_or(100_000);
    ensure!(
        flags.parts.is_none() || flags.only.is_none(),
        "the parts are given twice, with and without --only"
    );
    let only = flags.parts.as_deref().or(flags.only.as_deref());
    for part in pick(&PARTS, only, flags.skip.as_deref())? {
        println!("\n==> {part}");
        let start = Instant::now();
        let result = match part {
            "tests" => tests(project, cases),
            "loom" => loom(project),
            "shuttle" => shuttle(project, cases),
            "fuzz" => fuzz::run(project, flags.seconds.unwrap_or(60)),
            "release" => release::prove(project),
            "llama" => llama::run(project),
            _ => bench::run(
                project,
                &flags::Bench {
                    target: None,
                    json: None,
                    save: None,
                    compare: None,
                    quick: false,
                },
            ),
        };
        result.with_context(|| {
            format!("the part `{part}` failed; repeat it: cargo xtask slow --only {part}")
        })?;
        println!("{part} took {}", seconds(start.elapsed()));
    }
    Ok(())
}

/// Runs the tests in the release profile, with every random suite at `cases` cases and no tool allowed to be absent.
fn tests(project: &Project, cases: u64) -> Result<()> {
    // For the tests alone: the peers of the benches may be absent.
    let _cases = project.sh.push_env("THRONG_CASES", cases.to_string());
    let _require = project.sh.push_env("THRONG_REQUIRE", "1");
    ci::test(project, &["--release"])
}

/// Proves the pool of permits with loom. The proofs have a target directory of their own, because their flags would
/// otherwise have everything else built anew.
fn loom(project: &Project) -> Result<()> {
    let test = ["test", "--release", "-p", "throng-exec", "--lib", "loom"];
    let cargo = project.cargo().args(test);
    cargo
        .env("RUSTFLAGS", "--cfg throng_loom")
        .env("CARGO_TARGET_DIR", project.root.join("target/loom"))
        .run()?;
    Ok(())
}

/// Explores whole runs, and plans of tool calls that share an admission, with shuttle, each scene under `cases` schedules
/// and more. Like the proofs it has a target directory of its own.
fn shuttle(project: &Project, cases: u64) -> Result<()> {
    for (package, tests) in [
        ("throng-exec", "schedules"),
        ("throng-tools", "schedule::tests::threads"),
    ] {
        let test = ["test", "--release", "-p", package, "--lib", tests];
        let cargo = project.cargo().args(test);
        cargo
            .env("RUSTFLAGS", "--cfg throng_shuttle")
            .env("CARGO_TARGET_DIR", project.root.join("target/shuttle"))
            .env("THRONG_CASES", cases.to_string())
            .run()?;
    }
    Ok(())
}
