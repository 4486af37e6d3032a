//! `cargo xtask guide`: the commands that the README and the guide show are run.
//!
//! - In a block marked `console` or `sh`, a line that begins with `$ ` is a command; it goes on over lines that begin
//!   with `> ` and after a line that ends in `\`. Other lines are output. A block marked `sh` in which no line begins
//!   with `$ ` is made of commands.
//! - The commands of one file run in order in one shell, in an empty folder with a copy of `examples/`; a command that
//!   fails ends the file. What they start in the background ends with the file.
//! - `throng` and `cargo run --release -p throng-cli --` are the program built from this checkout.
//! - `<!-- guide: skip: REASON -->` before a block leaves it out; `<!-- guide: expect-exit N -->` says how the last
//!   command of the block must end.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use crate::project::{Project, seconds};

/// How long the commands of one file may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The ways in which pages write a call of the program, longest first.
const CALLS: [&str; 3] = [
    "cargo run --release -p throng-cli --",
    "cargo run -p throng-cli --",
    "cargo run --release -p throng-cli",
];

/// Runs the commands of these files, or of the README and the whole guide.
pub(crate) fn run(project: &Project, files: &[PathBuf]) -> Result<()> {
    let pages = if files.is_empty() {
        pages(project)?
    } else {
        given(project, files)?
    };
    project
        .cargo()
        .args(["build", "-p", "throng-cli", "--bin", "throng"])
        .run()?;
    let bin = project.metadata()?.target_dir.join("debug");
    let mut failed = Vec::new();
    for page in &pages {
        let blocks = blocks(&project.sh.read_file(project.root.join(page))?)
            .with_context(|| format!("{page} cannot be run"))?;
        for block in &blocks {
            if let Some(reason) = &block.skip {
                println!("{page}:{}: skipped: {reason}", block.line);
            }
        }
        let commands: usize = blocks
            .iter()
            .filter(|block| block.skip.is_none())
            .map(|block| block.commands.len())
            .sum();
        if commands == 0 {
            println!("{page}: no commands");
            continue;
        }
        let start = Instant::now();
        match run_page(project, page, &blocks, &bin)? {
            None => println!("{page}: {commands} commands, {}", seconds(start.elapsed())),
            Some(output) => {
                println!("{output}");
                failed.push(page.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "commands failed in {}; repeat: cargo xtask guide {}",
            failed.join(", "),
            failed.join(" ")
        );
    }
    Ok(())
}

fn pages(project: &Project) -> Result<Vec<String>> {
    let is_page =
        |path: &String| path == "README.md" || (path.starts_with("docs/guide/") && path.ends_with(".md"));
    Ok(project.files()?.into_iter().filter(is_page).collect())
}

fn given(project: &Project, files: &[PathBuf]) -> Result<Vec<String>> {
    let cwd = env::current_dir()?;
    let root = project.root.canonicalize()?;
    let relative = |file: &PathBuf| {
        let path = cwd
            .join(file)
            .canonicalize()
            .with_context(|| format!("cannot find {}", file.display()))?;
        let path = path
            .strip_prefix(&root)
            .with_context(|| format!("{} is not in the checkout", file.display()))?;
        Ok(path.to_string_lossy().into_owned())
    };
    files.iter().map(relative).collect()
}

/// A block of commands.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block {
    /// Where it begins, from 1.
    line: usize,
    commands: Vec<Step>,
    /// Why it is left out.
    skip: Option<String>,
    /// How its last command must end.
    exit: i32,
}

#[derive(Debug, PartialEq, Eq)]
struct Step {
    line: usize,
    text: String,
}

/// Finds the blocks of a page.
fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut next = Block::default();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim();
        if let Some(note) = line
            .strip_prefix("<!-- guide:")
            .and_then(|note| note.strip_suffix("-->"))
        {
            let note = note.trim();
            if let Some(reason) = note.strip_prefix("skip:") {
                next.skip = Some(reason.trim().to_owned());
            } else if let Some(status) = note.strip_prefix("expect-exit ") {
                next.exit = status
                    .trim()
                    .parse()
                    .with_context(|| format!("line {}: `{note}`", index + 1))?;
            } else {
                bail!(
                    "line {}: `{note}` is neither `skip: REASON` nor `expect-exit N`",
                    index + 1
                );
            }
        } else if let Some(info) = line.strip_prefix("```") {
            let mut body = Vec::new();
            for (index, line) in lines.by_ref() {
                if line.trim_start().starts_with("```") {
                    break;
                }
                body.push((index + 1, line.trim_end()));
            }
            let language = info.split([' ', ',']).next().unwrap_or("");
            if language == "console" || language == "sh" {
                blocks.push(Block {
                    line: index + 1,
                    commands: commands(&body, language == "sh"),
                    ..next
                });
            }
            next = Block::default();
        } else if !line.is_empty() {
            next = Block::default();
        }
    }
    Ok(blocks)
}

