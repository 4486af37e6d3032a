//! What is to be run: a program and its arguments, never a line for a shell.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Child, Environment, Finished, Keep, Limits, ProcessError, Signal, run};

/// How long a child has to end after `SIGTERM`, unless told otherwise.
const GRACE: Duration = Duration::from_secs(2);
/// How long the output of a child may stay open after its end, unless told otherwise.
const LEAK_WAIT: Duration = Duration::from_millis(100);

/// A program and its arguments, and the rules under which it runs.
///
/// The arguments reach the program as they are: no shell sees them. `Debug` shows no argument, input or value of the
/// environment, since they may hold secrets.
#[derive(Clone)]
#[must_use]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) environment: Environment,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) input: Arc<[u8]>,
    pub(crate) stdout: Keep,
    pub(crate) stderr: Keep,
    pub(crate) limits: Limits,
    pub(crate) timeout: Option<Duration>,
    pub(crate) ladder: Vec<(Signal, Duration)>,
    pub(crate) leak_wait: Duration,
    pub(crate) session: bool,
}

impl Command {
    /// Names a program: a path if it has a `/`, else a name that is looked for in the `PATH` of the child.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            environment: Environment::inherit(),
            folder: None,
            input: Arc::default(),
            stdout: Keep::default(),
            stderr: Keep::default(),
            limits: Limits::none(),
            timeout: None,
            ladder: vec![(Signal::Terminate, GRACE)],
            leak_wait: LEAK_WAIT,
            session: false,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets the environment variables. Default: all of this process.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Sets the working directory. Default: that of this process. A relative path of the program starts from here.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets what [`run`](Self::run) writes to the standard input. Default: nothing, as `/dev/null` gives it.
    ///
    /// A child that does not read all of it is no error.
    pub fn input(mut self, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Sets how much of the standard output [`run`](Self::run) keeps. Default: the first and the last 512 KiB.
    pub fn keep_stdout(mut self, keep: Keep) -> Self {
        self.stdout = keep;
        self
    }

    /// Sets how much of the standard error is kept. Default: the first and the last 512 KiB.
    pub fn keep_stderr(mut self, keep: Keep) -> Self {
        self.stderr = keep;
        self
    }

    /// Sets what the child may use. Default: what this process may.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how long [`run`](Self::run) lets it run before it goes down the [`ladder`](Self::ladder). Default: for ever.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how a child is made to end: each signal goes to its whole group, and it has the time beside it to end; after
    /// the last one comes `SIGKILL`. Default: `SIGTERM` and 2 s.
    pub fn ladder(mut self, steps: impl IntoIterator<Item = (Signal, Duration)>) -> Self {
        self.ladder = steps.into_iter().collect();
        self
    }

    /// Sets how long after its end the child's output may stay open, and its group populated, before that is a
    /// [`Leak`](crate::Leak). Default: 100 ms.
    pub fn leak_wait(mut self, wait: Duration) -> Self {
        self.leak_wait = wait;
        self
    }

    /// Gives the child a session of its own, not only a process group. Default: off.
    ///
    /// It then has no terminal: a program that asks for a password there, as ssh and git do, fails at once in the place
    /// of waiting for somebody to type.
    pub fn own_session(mut self) -> Self {
        self.session = true;
        self
    }

    /// Returns the program as it was given.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Runs it to its end, and cleans up what it leaves of its group.
    ///
    /// # Errors
    ///
    /// If it cannot be started or waited for. How it ended is in [`Finished::end`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills the child's whole group with `SIGKILL`. To let it end in order, see
    /// [`run_until`](Self::run_until).
    pub async fn run(&self) -> Result<Finished, ProcessError> {
        self.run_until(std::future::pending()).await
    }

    /// Runs it to its end, and makes it end when `stop` does: by the [`ladder`](Self::ladder), as after a timeout.
    ///
    /// # Errors
    ///
    /// If it cannot be started or waited for. How it ended is in [`Finished::end`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future kills the child's whole group with `SIGKILL`.
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<Finished, ProcessError> {
        run::run(self, stop).await
    }

    /// Starts it with pipes to its standard input and output, for a protocol. Its standard error is collected.
    ///
    /// The timeout and the input are not used. Needs to be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime with I/O and time enabled.
    pub fn start(&self) -> Result<Child, ProcessError> {
        Child::start(self)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("environment", &self.environment)
            .field("folder", &self.folder)
            .field("limits", &self.limits)
            .field("timeout", &self.timeout)
            .field("ladder", &self.ladder)
            .finish_non_exhaustive()
    }
}
