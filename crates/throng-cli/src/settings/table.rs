//! The table of settings: one row for each, from which the flags, the variables of the environment, the keys of
//! the configuration file and the reference pages are made, so that they cannot drift apart.

use super::kind::Kind;

/// Where a setting's flag is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// By every command.
    Global,
    /// By the commands that call a provider: `run`, `vote`, `bench` and `models`.
    Provider,
    /// By the commands that send prompts of the user: `run` and `vote`.
    Call,
    /// By `run`.
    Run,
    /// By `stats prune`.
    Stats,
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
    /// Its value where its flag is given without one; `None` if the flag needs a value.
    pub(crate) bare: Option<&'static str>,
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
        bare: None,
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
        bare: None,
        help: "When to use colours on standard error",
        more: "`auto` follows the terminal, NO_COLOR and CLICOLOR_FORCE.",
    },
    Setting {
        key: "progress",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Switch,
        default: Some("true"),
        bare: None,
        help: "Show no progress bar and no progress lines",
        more: "Without this flag a terminal shows a bar, and anything else gets a line every 10 seconds.",
    },
    Setting {
        key: "log",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "Which log lines to write, such as `info` or `throng_llm=debug`",
        more: "Wins over -v. Prompts, completions and keys are never logged.",
    },
    Setting {
        key: "log-file",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Path,
        default: None,
        bare: None,
        help: "Append log lines to this file instead of standard error",
        more: "",
    },
    Setting {
        key: "store",
        scope: Scope::Global,
        group: "Global options",
        kind: Kind::Path,
        default: None,
        bare: None,
        help: "The file of what is recorded for `stats`; --db is the same",
        more: "Without it the file is `throng/throng.db` in the user's folder for data (`$XDG_DATA_HOME`, \
               `~/.local/share` if unset). It is a SQLite file.",
    },
    Setting {
        key: "keep",
        scope: Scope::Stats,
        group: "What is kept",
        kind: Kind::List,
        default: None,
        bare: None,
        help: "How long a kind is kept in the store, as KIND=TIME; may be repeated",
        more: "The kinds are run, tool-batch, metric, journal, test-run and flaky-result. A time is such as 24h, 7d or \
               `forever`. Without it: test-run=24h, flaky-result=7d, run=30d, tool-batch=30d, journal=30d, metric=90d.",
    },
    Setting {
        key: "keep-bytes",
        scope: Scope::Stats,
        group: "What is kept",
        kind: Kind::Count(0, u64::MAX),
        default: None,
        bare: None,
        help: "Most bytes of data that stay in the store; over it the oldest goes, but for journals",
        more: "",
    },
    Setting {
        key: "run.provider",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "Who answers: `sim`, a known provider such as `openai` or `anthropic`, or a profile",
        more: "Known are anthropic, azure, cerebras, deepseek, fireworks, gemini, groq, llama.cpp, lmstudio, mistral, \
               ollama, ollama-openai, openai, openai-responses, openrouter, perplexity, sglang, together, vllm, xai \
               and xai-responses. A profile is a table [profiles.NAME] of a configuration file. Without this and \
               without --base-url a simulated server is started on the loopback address. Its answers are made up; \
               nothing leaves the machine.",
    },
    Setting {
        key: "run.base-url",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Url,
        default: None,
        bare: None,
        help: "Address of the API, such as http://localhost:8080/v1",
        more: "Default: that of the provider. It ends in /v1 for most, in /v1beta for Gemini, and is the bare root for \
               ollama. Without --provider the server is taken to speak as OpenAI does.",
    },
    Setting {
        key: "run.model",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "Model to ask for; needed with all providers but `sim`",
        more: "",
    },
    Setting {
        key: "run.api-key-env",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "Name of the environment variable that holds the key",
        more: "Without it and without --api-key-file the key is that of the profile, of THRONG_API_KEY, or of the \
               provider's usual variable, such as OPENAI_API_KEY. There is no flag for the key itself, because other users can read command lines. A project file \
               may set this only if --config names it.",
    },
    Setting {
        key: "run.api-key-file",
        scope: Scope::Provider,
        group: "Provider",
        kind: Kind::Path,
        default: None,
        bare: None,
        help: "File that holds the key",
        more: "Wins over every variable. White space around the key is dropped. A project file may set this only if \
               --config names it.",
    },
    Setting {
        key: "run.fallback",
        scope: Scope::Call,
        group: "Provider",
        kind: Kind::List,
        default: None,
        bare: None,
        help: "Ask this PROVIDER/MODEL when the one before it has failed for good; may be repeated",
        more: "It takes over after refused keys, unknown models, used-up quotas, limits beyond --patience, overloads, \
               errors of the server, timeouts and broken connections, when the retries are used up; not after errors of \
               the prompt itself, such as one that is too long. The part before the first slash is a provider or a \
               profile; a profile with a model needs no other. Each has its own key, of its profile or of its usual \
               variable, and its own limits. The line names the provider that answered. A provider that cannot be used \
               at all is not asked again in the run.",
    },
    Setting {
        key: "run.record",
        scope: Scope::Call,
        group: "Recordings, cache and cost",
        kind: Kind::Path,
        default: None,
        bare: None,
        help: "Record every call into this folder, for --replay",
        more: "The files hold prompts and answers as they are, and no keys.",
    },
    Setting {
        key: "run.replay",
        scope: Scope::Call,
        group: "Recordings, cache and cost",
        kind: Kind::Path,
        default: None,
        bare: None,
        help: "Answer from the recordings in this folder, without a network and without a key",
        more: "A prompt fails that was not recorded with the same model and parameters.",
    },
    Setting {
        key: "run.cache",
        scope: Scope::Call,
        group: "Recordings, cache and cost",
        kind: Kind::Folder,
        default: None,
        bare: Some("true"),
        help: "Keep answers in a folder, and ask nothing twice that was answered before",
        more: "Without a value the folder is `throng/answers` in the user's folder for caches. The files hold answers, \
               and no prompts. Nothing is ever deleted there.",
    },
    Setting {
        key: "run.max-cost",
        scope: Scope::Call,
        group: "Recordings, cache and cost",
        kind: Kind::Dollars,
        default: None,
        bare: None,
        help: "Stop when the calls have cost so many dollars",
        more: "Calls that run by then go on, so that the sum can go over it by what they cost. What has not begun has no \
               line, and the exit code is 5. The prices of all models must be known: see --prices.",
    },
    Setting {
        key: "run.prices",
        scope: Scope::Provider,
        group: "Recordings, cache and cost",
        kind: Kind::Path,
        default: None,
        bare: None,
        help: "JSON file of prices, which win over those that the program carries",
        more: "In LiteLLM's format: an object of models, each with `input_cost_per_token` and `output_cost_per_token` in \
               dollars. Prices change: those that the program carries may be out of date.",
    },
    Setting {
        key: "run.record-stats",
        scope: Scope::Run,
        group: "Recordings, cache and cost",
        kind: Kind::Toggle,
        default: Some("false"),
        bare: Some("true"),
        help: "Record how the run went in the store, for `throng stats`",
        more: "Counts and times only: no prompts, no answers, no ids. What is too old by then is removed, as by \
               `throng stats prune`.",
    },
    Setting {
        key: "run.system",
        scope: Scope::Call,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "System message put ahead of each prompt",
        more: "Records that bring `messages` with a system message of their own keep that one.",
    },
    Setting {
        key: "run.prompt-field",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        bare: None,
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
        bare: None,
        help: "Text of the prompt, with {field} where a field of the record goes",
        more: "`{a.b}` reaches into a nested object; `{{` and `}}` are single braces.",
    },
    Setting {
        key: "run.priority-field",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "Field of each record that says how soon it goes",
        more: "It holds a whole number from -128 to 127, the higher the sooner, or `low` (-10), \
               `normal` (0) or `high` (10). A record without it is normal. It orders what is read \
               ahead: four times --max-concurrent, at least 64; waiting raises it by one a second.",
    },
    Setting {
        key: "run.key-field",
        scope: Scope::Run,
        group: "Prompts",
        kind: Kind::Text,
        default: None,
        bare: None,
        help: "Field of each record that names whose limits it uses, such as a tenant",
        more: "It holds a text or a number. Records of different keys take turns; a Retry-After pauses \
               the records of its key only; the retry budget, the adaptive limit, the hedges and the \
               circuit breaker are the key's. Records without it share one. --max-concurrent and the \
               rates are those of the whole run. The summary has a row for each of the first 256 keys.",
    },
    Setting {
        key: "run.temperature",
        scope: Scope::Call,
        group: "Prompts",
        kind: Kind::Number(0, 2),
        default: None,
        bare: None,
        help: "Sampling temperature, 0 to 2; the provider's own default if absent",
        more: "",
    },
    Setting {
        key: "run.max-output-tokens",
        scope: Scope::Call,
        group: "Prompts",
        kind: COUNT32,
        default: None,
        bare: None,
        help: "Most tokens that one answer may have; the provider's own limit if absent",
        more: "",
    },
    Setting {
        key: "run.max-concurrent",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Count(1, 100_000),
        default: Some("32"),
        bare: None,
        help: "Most calls that run at a time",
        more: "32 keeps a server with the usual limits busy without a burst that it refuses, and stays under the \
               connection limits of common gateways and operating systems.",
    },
    Setting {
        key: "run.rpm",
        scope: Scope::Call,
        group: "Limits",
        kind: COUNT32,
        default: None,
        bare: None,
        help: "Most requests that start in a minute",
        more: "",
    },
    Setting {
        key: "run.itpm",
        scope: Scope::Call,
        group: "Limits",
        kind: COUNT32,
        default: None,
        bare: None,
        help: "Most input tokens in a minute",
        more: "A prompt is counted as one token for four characters until the provider reports its figure.",
    },
    Setting {
        key: "run.otpm",
        scope: Scope::Call,
        group: "Limits",
        kind: COUNT32,
        default: None,
        bare: None,
        help: "Most output tokens in a minute",
        more: "An answer is counted as --max-output-tokens, or 256 without it, until the provider reports its figure.",
    },
    Setting {
        key: "run.retries",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Count(0, 1000),
        default: Some("6"),
        bare: None,
        help: "Most further attempts after the first",
        more: "Errors that cannot get better, such as a refused key, are not tried again. Calls that the provider \
               refuses because of a limit (429, and 503 or 529 with a Retry-After) do not use retries up: they are \
               tried again for as long as --patience allows. With 0 nothing is tried again.",
    },
    Setting {
        key: "run.patience",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("10m"),
        bare: None,
        help: "Longest time that one job is refused because of a limit, before it fails",
        more: "Counts the job's refused attempts (429, and 503 or 529 with a Retry-After) and the waits after them. A \
               Retry-After that goes beyond what is left of it fails the job at once. Such refusals do not use up \
               --retries.",
    },
    Setting {
        key: "run.backoff-base",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("500ms"),
        bare: None,
        help: "Longest wait before the first retry; it doubles with each retry",
        more: "Each wait is drawn evenly between zero and that bound, and is never shorter than a Retry-After.",
    },
    Setting {
        key: "run.backoff-cap",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("30s"),
        bare: None,
        help: "Bound of the wait before any retry",
        more: "",
    },
    Setting {
        key: "run.timeout",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Duration,
        default: Some("2m"),
        bare: None,
        help: "Time allowed for one attempt",
        more: "",
    },
    Setting {
        key: "run.deadline",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Duration,
        default: None,
        bare: None,
        help: "Time allowed for the whole run",
        more: "What has not begun by then is skipped, and the exit code is 5.",
    },
    Setting {
        key: "run.adaptive",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Toggle,
        default: Some("false"),
        bare: Some("true"),
        help: "Find by itself how many calls of each key run at a time",
        more: "It begins at 8 (at --max-concurrent, if that is less), grows while nothing is refused, \
               and is cut when calls are. --max-concurrent is then the ceiling, of each key and of all \
               together.",
    },
    Setting {
        key: "run.hedge",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Share(0),
        default: None,
        bare: Some("0.95"),
        help: "Ask a second time beside a call that takes longer than this share of the others",
        more: "The first of the two to succeed counts, and the other is dropped. Without a value it is \
               0.95: calls slower than 95 % of the last ones. It begins when 20 calls of the key have \
               succeeded, is at most one call in twenty, keeps to every limit and is charged to \
               --retry-budget.",
    },
    Setting {
        key: "run.retry-budget",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Count(0, u32::MAX as u64),
        default: Some("0"),
        bare: None,
        help: "How much retries and hedges of a key may spend while calls fail; 0 is no bound",
        more: "Each key begins with so many tokens. A retry after an error or a timeout takes 14, and so does a hedge; \
               a success brings back what its retry took, or 1. A job whose retry cannot be paid fails with the \
               error that it has: 500 pay for 35 retries while nothing succeeds. Retries after a refusal because of \
               a limit cost nothing; --patience bounds them. Without a bound a run sits out the restart of a server; \
               with one it spares a server that others use too.",
    },
    Setting {
        key: "run.circuit-breaker",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Toggle,
        default: Some("false"),
        bare: Some("true"),
        help: "Leave a key alone for 30 s when half of its last 20 calls failed",
        more: "Then one call tries whether it works again; the others wait. Refusals because of a limit \
               and refused prompts do not count as failures.",
    },
    Setting {
        key: "run.seed",
        scope: Scope::Call,
        group: "Limits",
        kind: Kind::Count(0, u64::MAX),
        default: None,
        bare: None,
        help: "Seed of all randomness: jitter, and the simulated server's behaviour",
        more: "Without it a new one is taken for each run; the summary names it.",
    },
    Setting {
        key: "run.dedup",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Choice(&["off", "exact", "normalised", "json"]),
        default: Some("off"),
        bare: Some("exact"),
        help: "Ask equal prompts of a run once, and give each record the answer",
        more: "Two records are equal if their messages and their keys are. `exact` compares every byte; \
               `normalised` leaves out case, white space, surrounding marks and final punctuation; \
               `json` compares prompts that are JSON by their value. Without a value it is `exact`. The \
               line of a copy names the record that was asked in `same_as`. Answers are kept in memory \
               to the end of the run; those of an earlier run that --resume keeps are not looked at.",
    },
    Setting {
        key: "run.vote",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Count(1, 10_000),
        default: None,
        bare: None,
        help: "Ask each prompt of so many agents, and take the answer that most of them give",
        more: "The agents are the same model with the seeds 0, 1, 2 and so on. No further agent is \
               asked when it would hardly change the answer. All limits hold over all calls of the run. \
               A prompt without consensus has failed, and its line says how the votes stand.",
    },
    Setting {
        key: "run.vote-equivalence",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Choice(&["exact", "normalised", "json"]),
        default: Some("normalised"),
        bare: None,
        help: "When two answers are the same in a vote",
        more: "`normalised` leaves out case, white space, surrounding marks and final punctuation; \
               `json` compares answers that are JSON by their value, numbers included.",
    },
    Setting {
        key: "run.vote-threshold",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Number(0, 1),
        default: Some("0"),
        bare: None,
        help: "Share of the answers that the winner of a vote needs, 0 to 1",
        more: "With 0 the answer with the most votes wins. A tie is no consensus.",
    },
    Setting {
        key: "run.vote-quorum",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Count(1, 10_000),
        default: Some("1"),
        bare: None,
        help: "How many answers a vote needs",
        more: "An agent whose call fails for good gives no answer.",
    },
    Setting {
        key: "run.vote-stop",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Choice(&["bayesian", "certain", "never"]),
        default: Some("bayesian"),
        bare: None,
        help: "When a vote ends before every agent was asked",
        more: "`certain`: when the agents that are left cannot change the decision; `bayesian`: also \
               when they would change it with a probability of at most 1 minus --vote-confidence; \
               `never`: every agent is asked.",
    },
    Setting {
        key: "run.vote-confidence",
        scope: Scope::Run,
        group: "Equal prompts and votes",
        kind: Kind::Share(50),
        default: Some("0.95"),
        bare: None,
        help: "How sure a vote must be to end early, with `bayesian`",
        more: "",
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
