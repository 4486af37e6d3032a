//! Plan files of JSON.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::validate::Draft;
use super::{PlanError, PlanPolicy};
use crate::{Access, Call, FailurePolicy, Mode, Resource};

/// Reads a plan file.
pub(super) fn read(text: &str) -> Result<Draft, PlanError> {
    let file: File = serde_json::from_str(text).map_err(|error| syntax(text, &error))?;
    Ok(Draft {
        calls: file.calls.into_iter().map(FileCall::into_call).collect(),
        policy: file.policy.0,
        offsets: offsets(text),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "v")]
    _version: Option<u32>,
    calls: Vec<FileCall>,
    #[serde(default)]
    policy: FilePolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCall {
    id: Id,
    name: String,
    #[serde(default = "no_arguments")]
    arguments: Value,
    #[serde(default)]
    depends_on: Vec<Id>,
    reads: Option<Vec<Resource>>,
    writes: Option<Vec<Resource>>,
    exclusive: Option<Vec<Resource>>,
    #[serde(default)]
    priority: i32,
    timeout_ms: Option<Milliseconds>,
    #[serde(alias = "duration_ms")]
    expected_ms: Option<Milliseconds>,
}

fn no_arguments() -> Value {
    Value::Object(Map::new())
}

impl FileCall {
    fn into_call(self) -> Call {
        let mut call = Call::new(self.id.0, self.name, self.arguments);
        call.depends_on = self.depends_on.into_iter().map(|id| id.0).collect();
        call.priority = self.priority;
        call.timeout = self.timeout_ms.map(|time| time.0);
        call.expected = self.expected_ms.map(|time| time.0);
        let declared = [
            (self.reads, Mode::Read),
            (self.writes, Mode::Write),
            (self.exclusive, Mode::Exclusive),
        ];
        for (resources, mode) in declared {
            if let Some(resources) = resources {
                call = call.accesses(resources.into_iter().map(|resource| Access::new(resource, mode)));
            }
        }
        call
    }
}

/// An id: text, or a whole number, which is taken as its digits.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id: a string or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
        }
        deserializer.deserialize_any(IdVisitor)
    }
}

/// A time in milliseconds, fractions included.
struct Milliseconds(Duration);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(time / 1000.0)
            .map(Self)
            .map_err(|_| de::Error::custom(format_args!("{time} ms is no length of time")))
    }
}

/// `"continue"` and the like, or an object.
#[derive(Default)]
struct FilePolicy(PlanPolicy);

impl<'de> Deserialize<'de> for FilePolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PolicyVisitor;
        impl<'de> Visitor<'de> for PolicyVisitor {
            type Value = FilePolicy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`continue`, `skip_dependents`, `fail_fast` or an object")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<FilePolicy, E> {
                let policy = FailurePolicy::deserialize(de::value::StrDeserializer::new(text))?;
                Ok(FilePolicy(PlanPolicy::default().on_failure(policy)))
            }

            fn visit_unit<E: de::Error>(self) -> Result<FilePolicy, E> {
                Ok(FilePolicy::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<FilePolicy, A::Error> {
                PlanPolicy::deserialize(de::value::MapAccessDeserializer::new(members)).map(FilePolicy)
            }
        }
        deserializer.deserialize_any(PolicyVisitor)
    }
}

/// Says which member of which call is wrong, besides the line that the parser names.
fn syntax(text: &str, error: &serde_json::Error) -> PlanError {
    let full = error.to_string();
    let message = full
        .rsplit_once(" at line ")
        .map_or(full.as_str(), |(message, _)| message);
    let mut found = PlanError::syntax(text, 0, message);
    found.line = Some(error.line());
    found.column = Some(error.column());
    if error.is_data()
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        found.place = place(&value).unwrap_or_default();
    }
    found
}

/// Returns the first place that is wrong by itself.
fn place(file: &Value) -> Option<String> {
    let calls = file.get("calls")?.as_array()?;
    for (index, call) in calls.iter().enumerate() {
        if FileCall::deserialize(call).is_ok() {
            continue;
        }
        for (key, value) in call.as_object().into_iter().flatten() {
            let mut alone = Map::new();
            alone.insert("id".to_owned(), Value::from("id"));
            alone.insert("name".to_owned(), Value::from("name"));
            alone.insert(key.clone(), value.clone());
            if FileCall::deserialize(&Value::Object(alone)).is_err() {
                return Some(format!("calls[{index}].{key}"));
            }
        }
        return Some(format!("calls[{index}]"));
    }
    let policy = file.get("policy")?;
    FilePolicy::deserialize(policy)
        .is_err()
        .then(|| "policy".to_owned())
}

/// Returns where the elements of the member `calls` begin. The text is valid JSON.
fn offsets(text: &str) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut depth = 0_usize;
    let mut in_calls = false;
    let mut last_text = "";
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let start = at + 1;
                at = start;
                while let Some(&inner) = bytes.get(at).filter(|&&inner| inner != b'"') {
                    at += if inner == b'\\' { 2 } else { 1 };
                }
                last_text = text.get(start..at).unwrap_or_default();
            }
            b'[' | b'{' => {
                if in_calls && depth == 2 {
                    offsets.push(at);
                }
                if byte == b'[' && depth == 1 {
                    in_calls = last_text == "calls";
                }
                depth += 1;
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                in_calls &= depth > 1;
            }
            _ => {}
        }
        at += 1;
    }
    offsets
}

/// The plan as a plan file: what [`super::Plan`] is written as.
#[derive(Serialize)]
pub(super) struct Written<'a> {
    pub(super) calls: Vec<WrittenCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<&'a PlanPolicy>,
}

/// A call in a plan file.
#[derive(Serialize)]
pub(super) struct WrittenCall<'a> {
    id: &'a str,
    name: &'a str,
    arguments: &'a Value,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    depends_on: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    reads: Option<Vec<&'a Resource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    writes: Option<Vec<&'a Resource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive: Option<Vec<&'a Resource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_ms: Option<f64>,
}

impl<'a> WrittenCall<'a> {
    pub(super) fn new(call: &'a Call) -> Self {
        let of = |mode: Mode| -> Vec<&'a Resource> {
            let all = call.accesses.iter().flatten();
            all.filter(|access| access.mode == mode)
                .map(|access| &access.resource)
                .collect()
        };
        let some = |mode| Some(of(mode)).filter(|resources| !resources.is_empty());
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        Self {
            id: &call.id,
            name: &call.name,
            arguments: &call.arguments,
            depends_on: &call.depends_on,
            // An empty list says that the call touches nothing.
            reads: some(Mode::Read).or_else(|| {
                call.accesses
                    .as_ref()
                    .filter(|all| all.is_empty())
                    .map(|_| Vec::new())
            }),
            writes: some(Mode::Write),
            exclusive: some(Mode::Exclusive),
            priority: Some(call.priority).filter(|&priority| priority != 0),
            timeout_ms: call.timeout.map(milliseconds),
            expected_ms: call.expected.map(milliseconds),
        }
    }
}