fn commands(body: &[(usize, &str)], bare: bool) -> Vec<Step> {
    let bare = bare && !body.iter().any(|(_, line)| line.trim_start().starts_with("$ "));
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for &(line, text) in body {
        let start = if bare {
            Some(text).filter(|text| !text.trim().is_empty())
        } else {
            text.trim_start().strip_prefix("$ ")
        };
        match (steps.last_mut(), start) {
            (Some(last), _) if goes_on => {
                last.text.push('\n');
                last.text.push_str(text.strip_prefix("> ").unwrap_or(text));
            }
            (_, Some(text)) => steps.push(Step {
                line,
                text: text.to_owned(),
            }),
            (Some(last), None) if !bare && text.starts_with("> ") => {
                last.text.push('\n');
                last.text.push_str(&text[2..]);
            }
            _ => continue,
        }
        goes_on = text.ends_with('\\');
    }
    steps
}

/// Writes the script of a page. Each command is announced with its place before it runs, so that what fails is found.
fn script(page: &str, blocks: &[Block]) -> String {
    let mut script = String::from("set -euo pipefail\n");
    for block in blocks.iter().filter(|block| block.skip.is_none()) {
        for (index, step) in block.commands.iter().enumerate() {
            let text = CALLS
                .iter()
                .fold(step.text.clone(), |text, call| text.replace(call, "throng"));
            let place = format!("{page}:{}", step.line);
            script.push_str(&format!("echo {} >&2\n", quote(&format!("{place}: $ {text}"))));
            if block.exit != 0 && index + 1 == block.commands.len() {
                let wrong = quote(&format!("{place}: expected exit status {}, got ", block.exit));
                let exit = block.exit;
                script.push_str(&format!(
                    "set +e\n{text}\nguide_status=$?\nset -e\nif [ $guide_status -ne {exit} ]; then echo {wrong}$guide_status >&2; exit 1; fi\n"
                ));
            } else {
                script.push_str(&text);
                script.push('\n');
            }
        }
    }
    script
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Runs a page; returns its output if it fails.
fn run_page(project: &Project, page: &str, blocks: &[Block], bin: &Path) -> Result<Option<String>> {
    let sh = &project.sh;
    let dir = sh.create_temp_dir()?;
    let work = sh.create_dir(dir.path().join("work"))?;
    let home = sh.create_dir(dir.path().join("home"))?;
    let examples = project.root.join("examples");
    if examples.is_dir() {
        cmd!(sh, "cp -R {examples} {work}").quiet().run()?;
    }
    let out = dir.path().join("out.txt");
    let log = File::create(&out)?;
    let path = env::join_paths(
        std::iter::once(bin.to_path_buf()).chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )?;

    let mut bash = Command::new("bash");
    bash.arg("-c")
        .arg(script(page, blocks))
        .current_dir(&work)
        .env("PATH", path);
    // A configuration or a key of the person who runs this must not change what the pages do.
    bash.env("HOME", &home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("NO_COLOR", "1");
    for (name, _) in env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))) {
        if name.starts_with("THRONG_") || name.ends_with("_API_KEY") {
            bash.env_remove(name);
        }
    }
    // A group of its own, so that what runs in the background can be ended with it.
    std::os::unix::process::CommandExt::process_group(&mut bash, 0);
    bash.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut bash = bash.spawn().context("cannot run bash")?;
    let group = format!("-{}", bash.id());
    let status = wait(&mut bash, LIMIT);
    cmd!(sh, "kill -KILL -- {group}")
        .quiet()
        .ignore_status()
        .ignore_stderr()
        .run()?;
    let problem = match status? {
        Some(status) if status.success() => return Ok(None),
        Some(status) => status.to_string(),
        None => {
            bash.wait()?;
            format!("still running after {}", seconds(LIMIT))
        }
    };
    let output = String::from_utf8_lossy(&sh.read_binary_file(&out)?).into_owned();
    Ok(Some(format!(
        "{output}{page}: the last command above failed: {problem}"
    )))
}

