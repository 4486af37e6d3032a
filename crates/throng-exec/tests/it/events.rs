//! One event for each transition, in one order; the same seed gives the same events.

use std::sync::{Arc, Mutex};

use throng_core::{Event, EventKind, OutcomeKind, RunId};
use throng_exec::{Attempt, Jitter, RetryPolicy, RunError};
use tokio::time::sleep;

use crate::support::{Fault, TRANSIENT, attempts, fixed, ms, once};

async fn events_of(seed: u64, retry: RetryPolicy, jobs: u64) -> Vec<Event> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let record = move |event: &Event| sink.lock().unwrap().push(event.clone());
    let executor = once(2)
        .retry(retry)
        .seed(seed)
        .run_id(RunId::from_parts(0, [0; 10]))
        .events(Arc::new(record))
        .build()
        .unwrap();
    let runner = |n: u64, cx: Attempt| async move {
        sleep(ms(10 + n)).await;
        if u64::from(cx.number().get()) <= n % 4 {
            Err(TRANSIENT)
        } else {
            Ok(())
        }
    };
    let _ = executor.run(0..jobs, runner).await;
    std::mem::take(&mut *log.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_run_tells_each_transition_in_order() {
    let events = events_of(1, fixed(2, ms(100)), 2).await;
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (event.at.as_millis(), format!("{:?}", event.kind)))
        .collect();
    let expect = [
        (0, "RunStarted"),
        (0, "JobAdmitted { job: JobId(0) }"),
        (0, "JobAdmitted { job: JobId(1) }"),
        (0, "AttemptStarted { job: JobId(0), attempt: 1 }"),
        (0, "AttemptStarted { job: JobId(1), attempt: 1 }"),
        (
            10,
            "JobFinished { job: JobId(0), attempts: 1, outcome: Succeeded }",
        ),
        (
            11,
            "AttemptFailed { job: JobId(1), attempt: 1, class: Transient }",
        ),
        (11, "RetryScheduled { job: JobId(1), attempt: 2, delay: 100ms }"),
        (111, "AttemptStarted { job: JobId(1), attempt: 2 }"),
        (
            122,
            "JobFinished { job: JobId(1), attempts: 2, outcome: Succeeded }",
        ),
        (122, "RunFinished"),
    ];
    assert_eq!(kinds, expect.map(|(at, kind)| (at, kind.to_owned())));
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_events() {
    let policy = || RetryPolicy::exponential(attempts(4)).jitter(Jitter::Full);
    let first = events_of(42, policy(), 200).await;
    assert_eq!(first, events_of(42, policy(), 200).await);
    assert_ne!(first, events_of(43, policy(), 200).await);
    assert!(first.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[tokio::test(start_paused = true)]
async fn every_event_is_told_before_the_run_ends() {
    for jobs in [1, 3, 50] {
        let events = events_of(1, fixed(4, ms(1)), jobs).await;
        assert_eq!(
            events.last().map(|event| event.kind.clone()),
            Some(EventKind::RunFinished)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_ends_the_run_and_loses_no_outcome() {
    let sink = |event: &Event| {
        if let EventKind::JobFinished { job, .. } = event.kind {
            assert!(job.index() < 2, "disk full");
        }
    };
    let executor = once(1).events(Arc::new(sink)).build().unwrap();
    let mut run = executor.start(0..100, |n: u64, _: Attempt| async move {
        sleep(ms(1)).await;
        Ok::<_, Fault>(n)
    });
    let mut succeeded = 0;
    let mut ended = 0;
    while let Some(job) = run.next().await {
        ended += 1;
        succeeded += u64::from(job.outcome.kind() == OutcomeKind::Succeeded);
    }
    assert!(
        (3..100).contains(&succeeded) && ended > succeeded,
        "{succeeded} of {ended}"
    );
    assert_eq!(
        run.finish().await.unwrap_err(),
        RunError::SinkPanicked {
            message: "disk full".into()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_after_the_end() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    let record = move |event: &Event| sink.lock().unwrap().push(event.kind.clone());
    let executor = once(1).events(Arc::new(record)).build().unwrap();
    let mut run = executor.start([1_u64], |n: u64, _: Attempt| async move { Ok::<_, Fault>(n) });
    while run.next().await.is_some() {}
    let handle = run.handle();
    handle.pause();
    handle.drain();
    handle.resume();
    run.shutdown().await;
    handle.abort();
    assert_eq!(log.lock().unwrap().last(), Some(&EventKind::RunFinished));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_sink_slows_the_run_down_instead_of_filling_the_memory() {
    let waiting = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let told = Arc::clone(&waiting);
    let sink = move |event: &Event| {
        if let EventKind::JobFinished { job, .. } = event.kind {
            told.store(job.index(), std::sync::atomic::Ordering::SeqCst);
        }
        std::thread::sleep(std::time::Duration::from_micros(50));
    };
    let executor = once(4)
        .window(crate::support::n(64))
        .events(Arc::new(sink))
        .build()
        .unwrap();
    let mut run = executor.start(
        0..1_500_u64,
        |n: u64, _: Attempt| async move { Ok::<_, Fault>(n) },
    );
    let mut ahead = 0;
    while let Some(job) = run.next().await {
        ahead = job
            .id
            .index()
            .saturating_sub(waiting.load(std::sync::atomic::Ordering::SeqCst))
            .max(ahead);
    }
    // Eight windows of events wait at most, three for each job, and what was on its way when it became too many.
    assert!(ahead < 600, "{ahead} jobs ahead of the sink");
}
