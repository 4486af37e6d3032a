//! Vectors that others made: where they lie, and how they are read.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::Value;

/// Returns a folder of the shared data, or `None` after having said that it is absent.
pub(crate) fn data(folder: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("THRONG_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let found = root.join(folder);
    if found.is_dir() {
        return Some(found);
    }
    let required = std::env::var_os("THRONG_DATA").is_some()
        || std::env::var_os("THRONG_REQUIRE").is_some_and(|set| set == "1");
    assert!(!required, "no data at {}", found.display());
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Not by the macro, whose output the test harness swallows.
        let line = format!("SKIPPED: no data at {} (set THRONG_DATA)\n", root.display());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    None
}

/// Reads a file of vectors, one JSON object a line. Without the data there are none.
pub(crate) fn vectors(file: &str) -> Vec<Value> {
    let Some(folder) = data("json") else {
        return Vec::new();
    };
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
