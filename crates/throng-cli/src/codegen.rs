//! Writes the reference pages from the code that they describe.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use throng_llm::Dialect;

use crate::args::Cli;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::settings::{Kind, OTHER_VARIABLES, PROFILE_KEYS, SETTINGS, Setting};

const HEAD: &str = "<!-- Written by `cargo xtask codegen`; changes here are lost. -->\n\n";

/// Writes every page into a folder, which is made if need be.
///
/// # Errors
///
/// If a file cannot be written.
pub(crate) fn write(folder: &Path) -> Result<(), CliError> {
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::usage(format!("cannot write {}", path.display())).cause(error)
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, text) in pages() {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    Ok(())
}

fn pages() -> [(&'static str, String); 4] {
    [
        ("cli.md", cli()),
        ("exit-codes.md", exit_codes()),
        ("config.md", config()),
        ("environment.md", environment()),
    ]
}

fn exit_codes() -> String {
    let mut text = format!("{HEAD}# Exit codes\n\n| code | meaning |\n|---|---|\n");
    for status in ExitStatus::ALL {
        let _ = writeln!(text, "| {} | {} |", status.code(), status.meaning());
    }
    for status in ExitStatus::ALL {
        let _ = writeln!(text, "\n## {}\n\n{}", status.code(), status.detail());
    }
    text.push_str(
        "\nWhere several apply, the first of 130, 1 (a result could not be written), 2, 3, 5, 4, 1 is given.\n",
    );
    text
}

fn config() -> String {
    let mut text = format!(
        "{HEAD}# Configuration\n\n\
         The value of a setting comes from the first of these layers that sets it:\n\n\
         1. its flag;\n\
         2. its environment variable;\n\
         3. the profile that `--profile NAME` or `THRONG_PROFILE` chooses: `[profile.NAME]` in the file of layer 4, \
         else of layer 5;\n\
         4. the file that `--config FILE` or `THRONG_CONFIG` names, or else `throng.toml` in the current folder or the \
         nearest folder above it that has one;\n\
         5. the user's file, `throng/config.toml` in `$XDG_CONFIG_HOME` (`~/.config` if unset);\n\
         6. its default.\n\n\
         `--no-config` leaves the files out. `throng config show --origin` prints every setting and what set it.\n\n\
         Files are TOML. Durations are texts such as `\"500ms\"` or `\"2m\"`. Relative paths in a file begin at its \
         folder. A setting that is not known is a warning that names the nearest one; a value that is not allowed is \
         an error that shows its place (exit code 2). Keys do not belong into files: name their variable with \
         `api-key-env` or their file with `api-key-file`.\n\n\
         ```toml\n\
         output = \"human\"\n\n\
         [run]\n\
         provider = \"openai\"\n\
         base-url = \"http://localhost:8080/v1\"\n\
         model = \"llama\"\n\
         max-concurrent = 16\n\
         timeout = \"90s\"\n\n\
         [profile.careful]\n\
         max-concurrent = 2\n\
         rpm = 60\n\
         ```\n\n\
         ## Settings\n\n\
         | key | type | default | flag | variable |\n|---|---|---|---|---|\n"
    );
    for setting in SETTINGS {
        let default = setting
            .default
            .map_or("none".to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(
            text,
            "| `{}` | {} | {default} | `{}` | `{}` |",
            setting.key,
            setting.kind.type_name(),
            setting.flag(),
            setting.env()
        );
    }
    for setting in SETTINGS {
        let _ = writeln!(text, "\n### `{}`\n\n{}", setting.key, described(setting));
    }
    providers(&mut text);
    text
}

fn described(setting: &Setting) -> String {
    let mut text = match setting.kind {
        // The help of a switch describes the flag, which turns it off.
        Kind::Switch => format!(
            "`false` has the effect of `{}`: {}.",
            setting.flag(),
            setting.help
        ),
        _ => format!("{}.", setting.help),
    };
    if !setting.more.is_empty() {
        text.push(' ');
        text.push_str(setting.more);
    }
    if !matches!(setting.kind, Kind::Choice(_) | Kind::Text) {
        let _ = write!(text, " It must be {}.", setting.kind.allowed());
    }
    text
}

fn environment() -> String {
    let mut text = format!(
        "{HEAD}# Environment variables\n\n\
         An empty variable counts as unset. Flags win over variables, and variables over configuration files.\n\n\
         | variable | meaning |\n|---|---|\n"
    );
    for setting in SETTINGS {
        let _ = writeln!(
            text,
            "| `{}` | As `{}`; {}. |",
            setting.env(),
            setting.flag(),
            match setting.kind {
                Kind::Switch => "`false` turns it off".to_owned(),
                kind => kind.allowed(),
            }
        );
    }
    for (name, meaning) in OTHER_VARIABLES {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    for (name, providers) in key_variables() {
        let _ = writeln!(
            text,
            "| `{name}` | Key of {providers}, if neither `--api-key-file`, `--api-key-env`, a profile nor \
             `THRONG_API_KEY` gives one. |"
        );
    }
    for (name, meaning) in [
        (
            "NO_COLOR",
            "If set, no colours, unless `--color always` is given.",
        ),
        (
            "CLICOLOR_FORCE",
            "If set and not `0`, colours even where there is no terminal.",
        ),
        (
            "XDG_CONFIG_HOME",
            "Where the user's configuration is: `throng/config.toml` in it.",
        ),
        (
            "XDG_DATA_HOME",
            "Where the store is if `--store` names none: `throng/throng.db` in it.",
        ),
        (
            "HTTPS_PROXY, HTTP_PROXY, NO_PROXY",
            "Not read: connections go to the server directly.",
        ),
    ] {
        let _ = writeln!(text, "| `{name}` | {meaning} |");
    }
    text
}

/// Returns the variables that hold keys, with the providers that they are for.
fn key_variables() -> BTreeMap<&'static str, String> {
    let mut variables = BTreeMap::new();
    for dialect in Dialect::all() {
        for name in dialect.key_variables() {
            let providers: &mut String = variables.entry(*name).or_default();
            if !providers.is_empty() {
                providers.push_str(" and ");
            }
            let _ = write!(providers, "`{}`", dialect.name());
        }
    }
    variables
}

fn providers(text: &mut String) {
    text.push_str(
        "\n## Providers\n\nWhat `--provider` and `--fallback` take, besides `sim` and the profiles:\n\n\
         | provider | wire | base URL | key |\n|---|---|---|---|\n",
    );
    for dialect in Dialect::all() {
        let variables: Vec<String> = dialect
            .key_variables()
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let key = match (variables.is_empty(), dialect.needs_key()) {
            (true, _) => "none needed".to_owned(),
            (false, true) => variables.join(" or "),
            (false, false) => format!("none needed; {}", variables.join(" or ")),
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {key} |",
            dialect.name(),
            dialect.wire(),
            dialect.base_url().unwrap_or("set it with `--base-url`")
        );
    }
    text.push_str("\n## Profiles\n\nA table `[profiles.NAME]` makes the provider `NAME`. Its keys:\n\n| key | type | meaning |\n|---|---|---|\n");
    for (name, kind, meaning) in PROFILE_KEYS {
        let _ = writeln!(text, "| `{name}` | {} | {meaning}. |", kind.type_name());
    }
    text.push_str(
        "| `headers` | table of texts | Headers that each request gets, such as `x-title`; none that carries a key. |\n\n\
         It says `provider` or `wire`. What a profile says stands in the layer that chooses it, below that layer's own \
         settings: `--model` wins over the model of a profile, and the profile of `--provider` wins over the `model` of \
         a file. Settings that a layer makes beside another provider are left out: they belong to that one.\n\n\
         ```toml\n\
         [profiles.claude]\n\
         provider = \"anthropic\"\n\
         model = \"claude-sonnet-4-5\"\n\n\
         [profiles.gateway]\n\
         wire = \"openai-chat\"\n\
         base-url = \"https://gateway.example/v1\"\n\
         api-key-env = \"GATEWAY_KEY\"\n\
         headers = { x-title = \"campaign\" }\n\
         ```\n",
    );
}

fn cli() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = format!("{HEAD}# Command line\n");
    page(&mut text, &command, &[]);
    text
}

fn page(text: &mut String, command: &Command, parents: &[&str]) {
    let mut path = parents.to_vec();
    path.push(command.get_name());
    let _ = writeln!(text, "\n## `{}`\n", path.join(" "));
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = writeln!(text, "{}\n", sentence(&about));
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(text, "```text\n{}\n```", usage.trim());
    if let Some(examples) = command.get_before_long_help() {
        let examples = examples.to_string();
        let _ = writeln!(text, "\nExamples:\n\n```sh");
        for line in examples.lines().skip(1) {
            let _ = writeln!(text, "{}", line.trim());
        }
        let _ = writeln!(text, "```");
    }
    let visible = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let own = |arg: &&Arg| parents.is_empty() || !arg.is_global_set();
    let mut groups: Vec<(&str, Vec<&Arg>)> = Vec::new();
    for arg in command.get_arguments().filter(visible).filter(own) {
        let heading = arg.get_help_heading().unwrap_or(if arg.is_positional() {
            "Arguments"
        } else {
            "Options"
        });
        match groups.iter_mut().find(|(group, _)| *group == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading, vec![arg])),
        }
    }
    for (heading, args) in groups {
        let _ = writeln!(text, "\n### {heading} of `{}`\n", path.join(" "));
        for arg in args {
            let _ = writeln!(text, "- `{}`: {}", signature(arg), meaning(arg));
        }
    }
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        page(text, sub, &path);
    }
}

