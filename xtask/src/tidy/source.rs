//! Rules for single Rust files: how they open, how long they are, and what they must not contain.

use super::rust::{code_lines, is_test_file, is_word, mask};
use super::{File, Finding};

/// Above this a file draws a warning.
const LONG: usize = 500;
/// Above this a file fails.
const TOO_LONG: usize = 800;

/// Crates that are programs: they may print, though only through a writer that can fail.
const PROGRAMS: [&str; 1] = ["throng-cli"];

/// Sources that decide from the time and the seed that they are given, and nothing else (invariant 11).
const PURE: [&str; 2] = ["crates/throng-core/src/", "crates/throng-exec/src/machine/"];

/// The source of a library that looks at the environment: to hand it on to child processes, not to be told anything by it.
const HANDS_ON: &str = "crates/throng-process/src/environment.rs";

/// Checks the Rust files under `crates/`, `xtask/`, `benches/` and `tests/`.
pub(crate) fn check(files: &[File]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| is_ours(&file.path))
        .flat_map(check_file)
        .collect()
}

fn is_ours(path: &str) -> bool {
    path.ends_with(".rs")
        && ["crates/", "xtask/", "benches/", "tests/"]
            .iter()
            .any(|dir| path.starts_with(dir))
}

fn is_library(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("crates")
        && parts.next().is_some_and(|name| !PROGRAMS.contains(&name))
        && parts.next() == Some("src")
        && !is_test_file(path)
}

fn check_file(file: &File) -> Vec<Finding> {
    let File { path, text } = file;
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(Finding::new(
            path,
            1,
            "the file does not open with `//!`",
            "say in its first line what lives here and which invariant it keeps",
        ));
    }
    let masked = mask(text);
    let code = code_lines(&masked);
    if !is_test_file(path) && code > LONG {
        let finding = Finding::new(
            path,
            code,
            format!("{code} lines before the tests"),
            "split the file by subject",
        );
        findings.push(if code > TOO_LONG {
            finding
        } else {
            finding.warning()
        });
    }
    for (index, line) in masked.lines().enumerate() {
        let mut found = |what: &str, fix: &str| findings.push(Finding::new(path, index + 1, what, fix));
        let compact: String = line.split_whitespace().collect();
        if compact.contains("#[allow(") || compact.contains("#![allow(") {
            found("`allow` attribute", "write `#[expect(lint, reason = \"...\")]`");
        }
        if compact.contains("#[ignore]") || compact.contains("#[ignore=") {
            found(
                "ignored test",
                "mend the test, or assert what happens today with a `FIXME`",
            );
        }
        if calls(line, "todo") || calls(line, "unimplemented") {
            found(
                "unfinished code",
                "finish it, or return an error that says what is missing",
            );
        }
        if index < code && PURE.iter().any(|dir| path.starts_with(dir)) {
            for taken in [
                "Instant::now(",
                "SystemTime::now(",
                "fastrand::Rng::new(",
                "tokio::",
                "Mutex<",
            ] {
                if compact.contains(taken) {
                    found(
                        &format!("`{taken}` in a pure state machine"),
                        "take the time and the seed as arguments",
                    );
                }
            }
        }
        if is_library(path) && index < code {
            if compact.contains("env::var") && path != HANDS_ON {
                found(
                    "a library reads the environment",
                    "take the value as an argument; the program reads it",
                );
            }
            for name in ["println", "eprintln", "print", "eprint", "dbg"] {
                if calls(line, name) {
                    found(
                        &format!("`{name}!` in a library"),
                        "return the text, or emit a `tracing` event",
                    );
                }
            }
        }
    }
    findings
}

