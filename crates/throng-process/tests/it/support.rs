//! What the tests share.

use std::time::Duration;

use throng_process::{Command, Signal};

/// A child that runs a script. The tests are the ones who write it: no shell comes between a [`Command`] and its arguments.
pub(crate) fn sh(script: &str) -> Command {
    Command::new("sh").arg("-c").arg(script)
}

/// A ladder short enough for tests.
pub(crate) fn quick(command: Command) -> Command {
    command.ladder([(Signal::Terminate, Duration::from_millis(50))])
}

/// Returns the text of what a child wrote to its standard output.
pub(crate) fn text(finished: &throng_process::Finished) -> String {
    finished.stdout.text().trim_end().to_owned()
}

/// Returns true if a process of this id runs.
pub(crate) fn runs(pid: &str) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat
            .rsplit_once(')')
            .unwrap()
            .1
            .trim_start()
            .starts_with(['Z', 'X']),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => std::process::Command::new("kill")
            .args(["-0", pid])
            .output()
            .unwrap()
            .status
            .success(),
    }
}

/// Waits until a process has gone; that it does is what the caller asserts.
pub(crate) async fn gone(pid: &str) {
    while runs(pid) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
