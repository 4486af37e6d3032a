//! Rules for `Cargo.toml`: versions live in the root, and every crate takes the shared fields from there.

use super::{File, Finding};

/// Fields that every package takes from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "repository"];

/// Checks the manifests of the workspace's members and of the workspace itself.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        match file.path.as_str() {
            "Cargo.toml" => check_root(file, &mut findings),
            "xtask/Cargo.toml" | "benches/Cargo.toml" | "tests/Cargo.toml" => {
                check_member(file, &mut findings);
            }
            path => {
                let krate = path
                    .strip_prefix("crates/")
                    .and_then(|path| path.strip_suffix("/Cargo.toml"));
                if let Some(krate) = krate.filter(|krate| !krate.contains('/')) {
                    check_member(file, &mut findings);
                    check_crate(file, krate, files, &mut findings);
                }
            }
        }
    }
    findings
}

/// One `key = value` of a manifest.
struct Entry {
    section: String,
    key: String,
    /// The value without comments, its lines joined, its spaces single.
    value: String,
    line: usize,
}

/// Reads a manifest into its entries. Knows of TOML what manifests use: tables, and values over several lines
/// as long as their brackets are open.
fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = uncomment(line);
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let mut value = value.trim().to_owned();
            while depth(&value) > 0 {
                let Some((_, more)) = lines.next() else { break };
                value.push(' ');
                value.push_str(uncomment(more).trim());
            }
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            entries.push(Entry {
                section: section.clone(),
                key: key.trim().to_owned(),
                value,
                line: index + 1,
            });
        }
    }
    entries
}

fn uncomment(line: &str) -> &str {
    let mut in_string = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => in_string = !in_string,
            '#' if !in_string => return &line[..at],
            _ => {}
        }
    }
    line
}

fn depth(value: &str) -> i32 {
    let mut in_string = false;
    value.chars().fold(0, |depth, c| match c {
        '"' => {
            in_string = !in_string;
            depth
        }
        '[' | '{' if !in_string => depth + 1,
        ']' | '}' if !in_string => depth - 1,
        _ => depth,
    })
}

fn check_root(file: &File, findings: &mut Vec<Finding>) {
    for entry in entries(&file.text) {
        if entry.section == "workspace.dependencies"
            && !entry.value.contains("path = ")
            && !entry.value.contains("default-features = false")
        {
            findings.push(Finding::new(
                &file.path,
                entry.line,
                format!("`{}` brings its default features", entry.key),
                "write `default-features = false` and name the features that are needed",
            ));
        }
    }
}

fn check_member(file: &File, findings: &mut Vec<Finding>) {
    let entries = entries(&file.text);
    for entry in &entries {
        let section = entry
            .section
            .rsplit_once('.')
            .map_or(entry.section.as_str(), |(target, last)| {
                if target.starts_with("target.") {
                    last
                } else {
                    &entry.section
                }
            });
        let dev = section.starts_with("dev-dependencies");
        if !dev && !section.starts_with("dependencies") && !section.starts_with("build-dependencies") {
            continue;
        }
        let inherited = entry.value.contains("workspace = true")
            || (entry.key.ends_with(".workspace") && entry.value == "true");
        let name = entry.key.split('.').next().unwrap_or(&entry.key);
        // A member that is needed for tests only is named by its path, without a version: cargo then leaves it out
        // of the published manifest, so that two crates may test with each other.
        let by_path = dev && entry.value.contains("path = ") && !entry.value.contains("version = ");
        if dev && inherited && name.starts_with("throng-") && file.path.starts_with("crates/") {
            findings.push(Finding::new(
                &file.path,
                entry.line,
                format!("the dev-dependency `{name}` has a version"),
                format!("write `{name} = {{ path = \"../{name}\" }}`, which is left out when the crate is published"),
            ));
        } else if !inherited && !by_path {
            findings.push(Finding::new(
                &file.path,
                entry.line,
                format!("`{name}` is not taken from the workspace"),
                "put the version into [workspace.dependencies] and write `workspace = true` here",
            ));
        }
    }
    let inherits = |section: &str, key: &str| {
        entries.iter().any(|entry| {
            entry.section == section
                && ((entry.key == format!("{key}.workspace") && entry.value == "true")
                    || (entry.key == key && entry.value.contains("workspace = true")))
        })
    };
    for field in INHERITED {
        if !inherits("package", field) {
            findings.push(Finding::new(
                &file.path,
                0,
                format!("`{field}` is not taken from the workspace"),
                format!("write `{field}.workspace = true` under [package]"),
            ));
        }
    }
    if !entries
        .iter()
        .any(|entry| entry.section == "lints" && entry.key == "workspace" && entry.value == "true")
    {
        findings.push(Finding::new(
            &file.path,
            0,
            "the lints of the workspace are not on",
            "write `workspace = true` under [lints]",
        ));
    }
}

