//! ReWOO's plans: `#E1 = Tool[input]` on lines of their own, among lines of text.

use serde_json::Value;

use super::validate::Draft;
use super::{PlanError, PlanPolicy};
use crate::Call;

/// Returns true if a line begins with `#E1 =`.
pub(super) fn looks_like(text: &str) -> bool {
    text.lines().any(|line| head(line.trim_start()).is_some())
}

/// Reads a plan.
pub(super) fn read(text: &str) -> Result<Draft, PlanError> {
    let mut calls = Vec::new();
    let mut offsets = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        let Some((id, call)) = head(line.trim()) else {
            continue;
        };
        let parts = call
            .split_once('[')
            .and_then(|(tool, rest)| Some((tool.trim(), rest.rsplit_once(']')?.0)))
            .filter(|(tool, _)| !tool.is_empty());
        let Some((tool, input)) = parts else {
            let message = format!("this is no call; write `#{id} = Tool[input]`");
            return Err(PlanError::syntax(text, start, message));
        };
        calls.push(Call::new(id, tool, Value::Array(vec![Value::from(input)])));
        offsets.push(start);
    }
    Ok(Draft {
        calls,
        policy: PlanPolicy::default(),
        offsets,
    })
}

/// Reads `#E1 =`, and returns `E1` and the rest.
fn head(line: &str) -> Option<(&str, &str)> {
    let (id, rest) = line.strip_prefix('#')?.split_once('=')?;
    let id = id.trim();
    let number = id.strip_prefix('E')?;
    let fits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some((id, rest.trim()))
}
