//! Votes through an executor: who is asked, who is cancelled, and what counts as a vote.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use throng_core::{Event, EventKind, Outcome, OutcomeKind, TimeoutKind, Usage};
use throng_exec::{
    Attempt, Ballot, Decision, Equivalence, Executor, OutputOrder, Release, RunError, Stop, StopReason, Tie,
    Verdict, Vote, VoteBuilder,
};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Gauge, PERMANENT, TRANSIENT, fixed, ms, n, once};

/// What an agent does: after so many milliseconds, it answers or fails.
type Script = (u64, Result<&'static str, Fault>);

/// Says so many times the same, after 10 ms each.
fn says<const N: usize>(answers: [&'static str; N]) -> Vec<Script> {
    answers.into_iter().map(|answer| (10, Ok(answer))).collect()
}

fn vote(agents: usize) -> VoteBuilder {
    Vote::builder(n(agents))
}

/// The agents of a vote: what they are to do, how many began, and how many are running.
#[derive(Clone)]
struct Agents {
    scripts: Arc<Vec<Script>>,
    began: Arc<AtomicUsize>,
    inside: Gauge,
}

impl Agents {
    fn new(scripts: Vec<Script>) -> Self {
        Self {
            scripts: Arc::new(scripts),
            began: Arc::default(),
            inside: Gauge::default(),
        }
    }

    async fn answer(self, agent: usize) -> Result<&'static str, Fault> {
        self.began.fetch_add(1, Ordering::SeqCst);
        let inside = self.inside.enter();
        let (wait, answer) = self.scripts[agent].clone();
        sleep(ms(wait)).await;
        drop(inside);
        answer
    }
}

async fn hold(vote: VoteBuilder, executor: &Executor, agents: &Agents) -> Verdict<&'static str, Fault> {
    let agents = agents.clone();
    let ask = move |ballot: Ballot<&'static str>, _: Attempt| agents.clone().answer(ballot.agent);
    vote.build().unwrap().run(executor, "which?", ask).await
}

async fn held(vote: VoteBuilder, scripts: Vec<Script>) -> Verdict<&'static str, Fault> {
    let agents = Agents::new(scripts);
    let verdict = hold(vote, &once(10).build().unwrap(), &agents).await;
    assert_eq!(verdict.asked, agents.began.load(Ordering::SeqCst));
    assert_eq!(verdict.asked, verdict.valid + verdict.failed + verdict.cancelled);
    if verdict.stop != StopReason::RunEnded {
        assert_eq!(verdict.agents, verdict.asked + verdict.saved);
    }
    assert_eq!(agents.inside.now(), 0, "nothing runs after a vote");
    sleep(ms(60_000)).await;
    assert_eq!(
        agents.began.load(Ordering::SeqCst),
        verdict.asked,
        "nothing begins after a vote"
    );
    verdict
}

#[tokio::test(start_paused = true)]
async fn agents_that_agree_save_the_rest() {
    let verdict = held(vote(5), says(["Paris", "**Paris**", "paris.", "Lyon", "Lyon"])).await;
    assert_eq!(
        (verdict.decision, verdict.stop),
        (Decision::Consensus, StopReason::Certain)
    );
    assert_eq!(verdict.winner(), Some(&"Paris"));
    assert_eq!((verdict.asked, verdict.cancelled, verdict.saved), (3, 0, 2));
    assert_eq!((verdict.agreement, verdict.choices.len()), (1.0, 1));
    assert_eq!(verdict.wall, ms(10));
    assert_eq!(&*verdict.choices[0].key, "paris");
}

#[tokio::test(start_paused = true)]
async fn a_large_panel_that_agrees_ends_with_confidence() {
    let verdict = held(vote(40), says(["yes"; 40])).await;
    // Against an answer that nobody gave: 1 − 2⁻⁵ = 0.969 with four votes, 0.938 with three.
    assert_eq!(
        (verdict.stop, verdict.asked, verdict.saved),
        (StopReason::Confident, 4, 36)
    );
    assert!(
        (verdict.confidence - 0.968_75).abs() < 1e-12,
        "{}",
        verdict.confidence
    );
}

#[tokio::test(start_paused = true)]
async fn the_losers_of_a_rolling_wave_are_cancelled() {
    let scripts = vec![
        (10, Ok("a")),
        (1_000_000, Ok("b")),
        (20, Ok("a")),
        (30, Ok("a")),
        (40, Ok("b")),
    ];
    let verdict = held(vote(5).release(Release::Rolling), scripts).await;
    assert_eq!(
        (verdict.asked, verdict.valid, verdict.cancelled, verdict.saved),
        (5, 3, 2, 0)
    );
    assert_eq!((verdict.agreement, verdict.wall), (1.0, ms(30)));
}

