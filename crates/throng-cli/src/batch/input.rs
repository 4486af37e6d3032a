//! What `throng batch` reads: snapshots, tools and rules.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;
use throng_batch::{Act, AgentSnapshot, Rules};

use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::input::{Line, Lines};

/// Reads the snapshots of a file, or of standard input if its name is `-`.
///
/// # Errors
///
/// If it cannot be read, has no snapshot, or a line is none; the error names the line.
pub(super) fn snapshots(path: &Path) -> Result<Vec<AgentSnapshot>, CliError> {
    let stdin = path == Path::new("-");
    let name = if stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let unread = |error: &std::io::Error| {
        let hint = "name a file of JSON Lines; `-` reads standard input";
        CliError::usage(format!("cannot read {name}"))
            .cause(error)
            .hint(hint)
    };
    let reader: Box<dyn BufRead> = if stdin {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(|error| unread(&error))?))
    };
    let mut lines = Lines::new(reader);
    let mut agents = Vec::new();
    let mut seen = HashMap::new();
    while let Some((number, line)) = lines.next().map_err(|error| unread(&error))? {
        let at = |message: String| CliError::usage(format!("{name}, line {number}: {message}"));
        let bytes = match line {
            Line::Text(bytes) if number == 1 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
            Line::Text(bytes) => bytes,
            Line::TooLong => return Err(at("it is longer than 16 MiB".to_owned()).hint(FORM)),
        };
        let agent = snapshot(bytes).map_err(|message| at(message).hint(FORM))?;
        if let Some(first) = seen.insert(agent.id.clone(), number) {
            let message = format!(
                "the id {} is that of line {first} too",
                Value::from(agent.id.to_string())
            );
            return Err(at(message).hint("give each agent an id of its own"));
        }
        agents.push(agent);
    }
    if agents.is_empty() {
        let message = format!("{name} has no snapshot");
        return Err(CliError::new(ExitStatus::NothingSelected, message).hint(FORM));
    }
    Ok(agents)
}

const FORM: &str =
    "write a snapshot a line: {\"id\": \"guard-1\", \"role\": \"guard\", \"state\": {\"hp\": 80}}";

fn snapshot(line: &[u8]) -> Result<AgentSnapshot, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}"))?;
    if !value.is_object() {
        return Err("it is no JSON object".to_owned());
    }
    match value.get("id") {
        None | Some(Value::Null) => return Err("it has no `id`".to_owned()),
        Some(Value::String(id)) if id.is_empty() => return Err("its `id` is empty".to_owned()),
        Some(Value::String(_)) => {}
        Some(id) if id.as_i64().is_some() => {}
        Some(id) => return Err(format!("its `id` must be text or a whole number, but is {id}")),
    }
    if let Some(role) = value.get("role").filter(|role| !role.is_string()) {
        return Err(format!("its `role` must be text, but is {role}"));
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Reads what `--tools` says: the name of a file, or names.
///
/// # Errors
///
/// If the file cannot be read or is of another form, or a name is empty or comes twice.
pub(super) fn tools(said: &str) -> Result<Vec<Act>, CliError> {
    let path = Path::new(said);
    let is_file = path.extension().is_some_and(|extension| extension == "json") || path.is_file();
    let acts: Vec<Act> = if is_file {
        let items: Vec<Value> = json(path, "tools", TOOLS)?;
        let act = |item| match item {
            Value::String(name) => Ok(Act::new(name, "")),
            item => serde_json::from_value(item),
        };
        let acts: Result<_, serde_json::Error> = items.into_iter().map(act).collect();
        acts.map_err(|error| {
            CliError::usage(format!("{said} does not list tools"))
                .cause(&error)
                .hint(TOOLS)
        })?
    } else {
        said.split(',').map(|name| Act::new(name.trim(), "")).collect()
    };
    for (at, act) in acts.iter().enumerate() {
        if act.name.trim().is_empty() || act.name.contains(char::is_control) {
            return Err(CliError::usage(format!("--tools {said:?} has a tool without a name")).hint(TOOLS));
        }
        if acts.iter().take(at).any(|other| other.name == act.name) {
            return Err(CliError::usage(format!(
                "--tools {said:?} has the tool {:?} twice",
                act.name
            )));
        }
    }
    Ok(acts)
}

const TOOLS: &str = "write names with commas between them, or name a JSON file such as \
                     [{\"name\": \"scan\", \"description\": \"looks around\"}]";

/// Reads the file that `--rules` names, and checks that its steps are tools.
///
/// # Errors
///
/// If it cannot be read, is of another form or has a step that is no tool.
pub(super) fn rules(path: &Path, acts: &[Act]) -> Result<Rules, CliError> {
    let rules: Rules = json(
        path,
        "rules",
        "write rules such as [{\"when\": {\"below\": [\"state.hp\", 20]}, \"then\": [{\"act\": \"retreat\"}]}]",
    )?;
    for step in rules.rules().iter().flat_map(|rule| &rule.then) {
        check(&step.act, acts, &path.display().to_string())?;
    }
    Ok(rules)
}

/// Says that a step is no tool, unless it is one or none are listed.
///
/// # Errors
///
/// If it is none.
pub(super) fn check(act: &str, acts: &[Act], place: &str) -> Result<(), CliError> {
    if acts.is_empty() || acts.iter().any(|known| known.name == act) {
        return Ok(());
    }
    let names: Vec<&str> = acts.iter().map(|act| act.name.as_str()).collect();
    Err(
        CliError::usage(format!("{place} has the step {act:?}, which is no tool"))
            .hint(format!("the tools of --tools are {}", names.join(", "))),
    )
}

fn json<T: serde::de::DeserializeOwned>(path: &Path, what: &str, hint: &str) -> Result<T, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {shown}"))
            .cause(&error)
            .hint(hint)
    })?;
    serde_json::from_str(&text).map_err(|error| {
        CliError::usage(format!("{shown} does not list {what}"))
            .cause(&error)
            .hint(hint)
    })
}
