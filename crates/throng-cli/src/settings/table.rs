//! The table of settings: one row for each, from which the flags, the variables of the environment, the keys of
//! the configuration file and the reference pages are made, so that they cannot drift apart.

use super::kind::Kind;

/// Where a setting's flag is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// By every command.
    Global,
    /// By the commands that call a model: `run` and `bench`.
    Provider,
    /// By `run`.
    Run,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The full key in the configuration file, such as `run.model`.
    pub(crate) key: &'static str,
    /// Where its flag is taken.
    pub(crate) scope: Scope,
    /// The heading of its flag in the help.
    pub(crate) group: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Its value where nothing sets it, as text.
    pub(crate) default: Option<&'static str>,
    /// One line on what it does.
    pub(crate) help: &'static str,
    /// More on it; empty if the one line says all.
    pub(crate) more: &'static str,
}

impl Setting {
    /// Returns the last part of the key, which is also the name of the flag.
    pub(crate) fn name(&self) -> &'static str {
        self.key.rsplit('.').next().unwrap_or(self.key)
    }

    /// Returns the variable of the environment.
    pub(crate) fn env(&self) -> String {
        format!("THRONG_{}", self.name().replace('-', "_").to_ascii_uppercase())
    }

    /// Returns the flag as it is typed.
    pub(crate) fn flag(&self) -> String {
        match self.kind {
            Kind::Switch => format!("--no-{}", self.name()),
            _ => format!("--{}", self.name()),
        }
    }
}

const COUNT32: Kind = Kind::Count(1, u32::MAX as u64);

