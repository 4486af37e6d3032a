//! The exit codes of the program: what each means, in one place, from which the reference page is written.

use std::process::ExitCode;

/// How the program ended, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Everything that was asked for was done.
    Success,
    /// The command ran, but at least one job did not succeed, or a result could not be written.
    SomeFailed,
    /// The command line, the configuration or the input is wrong.
    Usage,
    /// The provider cannot be used: unreachable, key refused, unknown model.
    Provider,
    /// The input selects nothing to do.
    NothingSelected,
    /// The command stopped before everything was done: its deadline passed, or its money was spent.
    Partial,
    /// A bug of Throng.
    Bug,
    /// The command was interrupted.
    Interrupted,
}

impl ExitStatus {
    /// Every status, in the order of the codes.
    pub(crate) const ALL: [Self; 8] = [
        Self::Success,
        Self::SomeFailed,
        Self::Usage,
        Self::Provider,
        Self::NothingSelected,
        Self::Partial,
        Self::Bug,
        Self::Interrupted,
    ];

    /// Returns the number that the shell sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Provider => 3,
            Self::NothingSelected => 4,
            Self::Partial => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// Returns one line on the meaning.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "All well.",
            Self::SomeFailed => "The command ran, but some jobs failed.",
            Self::Usage => "The command line, the configuration or the input is wrong.",
            Self::Provider => "The provider cannot be used.",
            Self::NothingSelected => "The input selects nothing to do.",
            Self::Partial => {
                "Partial: the deadline passed, or the money was spent, before everything was done."
            }
            Self::Bug => "A bug of Throng.",
            Self::Interrupted => "Interrupted by Ctrl-C, SIGTERM or SIGHUP.",
        }
    }

    /// Returns when the code is given and what the user can do, for the reference page.
    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Success => {
                "Every job succeeded; or everything had succeeded already and `--resume` found nothing left to do. \
                 Records that `--skip-invalid` left out do not change the code: their number is in the summary. \
                 Also when the reader of standard output closed the pipe (`throng run … | head`): a note on \
                 standard error says how many results had been written."
            }
            Self::SomeFailed => {
                "At least one job ended as failed, timed out, cancelled or panicked after its retries; its line in \
                 the output says why. Also when results could not be written, such as on a full disk: the run \
                 stops starting jobs, lets the running ones end, and keeps what was written. Run the same command \
                 with `--resume` to do the rest. `throng vote`: there is no consensus. `throng batch`: an agent \
                 has no plan."
            }
            Self::Usage => {
                "Nothing was sent, except where standard input turns out to be wrong in the middle: then the jobs \
                 before the wrong line are done and written. Also when `--out` names a file that already has \
                 results and neither `--resume` nor `--overwrite` was given, or when standard output is closed and there \
                 is no `--out`."
            }
            Self::Provider => {
                "The server could not be reached, the key is missing or was refused (HTTP 401, 403), the quota is \
                 used up, the model or path is unknown (HTTP 404), or the address answers with pages or redirects \
                 and is no chat API. The run stops soon instead of trying every prompt; what was done stays written. \
                 A server that had answered before is given up when no call got through to it for 60 s."
            }
            Self::NothingSelected => {
                "The input has no records, `--limit 0` selects none, or `--skip-invalid` left every record out."
            }
            Self::Partial => {
                "`--deadline` passed, or the calls have cost what `--max-cost` allows. Records whose first call had not begun have no line and are counted as skipped, \
                 calls that were running at the deadline as timed out; `--resume` does the rest. `throng agent`: a limit ended it before the \
                 model answered."
            }
            Self::Bug => "An internal error. Please report it with the message on standard error.",
            Self::Interrupted => {
                "The first Ctrl-C (or SIGTERM, or SIGHUP unless it is ignored, as `nohup` has it) lets the running \
                 calls end, the second stops them, the third leaves at once. The first two write what is done and \
                 the summary. Records whose first call had not begun have no line; `--resume` does them."
            }
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_sorted() {
        let codes: Vec<u8> = ExitStatus::ALL.iter().map(|status| status.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 70, 130]);
    }
}
