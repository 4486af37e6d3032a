//! One plan over three servers: it overlaps, and leaves what the same calls leave one by one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use throng_mcp::{McpConfig, McpServer, connect_all, register};
use throng_tools::{Dependencies, EdgeKind, Mode, Plan, ToolContext, ToolExecutor, Tools, resolve};

use super::{NODE, PYTHON, program, repository};

/// Two folders, and the servers that work in them.
struct Workshop {
    folder: TempDir,
    servers: Vec<McpServer>,
    tools: Tools,
    plan: Plan,
}

/// What a plan left: the texts of files by their paths, and the last commit.
#[derive(Debug, PartialEq)]
struct Left {
    files: BTreeMap<PathBuf, String>,
    head: String,
}

impl Workshop {
    async fn open() -> Option<Self> {
        let node = program(NODE, "mcp-server-filesystem")?;
        let python = program(PYTHON, "mcp-server-git")?;
        let folder = tempfile::tempdir().unwrap();
        // The servers compare real paths; a temporary folder may be behind a link.
        let root = folder.path().canonicalize().unwrap();
        let (files, repo) = (root.join("files"), root.join("repo"));
        std::fs::create_dir(&files).unwrap();
        std::fs::create_dir(&repo).unwrap();
        repository(&repo);
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let lookup = |name: &str| match name {
            "NODE" => node.parent().map(text),
            "PYTHON" => python.parent().map(text),
            "FILES" => Some(text(&files)),
            "REPO" => Some(text(&repo)),
            _ => None,
        };
        let configs = McpConfig::all_from_toml(include_str!("servers.toml"), lookup).unwrap();
        let mut servers = Vec::new();
        let mut tools = Tools::new();
        for server in connect_all(configs).await {
            let server = server.unwrap_or_else(|error| panic!("{error}"));
            register(server.tools(), &mut tools).unwrap();
            servers.push(server);
        }
        let plan = include_str!("plan.json")
            .replace("@FILES@", &text(&files))
            .replace("@REPO@", &text(&repo));
        Some(Self {
            folder,
            servers,
            tools,
            plan: Plan::from_json(&plan).unwrap(),
        })
    }

    /// Runs the calls one after the other, in their order, by nothing but the tools.
    async fn one_by_one(&self) -> Vec<Value> {
        let mut results: Vec<Value> = Vec::new();
        for (own, call) in (0..).zip(self.plan.calls()) {
            let mut arguments = call.arguments.clone();
            resolve(&mut arguments, self.plan.names(), own, |call| {
                results.get(call as usize)
            })
            .unwrap();
            let tool = self.tools.get(&call.name).unwrap().tool();
            match tool.call(arguments, ToolContext::new(call.id.as_str())).await {
                Ok(value) => results.push(value),
                Err(error) => panic!("{}: {error}", call.id),
            }
        }
        results
    }

    /// Closes the servers and returns what is in the folders.
    async fn close(self) -> Left {
        for server in &self.servers {
            server.close().await;
        }
        let root = self.folder.path().canonicalize().unwrap();
        let mut files = BTreeMap::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with(".git") {
                    folders.push(path);
                } else if path.is_file() {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let name = path.strip_prefix(&root).unwrap().to_path_buf();
                    files.insert(name, self.anywhere(&text));
                }
            }
        }
        let git = ["-C", "repo", "log", "--format=%H %T %an %s"];
        let head = Command::new("git").current_dir(&root).args(git).output().unwrap();
        assert!(head.status.success(), "{head:?}");
        Left {
            files,
            head: String::from_utf8(head.stdout).unwrap(),
        }
    }

    /// Takes the name of the folder out of a text.
    fn anywhere(&self, text: &str) -> String {
        let root = self.folder.path().canonicalize().unwrap();
        text.replace(&*root.to_string_lossy(), "ROOT")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_over_three_servers_overlaps_and_leaves_what_one_by_one_leaves() {
    let Some(together) = Workshop::open().await else {
        return;
    };
    let executor = ToolExecutor::builder(together.tools.clone()).build().unwrap();
    check_graph(&together.plan, &executor.dependencies(&together.plan).unwrap());

    let report = executor.run(together.plan.clone()).await.unwrap();
    let errors: Vec<_> = report
        .errors()
        .map(|(result, text)| format!("{}: {text}", result.id))
        .collect();
    assert_eq!(errors, [] as [String; 0]);
    let values: Vec<_> = report
        .results
        .iter()
        .map(|result| together.anywhere(&result.outcome.value().unwrap().to_string()))
        .collect();
    let summary = report.to_json();
    println!("{summary:#}");
    assert!(report.overlap() > 1.5, "{summary:#}");

    let alone = Workshop::open().await.expect("the servers were there before");
    let results = alone.one_by_one().await;
    let expected: Vec<_> = results
        .iter()
        .map(|value| alone.anywhere(&value.to_string()))
        .collect();
    assert_eq!(values, expected);

    let (left, expected) = (together.close().await, alone.close().await);
    assert_eq!(left, expected);
    let text = |name: &str| left.files.get(Path::new(name)).map(String::as_str);
    assert_eq!(text("files/in/a.txt"), Some("ALPHA!\n"));
    assert_eq!(text("repo/notes.txt"), Some("ALPHA!\n"));
    assert!(
        text("files/out/joined.txt")
            .unwrap()
            .starts_with("alpha\nbeta\nThe sum of 20 and 22 is 42.")
    );
    assert!(
        text("files/out/echoed.txt")
            .unwrap()
            .starts_with("Echo: $1.50 each, {"),
        "{left:?}"
    );
    let listed = text("files/out/listed.txt").unwrap();
    assert!(
        listed.contains("echoed.txt") && !listed.contains("logged.txt"),
        "{listed}"
    );
    assert!(left.head.contains("add notes of ALPHA!"), "{left:?}");
}

/// The plan is as demanding as it is meant to be.
fn check_graph(plan: &Plan, graph: &Dependencies) {
    assert!(plan.calls().len() >= 20, "{} calls", plan.calls().len());
    let servers: std::collections::BTreeSet<_> = plan
        .calls()
        .iter()
        .filter_map(|call| call.name.split('.').next())
        .collect();
    assert_eq!(servers.into_iter().collect::<Vec<_>>(), ["every", "files", "git"]);
    let count = |kind| graph.edges().iter().filter(|edge| edge.kind == kind).count();
    assert!(count(EdgeKind::Reference) >= 5, "{:?}", graph.edges());
    let writes = |call: u32| {
        graph
            .accesses(call)
            .iter()
            .filter(|access| access.mode == Mode::Write)
    };
    let both_write = |edge: &&throng_tools::Edge| {
        edge.kind == EdgeKind::Conflict && writes(edge.from).count() > 0 && writes(edge.to).count() > 0
    };
    let conflicts = graph.edges().iter().filter(both_write).count();
    assert!(conflicts >= 2, "{conflicts} conflicts of writes");
    assert_eq!(count(EdgeKind::Policy), 0, "{:?}", graph.edges());
}
