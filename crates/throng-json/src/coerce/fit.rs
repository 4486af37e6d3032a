//! Makes a reading of a text, or a value, fit a type; the rules are BAML's.

use serde_json::{Number, Value};

use super::best::{Fit, Fitted, Kind, pick};
use super::schema::{CoerceError, Extra, Field, Rules, Schema, Type};
use super::{labels, numbers};
use crate::baml::Ish;

/// Deepest nesting of types, which for recursive schemas is that of the value.
const DEEPEST: usize = 256;
/// Types that are tried for one value, all in all.
const MOST_TRIES: usize = 2_000_000;

pub(super) struct Fitter<'a> {
    schema: &'a Schema,
    partial: bool,
    path: Vec<String>,
    tries: usize,
    depth: usize,
}

impl<'a> Fitter<'a> {
    pub(super) fn new(schema: &'a Schema, partial: bool) -> Self {
        Self {
            schema,
            partial,
            path: Vec::new(),
            tries: 0,
            depth: 0,
        }
    }

    pub(super) fn run(mut self, ish: &Ish) -> Fit {
        let fitted = self.fit(self.schema.root, ish)?;
        if fitted.from_text {
            return Err(self.error("a text, not an object"));
        }
        Ok(fitted)
    }

    fn error(&self, reason: impl Into<String>) -> CoerceError {
        CoerceError {
            path: if self.path.is_empty() {
                "$".to_owned()
            } else {
                format!("$.{}", self.path.join("."))
            },
            reason: reason.into(),
        }
    }

