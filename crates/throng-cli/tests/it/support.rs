//! A clean home for the program, and ways to run it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for something before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own for one test: the current folder of the program, with an empty environment.
pub(crate) struct Home {
    folder: TempDir,
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes JSON Lines with ids `q1`, `q2` and so on.
    pub(crate) fn questions(&self, name: &str, n: usize) -> &Self {
        self.write(
            name,
            (1..=n)
                .map(|i| format!("{{\"id\":\"q{i}\",\"question\":\"{}\"}}\n", question(i)))
                .collect::<String>(),
        )
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        command.args(args).current_dir(self.folder.path()).env_clear();
        command
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("xdg"));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        ended(&mut self.command(args))
    }

    /// Runs `in.jsonl` at a server and returns how it ended, with the summary.
    pub(crate) fn run_at(&self, sim: &Sim, flags: &[&str]) -> (Ended, Value) {
        let server = ["--base-url", sim.url(), "--model", "m"];
        let ended = self.run(&[&["run", "in.jsonl", "--summary", "s.json"], &server[..], flags].concat());
        let summary = serde_json::from_str(&self.read("s.json")).unwrap();
        (ended, summary)
    }

    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Ended {
        ended(self.command(args).envs(env.iter().copied()))
    }

    pub(crate) fn pipe(&self, args: &[&str], input: &str) -> Ended {
        let mut command = self.command(args);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        let writer = std::thread::spawn(move || {
            // The program may end before it has read everything.
            let _ = stdin.write_all(input.as_bytes());
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        from(&output)
    }

    /// Returns the result lines of a file by id; fails if an id comes twice or a line is torn.
    pub(crate) fn results(&self, name: &str) -> BTreeMap<String, Value> {
        by_id(&self.read(name))
    }

    /// Starts `throng sim` with quick, constant latencies and these flags.
    pub(crate) fn sim(&self, args: &[&str]) -> Sim {
        Sim::start(self, args)
    }
}

pub(crate) fn question(i: usize) -> String {
    format!("What is remarkable about the number {i}?")
}

pub(crate) fn by_id(lines: &str) -> BTreeMap<String, Value> {
    assert!(
        lines.is_empty() || lines.ends_with('\n'),
        "the last line is torn: {lines:?}"
    );
    let mut results = BTreeMap::new();
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(value["v"], 1, "{line}");
        let id = match &value["id"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert!(results.insert(id, value).is_none(), "an id comes twice: {line}");
    }
    results
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    from(&command.output().unwrap())
}

fn from(output: &std::process::Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(
            !self.stderr.contains("panicked at") && !self.stderr.contains("has a bug"),
            "{self:#?}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "standard error lacks {text:?}: {self:#?}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "standard output lacks {text:?}: {self:#?}"
        );
        self
    }
}

/// A simulated server in a process of its own.
pub(crate) struct Sim {
    child: Child,
    url: String,
}

impl Sim {
    fn start(home: &Home, args: &[&str]) -> Self {
        let quick: &[&str] = if args.contains(&"--first-token") {
            &["--jitter", "0"]
        } else {
            &[
                "--first-token",
                "5ms",
                "--jitter",
                "0",
                "--tokens-per-second",
                "0",
            ]
        };
        Self::spawn(home.command(&[&["sim"], quick, args].concat()))
    }

    /// Starts a server by a command of its own.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        assert!(url.starts_with("http://"), "the server says {url:?}");
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn port(&self) -> String {
        let address = self.url.trim_end_matches("/v1");
        address.rsplit(':').next().unwrap().to_owned()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds; fails after [`PATIENCE`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns how many whole lines a file has; none if it does not exist.
pub(crate) fn whole_lines(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count())
}

/// Sends a signal by name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Reads standard error of a child up to a line with this text.
pub(crate) fn read_until(stderr: &mut BufReader<ChildStderr>, text: &str) -> String {
    let mut all = String::new();
    loop {
        let mut line = String::new();
        assert!(
            stderr.read_line(&mut line).unwrap() > 0,
            "{text:?} never comes: {all}"
        );
        all.push_str(&line);
        if line.contains(text) {
            return all;
        }
    }
}

/// Reads the rest.
pub(crate) fn read_rest(mut from: impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// Answers every connection with the same bytes, whatever it asks.
pub(crate) struct Parrot {
    url: String,
}

impl Parrot {
    pub(crate) fn start(answer: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                std::thread::spawn(move || {
                    // Reads the request to its end, so that closing does not reset the connection.
                    let mut request = Vec::new();
                    let mut buffer = [0; 4096];
                    while !is_whole(&request) {
                        match stream.read(&mut buffer) {
                            Ok(0) | Err(_) => break,
                            Ok(n) => request.extend_from_slice(&buffer[..n]),
                        }
                    }
                    let _ = stream.write_all(answer.as_bytes());
                });
            }
        });
        Self { url }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|length| length.trim().parse::<usize>().ok());
    body.len() >= length.unwrap_or(0)
}
