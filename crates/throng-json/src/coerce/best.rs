//! What a value became, what that cost, and which of several results is the best.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::schema::CoerceError;

/// A value that fits, with marks of how it came about. A lower score is better.
#[derive(Debug, Clone)]
pub(super) struct Fitted {
    pub(super) kind: Kind,
    pub(super) cost: i32,
    /// A list made of one value that was not one.
    pub(super) from_single: bool,
    /// The value of an object's only member, which was given without the object.
    pub(super) implied: bool,
    /// Stands for a member that was absent.
    pub(super) is_default: bool,
    /// An object made of a text that is the value of its only member.
    pub(super) from_text: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Fitted>),
    Map(Vec<(String, Fitted)>),
    Class(Vec<(String, Fitted)>),
    Any(Value),
}

impl Fitted {
    pub(super) fn new(kind: Kind, cost: i32) -> Self {
        Self {
            kind,
            cost,
            from_single: false,
            implied: false,
            is_default: false,
            from_text: false,
        }
    }

    pub(super) fn score(&self) -> i32 {
        let inner: i32 = match &self.kind {
            Kind::List(items) => items.iter().map(Self::score).fold(0, i32::saturating_add),
            Kind::Class(members) => members
                .iter()
                .map(|(_, value)| value.score())
                .fold(0, i32::saturating_add),
            _ => 0,
        };
        self.cost.saturating_add(inner.saturating_mul(10))
    }

    pub(super) fn into_value(self) -> Value {
        match self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(value),
            Kind::Number(number) => Value::Number(number),
            Kind::Text(text) => Value::String(text),
            Kind::List(items) => items.into_iter().map(Self::into_value).collect(),
            Kind::Map(members) | Kind::Class(members) => Value::Object(
                members
                    .into_iter()
                    .map(|(key, value)| (key, value.into_value()))
                    .collect(),
            ),
            Kind::Any(value) => value,
        }
    }

    fn is_implied_text(&self) -> bool {
        match &self.kind {
            Kind::Class(members) => match members.as_slice() {
                [(_, only)] => matches!(only.kind, Kind::Text(_)) && only.implied,
                _ => false,
            },
            _ => false,
        }
    }

    fn is_all_defaults(&self) -> bool {
        match &self.kind {
            Kind::Class(members) => members.iter().all(|(_, value)| value.is_default),
            _ => false,
        }
    }

    fn is_empty_single(&self) -> bool {
        matches!(&self.kind, Kind::List(items) if items.is_empty()) && self.from_single
    }
}

pub(super) type Fit = Result<Fitted, CoerceError>;

/// Picks the best of several results; an error if there is none.
pub(super) fn pick(results: Vec<Fit>, is_union: bool, none: impl FnOnce() -> CoerceError) -> Fit {
    let n = results.len();
    if n == 1 {
        return results.into_iter().next().unwrap_or_else(|| Err(none()));
    }
    let mut error = None;
    let mut best: Option<(i32, Fitted)> = None;
    for result in results {
        match result {
            Ok(fitted) => {
                let score = fitted.score();
                let better = best.as_ref().is_none_or(|(least, other)| {
                    compare(&fitted, score, other, *least, is_union) == Ordering::Less
                });
                if better {
                    best = Some((score, fitted));
                }
            }
            Err(other) => {
                error.get_or_insert(other);
            }
        }
    }
    match best {
        Some((_, mut fitted)) => {
            fitted.cost = fitted.cost.saturating_add(i32::from(!is_union));
            Ok(fitted)
        }
        None => Err(error.unwrap_or_else(none)),
    }
}

/// Whether the first of two is better. Equal ones keep their order.
fn compare(a: &Fitted, a_score: i32, b: &Fitted, b_score: i32, is_union: bool) -> Ordering {
    match (&a.kind, &b.kind) {
        (Kind::List(_), Kind::List(_)) if a.from_single != b.from_single => {
            return a.from_single.cmp(&b.from_single);
        }
        (Kind::Class(_), Kind::Class(_)) => {
            if is_union && a.is_implied_text() != b.is_implied_text() {
                return a.is_implied_text().cmp(&b.is_implied_text());
            }
            if a.is_all_defaults() != b.is_all_defaults() {
                return a.is_all_defaults().cmp(&b.is_all_defaults());
            }
        }
        _ => {}
    }
    a.is_empty_single()
        .cmp(&b.is_empty_single())
        .then(a_score.cmp(&b_score))
}
