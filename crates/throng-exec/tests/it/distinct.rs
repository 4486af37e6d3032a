//! Equal jobs are asked once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use throng_core::{Outcome, OutcomeKind};
use throng_exec::{Attempt, Executor, Share};
use tokio::time::sleep;

use crate::support::{Fault, PERMANENT, ms, n, once};

type Calls = Arc<AtomicU32>;

fn counted(
    calls: &Calls,
) -> impl Fn(u64, Attempt) -> futures_util::future::BoxFuture<'static, Result<u64, Fault>> + use<> {
    let calls = Arc::clone(calls);
    move |job, _| {
        calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            sleep(ms(10)).await;
            if job % 10 == 9 {
                Err(PERMANENT)
            } else {
                Ok(job % 10)
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_equal_jobs_are_asked_once() {
    for share in [Share::InFlight, Share::WholeRun] {
        let calls = Calls::default();
        let executor = once(8).build().unwrap();
        let mut run = executor.start_distinct(vec![7_u64; 100], |job| *job, share, counted(&calls));
        let mut ids = Vec::new();
        let mut copies = 0;
        while let Some(job) = run.next().await {
            assert_eq!(job.outcome, Outcome::Succeeded(7));
            copies += u64::from(job.same_as.is_some());
            ids.push(job.id.index());
        }
        assert_eq!(ids, (0..100).collect::<Vec<_>>());
        assert_eq!(
            (calls.load(Ordering::SeqCst), copies, run.held_back()),
            (1, 99, 99)
        );
        assert_eq!(run.finish().await.unwrap().count(OutcomeKind::Succeeded), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn in_flight_asks_again_later_and_the_whole_run_does_not() {
    let late = |share| async move {
        let calls = Calls::default();
        let jobs = futures_util::stream::unfold(0_u64, |job| async move {
            sleep(ms(50)).await;
            (job < 3).then_some((5_u64, job + 1))
        });
        let executor = once(8).build().unwrap();
        let mut run = executor.start_distinct_stream(jobs, |job| *job, share, counted(&calls));
        let mut of = Vec::new();
        while let Some(job) = run.next().await {
            of.push(job.same_as.map(|id| id.index()));
        }
        (calls.load(Ordering::SeqCst), of)
    };
    assert_eq!(late(Share::InFlight).await, (3, vec![None, None, None]));
    assert_eq!(late(Share::WholeRun).await, (1, vec![None, Some(0), Some(0)]));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_as_well() {
    let calls = Calls::default();
    let executor = once(2).build().unwrap();
    let mut run = executor.start_distinct([9_u64, 1, 9], |job| *job, Share::WholeRun, counted(&calls));
    let mut failed = Vec::new();
    while let Some(job) = run.next().await {
        if job.outcome == Outcome::Failed(PERMANENT) {
            failed.push((job.id.index(), job.attempts));
        }
    }
    assert_eq!(failed, [(0, 1), (2, 0)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn each_job_has_the_outcome_of_its_equals(
        jobs in prop::collection::vec(0..40_u64, 0..120),
        whole in any::<bool>(),
        limit in 1..6_usize,
        abort_after in prop::option::weighted(0.2, 0..30_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let share = if whole { Share::WholeRun } else { Share::InFlight };
        let (seen, calls) = runtime.block_on(async {
            let calls = Calls::default();
            let executor: Executor = once(limit).window(n(limit + 3)).build().unwrap();
            let mut run = executor.start_distinct(jobs.clone(), |job| job % 10, share, counted(&calls));
            let mut seen = Vec::new();
            while let Some(job) = run.next().await {
                seen.push((job.id.index(), job.input, job.outcome));
                if Some(seen.len()) == abort_after {
                    run.handle().abort();
                }
            }
            (seen, calls.load(Ordering::SeqCst))
        });
        let mut ids: Vec<u64> = seen.iter().map(|(id, ..)| *id).collect();
        ids.sort_unstable();
        prop_assert_eq!(&ids, &(0..ids.len() as u64).collect::<Vec<_>>());
        for (id, input, outcome) in &seen {
            prop_assert_eq!(*input, jobs[*id as usize]);
            let expected = if input % 10 == 9 { Outcome::Failed(PERMANENT) } else { Outcome::Succeeded(input % 10) };
            prop_assert!(*outcome == expected || *outcome == Outcome::Cancelled, "{:?}", outcome);
        }
        if abort_after.is_none() {
            prop_assert_eq!(ids.len(), jobs.len());
            if whole {
                let distinct: std::collections::BTreeSet<u64> = jobs.iter().map(|job| job % 10).collect();
                prop_assert_eq!(calls as usize, distinct.len());
            }
        }
    }
}
