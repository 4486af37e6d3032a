//! Tools that run a command: a program whose arguments are filled from those of the call, never through a shell.

mod args;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_core::{Classify, ErrorClass};
use throng_process::{Command, End, Finished, Keep, LimitKind, Limits, Signal};

use crate::holes::Template;
#[cfg(feature = "declare")]
use crate::holes::{Form, Need};
use crate::output::excerpt;
use crate::{InvalidSetting, OutputKind, Tool, ToolContext, ToolError, ToolFuture, ToolSpec};

pub use args::CommandArg;
use args::Line;

/// How much of what a command said is put into an error.
const SAID_BYTES: usize = 2048;
/// How much of the standard error is kept.
const STDERR: Keep = Keep::last(SAID_BYTES);
/// What `sysexits.h` calls a failure that may pass.
const EX_TEMPFAIL: i32 = 75;
/// How much longer than the command's own timeout and grace the executor waits.
const BACKSTOP: Duration = Duration::from_secs(1);

/// A tool that runs a command.
///
/// The arguments of the call fill the holes of [`CommandArg`]s; each stays within one argument of the program, whatever
/// is in it. The result is the standard output.
///
/// An argument that fills an element from its beginning and starts with `-` might be taken for an option by the program.
/// It is refused unless a literal `--` stands before it, it is a number, or [`CommandToolBuilder::dashes`] allows it.
///
/// A command that ends with another exit code than 0 is a permanent error (code 75 a transient one) whose text holds what
/// it wrote to its standard error. One that runs out of time is ended by the ladder of its [`Command`] and is an error
/// of the class [`ErrorClass::Timeout`]; when the call is cancelled it goes the same way, and when the call is dropped
/// its group is killed.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_process::Command;
/// use throng_tools::{CommandArg, CommandTool, Tool, ToolContext, ToolSpec};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let spec = ToolSpec::new("count").read_only();
/// let tool = CommandTool::builder(spec, Command::new("wc"))
///     .args([CommandArg::group(["{?bytes}", "-c"])?, CommandArg::parse("--")?, CommandArg::parse("{files...}")?])
///     .build()?;
/// let error = tool.call(json!({ "files": ["/no/such/file"], "bytes": true }), ToolContext::new("call_1")).await;
/// assert!(error.unwrap_err().message.contains("/no/such/file"));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug)]
pub struct CommandTool {
    spec: ToolSpec,
    command: Command,
    line: Line,
    input: Input,
    output: OutputKind,
    ok: BTreeSet<i32>,
    transient: BTreeSet<i32>,
    limits: Limits,
    timeout: Option<Duration>,
}

/// What goes to the standard input.
#[derive(Clone, Debug)]
enum Input {
    Nothing,
    Arguments,
    Filled(Template),
}

impl CommandTool {
    /// Begins a tool that runs a program. The arguments that the command has are put before those of the builder.
    ///
    /// Whatever it says of a timeout, its input and what is kept of its output is the builder's to say. The timeout of
    /// `spec` is how long the command may run; the tool's own is longer by 3 s, in which the command is made to end.
    pub fn builder(spec: ToolSpec, command: Command) -> CommandToolBuilder {
        CommandToolBuilder {
            tool: Self {
                timeout: spec.timeout,
                spec,
                command,
                line: Line::default(),
                input: Input::Nothing,
                output: OutputKind::Text,
                ok: BTreeSet::from([0]),
                transient: BTreeSet::from([EX_TEMPFAIL]),
                limits: Limits::none(),
            },
            grace: Duration::from_secs(2),
            output_bytes: 1 << 20,
            stdin: None,
        }
    }

    /// Returns the arguments from which the command and its input are filled. `None` if it takes whatever it is given.
    #[cfg(feature = "declare")]
    pub(crate) fn needs(&self) -> Option<Vec<Need>> {
        let mut needs = self.line.needs();
        match &self.input {
            Input::Nothing => {}
            Input::Arguments => return None,
            Input::Filled(template) => {
                let holes = template.holes();
                needs.extend(holes.filter_map(|path| Need::new(path, Form::Text, false)));
            }
        }
        Some(needs)
    }

    #[cfg(feature = "declare")]
    pub(crate) fn set_parameters(&mut self, schema: Value) {
        self.spec.parameters = Arc::new(schema);
    }

    async fn run(&self, arguments: &Value, cx: &ToolContext) -> Result<Value, ToolError> {
        let input: Arc<[u8]> = match &self.input {
            Input::Nothing => Arc::default(),
            Input::Arguments => arguments.to_string().into_bytes().into(),
            Input::Filled(template) => template.fill(arguments)?.into_bytes().into(),
        };
        let program = self.command.program().to_string_lossy();
        let command = self
            .command
            .clone()
            .args(self.line.fill(arguments, &program)?)
            .input(input);
        let finished = command.run_until(cx.cancel.cancelled()).await;
        let finished = finished.map_err(|error| {
            let class = error.classify();
            let error = ToolError::from_error(&error);
            match class {
                // The system had no room for another process, so nothing has happened.
                ErrorClass::Transient => ToolError::overloaded(error.message, None),
                _ => error,
            }
        })?;
        self.result(&program, &finished)
    }

