//! What keeps a child from starting is named.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use throng_core::{Classify, ErrorClass};
use throng_process::{Command, Environment, ProcessError};

async fn error(command: Command) -> ProcessError {
    let error = command.run().await.unwrap_err();
    assert_eq!(error.classify(), ErrorClass::Permanent);
    let started = command.start().unwrap_err();
    assert_eq!(started.to_string(), error.to_string());
    error
}

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_program_that_is_nowhere_is_named_with_the_path_that_was_searched() {
    let environment = Environment::empty().set("PATH", "/nowhere:/usr/nowhere");
    let error = error(Command::new("frobnicate").environment(environment)).await;
    assert_eq!(
        error.to_string(),
        "program `frobnicate` is in none of the folders of PATH: /nowhere:/usr/nowhere"
    );
}

#[tokio::test]
async fn a_path_without_a_file_is_named() {
    let error = error(Command::new("/nowhere/frobnicate")).await;
    assert_eq!(error.to_string(), "there is no program at `/nowhere/frobnicate`");
}

#[tokio::test]
async fn a_file_that_may_not_be_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "plain", "#!/bin/sh\n", 0o644);
    let expected = format!("`{path}` is not an executable file");
    assert_eq!(error(Command::new(&*path)).await.to_string(), expected);
    let by_name = Environment::empty().set("PATH", folder.path());
    assert_eq!(
        error(Command::new("plain").environment(by_name))
            .await
            .to_string(),
        expected
    );
    let directory = format!("`{}` is not an executable file", folder.path().display());
    assert_eq!(error(Command::new(folder.path())).await.to_string(), directory);
}

#[tokio::test]
async fn a_later_folder_of_the_path_is_searched_when_an_earlier_one_has_a_file_that_may_not_be_run() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "sh", "", 0o644);
    let path = format!("{}:/bin", folder.path().display());
    let command = Command::new("sh").args(["-c", "exit 4"]);
    let command = command.environment(Environment::empty().set("PATH", path));
    assert_eq!(command.run().await.unwrap().status.code(), Some(4));
}

#[tokio::test]
async fn an_absent_interpreter_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        folder.path(),
        "script",
        "#! /no/such/python3 -u\nprint(1)\n",
        0o755,
    );
    assert_eq!(
        error(Command::new(&*path)).await.to_string(),
        format!("`{path}` needs the interpreter `/no/such/python3`, which is not there")
    );
}

#[tokio::test]
async fn an_absent_working_directory_is_named() {
    let error = error(Command::new("true").folder("/no/such/place")).await;
    assert_eq!(
        error.to_string(),
        "there is no directory `/no/such/place` to run `true` in"
    );
}

#[tokio::test]
async fn a_zero_byte_is_said_where_it_is() {
    let text = error(Command::new("true").args(["fine", "a\0b"]))
        .await
        .to_string();
    assert_eq!(text, "argument 2 of `true` holds a zero byte");
    let environment = Environment::inherit().set("KEY", "a\0b");
    let text = error(Command::new("true").environment(environment))
        .await
        .to_string();
    assert_eq!(text, "the environment variable `KEY` of `true` holds a zero byte");
}

#[tokio::test]
async fn arguments_that_are_too_long_say_how_long() {
    let error = error(Command::new("true").arg("x".repeat(8 << 20))).await;
    assert!(
        matches!(&error, ProcessError::TooLong { bytes, .. } if *bytes == (8 << 20) + 1),
        "{error}"
    );
}

#[test]
fn secrets_are_not_in_debug_output() {
    let command = Command::new("curl").arg("sk-1").input(&b"sk-2"[..]);
    let shown = format!(
        "{:?}",
        command.environment(Environment::empty().set("KEY", "sk-3"))
    );
    assert!(shown.contains("curl") && !shown.contains("sk-"), "{shown}");
}
