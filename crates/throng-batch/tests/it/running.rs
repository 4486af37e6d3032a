//! Batches from the queue to the report, with a model that does what the test says.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use throng_batch::{
    Act, AgentId, AttemptFailure, BatchError, BatchEvent, BatchInferenceExecutor, CallEnding, Condition,
    LatePlans, Rule, Rules, Step, Tier, Wording,
};
use throng_exec::{Executor, RetryPolicy};
use throng_llm::{ErrorKind, FinishReason};

use crate::support::{Asked, Model, Move, agent, agents, builder, check, plan};

fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_agent_goes_alone_and_many_go_together_with_the_same_result() {
    let executor = builder().build().unwrap();
    for count in [1, 2, 10, 25] {
        let model = Model::right();
        let report = executor.plan(model.clone(), agents(count)).await.unwrap();
        check(&report, count);
        assert_eq!(report.n_planned(), count as usize);
        assert_eq!(report.tiers(), [(Tier::Full, count as usize)]);
        let sizes: Vec<_> = model.requests().iter().map(|asked| asked.agents.len()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), count as usize);
        assert!(sizes.iter().all(|size| *size <= 10), "{sizes:?}");
        assert_eq!(sizes.len(), (count as usize).div_ceil(10));
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_keeps_who_has_no_plan() {
    let mut executor = builder()
        .max_batch_size(n(3))
        .tiers([Tier::Full])
        .reasks(0)
        .build()
        .unwrap();
    let empty = executor.execute_batch(Model::right(), &[]).await;
    assert!(matches!(empty, Err(BatchError::EmptyBatch)));
    for id in [3, 1, 2] {
        assert!(!executor.is_ready());
        executor.queue_agent(agent(id)).unwrap();
    }
    assert!(executor.is_ready());
    let twice = executor.queue_agent(agent(2));
    assert!(matches!(twice, Err(BatchError::DuplicateAgent { id }) if id == AgentId::from(2)));

    let nonsense = Model::saying(|_| "I cannot do that.".to_owned());
    let error = executor.execute_batch(nonsense, &[]).await.unwrap_err();
    assert!(
        matches!(error, BatchError::ParseFailed { agents: 3, .. }),
        "{error}"
    );
    let broken = Model::new(|_| vec![Move::Fail(ErrorKind::Auth)]);
    let error = executor.execute_batch(broken, &[]).await.unwrap_err();
    assert!(
        matches!(error, BatchError::CallFailed { agents: 3, .. }),
        "{error}"
    );
    assert_eq!(executor.batch_size(), 3, "a failed call loses nothing");

    let all_but_two = Model::saying(|asked| {
        let plans = asked
            .plans()
            .into_iter()
            .filter(|plan| plan["steps"][0]["secret"] != 2);
        json!(plans.collect::<Vec<_>>()).to_string()
    });
    let report = executor.execute_batch(all_but_two, &[]).await.unwrap();
    check(&report, 3);
    assert_eq!(report.n_planned(), 2);
    let left: Vec<_> = executor
        .flush_batch()
        .iter()
        .map(|agent| agent.id.clone())
        .collect();
    assert_eq!(left, [AgentId::from(2)]);
}

#[tokio::test(start_paused = true)]
async fn the_same_agents_are_asked_about_in_the_same_way_whatever_their_order() {
    let prompts = |order: [i64; 3]| async move {
        let model = Model::right();
        let executor = builder().seed(5).build().unwrap();
        let report = executor.plan(model.clone(), order.map(agent)).await.unwrap();
        let asked = model.requests().remove(0);
        (
            asked.user,
            format!("{:?}", report.results.iter().map(|r| &r.plan).collect::<Vec<_>>()),
        )
    };
    let (first, plans) = prompts([3, 1, 2]).await;
    assert_eq!((first.clone(), plans.clone()), prompts([1, 2, 3]).await);
    assert_eq!((first.clone(), plans), prompts([2, 3, 1]).await);
    assert!(!first.contains("\"id\""), "the model sees aliases only: {first}");
    let other = Model::right();
    builder()
        .seed(6)
        .build()
        .unwrap()
        .plan(other.clone(), agents(3))
        .await
        .unwrap();
    assert_ne!(other.requests()[0].user, first, "another seed, other aliases");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_there_at_its_closing_brace_and_its_steps_before() {
    // Each byte comes a millisecond after the one before.
    let model = Model::new(|asked| {
        let text = json!(asked.plans()).to_string();
        let mut moves: Vec<Move> = Vec::new();
        for c in text.chars() {
            moves.extend([Move::Wait(1), Move::Text(c.to_string())]);
        }
        moves.push(Move::Finish(FinishReason::Stop));
        moves
    });
    let executor = builder().early_stop(false).build().unwrap();
    let mut run = executor.start(model.clone(), agents(3)).unwrap();
    let began = tokio::time::Instant::now();
    let mut seen = Vec::new();
    while let Some(event) = run.next().await {
        let at = began.elapsed().as_millis() as usize;
        match event {
            BatchEvent::Step { index, .. } => seen.push((at, index)),
            BatchEvent::Result(result) => {
                assert!(result.plan.is_some());
                seen.push((at, 99));
            }
            _ => {}
        }
    }
    let text = json!(model.requests()[0].plans()).to_string();
    let places = |part: &str| -> Vec<usize> {
        text.match_indices(part)
            .map(|(at, found)| text[..at + found.len()].chars().count())
            .collect()
    };
    // Members are written in the order of their names: the id before the steps.
    let braces = places("]}");
    let first_steps: Vec<usize> = places("\"act\":\"say\"")
        .iter()
        .map(|at| at + text.chars().skip(*at).position(|c| c == '}').unwrap() + 1)
        .collect();
    let results: Vec<usize> = seen
        .iter()
        .filter(|(_, kind)| *kind == 99)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(results.len(), 3);
    for (result, brace) in results
        .iter()
        .zip(braces.iter().filter(|at| text.chars().nth(**at) != Some('"')))
    {
        assert!(result.abs_diff(*brace) <= 1, "{results:?} {braces:?}");
    }
    let steps: Vec<usize> = seen
        .iter()
        .filter(|(_, kind)| *kind == 0)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(steps.len(), 3);
    for (step, end) in steps.iter().zip(first_steps) {
        assert!(step.abs_diff(end) <= 1, "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_those_without_a_plan_are_asked_again() {
    // The first answer has 7 of 10 plans, and the plan of agent 9 uses a tool that there is not.
    let model = Model::saying(|asked| {
        let plans = asked.agents.iter().filter_map(|agent| {
            let secret = agent["state"]["secret"].as_i64().unwrap();
            let mut plan = plan(agent);
            match (asked.nth, secret) {
                (0, 2 | 5) => return None,
                (0, 9) => plan["steps"][0]["act"] = json!("teleport"),
                _ => {}
            }
            Some(plan)
        });
        json!(plans.collect::<Vec<_>>()).to_string()
    });
    let report = builder()
        .build()
        .unwrap()
        .plan(model.clone(), agents(10))
        .await
        .unwrap();
    check(&report, 10);
    assert_eq!(report.n_planned(), 10);
    let asked = model.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].secrets(), [2, 5, 9]);
    let nine = &report.results[8];
    assert_eq!(nine.attempts.len(), 2);
    assert_eq!(
        nine.attempts[0].failure,
        Some(AttemptFailure::Invalid(
            "`teleport` is not in the list of tools".into()
        ))
    );
    assert_eq!(
        report.results[1].attempts[0].failure,
        Some(AttemptFailure::Missing)
    );
    assert_eq!(report.results[0].attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_tier_is_reached() {
    // Agent 1 is planned for at once, 2 with the short prompt, 3 only alone, 4 by a rule, and 5 by nothing else.
    let model = Model::saying(|asked| {
        let short = !asked.system.contains("says a secret");
        let plans = asked
            .agents
            .iter()
            .filter(|agent| match agent["state"]["secret"].as_i64() {
                Some(1) => true,
                Some(2) => short,
                Some(3) => short && asked.agents.len() == 1,
                _ => false,
            });
        json!(plans.map(plan).collect::<Vec<_>>()).to_string()
    });
    let rules = Rules::new(vec![Rule::new(
        Condition::Equals("state.secret".into(), json!(4)),
        vec![Step::new("wait")],
    )]);
    let executor = builder()
        .reasks(0)
        .rules(rules)
        .emergency([Step::new("hide")])
        .seed(1);
    let report = executor.build().unwrap().plan(model, agents(5)).await.unwrap();
    check(&report, 5);
    let tiers: Vec<_> = report.results.iter().map(|result| result.tier.unwrap()).collect();
    use Tier::{Emergency, Full, Heuristic, Simplified, Single};
    assert_eq!(tiers, [Full, Simplified, Single, Heuristic, Emergency]);
    let five: Vec<_> = report.results[4]
        .attempts
        .iter()
        .map(|attempt| attempt.tier)
        .collect();
    assert_eq!(
        five,
        [Full, Simplified, Simplified, Single, Single, Heuristic, Emergency]
    );
    let plan = report.plan(&AgentId::from(5)).unwrap();
    assert_eq!(plan.steps, [Step::new("hide")]);
    assert!(plan.plan_id.starts_with("emergency-"));
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_is_asked_again_in_smaller_requests() {
    // Three plans fit into an answer.
    let model = Model::new(|asked| {
        let plans = asked.plans();
        let whole = json!(plans).to_string();
        if plans.len() <= 3 {
            return vec![Move::Text(whole), Move::Finish(FinishReason::Stop)];
        }
        let three = json!(plans[..3]).to_string();
        let cut: String = whole.chars().take(three.chars().count() + 20).collect();
        vec![Move::Text(cut), Move::Finish(FinishReason::Length)]
    });
    let executor = builder().reasks(4).build().unwrap();
    let report = executor.plan(model.clone(), agents(10)).await.unwrap();
    check(&report, 10);
    assert_eq!(report.tiers(), [(Tier::Full, 10)]);
    let sizes: Vec<_> = model.requests().iter().map(|asked| asked.agents.len()).collect();
    assert_eq!(sizes, [10, 5, 2, 2], "{sizes:?}");
    assert_eq!(report.calls[0].ending, CallEnding::Truncated);
    assert_eq!(
        report.results[9].attempts[0].failure,
        Some(AttemptFailure::Truncated)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_is_seen_whatever_the_router_says() {
    let model = Model::saying(|asked| {
        let whole = json!(asked.plans()).to_string();
        if asked.nth == 0 {
            whole[..whole.len() - 30].to_owned()
        } else {
            whole
        }
    });
    let report = builder().build().unwrap().plan(model, agents(2)).await.unwrap();
    assert_eq!(report.calls[0].ending, CallEnding::Truncated);
    assert_eq!(report.n_planned(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_does_not_fit_is_halved_and_the_limit_is_remembered() {
    let model = Model::new(|asked| {
        if asked.agents.len() > 4 {
            vec![Move::Fail(ErrorKind::ContextOverflow)]
        } else {
            vec![
                Move::Text(json!(asked.plans()).to_string()),
                Move::Finish(FinishReason::Stop),
            ]
        }
    });
    let executor = builder().build().unwrap();
    let report = executor.plan(model.clone(), agents(10)).await.unwrap();
    check(&report, 10);
    assert_eq!(report.n_planned(), 10);
    let sizes: Vec<_> = model.requests().iter().map(|asked| asked.agents.len()).collect();
    assert_eq!(sizes, [10, 5, 5, 2, 2, 2, 2, 2], "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn one_agent_that_never_fits_does_not_loop() {
    let model = Model::new(|asked| {
        if asked.secrets().contains(&3) {
            vec![Move::Fail(ErrorKind::ContextOverflow)]
        } else {
            vec![
                Move::Text(json!(asked.plans()).to_string()),
                Move::Finish(FinishReason::Stop),
            ]
        }
    });
    let executor = builder()
        .reasks(6)
        .emergency([Step::new("wait")])
        .build()
        .unwrap();
    let report = executor.plan(model.clone(), agents(4)).await.unwrap();
    check(&report, 4);
    assert_eq!(report.results[2].tier, Some(Tier::Emergency));
    assert_eq!(report.tiers(), [(Tier::Full, 3), (Tier::Emergency, 1)]);
    let alone = model
        .requests()
        .iter()
        .filter(|asked| asked.secrets() == [3])
        .count();
    assert_eq!(alone, 3, "once in each tier");
}

#[tokio::test(start_paused = true)]
async fn a_poisonous_agent_changes_nobody_elses_result() {
    let answer = |poison: bool| {
        Model::new(move |asked| {
            if poison && asked.secrets().contains(&7) {
                return vec![Move::Fail(ErrorKind::ContentFilter)];
            }
            vec![
                Move::Text(json!(asked.plans()).to_string()),
                Move::Finish(FinishReason::Stop),
            ]
        })
    };
    let executor = builder().reasks(6).build().unwrap();
    let clean = executor.plan(answer(false), agents(10)).await.unwrap();
    let poisoned = executor.plan(answer(true), agents(10)).await.unwrap();
    check(&poisoned, 10);
    for (a, b) in clean.results.iter().zip(&poisoned.results) {
        if b.id == AgentId::from(7) {
            assert_eq!(b.plan, None);
        } else {
            assert_eq!(a.plan, b.plan);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_agent_gets_its_rules_in_time_and_the_others_their_plans() {
    // The plan of agent 2 takes 10 seconds, the others come at once.
    let answer = |asked: &crate::support::Asked| {
        let (slow, fast): (Vec<_>, Vec<_>) = asked
            .plans()
            .into_iter()
            .partition(|plan| plan["steps"][0]["secret"] == 2);
        let text = |plans: Vec<_>| {
            plans
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        };
        vec![
            Move::Text(text(fast) + "\n"),
            Move::Wait(10_000),
            Move::Text(text(slow)),
            Move::Finish(FinishReason::Stop),
        ]
    };
    for (late, has_late) in [
        (LatePlans::Drop, false),
        (LatePlans::Deliver, true),
        (LatePlans::CacheOnly, false),
    ] {
        let executor = builder()
            .deadline(Duration::from_secs(2))
            .emergency([Step::new("wait")])
            .late_plans(late)
            .cache(10)
            .build()
            .unwrap();
        let began = tokio::time::Instant::now();
        let mut run = executor.start(Model::new(answer), agents(3)).unwrap();
        let (mut times, mut late_plans) = (Vec::new(), 0);
        while let Some(event) = run.next().await {
            match event {
                BatchEvent::Result(result) => times.push((began.elapsed().as_secs(), result.id, result.late)),
                BatchEvent::LatePlan { agent, plan } => {
                    assert_eq!((agent, plan.plan_id.as_str()), (AgentId::from(2), "p-2"));
                    late_plans += 1;
                }
                _ => {}
            }
        }
        let report = run.finish().await.unwrap();
        check(&report, 3);
        times.sort_by(|a, b| a.1.cmp(&b.1));
        let expected = [
            (0, AgentId::from(1), false),
            (2, AgentId::from(2), true),
            (0, AgentId::from(3), false),
        ];
        assert_eq!(times, expected);
        assert_eq!(late_plans, usize::from(has_late));
        let seconds = began.elapsed().as_secs();
        assert_eq!(seconds, if late == LatePlans::Drop { 2 } else { 10 }, "{late:?}");
        let again = executor.plan(Model::right(), [agent(2)]).await.unwrap();
        let tier = if late == LatePlans::Drop {
            Tier::Full
        } else {
            Tier::Cache
        };
        assert_eq!(again.results[0].tier, Some(tier), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_repeated_only_while_nothing_of_its_answer_has_come() {
    let retry = RetryPolicy::exponential(NonZeroU32::new(3).unwrap());
    let calls = Executor::builder().retry(retry).build().unwrap();
    let model = Model::new(|asked| match asked.nth {
        0 => vec![Move::Fail(ErrorKind::Overloaded)],
        1 => {
            let plans = asked.plans();
            vec![
                Move::Text(json!(plans[..2]).to_string()),
                Move::Fail(ErrorKind::Transport),
            ]
        }
        _ => vec![
            Move::Text(json!(asked.plans()).to_string()),
            Move::Finish(FinishReason::Stop),
        ],
    });
    let executor = builder().executor(calls).build().unwrap();
    let report = executor.plan(model.clone(), agents(4)).await.unwrap();
    check(&report, 4);
    let sizes: Vec<_> = model.requests().iter().map(|asked| asked.agents.len()).collect();
    assert_eq!(
        sizes,
        [4, 4, 2],
        "the two that had come are not asked about again"
    );
    assert_eq!(report.n_planned(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_be_asked_is_not_asked_again() {
    let model = Model::new(|_| vec![Move::Fail(ErrorKind::Auth)]);
    let executor = builder().emergency([Step::new("wait")]).build().unwrap();
    let report = executor.plan(model.clone(), agents(4)).await.unwrap();
    assert_eq!(model.requests().len(), 1);
    assert_eq!(report.tiers(), [(Tier::Emergency, 4)]);
}

#[tokio::test(start_paused = true)]
async fn compact_and_permuted_prompts_get_the_same_plans() {
    for wording in [Wording::Full, Wording::Compact, Wording::Short] {
        let model = Model::right();
        let executor = builder().wording(wording).permute(true).seed(3).build().unwrap();
        let report = executor.plan(model.clone(), agents(8)).await.unwrap();
        check(&report, 8);
        assert_eq!(report.n_planned(), 8);
        let order = model.requests()[0].secrets();
        assert!(!order.is_sorted(), "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_types_are_planned_for() {
    #[derive(Clone, serde::Serialize)]
    struct Npc {
        id: String,
        mood: u8,
    }
    impl throng_batch::Snapshot for Npc {
        fn id(&self) -> AgentId {
            self.id.clone().into()
        }
    }
    #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
    struct Line {
        agent_id: String,
        line: String,
    }
    impl throng_batch::AgentPlan for Line {
        fn check(&self, _: &[String]) -> Result<(), String> {
            if self.line.is_empty() {
                Err("it says nothing".into())
            } else {
                Ok(())
            }
        }
    }
    let model = Model::saying(|asked| {
        let lines = asked.agents.iter().map(|agent| {
            let line = if asked.nth == 0 && agent["mood"] == 2 {
                String::new()
            } else {
                format!("mood {}", agent["mood"])
            };
            json!({"agent_id": agent["agent_id"], "line": line})
        });
        json!({"lines": lines.collect::<Vec<_>>()}).to_string()
    });
    let executor = BatchInferenceExecutor::<Npc, Line>::typed("m").build().unwrap();
    let npcs = ["b", "a"].map(|id| Npc {
        id: id.into(),
        mood: if id == "a" { 1 } else { 2 },
    });
    let report = executor.plan(model.clone(), npcs).await.unwrap();
    let lines: Vec<_> = report
        .results
        .into_iter()
        .filter_map(|result| result.plan)
        .collect();
    let line = |id: &str, line: &str| Line {
        agent_id: id.into(),
        line: line.into(),
    };
    assert_eq!(lines, [line("a", "mood 1"), line("b", "mood 2")]);
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_ends_its_calls() {
    let model = Model::new(|_| vec![Move::Wait(3_600_000), Move::Finish(FinishReason::Stop)]);
    let executor = builder().build().unwrap();
    let run = executor.start(model.clone(), agents(2)).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(
        Arc::strong_count(&model),
        3,
        "the batch and its call hold the model"
    );
    drop(run);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(Arc::strong_count(&model), 1);
}

#[tokio::test(start_paused = true)]
async fn tools_of_a_call_replace_those_of_the_settings() {
    let mut executor = builder().tiers([Tier::Full]).reasks(0).build().unwrap();
    executor.queue_agent(agent(1)).unwrap();
    let acts = [Act::new("sing", "")];
    let error = executor.execute_batch(Model::right(), &acts).await.unwrap_err();
    assert!(
        error.to_string().contains("`say` is not in the list of tools"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_out_of_time_with_some_plans_given_is_not_made_again_for_all() {
    let model = Model::new(|asked| {
        let plans = asked.plans();
        if asked.nth > 0 {
            return vec![
                Move::Text(json!(plans).to_string()),
                Move::Finish(FinishReason::Stop),
            ];
        }
        vec![Move::Text(format!("[{},", plans[0])), Move::Wait(60_000)]
    });
    let executor = Executor::builder()
        .attempt_timeout(Duration::from_secs(1))
        .retry(RetryPolicy::default())
        .build()
        .unwrap();
    let executor = builder().executor(executor).build().unwrap();
    let report = executor.plan(model.clone(), agents(3)).await.unwrap();
    check(&report, 3);
    assert_eq!(report.n_planned(), 3);
    let asked: Vec<Vec<i64>> = model.requests().iter().map(Asked::secrets).collect();
    assert_eq!(asked, [vec![1, 2, 3], vec![2, 3]]);
    assert_eq!(
        (report.calls[0].ending, report.calls[0].plans),
        (CallEnding::Failed, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_one_request_ends_no_other() {
    let model = Model::new(|asked| {
        if asked.agents.len() == 2 && asked.secrets().contains(&1) {
            return vec![Move::Fail(ErrorKind::NotRecorded)];
        }
        vec![
            Move::Text(json!(asked.plans()).to_string()),
            Move::Finish(FinishReason::Stop),
        ]
    });
    let executor = builder().max_batch_size(n(2)).build().unwrap();
    let report = executor.plan(model.clone(), agents(4)).await.unwrap();
    check(&report, 4);
    assert_eq!(
        report.n_planned(),
        4,
        "the two are asked about one by one in the end"
    );
}
