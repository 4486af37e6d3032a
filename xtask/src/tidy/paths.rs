//! No file of the repository names a folder of the machine on which it was written.

use super::rust::{code_lines, is_test_file, mask};
use super::{File, Finding};

/// Homes and work folders: no file may name one.
const MACHINE: [&str; 5] = ["/home/", "/root/", "/mnt/", "/Users/", "/private/"];
/// Folders that code must ask the system for, while a test or a page of documentation may name them.
const SCRATCH: [&str; 2] = ["/tmp/", "/var/tmp/"];
/// This file, whose subject the paths are.
const SELF: &str = "xtask/src/tidy/paths.rs";
/// Data that came from elsewhere and is kept as it came.
const DATA: [&str; 4] = ["/fixtures/", "/snapshots/", "/corpus/", "/data/"];

/// Checks the text files.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    let own = |file: &&File| file.path != SELF && !DATA.iter().any(|dir| file.path.contains(dir));
    files.iter().filter(own).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let File { path, text } = file;
    let is_code = [".rs", ".toml", ".yml", ".yaml"]
        .iter()
        .any(|end| path.ends_with(end))
        || path.starts_with(".ci/");
    let code = match path.ends_with(".rs") {
        true if is_test_file(path) => 0,
        true => code_lines(&mask(text)),
        false => usize::MAX,
    };
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let scratch = if is_code && index < code {
            &SCRATCH[..]
        } else {
            &[]
        };
        if let Some(dir) = MACHINE.iter().chain(scratch).find(|dir| names(line, dir)) {
            findings.push(Finding::new(
                path,
                index + 1,
                format!("the path `{dir}...` of one machine"),
                "write it relative to the repository, or take it from the system or the environment",
            ));
        }
    }
    findings
}

/// Returns true if `line` has the absolute path `dir`, and not as the tail of a longer path or of an address.
fn names(line: &str, dir: &str) -> bool {
    line.match_indices(dir).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + dir.len()..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-~/*}>$%".contains(c))
            && after.is_some_and(|c| c.is_alphanumeric() || c == '.' || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, lines: &[usize]) {
        let file = File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let found: Vec<_> = super::check(&[file]).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        check("docs/a.md", "see /home/me/x\n", &[1]);
        check(
            "crates/a/src/lib.rs",
            "x\nconst P: &str = \"/mnt/data/x\";\n",
            &[2],
        );
        check(".ci/run", "cd /root/x\n", &[1]);
        check("docs/a.md", "`/Users/me/x`\n", &[1]);
    }

    #[test]
    fn addresses_and_tails_of_paths_are_not() {
        check(
            "docs/a.md",
            "https://example.com/mnt/x and ~/mnt/x and target/mnt/x and ${HOME}/mnt/x\n",
            &[],
        );
        check("docs/a.md", "the folder /home/ of all homes, /workspace/x\n", &[]);
        check("crates/a/tests/fixtures/jest.json", "\"/home/runner/x\"\n", &[]);
    }

    #[test]
    fn scratch_folders_are_for_tests_and_pages_only() {
        check("crates/a/src/lib.rs", "const P: &str = \"/tmp/x\";\n", &[1]);
        check(
            "crates/a/src/lib.rs",
            "#[cfg(test)]\nmod tests {\n    const P: &str = \"/tmp/x\";\n}\n",
            &[],
        );
        check("crates/a/tests/it/main.rs", "const P: &str = \"/tmp/x\";\n", &[]);
        check("docs/guide/a.md", "$ throng run x --out /tmp/x\n", &[]);
    }
}