fn signature(arg: &Arg) -> String {
    let names: Vec<String> = arg
        .get_short()
        .map(|short| format!("-{short}"))
        .into_iter()
        .chain(arg.get_long().map(|long| format!("--{long}")))
        .collect();
    let takes_value = arg.get_action().takes_values();
    let value = arg
        .get_value_names()
        .map(|names| names.join(" "))
        .filter(|_| takes_value);
    match (names.is_empty(), value) {
        (true, value) => format!("<{}>", value.unwrap_or_else(|| arg.get_id().to_string())),
        (false, Some(value)) if arg.is_require_equals_set() => format!("{}[=<{value}>]", names.join(", ")),
        (false, Some(value)) => format!("{} <{value}>", names.join(", ")),
        (false, None) => names.join(", "),
    }
}

fn meaning(arg: &Arg) -> String {
    let help = arg
        .get_long_help()
        .or(arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut text = sentence(&help);
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " [default: {}]", defaults.join(" "));
    }
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    if !words.is_empty() && arg.get_action().takes_values() {
        let _ = write!(text, " [possible values: {}]", words.join(", "));
    }
    text
}

/// Joins the paragraphs of a help text into one line of sentences.
fn sentence(help: &str) -> String {
    let paragraphs = help
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let sentences = paragraphs.filter(|text| !text.is_empty()).map(|text| {
        let ended = text.ends_with(['.', ']', ':', '}']);
        if ended { text } else { format!("{text}.") }
    });
    sentences.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_name_everything() {
        let [(_, cli), (_, codes), (_, config), (_, environment)] = pages();
        for setting in SETTINGS {
            assert!(cli.contains(&setting.flag()), "{} in cli.md", setting.flag());
            assert!(
                config.contains(&format!("`{}`", setting.key)),
                "{} in config.md",
                setting.key
            );
            assert!(
                environment.contains(&setting.env()),
                "{} in environment.md",
                setting.env()
            );
        }
        for status in ExitStatus::ALL {
            assert!(codes.contains(&format!("\n## {}\n", status.code())));
        }
        for command in [
            "run",
            "vote",
            "models",
            "tools",
            "agent",
            "batch",
            "parse",
            "bench",
            "sim",
            "stats",
            "stats prune",
            "simulate",
            "config show",
            "completions",
        ] {
            assert!(cli.contains(&format!("## `throng {command}`")), "{command}");
        }
        assert!(!cli.contains("`throng codegen`"));
    }
}
