//! `mcp-server-git`: results that are text.

use serde_json::json;
use throng_mcp::McpConfig;

use super::{PYTHON, call, connect, ok, program, repository};

#[tokio::test]
async fn its_tools_look_and_commit() {
    let Some(program) = program(PYTHON, "mcp-server-git") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path());
    let repo = folder.path().to_string_lossy().into_owned();
    let server = connect(McpConfig::stdio("git", program).args(["--repository", repo.as_str()])).await;
    std::fs::write(folder.path().join("second.txt"), "second\n").unwrap();
    let status = ok(&server, "git_status", json!({"repo_path": repo})).await;
    assert!(status.as_str().unwrap().contains("second.txt"), "{status}");
    ok(
        &server,
        "git_add",
        json!({"repo_path": repo, "files": ["second.txt"]}),
    )
    .await;
    let staged = ok(&server, "git_diff_staged", json!({"repo_path": repo})).await;
    assert!(staged.as_str().unwrap().contains("+second"), "{staged}");
    ok(
        &server,
        "git_commit",
        json!({"repo_path": repo, "message": "add the second"}),
    )
    .await;
    let log = ok(&server, "git_log", json!({"repo_path": repo, "max_count": 5})).await;
    assert!(log.to_string().contains("add the second"), "{log}");
    ok(
        &server,
        "git_create_branch",
        json!({"repo_path": repo, "branch_name": "side"}),
    )
    .await;
    ok(
        &server,
        "git_checkout",
        json!({"repo_path": repo, "branch_name": "side"}),
    )
    .await;
    let error = call(
        &server,
        "git_show",
        json!({"repo_path": repo, "revision": "no-such"}),
    )
    .await
    .unwrap_err();
    assert!(!error.outcome_unknown, "{error:?}");
}
