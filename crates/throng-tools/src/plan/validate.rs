//! The plan itself, and what holds of every one.
//!
//! Invariant: ids are unique, every `depends_on` names a call of the plan, and there is at least one call.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{PlanError, PlanLimits, PlanPolicy, PlanProblem, json, llm_compiler, rewoo};
use crate::{Call, Names};

/// The longest id.
const LONGEST_ID: usize = 256;

/// Calls in the order in which they were emitted, and how they are to run.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_tools::{Call, Plan};
///
/// let plan = Plan::new([
///     Call::new("a", "search", json!({ "query": "x" })),
///     Call::new("b", "fetch", json!({ "url": "$a.url" })),
/// ])?;
/// let same = Plan::parse(
///     r#"{"calls": [
///         {"id": "a", "name": "search", "arguments": {"query": "x"}},
///         {"id": "b", "name": "fetch", "arguments": {"url": "$a.url"}}
///     ]}"#,
/// )?;
/// assert_eq!(plan.calls(), same.calls());
/// # Ok::<(), throng_tools::PlanError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    calls: Vec<Call>,
    policy: PlanPolicy,
    names: Names,
}

impl Plan {
    /// Makes a plan of calls.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if there are no calls or more than the default limit, if two have the same id, or if one depends
    /// on a call that is not there.
    pub fn new(calls: impl IntoIterator<Item = Call>) -> Result<Self, PlanError> {
        Self::with_limits(calls, &PlanLimits::default())
    }

    /// Makes a plan of calls, with limits of its own.
    ///
    /// # Errors
    ///
    /// [`PlanError`], as for [`Self::new`].
    pub fn with_limits(
        calls: impl IntoIterator<Item = Call>,
        limits: &PlanLimits,
    ) -> Result<Self, PlanError> {
        let calls: Vec<_> = calls.into_iter().collect();
        let names = check(&calls, limits)?;
        Ok(Self {
            calls,
            policy: PlanPolicy::default(),
            names,
        })
    }

    /// Reads a plan: JSON if the first letter is a brace, ReWOO's if a line begins with `#E`, and else LLMCompiler's.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with line and column, if the text is no plan.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        Self::parse_within(text, &PlanLimits::default())
    }

    /// Reads a plan of any form, with limits of its own.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with line and column, if the text is no plan.
    pub fn parse_within(text: &str, limits: &PlanLimits) -> Result<Self, PlanError> {
        let read = if text.trim_start().starts_with(['{', '[']) {
            json::read
        } else if rewoo::looks_like(text) {
            rewoo::read
        } else {
            llm_compiler::read
        };
        Self::read(read, text, limits)
    }

    /// Reads a plan file of JSON.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with line and column, if the text is no such plan.
    pub fn from_json(text: &str) -> Result<Self, PlanError> {
        Self::read(json::read, text, &PlanLimits::default())
    }

    /// Reads a plan of LLMCompiler: `1. tool("argument", name=2)` on lines of their own, up to `join()`.
    ///
    /// Arguments are Python literals; a list of arguments that is none is one text. Calls get the numbers as ids.
    /// Arguments by place become an array, which [`Self::name_arguments`] turns into an object.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with line and column, if the text is no such plan.
    pub fn from_llm_compiler(text: &str) -> Result<Self, PlanError> {
        Self::read(llm_compiler::read, text, &PlanLimits::default())
    }

    /// Reads a plan of ReWOO: `#E1 = Tool[input]` on lines of their own. Calls get the ids `E1`, `E2` and so on.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with line and column, if the text is no such plan.
    pub fn from_rewoo(text: &str) -> Result<Self, PlanError> {
        Self::read(rewoo::read, text, &PlanLimits::default())
    }

    fn read(read: Read, text: &str, limits: &PlanLimits) -> Result<Self, PlanError> {
        if text.len() > limits.bytes {
            return Err(PlanError::at(
                "",
                PlanProblem::TooManyBytes {
                    bytes: text.len(),
                    limit: limits.bytes,
                },
            ));
        }
        let Draft {
            calls,
            policy,
            offsets,
        } = read(text)?;
        let names = check(&calls, limits).map_err(|error| {
            let call = error.place.strip_prefix("calls[");
            let index = call.and_then(|rest| rest.split(']').next()?.parse::<usize>().ok());
            match index.and_then(|index| offsets.get(index)) {
                Some(&offset) => error.in_text(text, offset),
                None => error,
            }
        })?;
        Ok(Self { calls, policy, names })
    }

    /// Checks what holds of a call that is added to calls with these ids.
    pub(crate) fn check_next(call: &Call, names: &Names) -> Result<(), PlanError> {
        check_call(call, names.len(), names)
    }

    /// Sets how the calls are to run.
    #[must_use]
    pub fn policy(mut self, policy: PlanPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Returns how the calls are to run.
    pub fn policy_ref(&self) -> &PlanPolicy {
        &self.policy
    }

    /// Returns the calls in the order of emission.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Returns the ids, by which references are found.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Takes the plan apart.
    pub fn into_calls(self) -> Vec<Call> {
        self.calls
    }

    /// Turns arguments by place into arguments by name. `schema` gives the JSON schema of a tool's arguments.
    ///
    /// Places are those in the schema's `required`, then its other properties in the order of the alphabet. What has
    /// no place there stays an array, which no schema of an object accepts.
    pub fn name_arguments<'s>(&mut self, schema: impl Fn(&str) -> Option<&'s Value>) {
        for call in &mut self.calls {
            let Some(schema) = schema(&call.name) else {
                continue;
            };
            let Value::Array(values) = &mut call.arguments else {
                continue;
            };
            let places = places(schema);
            if places.len() >= values.len() {
                let named = places.into_iter().map(str::to_owned).zip(std::mem::take(values));
                call.arguments = Value::Object(named.collect());
            }
        }
    }
}

