//! `cargo xtask codegen`: the pages of `docs/reference/` are written by the program itself.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;

/// How many lines of a difference are shown.
const SHOWN: usize = 24;

/// Writes the reference pages anew or, with `check`, fails if that would change one.
pub(crate) fn run(project: &Project, check: bool) -> Result<()> {
    let sh = &project.sh;
    let fresh = sh.create_temp_dir()?;
    project
        .cargo()
        .args(["run", "--quiet", "-p", "throng-cli", "--", "codegen"])
        .arg(fresh.path())
        .run()?;
    let reference = project.root.join("docs/reference");

    let mut stale = Vec::new();
    let (fresh_names, old_names) = (names(fresh.path())?, names(&reference)?);
    for name in fresh_names.union(&old_names) {
        let read = |dir: &Path| {
            if dir.join(name).is_file() {
                sh.read_file(dir.join(name)).map(Some)
            } else {
                Ok(None)
            }
        };
        let (old, new) = (read(&reference)?, read(fresh.path())?);
        if old == new {
            continue;
        }
        stale.push(name.as_str());
        println!("docs/reference/{name}");
        print!(
            "{}",
            difference(old.as_deref().unwrap_or(""), new.as_deref().unwrap_or(""))
        );
        match new {
            _ if check => {}
            Some(new) => sh.write_file(reference.join(name), new)?,
            None => sh.remove_path(reference.join(name))?,
        }
    }
    if check && !stale.is_empty() {
        bail!(
            "stale: {}; write them anew: cargo xtask codegen",
            stale.join(", ")
        );
    }
    println!("codegen: {} pages changed", stale.len());
    Ok(())
}

fn names(dir: &Path) -> Result<BTreeSet<String>> {
    if !dir.is_dir() {
        return Ok(BTreeSet::new());
    }
    let entries = dir
        .read_dir()
        .with_context(|| format!("cannot list {}", dir.display()))?;
    entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Shows where two texts differ: the lines that go and those that come, each group with its line in the old text.
pub(crate) fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // common[i][j] is how many lines old[i..] and new[j..] have in common, in order.
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    let mut in_group = false;
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j, in_group) = (i + 1, j + 1, false);
            continue;
        }
        if !in_group {
            lines.push(format!("@@ line {} @@", i + 1));
            in_group = true;
        }
        if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("-{}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+{}", new[j]));
            j += 1;
        }
    }
    if lines.len() > SHOWN {
        let more = lines.len() - SHOWN;
        lines.truncate(SHOWN);
        lines.push(format!("... and {more} lines more"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: &str, new: &str, expect: &str) {
        assert_eq!(difference(old, new), expect);
    }

    #[test]
    fn a_difference_shows_the_lines_that_changed() {
        check("a\nb\nc\n", "a\nx\nc\n", "@@ line 2 @@\n-b\n+x\n");
        check("a\n", "a\nb\n", "@@ line 2 @@\n+b\n");
        check("a\na\n", "a\n", "@@ line 2 @@\n-a\n");
        check("", "x\n", "@@ line 1 @@\n+x\n");
        check("a\n", "a\n", "");
        check(
            "1\na\n2\nb\n3\n",
            "1\nx\n2\n3\n4\n",
            "@@ line 2 @@\n-a\n+x\n@@ line 4 @@\n-b\n@@ line 6 @@\n+4\n",
        );
    }

    #[test]
    fn a_long_difference_is_cut() {
        let new = "x\n".repeat(SHOWN + 2);
        let shown = difference("", &new);
        assert!(shown.ends_with("+x\n... and 3 lines more\n"), "{shown}");
    }
}