    fn ty(&self, at: usize) -> &'a Type {
        self.schema.types.get(at).unwrap_or(&Type::Any)
    }

    /// Follows references.
    fn resolve(&self, mut at: usize) -> usize {
        for _ in 0..DEEPEST {
            match self.ty(at) {
                Type::Union(options) => match options.as_slice() {
                    [only] => at = *only,
                    _ => break,
                },
                _ => break,
            }
        }
        at
    }

    fn at<T>(&mut self, step: &str, run: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_owned());
        let out = run(self);
        self.path.pop();
        out
    }

    fn fit(&mut self, at: usize, ish: &Ish) -> Fit {
        self.tries += 1;
        self.depth += 1;
        let result = if self.tries > MOST_TRIES || self.depth > DEEPEST {
            Err(self.error("too much nesting"))
        } else {
            self.fit_here(at, ish)
        };
        self.depth -= 1;
        result
    }

    fn fit_here(&mut self, at: usize, ish: &Ish) -> Fit {
        let at = self.resolve(at);
        let ty = self.ty(at);
        let is_text = matches!(ty, Type::Text);
        match ish {
            Ish::AnyOf(_, text) if is_text => Ok(Fitted::new(Kind::Text(text.clone()), 0)),
            Ish::AnyOf(readings, _) if matches!(ty, Type::Any) => match readings.first() {
                Some(first) => self.fit(at, first),
                None => Err(self.error("nothing")),
            },
            Ish::AnyOf(readings, _) => {
                let results = readings.iter().map(|reading| self.fit(at, reading)).collect();
                pick(results, matches!(ty, Type::Union(_)), || {
                    self.error("nothing fits")
                })
            }
            Ish::Fenced(inner) => {
                let mut fitted = self.fit(at, inner)?;
                fitted.cost += i32::from(is_text);
                Ok(fitted)
            }
            Ish::Fixed(inner) => self.fit(at, inner),
            _ => self.fit_plain(at, ty, ish),
        }
    }

    fn fit_plain(&mut self, at: usize, ty: &'a Type, ish: &Ish) -> Fit {
        match ty {
            Type::Any => Ok(Fitted::new(Kind::Any(ish.to_value()), 0)),
            Type::Never => Err(self.error("the schema allows no value here")),
            Type::Null => Ok(match ish {
                Ish::Null => Fitted::new(Kind::Null, 0),
                _ => Fitted::new(Kind::Null, 110),
            }),
            Type::Text => match ish {
                Ish::Text(text) => Ok(Fitted::new(Kind::Text(text.clone()), 0)),
                Ish::Null => Err(self.error("null, not a string")),
                other => Ok(Fitted::new(Kind::Text(other.to_string()), 2)),
            },
            Type::Bool => self.bool(at, ish),
            Type::Int => self.int(at, ish),
            Type::Float => self.float(at, ish),
            Type::Literal(value) => self.literal(at, value, ish),
            Type::Enum(labels) => self.label(labels, ish),
            Type::List(items) => Ok(self.list(*items, ish)),
            Type::Tuple(first, rest) => self.tuple(first, *rest, ish),
            Type::Map(values) => self.map(*values, ish),
            Type::Class(fields, extra) => self.class(at, fields, extra, ish),
            Type::Union(options) => {
                let results = options.iter().map(|option| self.fit(*option, ish)).collect();
                pick(results, true, || self.error("nothing fits"))
            }
            Type::Optional(inner) => match ish {
                Ish::Null => Ok(Fitted::new(Kind::Null, 0)),
                _ => match self.fit(*inner, ish) {
                    Ok(fitted) => Ok(fitted),
                    Err(error) if self.schema.rules == Rules::Keep => Err(error),
                    Err(_) => Ok(Fitted::new(Kind::Null, 2)),
                },
            },
        }
    }

    /// Fits the best item of an array.
    fn singular(&mut self, at: usize, items: &[Ish]) -> Fit {
        let results: Vec<Fit> = items.iter().map(|item| self.fit(at, item)).collect();
        pick(results, false, || self.error("an empty array"))
    }

    fn bool(&mut self, at: usize, ish: &Ish) -> Fit {
        match ish {
            Ish::Bool(value) => Ok(Fitted::new(Kind::Bool(*value), 0)),
            Ish::Text(text) => {
                let known = |word: &str, upper: &str, title: &str| {
                    (
                        word.to_owned(),
                        vec![word.to_owned(), title.to_owned(), upper.to_owned()],
                    )
                };
                let words = [known("true", "TRUE", "True"), known("false", "FALSE", "False")];
                let lower = text.to_lowercase();
                let word = match lower.as_str() {
                    "true" | "false" => Some(lower.as_str()),
                    _ => labels::find(text, &words, false).map(|(word, _)| word),
                };
                match word {
                    Some(word) => Ok(Fitted::new(Kind::Bool(word == "true"), 1)),
                    None => Err(self.error(format!("{text:?}, not a boolean"))),
                }
            }
            Ish::Array(items) => self.singular(at, items),
            other => Err(self.error(format!("{other}, not a boolean"))),
        }
    }

    fn int(&mut self, at: usize, ish: &Ish) -> Fit {
        let number = match ish {
            Ish::Number(number) => Some((number.clone(), 0)),
            Ish::Text(text) => match numbers::plain(text) {
                Some(number) => Some((number, i32::from(self.schema.rules == Rules::Keep))),
                None => numbers::loose(text)
                    .and_then(Number::from_f64)
                    .map(|number| (number, 0)),
            },
            Ish::Array(items) => return self.singular(at, items),
            _ => None,
        };
        let Some((number, cost)) = number else {
            return Err(self.error(format!("{ish}, not an integer")));
        };
        if number.is_i64() || number.is_u64() {
            return Ok(Fitted::new(Kind::Number(number), cost));
        }
        let rounded = number.as_f64().unwrap_or(0.0).round();
        // Saturates at the ends of the range, as the numbers of the schema's readers do.
        let cost = if number.as_f64() == Some(rounded)
            && matches!(ish, Ish::Number(_))
            && self.schema.rules == Rules::Keep
        {
            // JSON schema takes 1.0 for an integer: it fits as it is.
            return Ok(Fitted::new(Kind::Number(number), 0));
        } else {
            cost + 1
        };
        Ok(Fitted::new(Kind::Number(Number::from(rounded as i64)), cost))
    }

    fn float(&mut self, at: usize, ish: &Ish) -> Fit {
        let keep = i32::from(self.schema.rules == Rules::Keep);
        let number = match ish {
            Ish::Number(number) => return Ok(Fitted::new(Kind::Number(number.clone()), 0)),
            Ish::Text(text) => {
                numbers::plain(text).or_else(|| numbers::loose(text).and_then(Number::from_f64))
            }
            Ish::Array(items) => return self.singular(at, items),
            _ => None,
        };
        match number {
            Some(number) => Ok(Fitted::new(Kind::Number(number), keep)),
            None => Err(self.error(format!("{ish}, not a number"))),
        }
    }

    fn literal(&mut self, at: usize, value: &Value, ish: &Ish) -> Fit {
        let fitted = match value {
            Value::Bool(_) => self.bool(at, ish)?,
            Value::Number(number) if number.is_f64() => self.float(at, ish)?,
            Value::Number(_) => self.int(at, ish)?,
            Value::String(text) => {
                let labels = [(text.clone(), vec![text.clone()])];
                return self.label(&labels, ish);
            }
            other if ish.to_value() == *other => return Ok(Fitted::new(Kind::Any(other.clone()), 0)),
            other => return Err(self.error(format!("{ish}, not {other}"))),
        };
        let same = match (&fitted.kind, value) {
            (Kind::Bool(found), Value::Bool(value)) => found == value,
            (Kind::Number(found), Value::Number(value)) => found == value || found.as_f64() == value.as_f64(),
            _ => false,
        };
        if same {
            return Ok(fitted);
        }
        Err(self.error(format!("{ish}, not {value}")))
    }

    fn label(&mut self, labels: &[(String, Vec<String>)], ish: &Ish) -> Fit {
        let (text, cost) = match ish {
            Ish::Null => return Err(self.error("null, not a label")),
            Ish::Text(text) => (text.clone(), 0),
            other => (other.to_string(), 2),
        };
        let closest = self.schema.rules == Rules::Keep;
        match labels::find(&text, labels, closest) {
            Some((label, more)) => Ok(Fitted::new(Kind::Text(label.to_owned()), cost + more)),
            None => Err(self.error(format!("{text:?} is none of the labels, or more than one"))),
        }
    }

    fn list(&mut self, items: usize, ish: &Ish) -> Fitted {
        let mut cost = 0;
        let mut found = Vec::new();
        let Ish::Array(array) = ish else {
            let mut list = match self.at("0", |fitter| fitter.fit(items, ish)) {
                Ok(item) => Fitted::new(Kind::List(vec![item]), 1),
                Err(_) => Fitted::new(Kind::List(Vec::new()), 2),
            };
            list.from_single = true;
            return list;
        };
        for (n, item) in array.iter().enumerate() {
            match self.at(&n.to_string(), |fitter| fitter.fit(items, item)) {
                Ok(item) => found.push(item),
                Err(_) => cost += 1 + i32::try_from(n).unwrap_or(i32::MAX - 1),
            }
        }
        Fitted::new(Kind::List(found), cost)
    }

    fn tuple(&mut self, first: &[usize], rest: Option<usize>, ish: &Ish) -> Fit {
        let Ish::Array(array) = ish else {
            return Err(self.error(format!("{ish}, not an array")));
        };
        let mut found = Vec::new();
        for (n, item) in array.iter().enumerate() {
            let ty = first.get(n).copied().or(rest);
            found.push(match ty {
                Some(ty) => self.at(&n.to_string(), |fitter| fitter.fit(ty, item))?,
                None => Fitted::new(Kind::Any(item.to_value()), 0),
            });
        }
        Ok(Fitted::new(Kind::List(found), 0))
    }

    fn map(&mut self, values: usize, ish: &Ish) -> Fit {
        let Ish::Object(object) = ish else {
            return Err(self.error(format!("{ish}, not an object")));
        };
        // BAML counts each map as a change of one; a value that fits as it is has none.
        let mut cost = i32::from(self.schema.rules == Rules::Baml);
        let mut members: Vec<(String, Fitted)> = Vec::new();
        for (key, value) in object {
            match self.at(key, |fitter| fitter.fit(values, value)) {
                Ok(value) => match members.iter_mut().find(|(known, _)| known == key) {
                    Some(member) => member.1 = value,
                    None => members.push((key.clone(), value)),
                },
                Err(_) => cost += 1,
            }
        }
        Ok(Fitted::new(Kind::Map(members), cost))
    }

    fn is_optional(&self, at: usize) -> bool {
        match self.ty(self.resolve(at)) {
            Type::Null | Type::Optional(_) => true,
            Type::Union(options) => options.iter().any(|option| self.is_optional(*option)),
            _ => false,
        }
    }

    fn class(&mut self, at: usize, fields: &'a [Field], extra: &Extra, ish: &Ish) -> Fit {
        let mut found: Vec<Option<Fit>> = vec![None; fields.len()];
        let mut others: Vec<(String, Fitted)> = Vec::new();
        let mut cost = 0;
        let mut from_text = false;
        let mut of_items = None;
        let only = match fields {
            [only] => Some(only),
            _ => None,
        };
        match ish {
            Ish::Object(object) => {
                let mut unknown = Vec::new();
                for (key, value) in object {
                    let named = fields.iter().position(|field| field.alias == *key);
                    let named = named.or_else(|| fields.iter().position(|field| field.name == *key));
                    match (
                        named,
                        named.and_then(|at| fields.get(at)),
                        named.and_then(|at| found.get(at)),
                    ) {
                        // Of a key that comes twice BAML keeps the first value, JSON the last.
                        (Some(_), _, Some(Some(_))) if self.schema.rules == Rules::Baml => {}
                        (Some(at), Some(field), _) => {
                            let fit = self.at(&field.name, |fitter| fitter.fit(field.ty, value));
                            if let Some(slot) = found.get_mut(at) {
                                *slot = Some(fit);
                            }
                        }
                        _ => unknown.push((key, value)),
                    }
                }
                let none = found.iter().all(Option::is_none);
                let implied = match only {
                    Some(only) if none && !unknown.is_empty() => {
                        self.at(&only.name, |fitter| fitter.fit(only.ty, ish)).ok()
                    }
                    _ => None,
                };
                match implied {
                    Some(mut fitted)
                        if self.schema.rules == Rules::Baml || only.is_some_and(|only| only.required) =>
                    {
                        fitted.implied = true;
                        fitted.cost += 2;
                        found = vec![Some(Ok(fitted))];
                    }
                    _ => {
                        for (key, value) in unknown {
                            match extra {
                                Extra::Drop => cost += 1,
                                Extra::Keep => {
                                    others.push((key.clone(), Fitted::new(Kind::Any(value.to_value()), 0)));
                                }
                                Extra::Typed(ty) => match self.at(key, |fitter| fitter.fit(*ty, value)) {
                                    Ok(value) => others.push((key.clone(), value)),
                                    Err(_) => cost += 1,
                                },
                            }
                        }
                    }
                }
            }
            _ => {
                if let Some(only) = only {
                    let mut fit = self.at(&only.name, |fitter| fitter.fit(only.ty, ish));
                    if let Ok(fitted) = &mut fit {
                        fitted.implied = true;
                        fitted.cost += 2;
                        from_text = matches!(ish, Ish::Text(_));
                    }
                    found = vec![Some(fit)];
                }
                if let Ish::Array(items) = ish {
                    of_items = self.singular(at, items).ok();
                }
            }
        }
        let members = self.members(fields, found);
        let mut results = Vec::new();
        let mut error = None;
        match members {
            Ok(mut members) => {
                members.extend(others);
                let mut class = Fitted::new(Kind::Class(members), cost);
                class.from_text = from_text;
                results.push(Ok(class));
            }
            Err(missing) => error = Some(missing),
        }
        results.extend(of_items.map(Ok));
        if results.is_empty()
            && let Some(error) = error
        {
            return Err(error);
        }
        pick(results, false, || self.error("nothing fits"))
    }

    /// Completes the members of an object: defaults for those that are absent, null for those that may be.
    fn members(
        &mut self,
        fields: &'a [Field],
        found: Vec<Option<Fit>>,
    ) -> Result<Vec<(String, Fitted)>, CoerceError> {
        let keep = self.schema.rules == Rules::Keep;
        let mut members = Vec::new();
        for (field, fit) in fields.iter().zip(found) {
            let optional = !field.required || self.is_optional(field.ty);
            let error = match fit {
                Some(Ok(fitted)) => {
                    members.push((field.name.clone(), fitted));
                    continue;
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            let default = |kind: Kind, cost: i32| {
                let mut fitted = Fitted::new(kind, cost);
                fitted.is_default = error.is_none();
                fitted
            };
            if let Some(value) = &field.default {
                members.push((field.name.clone(), default(Kind::Any(value.clone()), 1)));
                continue;
            }
            if keep && error.is_none() && !field.required {
                continue;
            }
            let fitted = match &error {
                // A value that cannot be read is not lost silently, unless BAML's rules say so.
                Some(error) if keep && !self.partial => return Err(error.clone()),
                Some(_) if optional => default(Kind::Null, 2),
                None if optional => default(Kind::Null, 1),
                _ => {
                    let cost = if error.is_some() { 2 } else { 100 };
                    match self.empty(field.ty) {
                        Some(kind) if !keep => default(kind, cost),
                        _ if self.partial => default(Kind::Null, 1),
                        _ => {
                            let name = &field.name;
                            return Err(error.unwrap_or_else(|| self.error(format!("{name:?} is missing"))));
                        }
                    }
                }
            };
            members.push((field.name.clone(), fitted));
        }
        Ok(members)
    }

    /// The value of a type that stands for none: an empty list or map, or null.
    fn empty(&self, at: usize) -> Option<Kind> {
        match self.ty(self.resolve(at)) {
            Type::List(_) => Some(Kind::List(Vec::new())),
            Type::Map(_) => Some(Kind::Map(Vec::new())),
            Type::Null | Type::Optional(_) => Some(Kind::Null),
            Type::Union(options) => options.iter().find_map(|option| self.empty(*option)),
            _ => None,
        }
    }
}