#[tokio::test(start_paused = true)]
async fn batches_begin_when_the_last_has_ended() {
    let agents = Agents::new(vec![
        (10, Ok("a")),
        (50, Ok("b")),
        (10, Ok("a")),
        (10, Ok("b")),
        (10, Ok("a")),
    ]);
    let began = Instant::now();
    let rules = vote(5).release(Release::Batched).wave(n(2));
    let verdict = hold(rules, &once(10).build().unwrap(), &agents).await;
    assert_eq!((verdict.winner(), verdict.asked), (Some(&"a"), 5));
    assert_eq!((began.elapsed(), agents.inside.peak()), (ms(70), 2));
}

#[tokio::test(start_paused = true)]
async fn a_wave_bounds_what_is_in_flight() {
    for release in [Release::Needed, Release::Rolling, Release::Batched] {
        let agents = Agents::new(says(["a"; 20]));
        let rules = vote(20).stop(Stop::Never).release(release).wave(n(4));
        let verdict = hold(rules, &once(10).build().unwrap(), &agents).await;
        assert_eq!(
            (agents.inside.peak(), verdict.asked, verdict.wall),
            (4, 20, ms(50))
        );
        assert_eq!(verdict.stop, StopReason::AllEnded);
    }
}

#[tokio::test(start_paused = true)]
async fn an_executor_with_less_room_than_a_wave_begins_no_agent_for_nothing() {
    let agents = Agents::new(says(["a"; 5]));
    let executor = once(1).order(OutputOrder::Submission).build().unwrap();
    let verdict = hold(vote(5).release(Release::Rolling), &executor, &agents).await;
    assert_eq!((verdict.asked, verdict.valid, verdict.wall), (3, 3, ms(30)));
    assert_eq!(agents.began.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_in_at_the_same_time_are_all_counted() {
    let verdict = held(vote(5).release(Release::Rolling), says(["b", "a", "a", "a", "b"])).await;
    assert_eq!(
        (verdict.winner(), verdict.valid, verdict.agreement),
        (Some(&"a"), 5, 0.6)
    );
}

#[tokio::test(start_paused = true)]
async fn failures_timeouts_and_panics_are_no_votes() {
    let executor = once(10).attempt_timeout(ms(100)).build().unwrap();
    let ask = |ballot: Ballot<()>, _: Attempt| async move {
        match ballot.agent {
            0 => Err(PERMANENT),
            1 => panic!("agent is out of order"),
            2 => {
                sleep(ms(1_000)).await;
                Ok("late")
            }
            _ => Ok("a"),
        }
    };
    let verdict = vote(5).build().unwrap().run(&executor, (), ask).await;
    assert_eq!((verdict.decision, verdict.agreement), (Decision::Consensus, 1.0));
    assert_eq!((verdict.asked, verdict.valid, verdict.failed), (5, 2, 3));
    let outcomes: Vec<_> = verdict.failures.iter().map(|failure| &failure.outcome).collect();
    assert_eq!(
        outcomes,
        [
            &Outcome::Failed(PERMANENT),
            &Outcome::Panicked("agent is out of order".to_owned()),
            &Outcome::TimedOut(TimeoutKind::Attempt),
        ]
    );
    assert_eq!(verdict.failures[2].agent, 2);
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_tried_again_as_the_executor_says() {
    let executor = once(10).retry(fixed(3, ms(5))).build().unwrap();
    let ask = |_: Ballot<()>, cx: Attempt| async move {
        cx.report_usage(&Usage::of(10, 1));
        if cx.number().get() < 3 {
            Err(TRANSIENT)
        } else {
            Ok("a")
        }
    };
    let verdict = vote(3)
        .stop(Stop::Never)
        .build()
        .unwrap()
        .run(&executor, (), ask)
        .await;
    assert_eq!((verdict.asked, verdict.valid, verdict.failed), (3, 3, 0));
    assert_eq!(verdict.usage, Usage::of(90, 9));
}

#[tokio::test(start_paused = true)]
async fn what_cancelled_agents_used_is_in_the_usage() {
    let ask = |ballot: Ballot<()>, cx: Attempt| async move {
        cx.report_usage(&Usage::of(10, 1));
        sleep(ms(if ballot.agent < 3 { 10 } else { 1_000 })).await;
        Ok::<_, Fault>("a")
    };
    let rules = vote(5).release(Release::Rolling).build().unwrap();
    let verdict = rules.run(&once(10).build().unwrap(), (), ask).await;
    assert_eq!(
        (verdict.valid, verdict.cancelled, verdict.usage),
        (3, 2, Usage::of(50, 5))
    );
}

#[tokio::test(start_paused = true)]
async fn a_vote_ends_when_the_quorum_is_out_of_reach() {
    let mut scripts = says(["a"; 6]);
    scripts[0].1 = Err(PERMANENT);
    scripts[1].1 = Err(PERMANENT);
    scripts[2].1 = Err(PERMANENT);
    let verdict = held(vote(6).quorum(n(4)).wave(n(3)), scripts).await;
    assert_eq!(
        (verdict.decision, verdict.stop),
        (Decision::NoQuorum, StopReason::Certain)
    );
    assert_eq!((verdict.asked, verdict.saved, verdict.winner()), (3, 3, None));
}

#[tokio::test(start_paused = true)]
async fn a_vote_goes_on_until_the_quorum() {
    let verdict = held(vote(10).quorum(n(9)), says(["a"; 10])).await;
    assert_eq!((verdict.asked, verdict.decision), (9, Decision::Consensus));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_executor_ends_a_vote() {
    let agents = Agents::new(vec![(10, Ok("a")), (1_000, Ok("a")), (10, Ok("a"))]);
    let executor = once(1).deadline(ms(100)).build().unwrap();
    let verdict = hold(vote(3).stop(Stop::Never), &executor, &agents).await;
    assert_eq!(
        (verdict.stop, verdict.decision),
        (StopReason::RunEnded, Decision::Consensus)
    );
    assert_eq!(
        (verdict.asked, verdict.valid, verdict.failed, verdict.saved),
        (2, 1, 1, 0),
        "who was not asked because time was over is not saved"
    );
    assert_eq!(verdict.failures[0].outcome.kind(), OutcomeKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_go_on_ends_a_vote() {
    let sink = |event: &Event| {
        if let EventKind::JobFinished { job, .. } = event.kind {
            assert!(job.index() < 2, "disk full");
        }
    };
    let agents = Agents::new(says(["a", "a", "b", "b", "b", "b"]));
    let executor = once(1).events(Arc::new(sink)).build().unwrap();
    let verdict = hold(vote(6).stop(Stop::Never), &executor, &agents).await;
    assert_eq!(
        (verdict.stop, verdict.valid, verdict.asked),
        (StopReason::RunEnded, 3, 3)
    );
    let message = "disk full".to_owned();
    assert_eq!(verdict.error, Some(RunError::SinkPanicked { message }));
    assert_eq!(verdict.winner(), Some(&"a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_figures_of_a_vote_are_true_on_many_threads() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let release = [Release::Needed, Release::Rolling, Release::Batched][rng.usize(0..3)];
        let scripts: Vec<(u8, bool)> = (0..30).map(|_| (rng.u8(0..20), rng.f64() < 0.6)).collect();
        let agents = Agents::new(Vec::new());
        let (began, inside) = (Arc::clone(&agents.began), agents.inside.clone());
        let ask = move |ballot: Ballot<()>, _: Attempt| {
            began.fetch_add(1, Ordering::SeqCst);
            let (inside, (yields, yes)) = (inside.enter(), scripts[ballot.agent]);
            async move {
                for _ in 0..yields {
                    tokio::task::yield_now().await;
                }
                drop(inside);
                if yields == 19 {
                    Err(PERMANENT)
                } else {
                    Ok(if yes { "yes" } else { "no" })
                }
            }
        };
        let executor = once(rng.usize(1..12)).build().unwrap();
        let verdict = vote(30)
            .release(release)
            .build()
            .unwrap()
            .run(&executor, (), ask)
            .await;
        assert_eq!(agents.inside.now(), 0, "seed {seed}");
        // An attempt that is aborted as it begins counts as begun, whether or not its future was made.
        assert!(
            agents.began.load(Ordering::SeqCst) <= verdict.asked,
            "seed {seed}"
        );
        assert_eq!(
            verdict.asked,
            verdict.valid + verdict.failed + verdict.cancelled,
            "seed {seed}"
        );
        let votes: usize = verdict.choices.iter().map(throng_exec::Choice::votes).sum();
        assert_eq!(votes, verdict.valid, "seed {seed}");
        assert!(
            verdict.winner().is_some() && verdict.agreement >= 0.5,
            "seed {seed}"
        );
        let unused = release == Release::Needed && verdict.cancelled > 0 && verdict.failed == 0;
        assert!(!unused, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_vote_waits_for_an_agent_that_cannot_be_dropped() {
    let blocks = Arc::new(AtomicUsize::new(0));
    let blocking = Arc::clone(&blocks);
    let ask = move |ballot: Ballot<()>, _: Attempt| {
        let blocks = Arc::clone(&blocking);
        async move {
            if ballot.agent == 4 {
                blocks.store(1, Ordering::SeqCst);
                std::thread::sleep(ms(50));
                blocks.store(2, Ordering::SeqCst);
            }
            while blocks.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Fault>("a")
        }
    };
    let rules = vote(5).release(Release::Rolling).build().unwrap();
    let verdict = rules.run(&once(10).build().unwrap(), (), ask).await;
    assert_eq!(blocks.load(Ordering::SeqCst), 2, "{verdict:?}");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_vote_aborts_it() {
    let agents = Agents::new(says(["a"; 5]));
    let executor = once(10).build().unwrap();
    tokio::select! {
        _ = hold(vote(5), &executor, &agents) => panic!("the vote takes 10 ms"),
        () = sleep(ms(5)) => {}
    }
    sleep(ms(1)).await;
    assert_eq!((agents.inside.now(), agents.began.load(Ordering::SeqCst)), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn answers_of_any_type_are_compared_by_a_key() {
    let ask = |ballot: Ballot<()>, _: Attempt| async move {
        Ok::<_, Fault>([1.04, 2.0, 0.98, 1.0, 3.0][ballot.agent])
    };
    let rules = vote(5).stop(Stop::Never).build().unwrap();
    let executor = once(10).build().unwrap();
    let verdict = rules
        .run_by_key(&executor, (), ask, |x: &f64| format!("{x:.1}"))
        .await;
    assert_eq!((verdict.choices[0].votes(), verdict.agreement), (3, 0.6));
    assert_eq!(verdict.choices[0].agents, [0, 2, 3]);
    assert_eq!(verdict.into_winner(), Some(1.04));

    let key = |x: &f64| if *x > 2.5 { panic!("no key") } else { String::new() };
    let verdict = rules.run_by_key(&executor, (), ask, key).await;
    assert_eq!((verdict.valid, verdict.failed), (4, 1));
    assert_eq!(
        verdict.failures[0].outcome,
        Outcome::Panicked("no key".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn json_answers_are_compared_by_value() {
    let answers = says([r#"{"a":1,"b":2}"#, r#"{ "b": 2.0, "a": 1 }"#, "a: 1, b: 2"]);
    let verdict = held(vote(3).stop(Stop::Never).equivalence(Equivalence::Json), answers).await;
    assert_eq!(verdict.choices[0].agents, [0, 1]);
}

#[derive(Clone, Debug)]
struct Round {
    answers: Vec<u8>,
    order: Vec<usize>,
    latencies: Vec<u64>,
    wave: usize,
}

fn rounds() -> impl Strategy<Value = Round> {
    (1_usize..12).prop_flat_map(|agents| {
        let answers = prop::collection::vec(0_u8..4, agents);
        let order = Just((0..agents).collect::<Vec<_>>()).prop_shuffle();
        let latencies = prop::collection::vec(0_u64..20, agents);
        (answers, order, latencies, 1..=agents).prop_map(|(answers, order, latencies, wave)| Round {
            answers,
            order,
            latencies,
            wave,
        })
    })
}

/// Holds a full vote and returns the decision, the agreement and how many votes each answer has.
fn full(answers: Vec<u8>, latencies: Vec<u64>, wave: usize) -> (Decision, f64, Option<u8>, Vec<(u8, usize)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let rules = vote(answers.len())
            .stop(Stop::Never)
            .ties(Tie::NoConsensus)
            .wave(n(wave));
        let ask = move |ballot: Ballot<()>, _: Attempt| {
            let (answer, latency) = (answers[ballot.agent], latencies[ballot.agent]);
            async move {
                sleep(ms(latency)).await;
                Ok::<_, Fault>(answer)
            }
        };
        let executor = once(12).build().unwrap();
        let verdict = rules
            .build()
            .unwrap()
            .run_by_key(&executor, (), ask, u8::to_string)
            .await;
        let mut votes: Vec<_> = verdict
            .choices
            .iter()
            .map(|choice| (choice.answer, choice.votes()))
            .collect();
        votes.sort_unstable();
        (verdict.decision, verdict.agreement, verdict.into_winner(), votes)
    })
}

proptest! {
    #[test]
    fn it_does_not_matter_which_agent_says_what_and_who_is_faster(round in rounds()) {
        let shuffled = round.order.iter().map(|&agent| round.answers[agent]).collect();
        let one = full(round.answers.clone(), vec![1; round.answers.len()], round.answers.len());
        let other = full(shuffled, round.latencies, round.wave);
        prop_assert_eq!(&one, &other);
        let most = one.3.iter().map(|(_, votes)| *votes).max().unwrap();
        prop_assert_eq!(one.1, most as f64 / round.answers.len() as f64);
    }
}
