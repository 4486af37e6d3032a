//! Whatever a model does to its answer, no plan reaches the wrong agent, none that can be used is lost, and every agent
//! has one result.

use serde_json::{Value, json};
use throng_batch::{Duplicates, Step, Tier};

use crate::support::{Asked, Model, agents, builder, check};

/// A fault of an answer: its text, and which of the agents have a plan in it that can be used.
type Fault = fn(&Asked, &mut fastrand::Rng) -> (String, Vec<i64>);

fn text(plans: &[Value]) -> String {
    json!(plans).to_string()
}

fn secrets(plans: &[Value]) -> Vec<i64> {
    plans
        .iter()
        .filter_map(|plan| plan["steps"][0]["secret"].as_i64())
        .collect()
}

const FAULTS: &[(&str, Fault)] = &[
    ("none", |asked, _| (text(&asked.plans()), asked.secrets())),
    ("drop", |asked, rng| {
        let mut plans = asked.plans();
        plans.retain(|_| rng.bool());
        (text(&plans), secrets(&plans))
    }),
    ("duplicate", |asked, rng| {
        let mut plans = asked.plans();
        let mut again = plans[rng.usize(..plans.len())].clone();
        again["plan_id"] = json!("again");
        plans.insert(rng.usize(..=plans.len()), again);
        (text(&plans), asked.secrets())
    }),
    ("unknown", |asked, rng| {
        let mut plans = asked.plans();
        let mut stray = plans[0].clone();
        stray["agent_id"] = [json!("zzzz9"), json!(1), json!(null), json!("1")][rng.usize(..4)].clone();
        stray["steps"][0]["secret"] = json!(-1);
        plans.insert(rng.usize(..=plans.len()), stray);
        (text(&plans), asked.secrets())
    }),
    ("swap", |asked, rng| {
        let mut plans = asked.plans();
        rng.shuffle(&mut plans);
        (text(&plans), asked.secrets())
    }),
    ("corrupt", |asked, rng| {
        let mut plans: Vec<String> = asked.plans().iter().map(Value::to_string).collect();
        let victim = rng.usize(..plans.len());
        plans[victim] = plans[victim].replacen("\"act\"", "act", 1);
        (format!("[{}]", plans.join(", ")), asked.secrets())
    }),
    ("wrong type", |asked, rng| {
        let mut plans = asked.plans();
        let victim = rng.usize(..plans.len());
        plans[victim]["steps"] = json!("say something");
        let mut good = asked.secrets();
        good.remove(victim);
        (text(&plans), good)
    }),
    ("fence", |asked, _| {
        (format!("```json\n{}\n```", text(&asked.plans())), asked.secrets())
    }),
    ("prose", |asked, _| {
        let text = format!(
            "Let me see [all {} of them]: {{a plan}} each.\n\n{}\n\nI hope this helps [1].",
            asked.agents.len(),
            text(&asked.plans())
        );
        (text, asked.secrets())
    }),
    ("thinking", |asked, _| {
        (
            format!(
                "<think>[{{\"agent_id\": \"x\"}}] is not enough</think>{}",
                text(&asked.plans())
            ),
            asked.secrets(),
        )
    }),
    ("lines", |asked, _| {
        let lines: Vec<String> = asked.plans().iter().map(Value::to_string).collect();
        (lines.join("\n"), asked.secrets())
    }),
    ("abutting", |asked, _| {
        (
            asked.plans().iter().map(Value::to_string).collect(),
            asked.secrets(),
        )
    }),
    ("envelope", |asked, _| {
        (json!({"plans": asked.plans()}).to_string(), asked.secrets())
    }),
    ("keyed", |asked, _| {
        let members = asked.plans().into_iter().map(|mut plan| {
            let alias = plan["agent_id"].take().as_str().unwrap_or_default().to_owned();
            plan.as_object_mut().map(|plan| plan.remove("agent_id"));
            (alias, plan)
        });
        (Value::Object(members.collect()).to_string(), asked.secrets())
    }),
];

