//! LLMCompiler's plans: `1. tool("argument")` on lines of their own, up to `join()`.

use serde_json::Value;

use super::validate::Draft;
use super::{PlanError, PlanPolicy, python};
use crate::Call;

/// What LLMCompiler has its models write behind the plan.
const END: &str = "<END_OF_PLAN>";

/// Reads a plan.
pub(super) fn read(text: &str) -> Result<Draft, PlanError> {
    let mut calls = Vec::new();
    let mut offsets = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let line = rest.split_inclusive('\n').next().unwrap_or(rest);
        let indent = line.len() - line.trim_start().len();
        let start = at + indent;
        let trimmed = line.trim();
        at += line.len();
        let joins = trimmed.starts_with("join(") || trimmed.starts_with("join (");
        if trimmed.starts_with(END) || joins {
            break;
        }
        let Some(head) = head(trimmed) else {
            // Thoughts and headings stand between the calls.
            if trimmed.starts_with(|first: char| first.is_ascii_digit()) && trimmed.contains('(') {
                let message = "this is no call; write `1. tool(\"argument\")`";
                return Err(PlanError::syntax(text, start, message));
            }
            continue;
        };
        if head.tool == "join" {
            break;
        }
        let inside = start + head.length;
        let (arguments, used) = arguments(text, inside, at)?;
        at = at.max(inside + used);
        if let Some(rest) = text.get(at..)
            && !text.get(..at).is_some_and(|before| before.ends_with('\n'))
        {
            // What is left of the line is a comment, or the mark of the end.
            let line = rest.split_inclusive('\n').next().unwrap_or(rest);
            at += line.len();
        }
        calls.push(Call::new(head.number, head.tool, arguments));
        offsets.push(start);
    }
    if calls.is_empty() && !text.trim().is_empty() {
        let message = "there is no call here; write JSON, or lines such as `1. tool(\"argument\")`";
        return Err(PlanError::syntax(text, 0, message));
    }
    Ok(Draft {
        calls,
        policy: PlanPolicy::default(),
        offsets,
    })
}

struct Head<'a> {
    number: &'a str,
    tool: &'a str,
    /// Bytes up to the opening bracket, that one included.
    length: usize,
}

/// Reads `1. tool(`.
fn head(line: &str) -> Option<Head<'_>> {
    let (number, rest) = line.split_once('.')?;
    let (tool, _) = rest.split_once('(')?;
    let length = number.len() + 1 + tool.len() + 1;
    let tool = tool.trim();
    let is_word = |char: char| char.is_alphanumeric() || "_-.".contains(char);
    let fits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (fits && !tool.is_empty() && tool.chars().all(is_word)).then_some(Head { number, tool, length })
}

/// Reads arguments from `inside` on, and returns how many bytes they take. The line ends at `end`.
fn arguments(text: &str, inside: usize, end: usize) -> Result<(Value, usize), PlanError> {
    let rest = text.get(inside..).unwrap_or_default();
    if let Some(read) = python::arguments(rest) {
        return Ok((read.value, read.length));
    }
    let line = text.get(inside..end).unwrap_or_default();
    let line = line
        .split(END)
        .next()
        .unwrap_or_default()
        .trim_end_matches(['\n', '\r']);
    // LLMCompiler's own examples leave the bracket out at times.
    if let Some(read) = python::arguments(&format!("{line})")) {
        return Ok((read.value, line.len()));
    }
    match line.rfind(')') {
        Some(close) => {
            let raw = line.get(..close).unwrap_or_default();
            Ok((Value::Array(vec![Value::from(raw)]), close + 1))
        }
        None => Err(PlanError::syntax(
            text,
            inside,
            "the arguments that begin here have no `)` on their line",
        )),
    }
}