/// Waits for a process; `None` if it takes longer than `limit`.
fn wait(child: &mut std::process::Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xshell::Shell;

    fn check(page: &str, expect: &[(usize, &str)]) {
        let blocks = blocks(page).unwrap();
        let steps = blocks
            .iter()
            .filter(|block| block.skip.is_none())
            .flat_map(|block| &block.commands);
        let steps: Vec<_> = steps.map(|step| (step.line, step.text.as_str())).collect();
        assert_eq!(steps, expect, "{page}");
    }

    /// Runs a page in a planted checkout; returns its output if it fails.
    fn play(page: &str) -> Option<String> {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        sh.write_file(dir.path().join("examples/q.txt"), "a question\n")
            .unwrap();
        let bin = dir.path().join("bin");
        sh.write_file(bin.join("throng"), "#!/bin/sh\necho \"throng $*\"\nexit 3\n")
            .unwrap();
        cmd!(sh, "chmod +x {bin}/throng").quiet().run().unwrap();
        let project = Project::at(dir.path()).unwrap();
        run_page(&project, "p.md", &blocks(page).unwrap(), &bin).unwrap()
    }

    #[test]
    fn commands_are_the_lines_after_the_prompt() {
        check("```console\n$ a b\nout\n$ c\n```\n", &[(2, "a b"), (4, "c")]);
        check("```sh\na\n\nb\n```\n", &[(2, "a"), (4, "b")]);
        check("```sh\n$ a\nb\n```\n", &[(2, "a")]);
        check(
            "```console\n$ a \\\n    --b \\\n    --c\nout\n```\n",
            &[(2, "a \\\n    --b \\\n    --c")],
        );
        check(
            "```console\n$ cat <<X\n> 1\n> X\nout\n```\n",
            &[(2, "cat <<X\n1\nX")],
        );
        check("```json\n$ a\n```\n```text\n$ b\n```\n", &[]);
        check("  ```console\n  $ a\n  ```\n", &[(2, "a")]);
    }

    #[test]
    fn a_note_belongs_to_the_next_block_only() {
        check(
            "<!-- guide: skip: needs a key -->\n\n```sh\na\n```\n```sh\nb\n```\n",
            &[(7, "b")],
        );
        check("<!-- guide: skip: x -->\nText.\n```sh\na\n```\n", &[(4, "a")]);
        assert_eq!(
            blocks("<!-- guide: skip: needs a key -->\n```sh\na\n```\n").unwrap()[0]
                .skip
                .as_deref(),
            Some("needs a key")
        );
        assert_eq!(
            blocks("<!-- guide: expect-exit 2 -->\n```sh\na\n```\n").unwrap()[0].exit,
            2
        );
        assert!(blocks("<!-- guide: skp -->\n").is_err());
    }

    #[test]
    fn a_page_runs_in_one_shell_with_the_examples() {
        let page =
            "```console\n$ export X=it\\'s\n$ cat examples/q.txt\n```\n```sh\n[ \"$X\" = \"it's\" ]\n```\n";
        assert_eq!(play(page), None);
    }

    #[test]
    fn a_command_that_fails_is_named() {
        let output = play("```sh\ntrue\ncat absent.txt | wc -l\necho later\n```\n").unwrap();
        assert!(output.contains("p.md:3: $ cat absent.txt"), "{output}");
        assert!(!output.contains("later"), "{output}");
    }

    #[test]
    fn the_program_is_the_one_that_was_built_and_its_exit_status_is_asserted() {
        let page = "<!-- guide: expect-exit 3 -->\n```sh\ncargo run --release -p throng-cli -- run x | grep -x 'throng run x'\n```\n";
        assert_eq!(
            play(page),
            None,
            "grep passes and pipefail hands on the status of the program"
        );
        let output = play(&page.replace("exit 3", "exit 4")).unwrap();
        assert!(
            output.contains("p.md:3: expected exit status 4, got 3"),
            "{output}"
        );
    }

    #[test]
    fn what_runs_in_the_background_ends_with_the_page() {
        let sh = Shell::new().unwrap();
        let dir = sh.create_temp_dir().unwrap();
        let pid = dir.path().join("pid");
        assert_eq!(
            play(&format!("```sh\nsleep 300 &\necho $! > {}\n```\n", pid.display())),
            None
        );
        let pid = sh.read_file(&pid).unwrap();
        let running = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        // A killed process takes a moment to go.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while running() {
            assert!(std::time::Instant::now() < patience, "{pid} still runs");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