/// Answers the first request with a fault, and every other one rightly.
async fn run(n: i64, seed: u64, fault: Fault, early_stop: bool) {
    let model = Model::saying(move |asked| {
        if asked.nth == 0 {
            fault(asked, &mut fastrand::Rng::with_seed(seed)).0
        } else {
            text(&asked.plans())
        }
    });
    let executor = builder()
        .max_batch_size(std::num::NonZeroUsize::new(64).unwrap())
        .early_stop(early_stop)
        .build()
        .unwrap();
    let report = executor.plan(model.clone(), agents(n)).await.unwrap();
    check(&report, n);
    assert_eq!(report.n_planned(), n as usize);
    let asked = model.requests();
    let good = fault(&asked[0], &mut fastrand::Rng::with_seed(seed)).1;
    let mut again: Vec<i64> = (1..=n).filter(|id| !good.contains(id)).collect();
    again.sort_unstable();
    let second = asked.get(1).map(Asked::secrets).unwrap_or_default();
    assert_eq!(second, again, "only those without a plan are asked about again");
}

#[tokio::test(start_paused = true)]
async fn every_fault_with_every_number_of_agents() {
    for (name, fault) in FAULTS {
        for n in 1..=64 {
            for early_stop in [true, false] {
                let seed = n as u64 * 31 + u64::from(early_stop);
                let context = format!("{name} with {n} agents");
                tokio::spawn(run(n, seed, *fault, early_stop))
                    .await
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_at_every_byte() {
    for n in [1, 2, 3] {
        let whole = Model::right();
        let executor = builder().build().unwrap();
        executor.plan(whole.clone(), agents(n)).await.unwrap();
        let length = text(&whole.requests()[0].plans()).len();
        for cut in 0..length {
            let model = Model::saying(move |asked| {
                let mut whole = text(&asked.plans()).into_bytes();
                if asked.nth == 0 {
                    whole.truncate(cut);
                }
                String::from_utf8_lossy(&whole).into_owned()
            });
            let report = executor.plan(model.clone(), agents(n)).await.unwrap();
            check(&report, n);
            assert_eq!(report.n_planned(), n as usize, "cut at {cut}");
            for result in &report.results {
                let plan = result.plan.as_ref().expect("planned");
                assert_eq!(plan.steps.len(), 2, "no plan that was cut counts: cut at {cut}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_count_as_the_policy_says() {
    let twice = |asked: &Asked| {
        let mut plans = asked.plans();
        let mut other = plans[0].clone();
        other["plan_id"] = json!("other");
        plans.extend([other, asked.plans()[1].clone()]);
        text(&plans)
    };
    for (policy, first) in [
        (Duplicates::KeepFirst, Some("p-1")),
        (Duplicates::KeepLast, Some("other")),
        (Duplicates::RejectIfDifferent, None),
    ] {
        let executor = builder()
            .duplicates(policy)
            .early_stop(false)
            .tiers([Tier::Full])
            .reasks(0);
        let report = executor
            .build()
            .unwrap()
            .plan(Model::saying(twice), agents(2))
            .await
            .unwrap();
        check(&report, 2);
        let plan_ids: Vec<_> = report
            .results
            .iter()
            .map(|r| r.plan.as_ref().map(|p| p.plan_id.as_str()))
            .collect();
        assert_eq!(plan_ids, [first, Some("p-2")], "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn plans_without_ids_are_given_out_by_place_only_if_asked_for() {
    let nameless = |asked: &Asked| {
        let plans = asked.plans().into_iter().map(|mut plan| {
            plan.as_object_mut().map(|plan| plan.remove("agent_id"));
            plan
        });
        text(&plans.collect::<Vec<_>>())
    };
    let one_less = move |asked: &Asked| {
        let mut plans: Vec<Value> = serde_json::from_str(&nameless(asked)).unwrap();
        plans.remove(0);
        text(&plans)
    };
    let executor = |positional| {
        let builder = builder()
            .tiers([Tier::Full])
            .reasks(0)
            .emergency([Step::new("wait")]);
        builder.positional(positional).build().unwrap()
    };
    let refused = executor(false)
        .plan(Model::saying(nameless), agents(3))
        .await
        .unwrap();
    assert_eq!(refused.tiers(), [(Tier::Emergency, 3)]);
    assert_eq!(refused.calls[0].unknown.len(), 3);
    let placed = executor(true)
        .plan(Model::saying(nameless), agents(3))
        .await
        .unwrap();
    check(&placed, 3);
    assert_eq!(placed.tiers(), [(Tier::Full, 3)]);
    let short = executor(true)
        .plan(Model::saying(one_less), agents(3))
        .await
        .unwrap();
    assert_eq!(short.tiers(), [(Tier::Emergency, 3)]);
}
