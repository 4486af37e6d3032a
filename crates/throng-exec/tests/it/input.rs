//! Input is lazy: jobs are pulled as the window frees up. What goes wrong with it ends the run and loses no outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use throng_core::OutcomeKind;
use throng_exec::{Attempt, Executor, JobSpec, RunError, Runner};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, PERMANENT, ms, n, once};

async fn echo(n: u64, _: Attempt) -> Result<u64, Fault> {
    sleep(ms(10)).await;
    Ok(n)
}

#[tokio::test(start_paused = true)]
async fn an_iterator_is_pulled_no_further_than_the_window() {
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    let jobs = std::iter::from_fn(move || Some(counter.fetch_add(1, Ordering::SeqCst)));
    let run = once(2).window(n(10)).build().unwrap().start(jobs, echo);
    sleep(ms(5)).await;
    assert_eq!(pulled.load(Ordering::SeqCst), 10, "an endless iterator");
    assert_eq!(run.shutdown().await.admitted, 10);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_jobs_ends_at_once() {
    let report = once(2).build().unwrap().run(Vec::<u64>::new(), echo).await;
    assert_eq!((report.finished.len(), report.summary.wall), (0, ms(0)));
    assert_eq!(report.summary.running_time.count, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_polled_as_its_jobs_come() {
    let jobs = futures_util::stream::unfold(0_u64, |n| async move {
        sleep(ms(100)).await;
        (n < 5).then_some((n, n + 1))
    });
    let began = Instant::now();
    let mut run = once(2).build().unwrap().start_stream(jobs, echo);
    let mut times = Vec::new();
    while let Some(job) = run.next().await {
        times.push((job.input, began.elapsed().as_millis()));
    }
    assert_eq!(times, [(0, 110), (1, 210), (2, 310), (3, 410), (4, 510)]);
    assert!(run.finish().await.unwrap().input_exhausted);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_polled_no_further_than_the_window() {
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    let jobs = futures_util::stream::iter(0..).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let run = once(2).window(n(10)).build().unwrap().start_stream(jobs, echo);
    sleep(ms(5)).await;
    assert_eq!(pulled.load(Ordering::SeqCst), 10);
    run.handle().drain();
    let summary = run.finish().await.unwrap();
    assert_eq!(summary.count(OutcomeKind::Succeeded), 2);
    assert_eq!(summary.count(OutcomeKind::Cancelled), 8);
}

#[tokio::test(start_paused = true)]
async fn a_drained_run_does_not_wait_for_a_stream_that_is_silent() {
    let run = once(2)
        .build()
        .unwrap()
        .start_stream(futures_util::stream::pending::<u64>(), echo);
    sleep(ms(5)).await;
    run.handle().drain();
    assert_eq!(run.finish().await.unwrap().admitted, 0);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_panics_ends_the_run_and_loses_no_outcome() {
    let jobs = (0..100_u64).inspect(|n| assert!(*n < 7, "bad record"));
    let mut run = once(2).build().unwrap().start(jobs, echo);
    let mut kinds = Vec::new();
    while let Some(job) = run.next().await {
        kinds.push(job.outcome.kind());
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    let error = run.finish().await.unwrap_err();
    assert_eq!(
        error,
        RunError::InputPanicked {
            message: "bad record".into()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_ends_the_run_and_loses_no_outcome() {
    let runner = |n: u64, _: Attempt| async move { if n == 3 { Err(PERMANENT) } else { Ok(n) } };
    let executor = once(1).build().unwrap();
    let mut run = executor.start_classified(0..100, runner, |_: &Fault| panic!("cannot say"));
    let mut ended = 0;
    while let Some(job) = run.next().await {
        ended += 1;
        let expect = match job.input {
            0..3 => OutcomeKind::Succeeded,
            3 => OutcomeKind::Failed,
            _ => OutcomeKind::Cancelled,
        };
        assert_eq!(job.outcome.kind(), expect, "job {}", job.input);
    }
    assert!(ended > 3);
    let error = run.finish().await.unwrap_err();
    assert_eq!(
        error,
        RunError::ClassifierPanicked {
            message: "cannot say".into()
        }
    );
}

/// A runner that borrows its job.
struct Length;

impl Runner<String> for Length {
    type Output = usize;
    type Error = Fault;

    async fn run(&self, job: &String, _: Attempt) -> Result<usize, Fault> {
        tokio::task::yield_now().await;
        Ok(job.len())
    }
}

#[tokio::test(start_paused = true)]
async fn a_runner_may_borrow_its_job() {
    let jobs = ["a", "bcd"].map(|text| JobSpec::new(text.to_owned()));
    let report = once(1).build().unwrap().run(jobs, Length).await;
    let lengths: Vec<_> = report
        .finished
        .into_iter()
        .map(|job| (job.input, job.outcome.success()))
        .collect();
    assert_eq!(lengths, [("a".to_owned(), Some(1)), ("bcd".to_owned(), Some(3))]);
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_with_the_value_named() {
    let messages: Vec<_> = [
        Executor::builder().max_concurrent(n(100)).window(n(99)),
        Executor::builder().attempt_timeout(ms(0)),
        Executor::builder().retry(throng_exec::RetryPolicy::default().factor(0.5)),
        Executor::builder().retry(throng_exec::RetryPolicy::default().factor(f64::NAN)),
    ]
    .into_iter()
    .map(|builder| builder.build().unwrap_err().to_string())
    .collect();
    assert_eq!(
        messages,
        [
            "window is 99, but it must hold max_concurrent jobs",
            "attempt_timeout is 0ns, but it must be above zero",
            "factor is 0.5, but it must be a finite number of at least 1",
            "factor is NaN, but it must be a finite number of at least 1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_polled_again_when_its_jobs_have_gone_into_backoff() {
    let executor = once(1)
        .window(n(8))
        .retry(crate::support::fixed(2, ms(60_000)))
        .build()
        .unwrap();
    let began = Instant::now();
    let runner = move |job: u64, cx: Attempt| async move {
        sleep(ms(1)).await;
        if job < 7 && cx.number().get() == 1 {
            Err(crate::support::TRANSIENT)
        } else {
            Ok(began.elapsed())
        }
    };
    let mut run = executor.start_stream(futures_util::stream::iter(0..8), runner);
    let first = run.next().await.unwrap();
    assert_eq!((first.input, first.outcome.success()), (7, Some(ms(8))));
}

struct PanicsWhenDropped(u64);

impl Iterator for PanicsWhenDropped {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 <= 3).then_some(self.0)
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("cannot be dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_panics_when_it_is_dropped_loses_no_outcome() {
    let report = once(1).build().unwrap().run(PanicsWhenDropped(0), echo).await;
    assert_eq!(
        report.summary.count(OutcomeKind::Succeeded) + report.summary.count(OutcomeKind::Cancelled),
        3
    );
    let error = report.into_result().unwrap_err();
    assert_eq!(
        error,
        RunError::InputPanicked {
            message: "cannot be dropped".into()
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_keeps_its_outcomes_though_the_run_could_not_go_on() {
    let jobs = (0..100_u64).inspect(|n| assert!(*n < 99, "bad record"));
    let report = once(2).build().unwrap().run(jobs, echo).await;
    assert_eq!(report.finished.len(), 99);
    assert_eq!(
        report.error,
        Some(RunError::InputPanicked {
            message: "bad record".into()
        })
    );
}
