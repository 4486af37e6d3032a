//! The keys of a tool that runs a command.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use throng_process::{Command, Environment, Limits};

use super::table::Table;
use super::{DeclareError, Reader, parameters};
use crate::{CommandArg, CommandTool, InvalidSetting, OutputKind, Tool, ToolSpec};

/// The variables that are handed on unless told otherwise: what programs need, and no keys.
const ENV: [&str; 8] = [
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "USER",
];

impl Reader<'_> {
    pub(super) fn command(
        &mut self,
        spec: ToolSpec,
        table: &mut Table<'_>,
    ) -> Result<Arc<dyn Tool>, DeclareError> {
        let schema = table.has("parameters").then(|| Arc::clone(&spec.parameters));
        let expected = "an array of texts, the first of which is the program";
        let elements = table.get::<Vec<Value>>("command", expected)?.unwrap_or_default();
        let Some((Value::String(program), rest)) = elements.split_first() else {
            return Err(table.wrong("command", &format!("expected {expected}")));
        };
        if program.is_empty() || program.contains(['{', '}']) {
            return Err(table.wrong("command", "the program itself has to be named"));
        }
        let invalid = |table: &Table<'_>, error: &InvalidSetting| table.wrong(&error.key, &error.message);
        let mut args = Vec::new();
        for element in rest {
            args.push(arg(element).map_err(|error| invalid(table, &error))?);
        }
        let command = Command::new(program.as_str())
            .own_session()
            .environment(environment(table)?);
        let command = match table.text("cwd")? {
            Some(folder) => command.folder(folder),
            None => command,
        };
        let mut builder = CommandTool::builder(spec, command)
            .args(args)
            .dashes(table.texts("dashes")?.unwrap_or_default())
            .limits(limits(table)?);
        match (
            table.text("stdin")?,
            table.get("stdin_json", "true or false")?.unwrap_or(false),
        ) {
            (Some(_), true) => return Err(table.wrong("stdin", "a tool has either `stdin` or `stdin_json`")),
            (Some(template), false) => builder = builder.stdin(template),
            (None, true) => builder = builder.stdin_json(),
            (None, false) => {}
        }
        if let Some(kind) = table.text("output")? {
            let expected = "expected `text`, `json` or `lines`";
            builder = builder.output(output(&kind).ok_or_else(|| table.wrong("output", expected))?);
        }
        if let Some(bytes) = table.get("output_bytes", "a number of bytes")? {
            builder = builder.output_bytes(bytes);
        }
        if let Some(grace) = table.duration("grace")? {
            builder = builder.grace(grace);
        }
        if let Some(codes) = table.get::<Vec<i32>>("ok_codes", "an array of exit codes")? {
            builder = builder.ok_codes(codes);
        }
        if let Some(codes) = table.get::<Vec<i32>>("transient_codes", "an array of exit codes")? {
            builder = builder.transient_codes(codes);
        }
        let mut tool = builder.build().map_err(|error| invalid(table, &error))?;
        match (tool.needs(), schema) {
            (Some(needs), None) => tool.set_parameters(parameters::infer(&needs)),
            (Some(needs), Some(schema)) => {
                parameters::check(&needs, &schema, table, &mut self.warnings)?;
            }
            (None, _) => {}
        }
        Ok(Arc::new(tool))
    }
}

/// Reads the word of `output`.
pub(super) fn output(word: &str) -> Option<OutputKind> {
    match word {
        "text" => Some(OutputKind::Text),
        "json" => Some(OutputKind::Json),
        "lines" => Some(OutputKind::Lines),
        _ => None,
    }
}

fn arg(element: &Value) -> Result<CommandArg, InvalidSetting> {
    let wrong = || {
        InvalidSetting::new(
            "command",
            format!("expected a text or an array of texts, found {element}"),
        )
    };
    match element {
        Value::String(text) => CommandArg::parse(text),
        Value::Array(parts) => {
            let parts: Option<Vec<&str>> = parts.iter().map(Value::as_str).collect();
            CommandArg::group(parts.ok_or_else(wrong)?)
        }
        _ => Err(wrong()),
    }
}

fn environment(table: &mut Table<'_>) -> Result<Environment, DeclareError> {
    let expected = "names of variables, or \"inherit\"";
    let environment = match table.get::<Value>("env", expected)? {
        None => Environment::only(ENV),
        Some(Value::String(word)) if word == "inherit" => Environment::inherit(),
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            Environment::only(names.iter().filter_map(Value::as_str))
        }
        Some(_) => return Err(table.wrong("env", &format!("expected {expected}"))),
    };
    let set = table.pairs("set_env")?;
    Ok(set.into_iter().fold(environment, |environment, (name, value)| {
        environment.set(name, value)
    }))
}

fn limits(table: &mut Table<'_>) -> Result<Limits, DeclareError> {
    let mut limits = Limits::none();
    if let Some(seconds) = table.get::<f64>("cpu_s", "a number of seconds")? {
        let time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        limits = limits.cpu(time.ok_or_else(|| table.wrong("cpu_s", "expected a time above zero"))?);
    }
    if let Some(mb) = table.get::<u32>("memory_mb", "a number of MiB")? {
        limits = limits.address_space(u64::from(mb) << 20);
    }
    if let Some(mb) = table.get::<u32>("file_mb", "a number of MiB")? {
        limits = limits.file_size(u64::from(mb) << 20);
    }
    if let Some(count) = table.get::<u32>("open_files", "a number of files")? {
        limits = limits.open_files(u64::from(count));
    }
    Ok(limits)
}
