//! The proof of a release: a copy of the tree is prepared, tagged and published to a registry on loopback, and a fresh
//! crate is built from what the registry then serves.

use std::env;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, TempDir, cmd};

use super::registry::Registry;
use super::{Next, Prepare, Publish, prepare, publish};
use crate::project::Project;

/// The name under which cargo knows the registry.
const REGISTRY: &str = "local";

/// Takes a copy of the tree through a whole release.
pub(crate) fn prove(project: &Project) -> Result<()> {
    let registry = Registry::start()?;
    let scratch = project.sh.create_temp_dir()?;
    let copy = Project::at(&copy(project, &scratch.path().join("tree"))?)?;
    let target = project.metadata()?.target_dir.join("release-proof");
    copy.sh.set_var("CARGO_TARGET_DIR", &target);
    point_cargo_at(&copy.sh, &registry, &scratch)?;
    commit(&copy)?;

    let next = Next {
        version: None,
        bump: Some("patch".to_owned()),
    };
    prepare(
        &copy,
        &Prepare {
            next,
            registry: Some(REGISTRY.to_owned()),
            ..Prepare::default()
        },
    )?;
    // `prepare` has built every package as it is uploaded here.
    publish(
        &copy,
        &Publish {
            registry: Some(REGISTRY.to_owned()),
            no_verify: true,
            ..Publish::default()
        },
    )?;

    let version = copy.version()?;
    let names: Vec<String> = copy
        .metadata()?
        .publish_order()
        .iter()
        .map(|package| package.name.clone())
        .collect();
    let mut expect: Vec<String> = names.iter().map(|name| format!("{name}/{version}")).collect();
    expect.sort();
    let published = registry.published();
    ensure!(
        published == expect,
        "published is {published:?}, which should be {expect:?}"
    );

    let libraries: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "throng-cli")
        .collect();
    build_consumer(&copy.sh, &scratch.path().join("consumer"), &libraries, &version)?;
    if names.iter().any(|name| name == "throng-cli") {
        let root = scratch.path().join("installed");
        let install = copy.cargo().args([
            "install",
            "--debug",
            "--registry",
            REGISTRY,
            "throng-cli",
            "--version",
            &version,
        ]);
        install.arg("--root").arg(&root).run()?;
        let sh = &copy.sh;
        let program = root.join("bin/throng");
        let says = cmd!(sh, "{program} --version").read()?;
        ensure!(
            says.contains(&version),
            "the installed program says `{says}`, not {version}"
        );
    }
    println!(
        "proven: {} crates at {version} are published, and a fresh crate builds from them",
        names.len()
    );
    Ok(())
}

/// Copies the files of the checkout, and names the registry in the pins of its crates: cargo takes a dependency
/// without a registry from crates.io, whatever the registry is to which the crate goes.
fn copy(project: &Project, to: &Path) -> Result<std::path::PathBuf> {
    let sh = &project.sh;
    for file in project.files()? {
        let target = to.join(&file);
        sh.create_dir(target.parent().unwrap_or(to))?;
        std::fs::copy(project.root.join(&file), target).with_context(|| format!("cannot copy {file}"))?;
    }
    let manifest = to.join("Cargo.toml");
    sh.write_file(&manifest, with_registry(&sh.read_file(&manifest)?))?;
    let changelog = to.join("CHANGELOG.md");
    let notes = sh.read_file(&changelog)?;
    if super::changelog::unreleased(&notes)?.is_empty() {
        sh.write_file(
            &changelog,
            notes.replacen("## [Unreleased]\n", "## [Unreleased]\n\n- A proof.\n", 1),
        )?;
    }
    Ok(to.to_path_buf())
}

fn with_registry(manifest: &str) -> String {
    let line = |line: &str| {
        if line.contains("{ path = \"crates/") {
            line.replacen("{ ", &format!("{{ registry = \"{REGISTRY}\", "), 1)
        } else {
            line.to_owned()
        }
    };
    manifest.lines().map(|text| line(text) + "\n").collect()
}

/// Gives cargo the registry, and a home of its own: what it keeps of the registry goes with the scratch folder, and
/// the packages of crates.io that are there already are not fetched again.
fn point_cargo_at(sh: &Shell, registry: &Registry, scratch: &TempDir) -> Result<()> {
    let old = match env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => Path::new(&env::var_os("HOME").context("neither CARGO_HOME nor HOME is set")?).join(".cargo"),
    };
    let new = scratch.path().join("cargo-home");
    for kind in ["cache", "index", "src"] {
        let (old, new) = (old.join("registry").join(kind), new.join("registry").join(kind));
        sh.create_dir(&new)?;
        for entry in old.read_dir().into_iter().flatten() {
            let entry = entry?;
            if entry
                .file_name()
                .to_string_lossy()
                .starts_with("index.crates.io-")
            {
                std::os::unix::fs::symlink(entry.path(), new.join(entry.file_name()))?;
            }
        }
    }
    if old.join("config.toml").is_file() {
        sh.copy_file(old.join("config.toml"), new.join("config.toml"))?;
    }
    sh.set_var("CARGO_HOME", &new);
    sh.set_var("CARGO_REGISTRIES_LOCAL_INDEX", registry.index());
    sh.set_var("CARGO_REGISTRIES_LOCAL_TOKEN", "any");
    Ok(())
}

