//! alcall's `input_*` and `output_*` are iterator adaptors before and after the run: those of the standard library, and
//! those of `list` where it has none.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use throng_core::Outcome;
use throng_exec::list::{flatten, items, unique, unique_by, without_nulls};
use throng_exec::{Attempt, Executor};

use super::recorded;
use crate::support::{Fault, once};

/// Runs jobs that return their input, and checks that each is called once; returns the outputs in their order.
async fn echo(executor: &Executor, jobs: impl Iterator<Item = Value> + Send + 'static) -> Value {
    let runner = |input: Value, _: Attempt| async move { Ok::<_, Fault>(input) };
    let report = executor.run(jobs, runner).await;
    report
        .finished
        .into_iter()
        .filter_map(|job| job.outcome.success())
        .collect()
}

fn one_by_one() -> Executor {
    once(1).build().unwrap()
}

fn nested() -> Vec<Value> {
    items(json!([1, [2, [3, null]], {"a": [4]}, "text"]))
}

fn twice() -> Vec<Value> {
    items(json!([1, [2, 1], {"a": 1}, 2, {"a": 1}, 3]))
}

/// What the jobs 0, 1 and 2 return.
fn pieces() -> Vec<Value> {
    items(json!([[1, [2, null]], [2, 3], null]))
}

#[tokio::test(start_paused = true)]
async fn input_flatten_is_flatten_over_json() {
    let executor = one_by_one();
    assert_eq!(
        echo(&executor, nested().into_iter()).await,
        recorded("input_flatten.off")["inputs"]
    );
    assert_eq!(
        echo(&executor, flatten(nested())).await,
        recorded("input_flatten.on")["inputs"]
    );
}

#[tokio::test(start_paused = true)]
async fn input_dropna_is_a_filter() {
    let executor = one_by_one();
    let given = || items(json!([1, null, 2, [3, null]]));
    let kept = items(without_nulls(Value::from(given())));
    assert_eq!(
        echo(&executor, kept.into_iter()).await,
        recorded("input_dropna")["inputs"]
    );
    let flat = flatten(given()).filter(|value| !value.is_null());
    assert_eq!(
        echo(&executor, flat).await,
        recorded("input_dropna.flatten")["inputs"]
    );
}

#[tokio::test(start_paused = true)]
async fn input_unique_keeps_the_first_of_equal_inputs() {
    let executor = one_by_one();
    let inputs = echo(&executor, unique(flatten(twice()))).await;
    assert_eq!(inputs, recorded("input_unique")["inputs"]);
}

/// alcall raises ValueError for `input_unique` without `input_flatten`. Ours needs no flattening: elements that are
/// lists are compared as wholes.
#[tokio::test(start_paused = true)]
async fn input_unique_works_without_flattening() {
    let was = recorded("input_unique.without_flatten");
    assert_eq!(
        (&was["raised"], &was["calls"]),
        (&json!({"error": "ValueError"}), &json!(0))
    );
    let executor = one_by_one();
    let given = items(json!([1, 2, 1, [1, 2], [1, 2]]));
    assert_eq!(echo(&executor, unique(given)).await, json!([1, 2, [1, 2]]));
}

/// To Python `1 == 1.0 == True`, and alcall drops two of three inputs that are different JSON. Ours keeps them; who wants
/// numbers compared by value says so with `unique_by`.
#[tokio::test(start_paused = true)]
async fn input_unique_tells_json_types_apart() {
    let was = recorded("input_unique.equal_across_types");
    assert_eq!(was["inputs"], json!([1, "1"]));
    let given = || items(json!([1, 1.0, true, "1"]));
    let executor = one_by_one();
    assert_eq!(echo(&executor, unique(given())).await, Value::from(given()));
    let by_value = unique_by(given(), |value| {
        let number = value.as_f64().or_else(|| value.as_bool().map(f64::from));
        number.map_or_else(|| value.clone(), Value::from)
    });
    assert_eq!(echo(&executor, by_value).await, was["inputs"]);
}

/// JSON has no tuples and sets: what alcall flattens with the flag only is an array here, and a collection in Rust. A
/// Rust tuple stays one value, as it does in alcall without the flag.
#[tokio::test(start_paused = true)]
async fn input_flatten_tuple_set_is_flatten() {
    let off = recorded("input_flatten_tuple_set.off");
    assert_eq!(off["inputs"], json!([1, {"tuple": [2, {"tuple": [3, 4]}]}, 5]));
    let on = recorded("input_flatten_tuple_set.on");
    let executor = one_by_one();
    let given = items(json!([1, [2, [3, 4]], [5]]));
    assert_eq!(echo(&executor, flatten(given)).await, on["inputs"]);
    let sets = [
        BTreeSet::from([1]),
        BTreeSet::from([2, 3]),
        BTreeSet::from([4, 5]),
    ];
    let flat = sets.into_iter().flatten().map(Value::from);
    assert_eq!(echo(&executor, flat).await, on["inputs"]);
}

