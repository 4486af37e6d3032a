//! Invariant: a job never waits for its consumer. Backpressure delays admission, never a running attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use throng_core::OutcomeKind;
use throng_exec::{Attempt, OutputOrder};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Fault, ms, n, once};

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_does_not_time_out_running_jobs() {
    let executor = once(4).attempt_timeout(ms(400)).window(n(4)).build().unwrap();
    let jobs = (0..24_u64).map(|n| 50 + n * 151 % 151);
    let runner = |millis: u64, _: Attempt| async move {
        let began = Instant::now();
        sleep(ms(millis)).await;
        Ok::<_, Fault>(began.elapsed().as_millis())
    };
    let mut run = executor.start(jobs, runner);
    while let Some(job) = run.next().await {
        sleep(ms(300)).await;
        let measured = *job.outcome.as_success().unwrap();
        assert_eq!(measured, u128::from(job.input), "a job takes as long as it takes");
    }
    let summary = run.finish().await.unwrap();
    assert_eq!(summary.count(OutcomeKind::TimedOut), 0);
    assert_eq!(summary.count(OutcomeKind::Succeeded), 24);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_takes_the_mutex_of_a_running_job_ends() {
    let mutex = Arc::new(tokio::sync::Mutex::new(0));
    let executor = once(4).build().unwrap();
    let shared = Arc::clone(&mutex);
    let runner = move |n: u64, _: Attempt| {
        let mutex = Arc::clone(&shared);
        async move {
            let mut held = mutex.lock().await;
            sleep(ms(n % 7)).await;
            *held += 1;
            Ok::<_, Fault>(())
        }
    };
    let mut run = executor.start(0..32, runner);
    let all = async {
        let mut taken = 0;
        while run.next().await.is_some() {
            *mutex.lock().await += 1;
            taken += 1;
        }
        taken
    };
    assert_eq!(
        timeout(ms(60_000), all).await,
        Ok(32),
        "a consumer and a job that wait for each other"
    );
    assert_eq!(*mutex.lock().await, 64);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_outcomes_that_nobody_takes_stops_the_input() {
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    let jobs = (0..1_000_u64).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let executor = once(4).window(n(16)).build().unwrap();
    let mut run = executor.start(jobs, |n: u64, _: Attempt| async move { Ok::<_, Fault>(n) });
    sleep(ms(1_000)).await;
    assert_eq!(pulled.load(Ordering::SeqCst), 16);
    assert_eq!(run.handle().progress().count(OutcomeKind::Succeeded), 16);
    for taken in 1..=100 {
        assert!(run.next().await.is_some());
        sleep(ms(10)).await;
        let ahead = pulled.load(Ordering::SeqCst) - taken;
        assert!(ahead <= 16, "{ahead} jobs in a window of 16");
    }
    assert_eq!(run.finish().await.unwrap().count(OutcomeKind::Succeeded), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_slow_consumer_costs_no_time_that_it_does_not_use_itself() {
    let executor = once(4).build().unwrap();
    let runner = |_: u64, _: Attempt| async move {
        sleep(ms(100)).await;
        Ok::<_, Fault>(())
    };
    let began = Instant::now();
    let mut run = executor.start(0..32, runner);
    while run.next().await.is_some() {
        sleep(ms(25)).await;
    }
    // 100 ms until the first four have ended, then 32 × 25 ms: the jobs need 800 ms beside it.
    assert_eq!(began.elapsed(), ms(900));
}

#[tokio::test(start_paused = true)]
async fn outcomes_come_in_the_order_of_submission_when_asked() {
    let executor = once(8)
        .window(n(8))
        .order(OutputOrder::Submission)
        .build()
        .unwrap();
    let runner = |n: u64, _: Attempt| async move {
        sleep(ms(n * 37 % 50)).await;
        Ok::<_, Fault>(n)
    };
    let mut run = executor.start(0..100, runner);
    let mut taken = Vec::new();
    while let Some(job) = run.next().await {
        taken.push(job.outcome.success().unwrap());
    }
    assert_eq!(taken, (0..100).collect::<Vec<_>>());
}
