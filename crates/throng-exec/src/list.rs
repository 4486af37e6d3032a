//! What lists of inputs and results need and the standard iterators lack: no duplicates, and JSON without its nesting.
//!
//! Invariant: nothing is read ahead. The functions on iterators pull one element at a time, so that what they return
//! can be the lazy input of a run.

use std::collections::HashSet;
use std::hash::Hash;

use serde_json::Value;

/// Returns the elements that are not equal to an earlier one, in their order.
///
/// Memory is in proportion to the number of different elements. Where a part of the element says enough, [`unique_by`]
/// keeps that part only and needs no clone.
///
/// JSON values are equal if their types and contents are: `1`, `1.0`, `true` and `"1"` are four values. The order of an
/// object's keys does not matter.
///
/// # Complexity
///
/// O(1) expected for each element.
///
/// # Examples
///
/// ```
/// use throng_exec::list::unique;
///
/// assert_eq!(unique([3, 1, 3, 2, 1]).collect::<Vec<_>>(), [3, 1, 2]);
/// ```
pub fn unique<I>(items: I) -> impl Iterator<Item = I::Item> + use<I>
where
    I: IntoIterator,
    I::Item: Clone + Eq + Hash,
{
    unique_by(items, Clone::clone)
}

/// Returns the elements whose key no earlier element had, in their order.
///
/// Memory is in proportion to the number of different keys.
///
/// # Complexity
///
/// O(1) expected for each element.
///
/// # Examples
///
/// ```
/// use throng_exec::list::unique_by;
///
/// let answers = ["Paris", "paris ", "Lyon"];
/// let different = unique_by(answers, |answer| answer.trim().to_lowercase());
/// assert_eq!(different.collect::<Vec<_>>(), ["Paris", "Lyon"]);
/// ```
pub fn unique_by<I, K, F>(items: I, mut key: F) -> impl Iterator<Item = I::Item> + use<I, K, F>
where
    I: IntoIterator,
    K: Eq + Hash,
    F: FnMut(&I::Item) -> K,
{
    let mut seen = HashSet::new();
    items.into_iter().filter(move |item| seen.insert(key(item)))
}

/// Returns the elements of JSON arrays in place of the arrays, at every depth. All other values stay as they are:
/// objects and text are not taken apart, and a null stays a null.
///
/// To leave nulls out, add `.filter(|value| !value.is_null())`. Nested lists of one known depth need no JSON:
/// [`Iterator::flatten`] takes one level away, and the `None`s of a list of `Option`.
///
/// # Complexity
///
/// O(1) amortised for each array and element, without recursion; memory in proportion to what is left of the current
/// element.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_exec::list::{flatten, unique};
///
/// let nested = [json!(1), json!([2, [1, null]]), json!({"a": [3]})];
/// let flat = flatten(nested).filter(|value| !value.is_null());
/// assert_eq!(unique(flat).collect::<Vec<_>>(), [json!(1), json!(2), json!({"a": [3]})]);
/// ```
pub fn flatten<I>(items: I) -> impl Iterator<Item = Value> + use<I>
where
    I: IntoIterator<Item = Value>,
{
    let mut items = items.into_iter();
    let mut open: Vec<std::vec::IntoIter<Value>> = Vec::new();
    std::iter::from_fn(move || {
        loop {
            let next = match open.last_mut() {
                Some(array) => match array.next() {
                    Some(value) => value,
                    None => {
                        open.pop();
                        continue;
                    }
                },
                None => items.next()?,
            };
            match next {
                Value::Array(array) => open.push(array.into_iter()),
                value => return Some(value),
            }
        }
    })
}

/// Returns the elements of a JSON array, none for a null, and any other value as the only element.
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_exec::list::items;
///
/// assert_eq!(items(json!([1, [2]])), [json!(1), json!([2])]);
/// assert_eq!(items(json!("text")), [json!("text")]);
/// assert!(items(json!(null)).is_empty());
/// ```
pub fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items,
        value => vec![value],
    }
}

/// Returns a JSON value without the nulls in its arrays, at every depth of arrays in arrays. Objects stay as they are,
/// and a value that is a null itself stays one.
///
/// # Complexity
///
/// O(n) for n elements; the depth of arrays in arrays is limited by the stack, as it is in [`serde_json`].
///
/// # Examples
///
/// ```
/// use serde_json::json;
/// use throng_exec::list::without_nulls;
///
/// assert_eq!(without_nulls(json!([1, null, [2, null]])), json!([1, [2]]));
/// ```
pub fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter(|item| !item.is_null())
            .map(without_nulls)
            .collect(),
        value => value,
    }
}