/// alcall takes a text as a list of its characters. In Rust a text is no iterator, and `items` makes it one element.
#[test]
fn a_text_is_one_input() {
    assert_eq!(recorded("input.text")["inputs"], json!(["a", "b", "c"]));
    assert_eq!(items(json!("abc")), ["abc"]);
}

/// Runs job i to the output number i and returns the outputs in the order of submission.
async fn outputs(outputs: Vec<Value>) -> Vec<Value> {
    let n_jobs = outputs.len();
    let runner = move |index: usize, _: Attempt| {
        let output = outputs[index].clone();
        async move { Ok::<_, Fault>(output) }
    };
    let report = one_by_one().run(0..n_jobs, runner).await;
    let outcomes = report.finished.into_iter().map(|job| job.outcome);
    outcomes.filter_map(Outcome::success).collect()
}

#[tokio::test(start_paused = true)]
async fn output_flatten_is_flatten_over_the_outputs() {
    let flat: Value = flatten(outputs(pieces()).await).collect();
    assert_eq!(flat, recorded("output_flatten")["result"]);
}

/// In alcall's result the place of what was dropped is lost; a [`throng_exec::Finished`] has the id of its job.
#[tokio::test(start_paused = true)]
async fn output_dropna_is_a_filter() {
    let given = outputs(items(json!([1, null, 3]))).await;
    let kept: Value = given.into_iter().filter(|value| !value.is_null()).collect();
    assert_eq!(kept, recorded("output_dropna")["result"]);
    let nested = without_nulls(Value::from(outputs(pieces()).await));
    assert_eq!(nested, recorded("output_dropna.nested")["result"]);
    // Where an output is an `Option`, this is `flatten` of the standard library.
    let options = [Some(1), None, Some(3)].into_iter().flatten();
    assert_eq!(options.collect::<Value>(), kept);
}

#[tokio::test(start_paused = true)]
async fn output_unique_keeps_the_first_of_equal_outputs() {
    let flat = flatten(outputs(pieces()).await).filter(|value| !value.is_null());
    let kept: Value = unique(flat).collect();
    assert_eq!(kept, recorded("output_unique")["result"]);
}

/// alcall finds out after the last call that `output_unique` needs `output_flatten`: it raises ValueError, and what the
/// calls returned is lost.
#[tokio::test(start_paused = true)]
async fn output_unique_works_without_flattening() {
    let was = recorded("output_unique.without_flatten");
    assert_eq!(
        (&was["raised"], &was["calls"]),
        (&json!({"error": "ValueError"}), &json!(3))
    );
    let kept: Value = unique(outputs(items(json!([1, 2, 1]))).await).collect();
    assert_eq!(kept, json!([1, 2]));
}

#[tokio::test(start_paused = true)]
async fn output_flatten_tuple_set_is_flatten() {
    let off = recorded("output_flatten_tuple_set.off");
    assert_eq!(off["result"], json!([1, {"tuple": [2, {"tuple": [3, 4]}]}, 5]));
    let flat: Value = flatten(outputs(items(json!([1, [2, [3, 4]], [5]]))).await).collect();
    assert_eq!(flat, recorded("output_flatten_tuple_set.on")["result"]);
}

#[test]
fn the_adaptors_read_nothing_ahead() {
    let mut pulled = 0;
    let source = (0..).map(|n| {
        pulled += 1;
        json!([n / 2, [n / 2]])
    });
    let first: Vec<_> = unique(flatten(source)).take(3).collect();
    assert_eq!(first, [json!(0), json!(1), json!(2)]);
    assert_eq!(pulled, 5);
}

#[test]
fn the_order_of_keys_does_not_make_objects_different() {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let given = [parsed(r#"{"a":1,"b":[2]}"#), parsed(r#"{"b":[2],"a":1}"#)];
    assert_eq!(unique(given).count(), 1);
}

proptest::proptest! {
    /// Against the definition, quadratic: an element stays if none before it is equal.
    #[test]
    fn unique_keeps_what_no_earlier_element_equals(given in proptest::collection::vec(0..12_u8, 0..60)) {
        let expect: Vec<u8> = (0..given.len())
            .filter(|&at| !given[..at].contains(&given[at]))
            .map(|at| given[at])
            .collect();
        proptest::prop_assert_eq!(unique(given).collect::<Vec<_>>(), expect);
    }

    /// Against recursion.
    #[test]
    fn flatten_gives_the_leaves_in_their_order(given in json_lists()) {
        fn leaves(value: &Value, into: &mut Vec<Value>) {
            match value {
                Value::Array(inner) => inner.iter().for_each(|value| leaves(value, into)),
                value => into.push(value.clone()),
            }
        }
        let mut expect = Vec::new();
        leaves(&given, &mut expect);
        proptest::prop_assert_eq!(flatten([given]).collect::<Vec<_>>(), expect);
    }
}

fn json_lists() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<u8>().prop_map(Value::from),
        Just(json!({"a": [1]}))
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop::collection::vec(inner, 0..6).prop_map(Value::from)
    })
}
