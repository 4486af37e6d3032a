//! From the command line to the exit code: reads flags and settings, dispatches the command, reports its error.

use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, Parser as _};

use crate::args::{Cli, Command, ConfigCommand, StatsCommand, check};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Form, Layers, Settings, show};
use crate::ui::{OutputMode, Ui, Verbosity, color_choice};
use crate::{
    agent, batch, bench, codegen, logging, models, parse, provider, run, sim, simulate, stats, tools, vote,
};

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    install_panic_hook();
    match panic::catch_unwind(inner) {
        Ok(status) => status.into(),
        Err(_) => ExitStatus::Bug.into(),
    }
}

/// Everything that a command needs.
pub(crate) struct Context {
    /// The voice of the program.
    pub(crate) ui: Arc<Ui>,
    /// Where settings come from.
    pub(crate) layers: Layers,
    /// Every setting.
    pub(crate) settings: Settings,
}

fn inner() -> ExitStatus {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output; a closed pipe there is no error.
            let _ = error.print();
            return if error.use_stderr() {
                ExitStatus::Usage
            } else {
                ExitStatus::Success
            };
        }
    };
    // Errors in the configuration are said before the configuration can say how.
    let verbosity = if cli.global.quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    let early = Ui::new(OutputMode::Human, verbosity, color_choice("auto"));
    let (context, command) = match prepare(cli) {
        Ok(prepared) => prepared,
        Err(error) => {
            early.error(&error);
            return error.status();
        }
    };
    match dispatch(&context, command) {
        Ok(status) => {
            context.ui.release();
            status
        }
        Err(error) => {
            context.ui.error(&error);
            error.status()
        }
    }
}

fn prepare(mut cli: Cli) -> Result<(Context, Command), CliError> {
    let mut layers = Layers::of_process();
    layers.config = cli.global.config;
    layers.no_config = cli.global.no_config;
    layers.profile = match &cli.command {
        // Its flag of this name says how to parse, not which settings to use.
        Command::Parse(_) => None,
        _ => cli.global.profile,
    };
    let mut flags = cli.global.flags.into_values();
    match &mut cli.command {
        Command::Run(args) => {
            flags.extend(std::mem::take(&mut args.provider).into_values());
            flags.extend(std::mem::take(&mut args.call).into_values());
            flags.extend(std::mem::take(&mut args.flags).into_values());
        }
        Command::Vote(args) => {
            flags.extend(std::mem::take(&mut args.provider).into_values());
            flags.extend(std::mem::take(&mut args.call).into_values());
        }
        Command::Agent(args) => {
            flags.extend(std::mem::take(&mut args.provider).into_values());
            flags.extend(std::mem::take(&mut args.call).into_values());
        }
        Command::Batch(args) => {
            flags.extend(std::mem::take(&mut args.provider).into_values());
            flags.extend(std::mem::take(&mut args.call).into_values());
        }
        Command::Models(args) => flags.extend(std::mem::take(&mut args.provider).into_values()),
        Command::Bench(args) => flags.extend(std::mem::take(&mut args.provider).into_values()),
        Command::Stats(args) => {
            if let Some(StatsCommand::Prune(prune)) = &mut args.command {
                flags.extend(std::mem::take(&mut prune.flags).into_values());
            }
        }
        _ => {}
    }
    check(&flags)?;
    let settings = layers.resolve(flags)?;
    let mode = match settings.text("output") {
        Some("json") => OutputMode::Json,
        Some("ndjson") => OutputMode::Ndjson,
        _ => OutputMode::Human,
    };
    let verbosity = match (cli.global.quiet, cli.global.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        _ => Verbosity::Verbose,
    };
    let color = color_choice(settings.text("color").unwrap_or("auto"));
    logging::install(&settings, cli.global.verbose, color)?;
    let ui = Arc::new(Ui::new(mode, verbosity, color));
    for warning in &settings.warnings {
        ui.warn(warning);
    }
    Ok((Context { ui, layers, settings }, cli.command))
}

fn dispatch(context: &Context, command: Command) -> Result<ExitStatus, CliError> {
    match command {
        Command::Run(args) => run::run(context, &args),
        Command::Vote(args) => vote::vote(context, &args),
        Command::Models(_) => models::models(context),
        Command::Tools(args) => tools::tools(context, &args),
        Command::Agent(args) => agent::agent(context, &args),
        Command::Batch(args) => batch::batch(context, &args),
        Command::Parse(args) => parse::parse(context, &args),
        Command::Bench(args) => bench::bench(context, &args),
        Command::Sim(args) => sim::sim(context, &args),
        Command::Stats(args) => stats::stats(context, &args),
        Command::Simulate(args) => simulate::run(context, &args),
        Command::Config {
            command: ConfigCommand::Show { origin },
        } => {
            let form = match context.ui.mode() {
                OutputMode::Human => Form::Table,
                OutputMode::Json => Form::Json,
                OutputMode::Ndjson => Form::Ndjson,
            };
            let key = provider::describe_key(&context.settings, &context.layers);
            print(&show(&context.settings, &key, origin, form))
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "throng", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Codegen { folder } => codegen::write(&folder).map(|()| ExitStatus::Success),
    }
}

/// Writes data to standard output. That nobody reads it is no error.
///
/// # Errors
///
/// If standard output cannot be written to for another reason.
pub(crate) fn print(text: &str) -> Result<ExitStatus, CliError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CliError::new(ExitStatus::SomeFailed, "cannot write to standard output").cause(&error))
        }
        _ => Ok(ExitStatus::Success),
    }
}

/// Says that a panic of the main thread is a bug. Panics of other threads belong to jobs, which have them as their
/// outcome, and are only logged.
fn install_panic_hook() {
    let main = std::thread::current().id();
    panic::set_hook(Box::new(move |info| {
        let message = info.payload_as_str().unwrap_or("a value that is not text");
        let place = info
            .location()
            .map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
        if std::thread::current().id() == main {
            let error =
                CliError::new(ExitStatus::Bug, format!("throng has a bug: {message}{place}")).hint(format!(
                    "please report it with the command line at {}/issues",
                    env!("CARGO_PKG_REPOSITORY")
                ));
            let _ = io::stderr().write_all(
                anstream::adapter::strip_str(&error.render())
                    .to_string()
                    .as_bytes(),
            );
        } else {
            tracing::error!(message, place, "A job panicked.");
        }
    }));
}
