//! Flags made from the table of settings, so that a setting has its flag, its key and its variable from one row.

use clap::builder::{PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::error::CliError;
use crate::provider::redact_url;
use crate::settings::{Kind, SETTINGS, Scope, Setting, Value};

/// The flags of every setting of one scope, as they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags<const SCOPE: u8> {
    values: Vec<(&'static Setting, Value)>,
}

/// Flags that every command takes.
pub(crate) const GLOBAL: u8 = 0;
/// Flags of the commands that call a model.
pub(crate) const PROVIDER: u8 = 1;
/// Flags of `run`.
pub(crate) const RUN: u8 = 2;
/// Flags of the commands that send prompts of the user.
pub(crate) const CALL: u8 = 3;
/// Flags of `stats prune`.
pub(crate) const STATS: u8 = 4;

impl<const SCOPE: u8> Flags<SCOPE> {
    /// Returns the settings that were given as flags.
    pub(crate) fn into_values(self) -> Vec<(&'static Setting, Value)> {
        self.values
    }

    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| match setting.scope {
            Scope::Global => SCOPE == GLOBAL,
            Scope::Provider => SCOPE == PROVIDER,
            Scope::Run => SCOPE == RUN,
            Scope::Call => SCOPE == CALL,
            Scope::Stats => SCOPE == STATS,
        })
    }
}

impl<const SCOPE: u8> Args for Flags<SCOPE> {
    fn augment_args(command: Command) -> Command {
        Self::settings().fold(command, |command, setting| command.arg(arg(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const SCOPE: u8> FromArgMatches for Flags<SCOPE> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = Self::settings()
            .filter_map(|setting| {
                let value = match setting.kind {
                    Kind::Switch => matches.get_flag(setting.key).then_some(Value::Switch(false)),
                    _ => matches.get_one::<Value>(setting.key).cloned(),
                };
                let value = match (value, setting.kind) {
                    (Some(_), Kind::List) => {
                        let lists = matches.get_many::<Value>(setting.key).into_iter().flatten();
                        let items = lists.flat_map(|value| match value {
                            Value::List(items) => items.clone(),
                            other => vec![other.to_string()],
                        });
                        Some(Value::List(items.collect()))
                    }
                    (value, _) => value,
                };
                value.map(|value| (setting, value))
            })
            .collect();
        Ok(Self { values })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let default = match (setting.default, setting.kind) {
        (Some(default), kind) if !matches!(kind, Kind::Switch | Kind::Toggle) => {
            format!(" [default: {default}]")
        }
        _ => String::new(),
    };
    let mut long = format!("{}{default}", setting.help);
    if !setting.more.is_empty() {
        long = format!("{}.\n\n{}{default}", setting.help, setting.more);
    }
    let arg = Arg::new(setting.key)
        .help(format!("{}{default}", setting.help))
        .long_help(format!("{long} [env: {}]", setting.env()))
        .help_heading(setting.group)
        .global(setting.scope == Scope::Global);
    match setting.kind {
        Kind::Switch => arg
            .long(format!("no-{}", setting.name()))
            .action(ArgAction::SetTrue),
        kind => {
            let arg = arg
                .long(setting.name())
                .value_name(kind.placeholder())
                .value_parser(parser(kind))
                .allow_negative_numbers(matches!(
                    kind,
                    Kind::Count(..) | Kind::Number(..) | Kind::Share(_)
                ));
            let arg = match setting.bare {
                Some(bare) => arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value(bare),
                None => arg,
            };
            let arg = if matches!(kind, Kind::List) {
                arg.action(ArgAction::Append)
            } else {
                arg
            };
            match setting.key {
                "run.max-concurrent" => arg.short('c'),
                "store" => arg.visible_alias("db"),
                _ => arg,
            }
        }
    }
}

/// Checks the values that their parser does not check.
///
/// # Errors
///
/// If one is not allowed.
pub(crate) fn check(values: &[(&'static Setting, Value)]) -> Result<(), CliError> {
    for (setting, value) in values {
        if let (Kind::Url, Value::Text(text)) = (setting.kind, value)
            && let Err(allowed) = setting.kind.parse(text)
        {
            return Err(CliError::usage(format!(
                "{} must be {allowed}, but is {:?}",
                setting.flag(),
                redact_url(text)
            ))
            .hint("write it as http://HOST:PORT/v1 or https://HOST/v1"));
        }
    }
    Ok(())
}

/// Returns the parser of a kind for other flags than those of settings.
pub(crate) fn parser(kind: Kind) -> ValueParser {
    match kind {
        Kind::Choice(words) => {
            ValueParser::new(PossibleValuesParser::new(words.iter().copied()).map(Value::Text))
        }
        // An address is checked by `check`, because clap shows what it refuses, and an address may hold a password.
        Kind::Url => ValueParser::new(|text: &str| Ok::<_, String>(Value::Text(text.to_owned()))),
        _ => ValueParser::new(move |text: &str| {
            kind.parse(text)
                .map_err(|allowed| format!("it must be {allowed}"))
        }),
    }
}
