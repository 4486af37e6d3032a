//! Peers in Python. They are not part of the build: an interpreter that has their packages is named in the environment,
//! and without one the figures are left out, never made up.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::is_quick;

/// The variable that names an interpreter which has lionagi.
pub const INTERPRETER: &str = "THRONG_LIONAGI_PYTHON";

/// The nanoseconds per job of each run of one peer.
#[derive(Debug)]
pub struct Peer {
    /// Its name in the script's report.
    pub name: String,
    /// One figure for each run.
    pub ns_per_job: Vec<f64>,
}

/// Measures the peers of `peers/python/alcall.py`; none, with a message on standard error, where there is no interpreter
/// for them.
///
/// # Errors
///
/// Fails instead of leaving them out if `THRONG_REQUIRE` is `1`.
#[expect(
    clippy::print_stderr,
    reason = "whoever reads the figures must learn that some are missing"
)]
pub fn peers() -> Result<Vec<Peer>, Box<dyn Error>> {
    match measure() {
        Ok(peers) => Ok(peers),
        Err(error) if is_required() => Err(error),
        Err(error) => {
            eprintln!("SKIPPED: the peers in Python are not measured and have no rows: {error}");
            Ok(Vec::new())
        }
    }
}

fn is_required() -> bool {
    std::env::var_os("THRONG_REQUIRE").is_some_and(|value| value == "1")
}

fn measure() -> Result<Vec<Peer>, Box<dyn Error>> {
    let python = std::env::var_os(INTERPRETER)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("{INTERPRETER} names no interpreter that has lionagi"))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python/alcall.py");
    let mut command = Command::new(&python);
    command.arg(script);
    if is_quick() {
        command.args(["--jobs", "2000", "--runs", "1"]);
    }
    let output = command
        .output()
        .map_err(|error| format!("{INTERPRETER} does not start: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim_end().lines().next_back().unwrap_or("nothing");
        return Err(format!("alcall.py failed with {}: {last}", output.status).into());
    }
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let peers = report["us_per_job"]
        .as_object()
        .ok_or("alcall.py gave no `us_per_job`")?;
    let runs = |peer: &Value| -> Vec<f64> {
        let runs = peer["runs"].as_array().into_iter().flatten();
        runs.filter_map(Value::as_f64).map(|us| us * 1e3).collect()
    };
    let peers = peers.iter().map(|(name, peer)| Peer {
        name: name.clone(),
        ns_per_job: runs(peer),
    });
    Ok(peers.collect())
}
