//! Which job goes when: priorities, weights, throttle, start delay, barriers and batches, presets.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use throng_core::OutcomeKind;
use throng_exec::{Attempt, Executor, JobSpec, OutputOrder, Preset, Priority};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, ms, n, once};

/// Runs jobs that take `millis` each, and returns which started when, in the order of their starts.
async fn starts(executor: &Executor, jobs: Vec<JobSpec<u64>>, millis: u64) -> Vec<(u64, u128)> {
    let began = Instant::now();
    let log = Arc::new(Mutex::new(Vec::new()));
    let inside = Arc::clone(&log);
    let runner = move |job: u64, _: Attempt| {
        inside.lock().unwrap().push((job, began.elapsed().as_millis()));
        async move {
            sleep(ms(millis)).await;
            Ok::<_, Fault>(())
        }
    };
    let _ = executor.run(jobs, runner).await;
    std::mem::take(&mut *log.lock().unwrap())
}

fn order(starts: &[(u64, u128)]) -> Vec<u64> {
    starts.iter().map(|(job, _)| *job).collect()
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_in_the_window_goes_first() {
    let executor = once(1).build().unwrap();
    let jobs = [
        (1, Priority::LOW),
        (2, Priority::NORMAL),
        (3, Priority::HIGH),
        (4, Priority::HIGH),
    ]
    .map(|(job, priority)| JobSpec::new(job).priority(priority));
    let starts = starts(&executor, jobs.into(), 10).await;
    assert_eq!(order(&starts), [3, 4, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn waiting_raises_a_priority_until_the_job_goes() {
    let executor = once(1).ageing(ms(100)).window(n(3)).build().unwrap();
    let jobs = (0..40).map(|job| {
        let priority = if job == 1 {
            Priority::NORMAL
        } else {
            Priority::new(5)
        };
        JobSpec::new(job).priority(priority)
    });
    let starts = starts(&executor, jobs.collect(), 100).await;
    let at = order(&starts).iter().position(|&job| job == 1).unwrap();
    assert!((5..8).contains(&at), "it was number {at}: {starts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_heavy_job_waits_for_room_and_is_not_overtaken() {
    let executor = once(4).build().unwrap();
    let weights = [2, 1, 3, 1, 9];
    let jobs = (0..)
        .zip(weights)
        .map(|(job, weight)| JobSpec::new(job).weight(NonZeroU32::new(weight).unwrap()));
    let starts = starts(&executor, jobs.collect(), 10).await;
    assert_eq!(starts, [(0, 0), (1, 0), (2, 10), (3, 10), (4, 20)]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_spaces_all_starts() {
    let executor = once(10).throttle(ms(30)).build().unwrap();
    let times = starts(&executor, (0..4).map(JobSpec::new).collect(), 100).await;
    assert_eq!(times, [(0, 0), (1, 30), (2, 60), (3, 90)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_the_start_delay() {
    let executor = once(2).start_delay(ms(250)).build().unwrap();
    let times = starts(&executor, (0..3).map(JobSpec::new).collect(), 10).await;
    assert_eq!(times, [(0, 250), (1, 250), (2, 260)]);
}

#[tokio::test(start_paused = true)]
async fn a_barrier_admits_a_batch_when_the_one_before_has_ended() {
    let runner = |job: u64, _: Attempt| async move {
        sleep(ms(if job.is_multiple_of(4) { 100 } else { 10 })).await;
        Ok::<_, Fault>(())
    };
    let wall = async |executor: Executor| executor.run(0..12, runner).await.summary.wall.as_millis();
    assert_eq!(wall(once(4).barrier(n(4)).build().unwrap()).await, 300);
    assert_eq!(wall(once(4).build().unwrap()).await, 120);
}

#[tokio::test(start_paused = true)]
async fn batches_have_their_size_and_the_order_of_submission_and_wait_for_nobody() {
    let executor = once(4).order(OutputOrder::Submission).build().unwrap();
    let runner = |job: u64, _: Attempt| async move {
        sleep(ms(if job.is_multiple_of(4) { 100 } else { 10 })).await;
        Ok::<_, Fault>(job)
    };
    let began = Instant::now();
    let mut batches = executor.start(0..10, runner).batches(n(4));
    let mut all = Vec::new();
    while let Some(batch) = batches.next().await {
        all.push(batch.iter().map(|job| job.id.index()).collect::<Vec<_>>());
    }
    assert_eq!(all, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    assert_eq!(began.elapsed().as_millis(), 120);
    assert_eq!(
        batches
            .into_run()
            .finish()
            .await
            .unwrap()
            .count(OutcomeKind::Succeeded),
        10
    );
}

#[test]
fn presets_are_what_they_say() {
    let check = |preset, expect: [&str; 4]| {
        let shown = format!("{:?}", Executor::preset(preset).build().unwrap());
        for part in expect {
            assert!(shown.contains(part), "{preset:?} has no {part}: {shown}");
        }
    };
    check(
        Preset::Default,
        [
            "limit: 10",
            "max_attempts: 3",
            "timeout: Some(60s)",
            "throttle: 100ms",
        ],
    );
    check(
        Preset::FastFeedback,
        [
            "limit: 20",
            "max_attempts: 2",
            "timeout: Some(30s)",
            "throttle: 50ms",
        ],
    );
    check(
        Preset::Stability,
        [
            "limit: 5",
            "max_attempts: 5",
            "timeout: Some(120s)",
            "throttle: 500ms",
        ],
    );
    check(
        Preset::Constrained,
        [
            "limit: 3",
            "max_attempts: 3",
            "timeout: Some(60s)",
            "throttle: 1s",
        ],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn weights_never_exceed_the_limit(
        limit in 1..9_usize,
        jobs in prop::collection::vec((1..12_u32, 1..20_u64), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let peak = runtime.block_on(async {
            let used = Arc::new(Mutex::new((0, 0)));
            let inside = Arc::clone(&used);
            let runner = move |(weight, millis): (usize, u64), _: Attempt| {
                let used = Arc::clone(&inside);
                async move {
                    {
                        let mut used = used.lock().unwrap();
                        used.0 += weight;
                        used.1 = used.1.max(used.0);
                    }
                    sleep(ms(millis)).await;
                    used.lock().unwrap().0 -= weight;
                    Ok::<_, Fault>(())
                }
            };
            let jobs = jobs.into_iter().map(move |(weight, millis)| {
                JobSpec::new(((weight as usize).min(limit), millis)).weight(NonZeroU32::new(weight).unwrap())
            });
            let executor = once(limit).build().unwrap();
            let report = executor.run(jobs.collect::<Vec<_>>(), runner).await;
            assert_eq!(report.summary.count(OutcomeKind::Succeeded), report.summary.admitted);
            used.lock().unwrap().1
        });
        prop_assert!(peak <= limit, "{peak} of {limit}");
    }
}