/// Every setting, in the order of the reference page.
pub(crate) static SETTINGS: &[Setting] = &[
    Setting {
        key: "output",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Choice(&["human", "json", "ndjson"]),
        default: Some("human"),
        help: "The form of reports and messages",
        more: "Result lines of `run` are JSON Lines in every form. With `json` and `ndjson` the messages on standard \
               error are one JSON object a line, and the report of the command is JSON: on standard output, or, for \
               a `run` whose results go there, on standard error. `ndjson` adds progress lines.",
    },
    Setting {
        key: "color",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Choice(&["auto", "always", "never"]),
        default: Some("auto"),
        help: "When to use colours on standard error",
        more: "`auto` follows the terminal, NO_COLOR and CLICOLOR_FORCE.",
    },
    Setting {
        key: "progress",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Switch,
        default: Some("true"),
        help: "Show no progress bar and no progress lines",
        more: "Without this flag a terminal shows a bar, and anything else gets a line every 10 seconds.",
    },
    Setting {
        key: "log",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Text,
        default: None,
        help: "Which log lines to write, such as `info` or `throng_llm=debug`",
        more: "Wins over -v. Prompts, completions and keys are never logged.",
    },
    Setting {
        key: "log-file",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Path,
        default: None,
        help: "Append log lines to this file instead of standard error",
        more: "",
    },
    Setting {
        key: "run.provider",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Choice(&["sim", "openai"]),
        default: None,
        help: "Who answers: `openai`, for any server that speaks its chat API, or `sim`",
        more: "Without it, a --base-url means `openai`, and otherwise a simulated model server is started on the \
               loopback address. Its answers are made up; nothing leaves the machine.",
    },
    Setting {
        key: "run.base-url",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Url,
        default: None,
        help: "Address of the API, such as http://localhost:8080/v1",
        more: "Default for `--provider openai`: https://api.openai.com/v1.",
    },
    Setting {
        key: "run.model",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Text,
        default: None,
        help: "Model to ask for; needed with `openai`",
        more: "",
    },
    Setting {
        key: "run.api-key-env",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Text,
        default: None,
        help: "Name of the environment variable that holds the key",
        more: "Without it and without --api-key-file the key is that of THRONG_API_KEY, else of OPENAI_API_KEY. \
               There is no flag for the key itself, because other users can read command lines. A project file \
               may set this only if --config names it.",
    },
    Setting {
        key: "run.api-key-file",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Path,
        default: None,
        help: "File that holds the key",
        more: "Wins over every variable. White space around the key is dropped. A project file may set this only if \
               --config names it.",
    },
    Setting {
        key: "run.system",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        help: "System message put ahead of each prompt",
        more: "Records that bring `messages` with a system message of their own keep that one.",
    },
    Setting {
        key: "run.prompt-field",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        help: "Field of each record that holds the prompt",
        more: "Without it and without --template: `messages` if the record has it, else the first of `prompt`, \
               `question`, `input`, `text`, `instruction`. `a.b` reaches into a nested object.",
    },
    Setting {
        key: "run.template",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        help: "Text of the prompt, with {field} where a field of the record goes",
        more: "`{a.b}` reaches into a nested object; `{{` and `}}` are single braces.",
    },
    Setting {
        key: "run.temperature",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Number(0, 2),
        default: None,
        help: "Sampling temperature, 0 to 2; the provider's own default if absent",
        more: "",
    },
    Setting {
        key: "run.max-output-tokens",
        scope: Scope::Run,
        group: "Prompts",
        kind: COUNT32,
        default: None,
        help: "Most tokens that one answer may have; the provider's own limit if absent",
        more: "",
    },
    Setting {
        key: "run.max-concurrent",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Count(1, 100_000),
        default: Some("32"),
        help: "Most calls that run at a time",
        more: "32 keeps a server with the usual limits busy without a burst that it refuses, and stays under the \
               connection limits of common gateways and operating systems.",
    },
    Setting {
        key: "run.rpm",
        scope: Scope::Run,
        group: "Limits",
        kind: COUNT32,
        default: None,
        help: "Most requests that start in a minute",
        more: "",
    },
    Setting {
        key: "run.itpm",
        scope: Scope::Run,
        group: "Limits",
        kind: COUNT32,
        default: None,
        help: "Most input tokens in a minute",
        more: "A prompt is counted as one token for four characters until the provider reports its figure.",
    },
    Setting {
        key: "run.otpm",
        scope: Scope::Run,
        group: "Limits",
        kind: COUNT32,
        default: None,
        help: "Most output tokens in a minute",
        more: "An answer is counted as --max-output-tokens, or 256 without it, until the provider reports its figure.",
    },
    Setting {
        key: "run.retries",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Count(0, 1000),
        default: Some("6"),
        help: "Most further attempts after the first",
        more: "Errors that cannot get better, such as a refused key, are not tried again. Calls that the provider \
               refuses because of a limit (429, and 503 or 529 with a Retry-After) do not use retries up: they are \
               tried again for as long as --patience allows. With 0 nothing is tried again.",
    },
    Setting {
        key: "run.patience",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("10m"),
        help: "Longest time that one job is refused because of a limit, before it fails",
        more: "Counts the job's refused attempts (429, and 503 or 529 with a Retry-After) and the waits after them. A \
               Retry-After that goes beyond what is left of it fails the job at once. Such refusals do not use up \
               --retries.",
    },
    Setting {
        key: "run.backoff-base",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("500ms"),
        help: "Longest wait before the first retry; it doubles with each retry",
        more: "Each wait is drawn evenly between zero and that bound, and is never shorter than a Retry-After.",
    },
    Setting {
        key: "run.backoff-cap",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("30s"),
        help: "Bound of the wait before any retry",
        more: "",
    },
    Setting {
        key: "run.timeout",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("2m"),
        help: "Time allowed for one attempt",
        more: "",
    },
    Setting {
        key: "run.deadline",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Duration,
        default: None,
        help: "Time allowed for the whole run",
        more: "What has not begun by then is skipped, and the exit code is 5.",
    },
    Setting {
        key: "run.seed",
        scope: Scope::Run,
        group: "Limits",
        kind: Kind::Count(0, u64::MAX),
        default: None,
        help: "Seed of all randomness: jitter, and the simulated server's behaviour",
        more: "Without it a new one is taken for each run; the summary names it.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_values_and_names_are_unique() {
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                assert!(
                    setting.kind.parse(default).is_ok(),
                    "the default of {}",
                    setting.key
                );
            }
            let same = SETTINGS
                .iter()
                .filter(|other| other.name() == setting.name())
                .count();
            assert_eq!(same, 1, "{} shares its flag", setting.key);
        }
    }
}