/// Makes the tree a repository of its own and commits it.
fn commit(project: &Project) -> Result<()> {
    let (sh, root) = (&project.sh, &project.root);
    // Git tells the hooks that it runs by variables where the repository is: this is another one.
    sh.set_var("GIT_DIR", root.join(".git"));
    sh.set_var("GIT_WORK_TREE", root);
    sh.set_var("GIT_INDEX_FILE", root.join(".git/index"));
    cmd!(sh, "git init --quiet --template=").quiet().run()?;
    let hooks = root.join(".git/no-hooks");
    for (key, value) in [("user.name", "Proof"), ("user.email", "proof@localhost")] {
        cmd!(sh, "git config {key} {value}").quiet().run()?;
    }
    for key in ["commit.gpgsign", "tag.gpgsign"] {
        cmd!(sh, "git config {key} false").quiet().run()?;
    }
    cmd!(sh, "git config core.hooksPath {hooks}").quiet().run()?;
    cmd!(sh, "git add --all").quiet().run()?;
    cmd!(sh, "git commit --quiet -m Copy").quiet().run()?;
    Ok(())
}

/// Builds a fresh crate that depends on the published crates by version.
fn build_consumer(sh: &Shell, dir: &Path, names: &[&str], version: &str) -> Result<()> {
    let deps: String = names
        .iter()
        .map(|name| format!("{name} = {{ version = \"={version}\", registry = \"{REGISTRY}\" }}\n"))
        .collect();
    let uses: String = names
        .iter()
        .map(|name| format!("use {} as _;\n", name.replace('-', "_")))
        .collect();
    let manifest = format!(
        "[package]\nname = \"consumer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{deps}"
    );
    sh.write_file(dir.join("Cargo.toml"), manifest)?;
    sh.write_file(dir.join("src/main.rs"), format!("{uses}\nfn main() {{}}\n"))?;
    let _dir = sh.push_dir(dir);
    cmd!(sh, "cargo run --quiet")
        .run()
        .context("a crate that depends on the published ones does not build")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plants a workspace of two crates that test with each other, at version 0.1.0, committed and tagged `tag`.
    fn planted(registry: &Registry, tag: &str) -> (TempDir, Project) {
        let sh = Shell::new().unwrap();
        let scratch = sh.create_temp_dir().unwrap();
        let tree = scratch.path().join("tree");
        let write = |name: &str, text: &str| sh.write_file(tree.join(name), text).unwrap();
        write(
            "Cargo.toml",
            &with_registry(
                "[workspace]\nresolver = \"3\"\nmembers = [\"crates/*\", \"tool\"]\n\n[workspace.package]\nversion = \"0.1.0\"\n\
                 edition = \"2024\"\n\n[workspace.dependencies]\nproof-core = { path = \"crates/proof-core\", version = \"=0.1.0\" }\n",
            ),
        );
        let package = |name: &str, more: &str| {
            format!(
                "[package]\nname = \"{name}\"\ndescription = \"d\"\nlicense = \"MIT\"\nversion.workspace = true\nedition.workspace = true\n{more}"
            )
        };
        let needs_app = "\n[dev-dependencies]\nproof-app = { path = \"../proof-app\" }\n";
        write("crates/proof-core/Cargo.toml", &package("proof-core", needs_app));
        write("crates/proof-core/src/lib.rs", "pub fn two() -> u8 { 2 }\n");
        write(
            "crates/proof-app/Cargo.toml",
            &package("proof-app", "\n[dependencies]\nproof-core.workspace = true\n"),
        );
        write(
            "crates/proof-app/src/lib.rs",
            "pub fn four() -> u8 { proof_core::two() * 2 }\n",
        );
        write("tool/Cargo.toml", &package("tool", "publish = false\n"));
        write("tool/src/lib.rs", "");
        write(".gitignore", "target\n");
        let project = Project::at(&tree).unwrap();
        point_cargo_at(&project.sh, registry, &scratch).unwrap();
        project.sh.set_var("CARGO_TARGET_DIR", tree.join("target"));
        project
            .cargo()
            .args(["generate-lockfile", "--quiet"])
            .quiet()
            .run()
            .unwrap();
        commit(&project).unwrap();
        let sh = &project.sh;
        cmd!(sh, "git tag -a {tag} -m {tag}").quiet().run().unwrap();
        (scratch, project)
    }

    fn options(dry_run: bool) -> Publish {
        Publish {
            registry: Some(REGISTRY.to_owned()),
            dry_run,
            ..Publish::default()
        }
    }

    #[test]
    fn crates_that_test_with_each_other_are_published_and_a_fresh_crate_builds_from_them() {
        let registry = Registry::start().unwrap();
        let (scratch, project) = planted(&registry, "v0.1.0");
        publish(&project, &options(true)).unwrap();
        assert!(registry.published().is_empty(), "a dry run uploads nothing");
        publish(&project, &options(false)).unwrap();
        assert_eq!(registry.published(), ["proof-app/0.1.0", "proof-core/0.1.0"]);
        build_consumer(
            &project.sh,
            &scratch.path().join("consumer"),
            &["proof-app"],
            "0.1.0",
        )
        .unwrap();
        let again = publish(&project, &options(false)).unwrap_err();
        assert_eq!(registry.published().len(), 2, "{again:#}");
    }

    #[test]
    fn only_a_tagged_and_clean_tree_is_published() {
        let registry = Registry::start().unwrap();
        let (_scratch, project) = planted(&registry, "v0.0.9");
        let error = publish(&project, &options(false)).unwrap_err().to_string();
        assert!(error.contains("does not have the tag v0.1.0"), "{error}");
        project.sh.write_file(project.root.join("new"), "").unwrap();
        let error = publish(&project, &options(false)).unwrap_err().to_string();
        assert!(error.contains("not committed"), "{error}");
        assert!(registry.published().is_empty());
    }

    #[test]
    fn the_registry_is_named_in_the_pins_only() {
        let text = with_registry("a = { path = \"crates/a\", version = \"=1\" }\nb = { version = \"1\" }\n");
        assert_eq!(
            text,
            "a = { registry = \"local\", path = \"crates/a\", version = \"=1\" }\nb = { version = \"1\" }\n"
        );
    }
}
