//! `cargo xtask`: the commands of this repository. Everything that CI, a benchmark or a release does is one of them,
//! so that a contributor needs nothing but cargo to repeat it.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program, and printing is how it answers"
)]

mod bench;
mod ci;
mod codegen;
mod flags;
mod fuzz;
mod guide;
mod llama;
mod metadata;
mod project;
mod release;
mod slow;
mod tidy;

use std::process::ExitCode;

use crate::flags::{ReleaseCmd, XtaskCmd};
use crate::project::Project;

fn main() -> ExitCode {
    let flags = match flags::Xtask::from_env() {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: flags::Xtask) -> anyhow::Result<()> {
    let project = Project::find()?;
    match flags.subcommand {
        XtaskCmd::Ci(flags) => ci::run(&project, &flags),
        XtaskCmd::Tidy(_) => tidy::run(&project),
        XtaskCmd::Bench(flags) => bench::run(&project, &flags),
        XtaskCmd::Codegen(flags) => codegen::run(&project, flags.check),
        XtaskCmd::Guide(flags) => guide::run(&project, &flags.files),
        XtaskCmd::Slow(flags) => slow::run(&project, &flags),
        XtaskCmd::Release(flags) => match flags.subcommand {
            ReleaseCmd::Plan(flags) => release::plan(&project, &flags.into()),
            ReleaseCmd::Prepare(flags) => release::prepare(&project, &flags.into()),
            ReleaseCmd::Publish(flags) => release::publish(&project, &flags.into()),
        },
    }
}
