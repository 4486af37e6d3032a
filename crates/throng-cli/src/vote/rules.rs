//! The rules of a vote, from flags and settings.

use std::num::NonZeroUsize;

use throng_exec::{Equivalence, Stop, Tie, Vote};

use crate::error::CliError;
use crate::settings::Settings;

/// The checked rules of a vote.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// How the agents vote.
    pub(crate) vote: Vote,
    /// When two answers are the same.
    pub(crate) equivalence: Equivalence,
}

/// What flags say beside the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct RulesArgs {
    /// In place of `run.vote-equivalence`.
    pub(crate) equivalence: Option<String>,
    /// In place of `run.vote-threshold`.
    pub(crate) threshold: Option<f64>,
    /// In place of `run.vote-quorum`.
    pub(crate) quorum: Option<u64>,
    /// In place of `run.vote-confidence`.
    pub(crate) confidence: Option<f64>,
    /// In place of `run.vote-stop`.
    pub(crate) stop: Option<String>,
}

impl Rules {
    /// Makes the rules of a vote of so many agents.
    ///
    /// # Errors
    ///
    /// If they contradict each other.
    pub(crate) fn new(agents: NonZeroUsize, args: &RulesArgs, settings: &Settings) -> Result<Self, CliError> {
        let word = |given: &Option<String>, key| given.clone().or(settings.text(key).map(str::to_owned));
        let confidence = args
            .confidence
            .or(settings.number("run.vote-confidence"))
            .unwrap_or(Stop::CONFIDENCE);
        let stop = match word(&args.stop, "run.vote-stop").as_deref() {
            Some("certain") => Stop::Certain,
            Some("never") => Stop::Never,
            _ => Stop::Bayesian { confidence },
        };
        let equivalence = equivalence(word(&args.equivalence, "run.vote-equivalence").as_deref());
        let quorum = args.quorum.or(settings.count("run.vote-quorum")).unwrap_or(1);
        let quorum = usize::try_from(quorum)
            .ok()
            .and_then(NonZeroUsize::new)
            .unwrap_or(NonZeroUsize::MIN);
        if quorum > agents {
            return Err(CliError::usage(format!(
                "a quorum of {quorum} answers cannot come from {agents} agents"
            ))
            .hint("lower the quorum, or ask more agents"));
        }
        let threshold = args
            .threshold
            .or(settings.number("run.vote-threshold"))
            .unwrap_or(0.0);
        let vote = Vote::builder(agents)
            .quorum(quorum)
            .threshold(threshold)
            .ties(Tie::NoConsensus)
            .stop(stop)
            .equivalence(equivalence)
            .build()
            .map_err(|error| {
                CliError::usage("the rules of the vote make no sense")
                    .cause(&error)
                    .hint("correct that flag; `throng config show --origin` says what set it")
            })?;
        Ok(Self { vote, equivalence })
    }

    /// Makes the rules of the votes of a run, if `--vote` asks for them.
    ///
    /// # Errors
    ///
    /// If they contradict each other.
    pub(crate) fn of_run(settings: &Settings) -> Result<Option<Self>, CliError> {
        settings
            .count("run.vote")
            .and_then(|agents| usize::try_from(agents).ok())
            .and_then(NonZeroUsize::new)
            .map(|agents| Self::new(agents, &RulesArgs::default(), settings))
            .transpose()
    }

    /// Returns how many agents there are.
    pub(crate) fn agents(&self) -> NonZeroUsize {
        self.vote.agents()
    }
}

/// Returns the equivalence of a name; `normalised` for any other.
pub(crate) fn equivalence(name: Option<&str>) -> Equivalence {
    match name {
        Some("exact") => Equivalence::Exact,
        Some("json") => Equivalence::Json,
        _ => Equivalence::Normalised,
    }
}