fn check_crate(file: &File, krate: &str, files: &[File], findings: &mut Vec<Finding>) {
    let entries = entries(&file.text);
    let package = |key: &str| {
        entries
            .iter()
            .find(|entry| entry.section == "package" && entry.key == key)
    };
    let mut found =
        |line: usize, what: String, fix: &str| findings.push(Finding::new(&file.path, line, what, fix));
    match package("name") {
        Some(name) if name.value.trim_matches('"') == krate => {}
        Some(name) => found(
            name.line,
            format!("{} lives in the folder `{krate}`", name.value),
            "name both alike",
        ),
        None => found(0, "the package has no name".to_owned(), "name it like its folder"),
    }
    if package("description").is_none() {
        found(
            0,
            "the package has no description".to_owned(),
            "say in one line what it is for",
        );
    }
    if !files
        .iter()
        .any(|other| other.path == format!("crates/{krate}/README.md"))
    {
        found(
            0,
            "the crate has no README.md".to_owned(),
            "say what it is for, with one example",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"a\"\ndescription = \"d\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version = { workspace = true }\nlicense.workspace = true\nrepository.workspace = true\n[lints]\nworkspace = true\n";

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn check(path: &str, text: &str, expect: &[&str]) {
        let found = super::check(&[file(path, text), file("crates/a/README.md", "# a\n")]);
        let found: Vec<_> = found.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(found, expect, "{path}: {text}");
    }

    fn with(more: &str) -> String {
        format!("{GOOD}{more}")
    }

    #[test]
    fn a_good_manifest_passes() {
        check("crates/a/Cargo.toml", GOOD, &[]);
        check("xtask/Cargo.toml", GOOD, &[]);
        check("fuzz/Cargo.toml", "[dependencies]\nlibfuzzer-sys = \"1\"\n", &[]);
    }

    #[test]
    fn versions_live_in_the_root() {
        let not = ["`b` is not taken from the workspace"];
        check(
            "crates/a/Cargo.toml",
            &with("[dependencies]\nb = \"1\" # workspace = true\n"),
            &not,
        );
        check(
            "crates/a/Cargo.toml",
            &with("[target.'cfg(unix)'.dependencies]\nb = { version = \"1\" }\n"),
            &not,
        );
        check(
            "crates/a/Cargo.toml",
            &with("[dev-dependencies]\nb = { path = \"../b\", version = \"1\" }\n"),
            &not,
        );
        check(
            "crates/a/Cargo.toml",
            &with("[dependencies]\nb = { path = \"../b\" }\n"),
            &not,
        );
        let good = "[dependencies]\nb.workspace = true\nc = { workspace = true, features = [\n  \"x\",\n] }\n\
            [dev-dependencies]\nthrong-d = { path = \"../throng-d\" }\n";
        check("crates/a/Cargo.toml", &with(good), &[]);
        let dev = "[dev-dependencies]\nthrong-b.workspace = true\n";
        check(
            "crates/a/Cargo.toml",
            &with(dev),
            &["the dev-dependency `throng-b` has a version"],
        );
    }

    #[test]
    fn the_root_brings_no_default_features() {
        let text = "[workspace.dependencies]\na = \"1\"\nb = { version = \"1\", default-features = false }\n\
            c = { path = \"crates/c\", version = \"=1\" }\n[package]\nx = \"1\"\n";
        check("Cargo.toml", text, &["`a` brings its default features"]);
    }

    #[test]
    fn shared_fields_and_lints_are_inherited() {
        check(
            "crates/a/Cargo.toml",
            &GOOD.replace("license.workspace = true", "license = \"MIT\""),
            &["`license` is not taken from the workspace"],
        );
        check(
            "crates/a/Cargo.toml",
            &GOOD.replace("[lints]\nworkspace = true\n", ""),
            &["the lints of the workspace are not on"],
        );
    }

    #[test]
    fn a_crate_is_named_like_its_folder_and_described() {
        check(
            "crates/a/Cargo.toml",
            &GOOD.replace("\"a\"", "\"b\""),
            &["\"b\" lives in the folder `a`"],
        );
        check(
            "crates/a/Cargo.toml",
            &GOOD.replace("description = \"d\"\n", ""),
            &["the package has no description"],
        );
        check(
            "crates/z/Cargo.toml",
            &GOOD.replace("\"a\"", "\"z\""),
            &["the crate has no README.md"],
        );
    }
}
