//! Compact snapshots have fewer tokens and all of their facts.

use proptest::prelude::*;
use serde_json::{Value, json};
use throng_batch::{Compact, Estimate, TokenCounter as _};

fn value(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..5).prop_map(Value::from),
        "[a-c.]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c.]{1,2}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
    .boxed()
}

proptest! {
    #[test]
    fn no_fact_is_lost(snapshots in prop::collection::vec(value(3), 0..5), n in 1_usize..4) {
        // Equal and alike snapshots, too: those are what is made a table.
        let repeated: Vec<Value> = snapshots.iter().flat_map(|s| std::iter::repeat_n(s.clone(), n)).collect();
        for snapshots in [&snapshots, &repeated] {
            prop_assert_eq!(&Compact::new(snapshots).expand(), snapshots);
        }
    }

    #[test]
    fn no_fact_of_agents_of_one_shape_is_lost(rows in prop::collection::vec((value(1), value(1), any::<bool>()), 2..6)) {
        let snapshots: Vec<Value> = rows
            .into_iter()
            .map(|(a, b, c)| json!({"agent_id": "x", "state": {"a": a, "b": {"c": c}}, "b": b}))
            .collect();
        prop_assert_eq!(Compact::new(&snapshots).expand(), snapshots);
    }
}

#[test]
fn agents_of_one_shape_take_less_than_half_of_the_tokens() {
    let snapshots: Vec<Value> = (0..10)
        .map(|n| {
            json!({
                "agent_id": format!("bcdf{}", n % 10),
                "role": "guard",
                "state": {"position": {"x": n, "y": 2 * n}, "health": 100 - n, "weather": "heavy rain", "enemies": ["orc"]},
            })
        })
        .collect();
    let plain: Vec<String> = snapshots.iter().map(Value::to_string).collect();
    let (before, after) = (plain.join("\n"), Compact::new(&snapshots).to_text());
    let (before, after) = (Estimate.count(&before), Estimate.count(&after));
    assert!(after * 2 < before, "{after} of {before} tokens");
    assert!(
        Compact::new(&snapshots).to_text().matches("heavy rain").count() == 1,
        "what all share is said once"
    );
}
