//! `throng parse`: the JSON in what a model wrote.

use std::io::{BufRead, Read, Write};

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use throng_json::{Ending, Mode, Options, Profile, Repair, Schema, parse_chunks};

use crate::app::{Context, print};
use crate::args::ParseArgs;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::ui::OutputMode;

/// What one text gave: the value as text, and what was repaired.
struct Answer {
    value: String,
    repairs: Vec<Repair>,
}

/// Parses standard input.
///
/// # Errors
///
/// If it, or the schema, cannot be read.
pub(crate) fn parse(context: &Context, args: &ParseArgs) -> Result<ExitStatus, CliError> {
    let schema = match &args.schema {
        Some(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| CliError::usage(format!("cannot read {shown}")).cause(&error))?;
            let schema: Value = serde_json::from_str(&text)
                .map_err(|error| CliError::usage(format!("{shown} is not JSON")).cause(&error))?;
            let schema = read_schema(&args.profile, &schema).map_err(|error| {
                CliError::usage(format!("{shown} is no schema that can be used")).because(error)
            })?;
            Some(schema)
        }
        None => None,
    };
    if args.jsonl {
        context.ui.release();
        return lines(args, schema.as_ref());
    }
    let mut text = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut text)
        .map_err(|error| CliError::usage("cannot read standard input").cause(&error))?;
    let read = read(&text, args, schema.as_ref())
        .map_err(|error| CliError::new(ExitStatus::SomeFailed, "the input cannot be read").because(error))?;
    context.ui.release();
    if context.ui.mode() != OutputMode::Human {
        let repairs = listed(&read.repairs);
        return print(&format!(
            "{{\"v\":1,\"value\":{},\"repairs\":{repairs}}}\n",
            read.value
        ));
    }
    for repair in &read.repairs {
        context.ui.note(&repair.to_string());
    }
    print(&format!("{}\n", read.value))
}

/// Answers each line of standard input with one.
fn lines(args: &ParseArgs, schema: Option<&Schema>) -> Result<ExitStatus, CliError> {
    let mut status = ExitStatus::Success;
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.map_err(|error| CliError::usage("cannot read standard input").cause(&error))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (id, read) = answer(&line, args, schema);
        let line = match read {
            Ok(read) => {
                let repairs = listed(&read.repairs);
                format!(
                    "{{\"v\":1,\"id\":{id},\"value\":{},\"repairs\":{repairs}}}\n",
                    read.value
                )
            }
            Err(error) => {
                status = ExitStatus::SomeFailed;
                format!("{}\n", json!({"v": 1, "id": id, "error": error}))
            }
        };
        match stdout.write_all(line.as_bytes()) {
            // That nobody reads on is no error.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(status),
            written => written.map_err(|error| unwritten(&error))?,
        }
    }
    match stdout.flush() {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(unwritten(&error)),
        _ => Ok(status),
    }
}

fn unwritten(error: &std::io::Error) -> CliError {
    CliError::new(ExitStatus::SomeFailed, "cannot write to standard output").cause(error)
}

fn answer(line: &[u8], args: &ParseArgs, schema: Option<&Schema>) -> (Value, Result<Answer, String>) {
    let line: Value = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return (Value::Null, Err(format!("the line is not JSON: {error}"))),
    };
    let id = line.get("id").cloned().unwrap_or(Value::Null);
    let Some(input) = line.get("input").and_then(Value::as_str) else {
        return (id, Err("the line has no text `input`".to_owned()));
    };
    let own = match line.get("schema") {
        None | Some(Value::Null) => None,
        Some(own) => match read_schema(&args.profile, own) {
            Ok(own) => Some(own),
            Err(error) => return (id, Err(error)),
        },
    };
    (id, read(input.as_bytes(), args, own.as_ref().or(schema)))
}

fn listed(repairs: &[Repair]) -> Value {
    repairs
        .iter()
        .map(|repair| json!({"offset": repair.offset, "what": repair.what.as_str()}))
        .collect()
}

fn read_schema(profile: &str, schema: &Value) -> Result<Schema, String> {
    match profile {
        "baml" => Schema::baml(schema),
        _ => Schema::new(schema),
    }
    .map_err(|error| error.to_string())
}

/// Reads one text.
fn read(text: &[u8], args: &ParseArgs, schema: Option<&Schema>) -> Result<Answer, String> {
    let mode = match args.profile.as_str() {
        "strict" => Mode::Strict,
        "json_repair" => Mode::Profile(Profile::JsonRepair),
        "jsonrepair" => Mode::Profile(Profile::JsonRepairJs),
        "baml" => Mode::Profile(Profile::Baml),
        _ => Mode::Tolerant,
    };
    if let (Some(schema), Mode::Profile(Profile::Baml)) = (schema, mode) {
        return read_as_baml(&String::from_utf8_lossy(text), schema);
    }
    let parsed = parse_chunks(text.chunks(args.chunk.get()), &Options::new(mode))
        .map_err(|error| error.to_string())?;
    let mut repairs = parsed.repairs;
    let Some(schema) = schema else {
        // Text that is JSON goes out as it came, in its order and with its numbers.
        let value = match std::str::from_utf8(text) {
            Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => compact(text),
            _ => parsed.value.to_string(),
        };
        return Ok(Answer { value, repairs });
    };
    let coerced = schema.coerce(&parsed.value).map_err(|error| error.to_string())?;
    if mode == Mode::Strict && coerced.score > 0 {
        return Err("the value would have to be changed to fit the schema".to_owned());
    }
    repairs.extend(coerced.repairs);
    Ok(Answer {
        value: coerced.value.to_string(),
        repairs,
    })
}

/// Reads a text as BAML does. If it ends early, what is missing is null.
fn read_as_baml(text: &str, schema: &Schema) -> Result<Answer, String> {
    let coerced = schema.coerce_text(text).or_else(|error| {
        let ending = throng_json::parse(text, &Options::tolerant()).map(|parsed| parsed.ending);
        match ending {
            Ok(Ending::Truncated { .. }) => schema.coerce_partial(text),
            _ => Err(error),
        }
    });
    let coerced = coerced.map_err(|error| error.to_string())?;
    Ok(Answer {
        value: coerced.value.to_string(),
        repairs: coerced.repairs,
    })
}

/// Removes the space between the tokens of a text that is JSON.
fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for char in json.chars() {
        if in_string {
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
        } else if matches!(char, ' ' | '\n' | '\r' | '\t') {
            continue;
        } else {
            in_string = char == '"';
        }
        out.push(char);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn only_space_between_tokens_goes() {
        assert_eq!(
            compact("{ \"b \\\" c\" : [ 1 ,\n 2.50 ] , \"a\\\\\": \" \" }"),
            "{\"b \\\" c\":[1,2.50],\"a\\\\\":\" \"}"
        );
    }
}
