//! The rules of a vote without any tasks: counts, weights, ties, and when enough is known. What the early stop saves and
//! costs is measured here as in `docs/measurements/consensus.md`, with fewer panels.

use proptest::prelude::*;
use throng_exec::{Decision, Panel, Release, Stop, StopReason, Tally, Tie, Vote, VoteBuilder};

use crate::support::n;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

fn vote(agents: usize) -> VoteBuilder {
    Vote::builder(n(agents))
}

/// Counts one answer of each agent.
fn counted(rules: VoteBuilder, answers: &[&'static str]) -> Tally<usize> {
    let mut tally = Tally::new(&rules.build().unwrap());
    for (agent, key) in answers.iter().enumerate() {
        tally.answer(agent, key, agent).unwrap();
    }
    tally
}

fn winner(tally: Tally<usize>) -> Option<String> {
    let decided = tally.decision() == Decision::Consensus;
    let first = tally.into_choices().into_iter().next();
    first.filter(|_| decided).map(|choice| choice.key.to_string())
}

#[test]
fn a_tie_goes_to_the_earliest_agent_or_to_nobody() {
    let answers = ["b", "a", "a", "b", "c"];
    assert_eq!(winner(counted(vote(5), &answers)).as_deref(), Some("b"));
    let tally = counted(vote(5).ties(Tie::NoConsensus), &answers);
    assert_eq!((tally.decision(), tally.agreement()), (Decision::Tied, 0.4));
    let tally = counted(vote(5).ties(Tie::NoConsensus).threshold(0.5), &answers);
    assert_eq!(tally.decision(), Decision::BelowThreshold);
}

#[test]
fn a_tie_is_broken_by_indexes_and_not_by_arrival() {
    let mut tally = Tally::new(&vote(4).build().unwrap());
    for (agent, key) in [(3, "a"), (2, "a"), (1, "b"), (0, "b")] {
        tally.answer(agent, key, agent).unwrap();
    }
    let leader = tally.leader().unwrap();
    assert_eq!(
        (&*leader.key, leader.answer),
        ("b", 0),
        "the answer of the lowest index stands for all"
    );
}

#[test]
fn exactly_the_threshold_is_enough() {
    for (threshold, decision) in [(0.6, Decision::Consensus), (0.600_001, Decision::BelowThreshold)] {
        let tally = counted(vote(5).threshold(threshold), &["a", "b", "a", "b", "a"]);
        assert_eq!((tally.decision(), tally.agreement()), (decision, 0.6));
    }
    let tally = counted(vote(3).threshold(2.0 / 3.0), &["a", "b", "a"]);
    assert_eq!(tally.decision(), Decision::Consensus);
}

#[test]
fn weights_decide_and_their_sums_are_exact() {
    let tally = counted(vote(3).weights([1.0, 3.0, 1.0]), &["a", "b", "a"]);
    assert_eq!((tally.agreement(), winner(tally).as_deref()), (0.6, Some("b")));
    let tally = counted(
        vote(3).weights([0.1, 0.3, 0.2]).ties(Tie::NoConsensus),
        &["a", "b", "a"],
    );
    assert_eq!((tally.decision(), tally.agreement()), (Decision::Tied, 0.5));
    assert_eq!(tally.leader().unwrap().weight(), 0.3);
}

#[test]
fn light_votes_are_not_taken_for_whole_ones() {
    let confidence = |weights: Vec<f64>| counted(vote(8).weights(weights), &["a"; 6]).confidence();
    assert_eq!(confidence(vec![1.0; 8]), confidence(vec![7.0; 8]));
    assert!(confidence(vec![1.0; 8]) > 0.99);
    let mut one_heavy = vec![1.0; 8];
    one_heavy[7] = 3.0;
    assert_eq!(
        confidence(one_heavy),
        1.0 - 1.0 / 8.0,
        "six light votes count as two"
    );
}

#[test]
fn unanimity_is_out_of_reach_with_the_first_dissent() {
    let rules = || vote(5).threshold(1.0);
    assert_eq!(counted(rules(), &["a", "a"]).stop(), None);
    let tally = counted(rules(), &["a", "a", "b"]);
    assert_eq!(
        (tally.stop(), tally.decision()),
        (Some(StopReason::Certain), Decision::BelowThreshold)
    );
}

#[test]
fn confidence_in_a_share_is_asked_for_as_well() {
    // Ten to one: surely the most frequent answer, and perhaps not that of nine in ten.
    let mut answers = ["a"; 11];
    answers[3] = "b";
    assert_eq!(counted(vote(100), &answers).stop(), Some(StopReason::Confident));
    assert_eq!(counted(vote(100).threshold(0.9), &answers).stop(), None);
    assert_eq!(
        counted(vote(100).threshold(0.5), &answers).stop(),
        Some(StopReason::Confident)
    );
}

#[test]
fn light_votes_are_not_taken_for_whole_ones_against_a_threshold() {
    let mut weights = vec![1.0; 100];
    weights[99] = 3.0;
    let rules = || vote(100).threshold(0.5).weights(weights.clone());
    // As four whole votes: 2⁻⁵ for the threshold and as much for an answer that nobody gave.
    assert_eq!(counted(rules(), &["a"; 14]).stop(), None);
    assert_eq!(counted(rules(), &["a"; 15]).stop(), Some(StopReason::Confident));
}

#[test]
fn an_agent_counts_once_and_only_if_there_is_one() {
    let mut tally = Tally::new(&vote(2).build().unwrap());
    tally.answer(1, "a", ()).unwrap();
    assert_eq!(
        tally.answer(1, "a", ()).unwrap_err().to_string(),
        "agent 1 is not one of the vote's, or has ended before"
    );
    assert!(tally.fail(1).is_err() && tally.fail(2).is_err());
    assert_eq!(tally.valid(), 1);
    let mut panel = Panel::new(&vote(2).build().unwrap());
    assert!(panel.answer(0, "a", ()).is_err(), "it was not asked");
    assert_eq!(panel.release(), 0..2);
    assert!(panel.answer(0, "a", ()).is_ok());
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    for (rules, setting) in [
        (vote(10_001), "agents"),
        (vote(3).wave(n(4)), "wave"),
        (vote(3).quorum(n(4)), "quorum"),
        (vote(3).threshold(1.5), "threshold"),
        (vote(3).threshold(f64::NAN), "threshold"),
        (vote(3).stop(Stop::Bayesian { confidence: 1.0 }), "confidence"),
        (vote(3).stop(Stop::Bayesian { confidence: 0.5 }), "confidence"),
        (vote(3).weights([1.0]), "weights"),
        (vote(3).weights([1.0, 0.0, 1.0]), "weights"),
        (vote(3).weights([1.0, f64::INFINITY, 1.0]), "weights"),
    ] {
        assert_eq!(rules.build().unwrap_err().setting, setting);
    }
}

/// A vote to count: the rules, and what each agent does, in the order in which they end.
#[derive(Clone, Debug)]
struct Case {
    rules: VoteBuilder,
    /// Agent and answer; `None` is a failure.
    ends: Vec<(usize, Option<usize>)>,
    shuffled: Vec<(usize, Option<usize>)>,
}

fn cases(stop: Stop) -> impl Strategy<Value = Case> {
    (1_usize..14).prop_flat_map(move |agents| {
        let answers = prop::collection::vec(prop::option::weighted(0.9, 0_usize..4), agents);
        let weights = prop_oneof![Just(None), prop::collection::vec(1_u8..4, agents).prop_map(Some)];
        let threshold = prop_oneof![Just(0.0), Just(0.5), 0.0..=1.0_f64];
        (answers, weights, threshold, 1..=agents, any::<bool>()).prop_flat_map(
            move |(answers, weights, threshold, quorum, ties)| {
                let ties = if ties { Tie::Earliest } else { Tie::NoConsensus };
                let mut rules = vote(agents)
                    .threshold(threshold)
                    .quorum(n(quorum))
                    .ties(ties)
                    .stop(stop);
                if let Some(weights) = weights {
                    rules = rules.weights(weights.into_iter().map(|weight| f64::from(weight) / 10.0));
                }
                let ends: Vec<_> = answers.into_iter().enumerate().collect();
                let orders = (Just(ends.clone()).prop_shuffle(), Just(ends).prop_shuffle());
                orders.prop_map(move |(ends, shuffled)| Case {
                    rules: rules.clone(),
                    ends,
                    shuffled,
                })
            },
        )
    })
}

fn count(tally: &mut Tally<usize>, (agent, answer): (usize, Option<usize>)) {
    match answer {
        Some(answer) => tally.answer(agent, KEYS[answer], agent).unwrap(),
        None => tally.fail(agent).unwrap(),
    }
}

proptest! {
    #[test]
    fn the_order_of_arrival_changes_no_figure(case in cases(Stop::Never)) {
        let vote = case.rules.build().unwrap();
        let (mut one, mut other) = (Tally::new(&vote), Tally::new(&vote));
        for (a, b) in case.ends.into_iter().zip(case.shuffled) {
            count(&mut one, a);
            count(&mut other, b);
        }
        prop_assert_eq!(one.agreement().to_bits(), other.agreement().to_bits());
        prop_assert_eq!(one.confidence().to_bits(), other.confidence().to_bits());
        prop_assert_eq!(one.decision(), other.decision());
        let all = |tally: Tally<usize>| {
            let choices = tally.into_choices().into_iter();
            choices.map(|choice| (choice.answer, choice.key.clone(), choice.agents)).collect::<Vec<_>>()
        };
        prop_assert_eq!(all(one), all(other));
    }

    #[test]
    fn what_is_certain_comes_true(case in cases(Stop::Certain)) {
        let mut tally = Tally::new(&case.rules.build().unwrap());
        let mut certain = None;
        for end in case.ends {
            count(&mut tally, end);
            if tally.stop() == Some(StopReason::Certain) && certain.is_none() {
                certain = Some((tally.decision(), winner(tally.clone())));
            }
        }
        prop_assert_eq!(tally.stop(), Some(StopReason::AllEnded));
        if let Some(certain) = certain {
            prop_assert_eq!(certain, (tally.decision(), winner(tally)));
        }
    }

    #[test]
    fn needed_agents_are_asked_in_parallel_and_none_for_nothing(
        answers in prop::collection::vec(0_usize..3, 1..30),
        wave in 1_usize..12,
        seed: u64,
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let wave = wave.min(answers.len());
        let mut panel = Panel::new(&vote(answers.len()).wave(n(wave)).build().unwrap());
        let mut running = Vec::new();
        while panel.stop().is_none() {
            running.extend(panel.release());
            prop_assert!(!running.is_empty() && running.len() <= wave);
            let agent = running.swap_remove(rng.usize(0..running.len()));
            panel.answer(agent, KEYS[answers[agent]], ()).unwrap();
        }
        prop_assert_eq!(panel.in_flight(), 0);
        prop_assert_eq!(panel.released(), panel.tally().valid());
        prop_assert!(panel.release().is_empty());
    }
}

/// Returns what share of the calls an early stop saves, and by how many points of accuracy the full vote is better.
fn simulate(accuracy: f64, release: Release, panels: u64) -> (f64, f64) {
    const AGENTS: usize = 40;
    let vote = vote(AGENTS).release(release).build().unwrap();
    let (mut asked, mut right, mut right_in_full) = (0, 0, 0);
    for seed in 0..panels {
        let mut rng = fastrand::Rng::with_seed(seed);
        let answers: Vec<_> = (0..AGENTS)
            .map(|_| if rng.f64() < accuracy { 0 } else { rng.usize(1..4) })
            .collect();
        let mut panel = Panel::new(&vote);
        let mut running = Vec::new();
        while panel.stop().is_none() {
            running.extend(panel.release());
            let agent = running.swap_remove(rng.usize(0..running.len()));
            panel.answer(agent, KEYS[answers[agent]], ()).unwrap();
        }
        asked += panel.released();
        right += i32::from(
            panel
                .tally()
                .leader()
                .is_some_and(|choice| &*choice.key == KEYS[0]),
        );
        let votes = |option| answers.iter().filter(|&&answer| answer == option).count();
        let first = |option| answers.iter().position(|&answer| answer == option);
        let best = (0..4).max_by_key(|&option| (votes(option), std::cmp::Reverse(first(option))));
        right_in_full += i32::from(best == Some(0));
    }
    let saved = 1.0 - asked as f64 / (panels as f64 * AGENTS as f64);
    (saved, f64::from(right_in_full - right) * 100.0 / panels as f64)
}

#[test]
fn half_of_the_calls_are_saved_at_half_a_point_of_accuracy() {
    for accuracy in [0.6, 0.7, 0.8, 0.9] {
        let (saved, lost) = simulate(accuracy, Release::Needed, 1_500);
        assert!(
            saved >= 0.5 && lost <= 0.5,
            "accuracy {accuracy}, seeds 0..1500: {saved} saved, {lost} points lost"
        );
    }
}

#[test]
fn needed_agents_save_more_than_a_rolling_wave() {
    let saved = |release| simulate(0.7, release, 300).0;
    assert!(saved(Release::Needed) > saved(Release::Batched));
    assert!(saved(Release::Batched) > saved(Release::Rolling));
}