/// Writes it as a plan file.
impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::Written {
            calls: self.calls.iter().map(json::WrittenCall::new).collect(),
            policy: Some(&self.policy).filter(|policy| **policy != PlanPolicy::default()),
        }
        .serialize(serializer)
    }
}

/// What a reader of one form gives.
pub(super) struct Draft {
    pub(super) calls: Vec<Call>,
    pub(super) policy: PlanPolicy,
    /// Where in the text each call begins.
    pub(super) offsets: Vec<usize>,
}

type Read = fn(&str) -> Result<Draft, PlanError>;

fn check(calls: &[Call], limits: &PlanLimits) -> Result<Names, PlanError> {
    if calls.is_empty() {
        return Err(PlanError::at("", PlanProblem::Empty));
    }
    if calls.len() > limits.calls.min(u32::MAX as usize - 1) {
        let problem = PlanProblem::TooManyCalls {
            calls: calls.len(),
            limit: limits.calls,
        };
        return Err(PlanError::at("", problem));
    }
    let mut names = Names::default();
    for (index, call) in calls.iter().enumerate() {
        check_call(call, index, &names)?;
        names.push(call.id.as_str());
    }
    for (index, call) in calls.iter().enumerate() {
        for (place, id) in call.depends_on.iter().enumerate() {
            if names.index(id).is_none() {
                let problem = PlanProblem::UnknownId {
                    id: id.clone(),
                    nearest: nearest(id, calls),
                };
                let place = format!("calls[{index}].depends_on[{place}]");
                return Err(PlanError::at(place, problem));
            }
        }
    }
    Ok(names)
}

fn check_call(call: &Call, index: usize, names: &Names) -> Result<(), PlanError> {
    let at = |field: &str, problem| Err(PlanError::at(format!("calls[{index}].{field}"), problem));
    let id = &call.id;
    if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
        return at("id", PlanProblem::BadId { id: id.clone() });
    }
    if let Some(first) = names.index(id) {
        let first = first as usize;
        return at(
            "id",
            PlanProblem::DuplicateId {
                id: id.clone(),
                first,
            },
        );
    }
    if call.name.is_empty() {
        return at("name", PlanProblem::NoTool { id: id.clone() });
    }
    Ok(())
}

/// Returns the id that differs least: in letter case, or by a `$` in front, or in one letter.
fn nearest(id: &str, calls: &[Call]) -> Option<String> {
    let bare = id.trim_start_matches(['$', '#']);
    calls
        .iter()
        .map(|call| &call.id)
        .find(|other| other.eq_ignore_ascii_case(bare) || differ_by_one(other, id))
        .cloned()
}

/// Returns true if a letter was put in, left out or changed.
fn differ_by_one(a: &str, b: &str) -> bool {
    let same = |(a, b): &(char, char)| a == b;
    let start = a.chars().zip(b.chars()).take_while(same).count();
    let end = a.chars().rev().zip(b.chars().rev()).take_while(same).count();
    let (a, b) = (a.chars().count(), b.chars().count());
    a.max(b) > 2 && a.abs_diff(b) <= 1 && start + end + 1 >= a.max(b)
}

fn places(schema: &Value) -> Vec<&str> {
    let required = schema.get("required").and_then(Value::as_array);
    let mut places: Vec<&str> = required.into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    for name in properties.into_iter().flat_map(serde_json::Map::keys) {
        if !places.contains(&name.as_str()) {
            places.push(name);
        }
    }
    places
}