/// Returns true if `line` calls the macro `name`.
fn calls(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        !line[..at].ends_with(is_word)
            && line[at + name.len()..].starts_with('!')
            && !line[at + name.len()..].starts_with("!=")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Severity;

    fn check(path: &str, text: &str, expect: &[(usize, &str)]) {
        let found = super::check(&[File {
            path: path.to_owned(),
            text: text.to_owned(),
        }]);
        let found: Vec<_> = found
            .iter()
            .map(|finding| (finding.line, finding.what.as_str()))
            .collect();
        assert_eq!(found, expect, "{path}: {text}");
    }

    #[test]
    fn a_file_opens_with_its_subject() {
        check("crates/a/src/lib.rs", "//! Subject.\n", &[]);
        check(
            "crates/a/src/lib.rs",
            "use x;\n//! Subject.\n",
            &[(1, "the file does not open with `//!`")],
        );
        check(
            "crates/a/tests/it/main.rs",
            "",
            &[(1, "the file does not open with `//!`")],
        );
        check("docs/a.rs", "use x;\n", &[]);
    }

    #[test]
    fn libraries_do_not_print() {
        check(
            "crates/a/src/lib.rs",
            "//! S.\nfn f() { println!(\"x\"); }\n",
            &[(2, "`println!` in a library")],
        );
        check(
            "crates/a/src/lib.rs",
            "//! S.\nfn f() { dbg!(x); }\n",
            &[(2, "`dbg!` in a library")],
        );
        check(
            "crates/a/src/lib.rs",
            "//! S.\n/// `println!(x)`\nfn f() { g(\"print!()\"); }\n",
            &[],
        );
        check(
            "crates/a/src/lib.rs",
            "//! S.\n#[cfg(test)]\nmod tests {\n    fn f() { println!(); }\n}\n",
            &[],
        );
        check(
            "crates/a/tests/it/main.rs",
            "//! S.\nfn f() { println!(); }\n",
            &[],
        );
        check(
            "crates/throng-cli/src/main.rs",
            "//! S.\nfn f() { println!(); }\n",
            &[],
        );
    }

    #[test]
    fn libraries_do_not_read_the_environment() {
        let text = "//! S.\nfn f() { std::env::var_os(\"X\"); }\n";
        check(
            "crates/a/src/lib.rs",
            text,
            &[(2, "a library reads the environment")],
        );
        check("crates/throng-cli/src/lib.rs", text, &[]);
        check("crates/a/tests/it/main.rs", text, &[]);
    }

    #[test]
    fn the_state_machine_takes_neither_time_nor_chance_by_itself() {
        let text = "//! S.\nfn f() { Instant::now(); }\n";
        check(
            "crates/throng-exec/src/machine/a.rs",
            text,
            &[(2, "`Instant::now(` in a pure state machine")],
        );
        check("crates/throng-exec/src/worker.rs", text, &[]);
    }

    #[test]
    fn nothing_is_allowed_ignored_or_left_to_do() {
        check(
            "xtask/src/a.rs",
            "//! S.\n#[allow(dead_code)]\nfn f() {}\n",
            &[(2, "`allow` attribute")],
        );
        check(
            "crates/a/src/lib.rs",
            "//! S.\n# ! [ allow( unused )]\n",
            &[(2, "`allow` attribute")],
        );
        check(
            "crates/a/tests/it/x.rs",
            "//! S.\n#[ignore]\nfn f() {}\n",
            &[(2, "ignored test")],
        );
        check(
            "crates/a/tests/it/x.rs",
            "//! S.\n#[ignore = \"slow\"]\nfn f() {}\n",
            &[(2, "ignored test")],
        );
        check(
            "crates/a/src/lib.rs",
            "//! S.\nfn f() { todo!() }\n",
            &[(2, "unfinished code")],
        );
        check(
            "crates/a/src/lib.rs",
            "//! S.\nfn f() -> bool { todo != 1 && my_todo!(x) }\n",
            &[],
        );
    }

    #[test]
    fn long_files_warn_and_longer_ones_fail() {
        let text = |lines: usize| {
            format!(
                "//! S.\n{}#[cfg(test)]\nmod tests {{\n{}}}\n",
                "x;\n".repeat(lines - 1),
                "y;\n".repeat(900)
            )
        };
        let severity = |lines: usize| {
            let file = File {
                path: "crates/a/src/x.rs".to_owned(),
                text: text(lines),
            };
            super::check(&[file]).first().map(|finding| finding.severity)
        };
        assert_eq!(severity(500), None);
        assert_eq!(severity(501), Some(Severity::Warning));
        assert_eq!(severity(800), Some(Severity::Warning));
        assert_eq!(severity(801), Some(Severity::Failure));
    }
}
