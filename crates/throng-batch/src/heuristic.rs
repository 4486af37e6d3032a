//! Rules that plan without a model: what an agent does when nobody has answered for it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Step;

/// Rules, the first that applies to a snapshot gives the plan.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_batch::Rules;
///
/// let rules: Rules = serde_json::from_value(json!([
///     {"when": {"below": ["state.hp", 20]}, "then": [{"act": "retreat"}]},
///     {"when": {"all": [{"exists": "state.enemy"}, {"above": ["state.ammo", 0]}]}, "then": [{"act": "attack"}]},
///     {"when": "always", "then": [{"act": "patrol"}]}
/// ]))?;
/// let steps = rules.plan(&json!({"id": 1, "state": {"hp": 80, "enemy": "orc", "ammo": 3}}));
/// assert_eq!(steps.map(|steps| steps[0].act.as_str()), Some("attack"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(Vec<Rule>);

/// A rule: under which condition which steps are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// When it applies.
    pub when: Condition,
    /// What is done then.
    pub then: Vec<Step>,
}

impl Rule {
    /// Makes a rule.
    pub const fn new(when: Condition, then: Vec<Step>) -> Self {
        Self { when, then }
    }
}

/// A condition on a snapshot. Paths lead into it by the names of members and the numbers of items, such as
/// `state.inventory.0.name`; what is not there meets no condition but [`Condition::Not`] of one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Condition {
    /// Always.
    Always,
    /// There is something at the path, other than null.
    Exists(String),
    /// The number at the path is smaller than this.
    Below(String, f64),
    /// The number at the path is larger than this.
    Above(String, f64),
    /// The value at the path is this.
    Equals(String, Value),
    /// The text at the path holds this one, or the array this item. Case does not count.
    Contains(String, String),
    /// All of these hold.
    All(Vec<Condition>),
    /// One of these holds.
    Any(Vec<Condition>),
    /// This does not hold.
    Not(Box<Condition>),
}

impl Condition {
    /// Returns true if the condition holds for a snapshot.
    pub fn holds(&self, snapshot: &Value) -> bool {
        let number = |path: &str| find(snapshot, path).and_then(Value::as_f64);
        match self {
            Self::Always => true,
            Self::Exists(path) => find(snapshot, path).is_some_and(|value| !value.is_null()),
            Self::Below(path, bound) => number(path).is_some_and(|number| number < *bound),
            Self::Above(path, bound) => number(path).is_some_and(|number| number > *bound),
            Self::Equals(path, value) => find(snapshot, path) == Some(value),
            Self::Contains(path, part) => {
                let part = part.to_lowercase();
                match find(snapshot, path) {
                    Some(Value::String(text)) => text.to_lowercase().contains(&part),
                    Some(Value::Array(items)) => items
                        .iter()
                        .any(|item| item.as_str().is_some_and(|item| item.to_lowercase() == part)),
                    _ => false,
                }
            }
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(snapshot)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(snapshot)),
            Self::Not(condition) => !condition.holds(snapshot),
        }
    }
}

fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Object(members) => members.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

impl Rules {
    /// Makes rules, in the order in which they are tried.
    pub const fn new(rules: Vec<Rule>) -> Self {
        Self(rules)
    }

    /// Returns the rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Returns what the first rule that applies says to do.
    pub fn plan(&self, snapshot: &Value) -> Option<&[Step]> {
        self.0
            .iter()
            .find(|rule| rule.when.holds(snapshot))
            .map(|rule| rule.then.as_slice())
    }
}
