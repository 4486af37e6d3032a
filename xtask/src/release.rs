//! `cargo xtask release`: plan, prepare and publish a release of all crates at one version.
//!
//! The crates pin each other with `=x.y.z`, so they are released together. `prepare` makes the commit and the tag,
//! `publish` uploads what the tag names; neither pushes.

mod changelog;
mod proof;
mod registry;
mod version;

use anyhow::{Context as _, Result, bail, ensure};
use xshell::{Cmd, cmd};

pub(crate) use self::proof::prove;
use self::version::{next_version, with_version};
use crate::codegen::difference;
use crate::flags;
use crate::project::Project;
use crate::tidy;

/// Lock files of the workspaces that stand beside the main one and name its crates.
const OTHER_WORKSPACES: [&str; 2] = ["fuzz", "benches/peers"];

/// Which version comes next.
#[derive(Debug, Default)]
pub(crate) struct Next {
    version: Option<String>,
    bump: Option<String>,
}

/// How a release is prepared.
#[derive(Debug, Default)]
pub(crate) struct Prepare {
    next: Next,
    date: Option<String>,
    registry: Option<String>,
    no_verify: bool,
    dry_run: bool,
}

/// How a release is published.
#[derive(Debug, Default)]
pub(crate) struct Publish {
    registry: Option<String>,
    index: Option<String>,
    no_verify: bool,
    dry_run: bool,
}

impl From<flags::Plan> for Next {
    fn from(flags: flags::Plan) -> Self {
        Self {
            version: flags.version,
            bump: flags.bump,
        }
    }
}

impl From<flags::Prepare> for Prepare {
    fn from(flags: flags::Prepare) -> Self {
        Self {
            next: Next {
                version: flags.version,
                bump: flags.bump,
            },
            date: flags.date,
            registry: flags.registry,
            no_verify: flags.no_verify,
            dry_run: flags.dry_run,
        }
    }
}

impl From<flags::Publish> for Publish {
    fn from(flags: flags::Publish) -> Self {
        Self {
            registry: flags.registry,
            index: flags.index,
            no_verify: flags.no_verify,
            dry_run: flags.dry_run,
        }
    }
}

/// Prints what a release would be.
pub(crate) fn plan(project: &Project, next: &Next) -> Result<()> {
    let current = project.version()?;
    let version = choose(project, &current, next)?;
    println!("version: {current} -> {version}");
    println!("crates, in the order of publication:");
    for package in project.metadata()?.publish_order() {
        println!("  {}", package.name);
    }
    println!("unreleased:");
    let text = project.sh.read_file(project.root.join("CHANGELOG.md"))?;
    let notes = changelog::unreleased(&text)?;
    println!("{}", if notes.is_empty() { "  nothing" } else { notes });
    Ok(())
}

/// Sets the version, dates the changelog, checks the packages, commits and tags.
///
/// If a check fails, the files are put back as they were.
pub(crate) fn prepare(project: &Project, options: &Prepare) -> Result<()> {
    let sh = &project.sh;
    let current = project.version()?;
    let version = choose(project, &current, &options.next)?;
    let date = match &options.date {
        Some(date) => date.clone(),
        None => cmd!(sh, "date -u +%F").quiet().read()?,
    };
    ensure!(is_date(&date), "`{date}` is not a date of the form YYYY-MM-DD");
    if !options.dry_run {
        require_clean(project)?;
    }

    let manifest = sh.read_file(project.root.join("Cargo.toml"))?;
    let notes = sh.read_file(project.root.join("CHANGELOG.md"))?;
    let new_manifest = with_version(&manifest, &version)?;
    let new_notes = changelog::release(&notes, &version, &date)?;
    if options.dry_run {
        print!("Cargo.toml\n{}", difference(&manifest, &new_manifest));
        print!("CHANGELOG.md\n{}", difference(&notes, &new_notes));
        tidy::run(project)?;
        // What is packaged is the tree as it is: the new version stands nowhere yet.
        return package(project, options);
    }

    let locks = OTHER_WORKSPACES.map(|dir| format!("{dir}/Cargo.lock"));
    let mut touched = vec!["Cargo.toml", "CHANGELOG.md", "Cargo.lock"];
    touched.extend(
        locks
            .iter()
            .map(String::as_str)
            .filter(|lock| project.root.join(lock).is_file()),
    );
    sh.write_file(project.root.join("Cargo.toml"), &new_manifest)?;
    sh.write_file(project.root.join("CHANGELOG.md"), &new_notes)?;
    if let Err(error) = checked(project, options) {
        cmd!(sh, "git checkout --quiet -- {touched...}")
            .run()
            .context("cannot put the files back")?;
        return Err(error.context("the release is not prepared, and the files are as they were"));
    }
    let tag = format!("v{version}");
    let message = format!("Release {version}");
    cmd!(sh, "git add -- {touched...}").run()?;
    cmd!(sh, "git commit --quiet -m {message}").run()?;
    cmd!(sh, "git tag -a {tag} -m {message}").run()?;
    println!(
        "{tag} is committed and tagged; push it with `git push --follow-tags`, then: cargo xtask release publish"
    );
    Ok(())
}

