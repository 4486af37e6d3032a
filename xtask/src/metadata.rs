//! What `cargo metadata` says of the workspace, cut down to what the commands ask.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The packages of the workspace and all that they depend on, every feature being on.
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_dir: PathBuf,
    members: BTreeSet<String>,
    /// For each package id, what it depends on other than for development.
    arrows: BTreeMap<String, Vec<String>>,
}

/// One package.
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest: PathBuf,
    pub(crate) licence: Option<String>,
    /// False if the manifest says `publish = false`.
    pub(crate) publish: bool,
    pub(crate) dependencies: Vec<Dependency>,
    /// Names of the bench targets.
    pub(crate) benches: Vec<String>,
}

/// A dependency as a manifest declares it.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

impl Metadata {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_json::from_str(text).context("cargo metadata did not print JSON")?;
        let packages = array(&json, "packages")
            .iter()
            .map(package)
            .collect::<Result<_>>()?;
        let members = array(&json, "workspace_members")
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let mut arrows = BTreeMap::new();
        for node in array(&json["resolve"], "nodes") {
            let to = array(node, "deps")
                .iter()
                .filter(|dep| array(dep, "dep_kinds").iter().any(|kind| kind["kind"] != "dev"))
                .map(|dep| string(dep, "pkg"))
                .collect::<Result<Vec<_>>>()?;
            arrows.insert(string(node, "id")?, to);
        }
        Ok(Self {
            packages,
            members,
            arrows,
            target_dir: string(&json, "target_directory")?.into(),
        })
    }

    /// Returns the packages of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| self.members.contains(&package.id))
    }

    /// Returns the package of the workspace that has this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Package> {
        self.members().find(|package| package.name == name)
    }

    /// Returns what the members depend on, directly or not, leaving development out.
    pub(crate) fn closure(&self) -> Vec<&Package> {
        let mut seen = self.members.clone();
        let mut queue: VecDeque<&str> = self.members.iter().map(String::as_str).collect();
        while let Some(id) = queue.pop_front() {
            for next in self.arrows.get(id).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    queue.push_back(next);
                }
            }
        }
        self.packages
            .iter()
            .filter(|package| seen.contains(&package.id) && !self.members.contains(&package.id))
            .collect()
    }

    /// Returns the members that may be published, each after those it depends on.
    pub(crate) fn publish_order(&self) -> Vec<&Package> {
        let mut waiting: Vec<&Package> = self.members().filter(|package| package.publish).collect();
        waiting.sort_by(|a, b| a.name.cmp(&b.name));
        let mut order: Vec<&Package> = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let ready = waiting.iter().position(|package| {
                !waiting.iter().any(|other| {
                    package
                        .dependencies
                        .iter()
                        .any(|dep| dep.kind != Kind::Dev && dep.name == other.name)
                })
            });
            // Cargo refuses cycles, so somebody is always ready; 0 keeps the loop finite all the same.
            order.push(waiting.remove(ready.unwrap_or(0)));
        }
        order
    }
}

impl Package {
    /// Returns the manifest as findings name it, relative to the root.
    pub(crate) fn file(&self) -> String {
        let parts: Vec<_> = self
            .manifest
            .iter()
            .rev()
            .take(3)
            .filter_map(OsStr::to_str)
            .collect();
        match parts[..] {
            [file, dir, "crates"] => format!("crates/{dir}/{file}"),
            [file, dir, ..] => format!("{dir}/{file}"),
            _ => self.manifest.display().to_string(),
        }
    }
}

fn package(json: &Value) -> Result<Package> {
    let dependencies = array(json, "dependencies")
        .iter()
        .map(|dep| {
            let kind = match dep["kind"].as_str() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            };
            Ok(Dependency {
                name: string(dep, "name")?,
                kind,
            })
        })
        .collect::<Result<_>>()?;
    let benches = array(json, "targets")
        .iter()
        .filter(|target| array(target, "kind").iter().any(|kind| kind == "bench"))
        .map(|target| string(target, "name"))
        .collect::<Result<_>>()?;
    Ok(Package {
        id: string(json, "id")?,
        name: string(json, "name")?,
        version: string(json, "version")?,
        manifest: string(json, "manifest_path")?.into(),
        licence: json["license"].as_str().map(str::to_owned),
        publish: json["publish"]
            .as_array()
            .is_none_or(|registries| !registries.is_empty()),
        dependencies,
        benches,
    })
}

fn array<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json[key].as_array().map_or(&[], Vec::as_slice)
}

fn string(json: &Value, key: &str) -> Result<String> {
    json[key]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("cargo metadata has no text at `{key}`"))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// One package of a planted workspace: its name and, by kind ("normal", "dev"), what it depends on.
    pub(crate) type Planted<'a> = (&'a str, &'a [(&'a str, &'a str)]);

    /// Makes the metadata of a workspace with these members; a dependency that is no member comes from a registry.
    pub(crate) fn planted(members: &[Planted<'_>]) -> Metadata {
        let kind = |kind: &str| {
            if kind == "normal" {
                Value::Null
            } else {
                json!(kind)
            }
        };
        let is_member = |name: &str| members.iter().any(|(member, _)| *member == name);
        let mut packages: Vec<Value> = members
            .iter()
            .map(|(name, deps)| {
                let deps: Vec<_> = deps
                    .iter()
                    .map(|(k, dep)| json!({"name": dep, "kind": kind(k)}))
                    .collect();
                json!({"id": name, "name": name, "version": "0.1.0", "license": "MIT", "publish": null,
                       "manifest_path": format!("/w/crates/{name}/Cargo.toml"), "dependencies": deps,
                       "targets": [{"kind": ["lib"], "name": name}]})
            })
            .collect();
        let mut nodes: Vec<Value> = Vec::new();
        for (name, deps) in members {
            let deps: Vec<_> = deps
                .iter()
                .map(|(k, dep)| json!({"pkg": dep, "dep_kinds": [{"kind": kind(k)}]}))
                .collect();
            nodes.push(json!({"id": name, "deps": deps}));
        }
        for (_, deps) in members {
            for (_, dep) in deps.iter().filter(|(_, dep)| !is_member(dep)) {
                packages.push(
                    json!({"id": dep, "name": dep, "version": "1.0.0", "license": "GPL-3.0",
                                     "manifest_path": "/r/Cargo.toml", "dependencies": [], "targets": []}),
                );
            }
        }
        let ids: Vec<_> = members.iter().map(|(name, _)| *name).collect();
        let all = json!({"packages": packages, "workspace_members": ids, "resolve": {"nodes": nodes},
                         "target_directory": "/w/target"});
        Metadata::parse(&all.to_string()).unwrap()
    }

    #[test]
    fn crates_are_published_after_what_they_depend_on() {
        let metadata = planted(&[
            ("a-cli", &[("normal", "b-mid"), ("normal", "z-core")]),
            ("b-mid", &[("normal", "z-core"), ("dev", "a-cli")]),
            ("z-core", &[]),
        ]);
        let names: Vec<_> = metadata
            .publish_order()
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(names, ["z-core", "b-mid", "a-cli"]);
    }

    #[test]
    fn the_closure_leaves_development_out() {
        let metadata = planted(&[("a", &[("normal", "used"), ("dev", "tool")])]);
        let names: Vec<_> = metadata
            .closure()
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        assert_eq!(names, ["used"]);
    }
}
