//! The end of a run: what was not run, the exit status, the summary, and why the run did not do everything.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use throng_core::OutcomeKind;

use super::intake::Counts;
use super::summary::Summary;
use super::written::{NotRun, Written};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::Scan;
use crate::output::{Sink, WriteFailed};
use crate::signals::Signals;
use crate::ui::{OutputMode, Ui, counted};

/// What ended a run before its time, or shows in its exit status.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The first result that could not be written.
    pub(super) write_failed: Option<WriteFailed>,
    /// The deadline passed before everything was done.
    pub(super) deadline: bool,
    /// The sum of `--max-cost` was spent.
    pub(super) spent_out: bool,
    /// What became of the lines.
    pub(super) written: Written,
}

/// Counts what was read and not run.
pub(super) fn not_run(counts: &Counts, scan: Option<&Scan>, written: &Written) -> NotRun {
    let (records, done, invalid) = match scan {
        Some(scan) => (scan.records, scan.done, scan.invalid),
        None => counts.read(),
    };
    NotRun {
        already_done: done,
        invalid,
        not_started: records.saturating_sub(done).saturating_sub(written.ended())
            + written.never_began.count(),
    }
}

/// Decides on the exit status.
pub(super) fn status(
    signals: &Signals,
    ending: &Ending,
    input_error: Option<&CliError>,
    is_given_up: bool,
    not_run: NotRun,
) -> ExitStatus {
    let closed = matches!(ending.write_failed, Some(WriteFailed::Closed));
    let (succeeded, ended) = (
        ending.written.counts.of(OutcomeKind::Succeeded),
        ending.written.ended(),
    );
    let all_well = succeeded == ended && not_run.not_started == 0;
    let nothing = ended == 0 && not_run.already_done == 0;
    match () {
        () if signals.is_interrupted() => ExitStatus::Interrupted,
        () if closed => ExitStatus::Success,
        () if ending.write_failed.is_some() => ExitStatus::SomeFailed,
        () if input_error.is_some() => ExitStatus::Usage,
        () if is_given_up => ExitStatus::Provider,
        () if ending.deadline => ExitStatus::Partial,
        () if ending.spent_out && not_run.not_started > 0 => ExitStatus::Partial,
        () if nothing => ExitStatus::NothingSelected,
        () if all_well => ExitStatus::Success,
        () => ExitStatus::SomeFailed,
    }
}

/// Shows the summary and writes its file.
///
/// # Errors
///
/// If it cannot be written.
pub(super) fn show(
    ui: &Ui,
    sink: &Sink,
    report: &Summary,
    file: Option<(File, PathBuf)>,
) -> Result<(), CliError> {
    let encode =
        |error: serde_json::Error| CliError::new(ExitStatus::Bug, "cannot encode the summary").cause(&error);
    match ui.mode() {
        OutputMode::Human => ui.text(&report.table()),
        mode => {
            let mut text = match mode {
                OutputMode::Json => serde_json::to_string_pretty(report),
                _ => serde_json::to_string(report),
            }
            .map_err(encode)?;
            text.push('\n');
            if sink.is_stdout() {
                ui.block(&text);
            } else {
                crate::app::print(&text)?;
            }
        }
    }
    if let Some((mut file, path)) = file {
        let mut text = serde_json::to_string_pretty(report).map_err(encode)?;
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(|error| {
            CliError::new(
                ExitStatus::SomeFailed,
                format!("cannot write the summary {}", path.display()),
            )
            .cause(&error)
            .hint("the results are not affected")
        })?;
    }
    Ok(())
}

/// Makes the error that a run has nothing to do. `otherwise` says why, unless all records are wrong.
pub(super) fn nothing_selected(invalid: u64, first: Option<&str>, otherwise: &str) -> CliError {
    let status = ExitStatus::NothingSelected;
    let Some(first) = first.filter(|_| invalid > 0) else {
        return CliError::new(status, "the input selects nothing to do").hint(otherwise);
    };
    let message = match invalid {
        1 => "the only record is wrong, so there is nothing to do".to_owned(),
        n => format!("all {n} records are wrong, so there is nothing to do"),
    };
    CliError::new(status, message)
        .because(first)
        .hint("correct the input, or name its prompts with --prompt-field, --template or --input-format")
}

/// Says why a run did not do everything, and returns its exit status.
///
/// # Errors
///
/// What ends the command as an error.
#[expect(
    clippy::too_many_arguments,
    reason = "they are the ends of a campaign, put together by its only caller"
)]
pub(super) fn finish(
    ui: &Ui,
    sink: &Sink,
    status: ExitStatus,
    ending: Ending,
    input_error: Option<CliError>,
    verdict: Option<CliError>,
    not_run: NotRun,
    succeeded: u64,
    first_invalid: Option<&str>,
) -> Result<ExitStatus, CliError> {
    let go_on = if sink.is_resumable() {
        "run the same command with --resume to do the rest"
    } else {
        "use --out FILE to be able to go on with --resume"
    };
    match ending.write_failed {
        Some(WriteFailed::Closed) => {
            ui.note(&format!(
                "the reader of {} closed it after {}, so the run stopped (hint: --out FILE keeps all results)",
                sink.name(),
                counted(sink.written(), "result")
            ));
        }
        Some(error) if status == ExitStatus::SomeFailed => {
            return Err(CliError::new(status, error.to_string())
                .because(std::error::Error::source(&error).map_or_else(String::new, ToString::to_string))
                .because(format!(
                    "{} written, {} lost",
                    counted(sink.written(), "result"),
                    counted(ending.written.lost, "answer"),
                ))
                .hint(format!("free some space or name another output; {go_on}")));
        }
        _ => {}
    }
    match (status, input_error, verdict) {
        (ExitStatus::Usage, Some(error), _) => Err(error),
        (ExitStatus::Provider, _, Some(error)) => Err(if succeeded > 0 || not_run.already_done > 0 {
            error.hint(format!("what was done stays written; {go_on}"))
        } else {
            error
        }),
        (ExitStatus::NothingSelected, ..) => Err(nothing_selected(
            not_run.invalid,
            first_invalid,
            "it has no records",
        )),
        (ExitStatus::Interrupted | ExitStatus::Partial, ..) => {
            let n = not_run.not_started;
            if ending.spent_out && status == ExitStatus::Partial {
                ui.note("the calls have cost what --max-cost allows, so the run stopped");
            }
            ui.note(&match n {
                1 => format!("1 record was not started and has no line; {go_on}"),
                n => format!("{n} records were not started and have no line; {go_on}"),
            });
            Ok(status)
        }
        (status, ..) => Ok(status),
    }
}