    fn result(&self, program: &str, finished: &Finished) -> Result<Value, ToolError> {
        let error = match finished.end {
            End::Exited { code } if self.ok.contains(&code) => return self.output(program, finished),
            End::Exited { code } => {
                let text = self.failure(program, finished);
                return Err(if self.transient.contains(&code) {
                    ToolError::transient(text)
                } else {
                    ToolError::permanent(text)
                });
            }
            End::LimitHit { .. } => ToolError::permanent(self.failure(program, finished)),
            End::TimedOut { .. } => ToolError {
                class: ErrorClass::Timeout,
                ..ToolError::permanent(self.failure(program, finished))
            },
            _ => ToolError::transient(self.failure(program, finished)),
        };
        // It was cut off in the midst of whatever it was doing.
        Err(error.unknown_outcome())
    }

    fn output(&self, program: &str, finished: &Finished) -> Result<Value, ToolError> {
        let stdout = &finished.stdout;
        if self.output == OutputKind::Json && stdout.whole().is_none() {
            let kept = stdout.head().len() + stdout.tail().len();
            return Err(ToolError::permanent(format!(
                "`{program}` wrote more than the {kept} bytes of JSON that are taken from it"
            )));
        }
        let text = stdout.text();
        self.output.read(&text).map_err(|error| {
            let said = excerpt(&text, 200);
            ToolError::permanent(format!("`{program}` wrote no JSON: {error}: {said}"))
        })
    }

    fn failure(&self, program: &str, finished: &Finished) -> String {
        let mut text = format!("`{program}` {}", finished.end);
        match (
            finished.end,
            self.timeout,
            self.limits.cpu,
            self.limits.address_space,
        ) {
            (End::TimedOut { .. }, Some(timeout), ..) => text.push_str(&format!(" after {timeout:?}")),
            (
                End::LimitHit {
                    limit: LimitKind::Cpu,
                },
                _,
                Some(cpu),
                _,
            ) => text.push_str(&format!(" ({cpu:?} at most)")),
            (End::Exited { .. } | End::Signalled { .. }, _, _, Some(bytes)) => {
                text.push_str(&format!(" (it may use {} MiB of memory)", bytes >> 20));
            }
            _ => {}
        }
        let said: Cow<'_, str> = match finished.stderr.text() {
            said if said.trim().is_empty() => finished.stdout.text(),
            said => said,
        };
        let said = said.trim();
        if !said.is_empty() {
            text.push_str(": ");
            let start = said.ceil_char_boundary(said.len().saturating_sub(SAID_BYTES));
            text.push_str(said.get(start..).unwrap_or_default());
        }
        text
    }
}

impl Tool for CommandTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn call(&self, arguments: Value, cx: ToolContext) -> ToolFuture<'_> {
        Box::pin(async move { self.run(&arguments, &cx).await })
    }
}

/// Makes a [`CommandTool`].
#[derive(Debug)]
#[must_use]
pub struct CommandToolBuilder {
    tool: CommandTool,
    grace: Duration,
    output_bytes: usize,
    stdin: Option<String>,
}

impl CommandToolBuilder {
    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = CommandArg>) -> Self {
        self.tool.line.args.extend(args);
        self
    }

    /// Names arguments of calls that may begin with `-` where the program might take them for an option.
    pub fn dashes<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.tool.line.dashes.extend(names.into_iter().map(Into::into));
        self
    }

    /// Writes a text with holes to the standard input. Default: nothing.
    pub fn stdin(mut self, template: impl Into<String>) -> Self {
        self.stdin = Some(template.into());
        self
    }

    /// Writes the arguments of the call to the standard input, as one JSON object.
    pub fn stdin_json(mut self) -> Self {
        self.tool.input = Input::Arguments;
        self
    }

    /// Sets how the standard output becomes the result. Default: as text.
    pub fn output(mut self, kind: OutputKind) -> Self {
        self.tool.output = kind;
        self
    }

    /// Sets how many bytes of the standard output are taken; of a longer one the first and the last half, with a note
    /// between them. JSON that is longer is an error. Default 1 MiB.
    pub fn output_bytes(mut self, bytes: usize) -> Self {
        self.output_bytes = bytes;
        self
    }

    /// Sets what the command may use of the machine.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.tool.limits = limits;
        self
    }

    /// Sets how long the command has to end after `SIGTERM` before its group is killed. Default 2 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the exit codes that mean success. Default: 0.
    pub fn ok_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.tool.ok = codes.into_iter().collect();
        self
    }

    /// Sets the exit codes of failures that may pass. Default: 75.
    pub fn transient_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.tool.transient = codes.into_iter().collect();
        self
    }

    /// Makes the tool.
    ///
    /// # Errors
    ///
    /// If the template of the input is none.
    pub fn build(self) -> Result<CommandTool, InvalidSetting> {
        let mut tool = self.tool;
        if let Some(template) = self.stdin {
            let template = Template::parse(&template);
            tool.input = Input::Filled(template.map_err(|why| InvalidSetting::new("stdin", why))?);
        }
        let half = self.output_bytes / 2;
        let keep = match tool.output {
            OutputKind::Json => Keep::first(self.output_bytes),
            _ => Keep::ends(self.output_bytes - half, half),
        };
        tool.command = tool
            .command
            .keep_stdout(keep)
            .keep_stderr(STDERR)
            .limits(tool.limits)
            .ladder([(Signal::Terminate, self.grace)]);
        if let Some(timeout) = tool.timeout {
            tool.command = tool.command.timeout(timeout);
            tool.spec.timeout = Some(timeout.saturating_add(self.grace).saturating_add(BACKSTOP));
        }
        Ok(tool)
    }
}