/// Uploads every crate of the tagged version and looks each up in the registry.
pub(crate) fn publish(project: &Project, options: &Publish) -> Result<()> {
    let sh = &project.sh;
    let version = project.version()?;
    let tag = format!("v{version}");
    let tags = cmd!(sh, "git tag --points-at HEAD").quiet().read()?;
    if !options.dry_run {
        require_clean(project)?;
        ensure!(
            tags.lines().any(|line| line == tag),
            "the commit does not have the tag {tag}; make it first: cargo xtask release prepare"
        );
    }
    let metadata = project.metadata()?;
    let packages = metadata.publish_order();
    // Cargo orders the packages itself and waits until the registry lists each before it goes on to the next.
    let mut cmd = project.cargo().arg("publish");
    for package in &packages {
        cmd = cmd.args(["-p", &package.name]);
    }
    cmd = with_registry(cmd, options);
    if options.no_verify {
        cmd = cmd.arg("--no-verify");
    }
    if options.dry_run {
        return Ok(cmd.args(["--dry-run", "--allow-dirty"]).run()?);
    }
    cmd.run()?;

    // Outside the workspace, so that cargo asks the registry and not the folder beside it.
    let elsewhere = sh.create_temp_dir()?;
    let _dir = sh.push_dir(elsewhere.path());
    for package in &packages {
        let spec = format!("{}@{version}", package.name);
        let info = with_registry(project.cargo().args(["info", "--color", "never"]), options);
        let listed = info.arg(&spec).quiet().ignore_stderr().read();
        let listed = listed.with_context(|| format!("the registry does not list {spec}"))?;
        ensure!(
            listed
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("version: {version}"))),
            "the registry does not list {spec}: {listed}"
        );
        println!("{spec} is in the registry");
    }
    Ok(())
}

fn with_registry<'a>(cmd: Cmd<'a>, options: &Publish) -> Cmd<'a> {
    match (&options.registry, &options.index) {
        (Some(name), _) => cmd.args(["--registry", name]),
        (None, Some(url)) => cmd.args(["--index", url]),
        (None, None) => cmd.args(["--registry", "crates-io"]),
    }
}

fn choose(project: &Project, current: &str, next: &Next) -> Result<String> {
    let sh = &project.sh;
    let tag = format!("v{current}");
    let released = !cmd!(sh, "git tag --list {tag}").quiet().read()?.is_empty();
    next_version(current, released, next.version.as_deref(), next.bump.as_deref())
}

fn require_clean(project: &Project) -> Result<()> {
    let sh = &project.sh;
    let changes = cmd!(sh, "git status --porcelain").quiet().read()?;
    if !changes.is_empty() {
        bail!("the tree has changes that are not committed:\n{changes}");
    }
    Ok(())
}

fn checked(project: &Project, options: &Prepare) -> Result<()> {
    project.cargo().args(["update", "--workspace"]).run()?;
    for dir in OTHER_WORKSPACES
        .iter()
        .filter(|dir| project.root.join(dir).join("Cargo.lock").is_file())
    {
        let manifest = format!("{dir}/Cargo.toml");
        project
            .cargo()
            .args(["update", "--workspace", "--manifest-path", &manifest])
            .run()?;
    }
    tidy::run(project)?;
    package(project, options)
}

fn package(project: &Project, options: &Prepare) -> Result<()> {
    let mut cmd = project.cargo().args(["package", "--allow-dirty"]);
    for package in project.metadata()?.publish_order() {
        cmd = cmd.args(["-p", &package.name]);
    }
    if let Some(name) = &options.registry {
        cmd = cmd.args(["--registry", name]);
    }
    if options.no_verify {
        cmd = cmd.arg("--no-verify");
    }
    Ok(cmd.run()?)
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |len: usize| {
        parts
            .next()
            .is_some_and(|part| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    part(4) && part(2) && part(2) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_three_parts() {
        assert!(is_date("2026-01-31"));
        for text in ["", "2026-1-31", "2026-01", "31-01-2026", "2026-01-31-1", "today"] {
            assert!(!is_date(text), "{text}");
        }
    }
}
