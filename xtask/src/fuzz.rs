//! Fuzzing with the stable toolchain: libFuzzer through `libfuzzer-sys`, without cargo-fuzz.
//!
//! `fuzz/` is a workspace of its own. Each of its binaries is a target; `fuzz/corpus/TARGET` holds its seeds, which
//! are only read: what a run finds goes to `fuzz/target/corpus/TARGET`, and crashes to `fuzz/target/crashes/`.

use anyhow::{Context as _, Result, ensure};
use xshell::cmd;

use crate::project::Project;

/// What libFuzzer needs to see which branches an input takes. cargo-fuzz passes the same.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs every target for `seconds`.
pub(crate) fn run(project: &Project, seconds: u32) -> Result<()> {
    let sh = &project.sh;
    let fuzz = project.root.join("fuzz");
    let targets = targets(&sh.read_file(fuzz.join("Cargo.toml"))?, "[[bin]]");
    ensure!(!targets.is_empty(), "fuzz/Cargo.toml has no [[bin]]");
    let host = host(&cmd!(sh, "rustc -vV").quiet().read()?)?.to_owned();

    // The target is given even though it is the host: otherwise the flags would also apply to build scripts.
    let build = project.cargo().args([
        "build",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
        &host,
    ]);
    build
        .env("RUSTFLAGS", RUSTFLAGS)
        .env("CARGO_TARGET_DIR", fuzz.join("target"))
        .run()?;

    let crashes = sh.create_dir(fuzz.join("target/crashes"))?;
    for target in targets {
        println!("\n==> fuzz {target} for {seconds} s");
        let found = sh.create_dir(fuzz.join("target/corpus").join(&target))?;
        let seeds = fuzz.join("corpus").join(&target);
        let seeds = seeds.is_dir().then_some(seeds);
        let program = fuzz.join("target").join(&host).join("release").join(&target);
        let prefix = format!("-artifact_prefix={}/{target}-", crashes.display());
        let limit = format!("-max_total_time={seconds}");
        cmd!(sh, "{program} {limit} -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 {prefix} {found} {seeds...}")
            .run()
            .with_context(|| format!("fuzz target {target}: the input that shows it is in fuzz/target/crashes"))?;
    }
    Ok(())
}

/// Returns the names of the targets that a manifest declares in tables of one kind, such as `[[bin]]`.
pub(crate) fn targets(manifest: &str, table: &str) -> Vec<String> {
    let mut is_target = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            is_target = line == table;
        } else if is_target
            && let Some((key, name)) = line.split_once('=')
            && key.trim() == "name"
        {
            names.push(name.trim().trim_matches('"').to_owned());
        }
    }
    names
}

fn host(rustc: &str) -> Result<&str> {
    rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc -vV names no host")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_stand_in_the_manifest() {
        let manifest = "[package]\nname = \"throng-fuzz\"\n\n[[bin]]\nname = \"sse\"\npath = \"sse.rs\"\n\n\
            [[bin]]\nname=\"json\"\n\n[[bench]]\nname = \"x\"\n\n[profile.release]\ndebug = 1\n";
        assert_eq!(targets(manifest, "[[bin]]"), ["sse", "json"]);
        assert_eq!(targets(manifest, "[[bench]]"), ["x"]);
    }

    #[test]
    fn the_host_is_in_the_version_of_rustc() {
        assert_eq!(
            host("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\n").unwrap(),
            "x86_64-unknown-linux-gnu"
        );
        assert!(host("rustc 1.95.0").is_err());
    }
}
