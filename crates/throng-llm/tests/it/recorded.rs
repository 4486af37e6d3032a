//! Recorded traffic of real providers, as others have made it: where it lies, and how it is read.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;

use serde_json::Value;

/// One recorded answer.
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) status: u16,
    /// The body of the answer.
    pub(crate) body: String,
    /// The body of the request; empty if there was none.
    pub(crate) request: String,
}

/// Returns the folder of the recorded data, or `None` after having said that it is absent.
pub(crate) fn data() -> Option<PathBuf> {
    let root = match std::env::var_os("THRONG_DATA") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    if root.join("cassettes").is_dir() {
        return Some(root);
    }
    let named = std::env::var_os("THRONG_DATA").is_some();
    assert!(
        !named,
        "no recorded data at {}, which THRONG_DATA names",
        root.display()
    );
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        // Not by the macro, whose output the test harness swallows.
        let line = format!(
            "SKIPPED: no recorded data at {} (set THRONG_DATA)\n",
            root.display()
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    None
}

/// Reads the recorded answers of some providers to requests to some paths. Without the data there are none.
pub(crate) fn recorded(providers: &[&str], takes_path: impl Fn(&str) -> bool) -> Vec<Recorded> {
    let Some(root) = data() else { return Vec::new() };
    let mut files = Vec::new();
    for provider in providers {
        let mut folders = vec![root.join("cassettes").join(provider)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ext| ext == "yaml") {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for document in serde_norway::Deserializer::from_str(&text) {
            let document: Value = serde::Deserialize::deserialize(document).unwrap();
            let path = document
                .pointer("/when/path")
                .and_then(Value::as_str)
                .expect("a path");
            if !takes_path(path) {
                continue;
            }
            let then = &document["then"];
            all.push(Recorded {
                name: format!("{}#{}", file.strip_prefix(&root).unwrap().display(), all.len()),
                status: then["status"].as_u64().expect("a status") as u16,
                body: then["body"].as_str().expect("a body in plain text").to_owned(),
                request: document
                    .pointer("/when/body")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
            });
        }
    }
    all
}
