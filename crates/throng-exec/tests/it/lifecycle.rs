//! After a drop nothing keeps running; a shutdown proves it.

use std::pin::Pin;

use throng_core::OutcomeKind;
use throng_exec::Attempt;
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::support::{Fault, Gauge, ms, once};

type Pending = Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>>;

/// Jobs of one second that the gauge counts.
fn gauged(gauge: &Gauge) -> impl Fn(u64, Attempt) -> Pending + use<> {
    let gauge = gauge.clone();
    move |_, _| {
        let inside = gauge.enter();
        Box::pin(async move {
            sleep(ms(1_000)).await;
            drop(inside);
            Ok(())
        })
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_leaves_no_task_behind() {
    let gauge = Gauge::default();
    let before = tasks();
    let run = once(16).build().unwrap().start(0..1_000, gauged(&gauge));
    sleep(ms(10)).await;
    assert_eq!(gauge.now(), 16);
    assert_eq!(tasks(), before + 17, "16 workers and the driver");
    let handle = run.handle();
    drop(run);
    sleep(ms(1)).await;
    assert_eq!((gauge.now(), tasks()), (0, before));
    assert_eq!(handle.progress().running, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_dropped_before_it_could_begin_leaves_no_task_behind() {
    let gauge = Gauge::default();
    let before = tasks();
    drop(once(16).build().unwrap().start(0..1_000, gauged(&gauge)));
    sleep(ms(1)).await;
    assert_eq!((gauge.peak(), tasks()), (0, before));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_ended_leaves_no_task_behind() {
    let gauge = Gauge::default();
    let before = tasks();
    let mut run = once(16).build().unwrap().start(0..40, gauged(&gauge));
    while run.next().await.is_some() {}
    sleep(ms(1)).await;
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_until_nothing_is_left() {
    let gauge = Gauge::default();
    let before = tasks();
    let run = once(16).build().unwrap().start(0..1_000, gauged(&gauge));
    sleep(ms(1_500)).await;
    let summary = run.shutdown().await;
    assert_eq!((gauge.now(), tasks()), (0, before));
    assert_eq!(summary.count(OutcomeKind::Succeeded), 16);
    assert_eq!(summary.ended(), summary.admitted);
}

#[test]
fn a_runtime_that_ends_during_a_run_does_not_hang_or_panic() {
    let gauge = Gauge::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let run = runtime.block_on(async {
        let run = once(16).build().unwrap().start(0..1_000, gauged(&gauge));
        while gauge.now() < 16 {
            tokio::task::yield_now().await;
        }
        run
    });
    drop(runtime);
    assert_eq!(gauge.now(), 0);
    let progress = run.handle().progress();
    assert_eq!(
        (progress.running, progress.count(OutcomeKind::Cancelled)),
        (0, 64),
        "every admitted job has its outcome"
    );
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn a_runtime_without_a_time_driver_shows_in_the_caller() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { drop(once(1).build().unwrap().start(0..3, gauged(&Gauge::default()))) });
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_lets_go_of_its_input_and_outcomes_though_a_handle_lives_on() {
    let token = std::sync::Arc::new(());
    let held = std::sync::Arc::clone(&token);
    let jobs = (0..1_000).inspect(move |_| assert_eq!(*held, ()));
    let value = std::sync::Arc::clone(&token);
    let runner = move |_: u64, _: Attempt| {
        let value = std::sync::Arc::clone(&value);
        async move { Ok::<_, Fault>(value) }
    };
    let run = once(2).build().unwrap().start(jobs, runner);
    let handle = run.handle();
    sleep(ms(10)).await;
    assert!(
        std::sync::Arc::strong_count(&token) > 60,
        "the window is full of outcomes"
    );
    drop(run);
    sleep(ms(10)).await;
    assert_eq!(std::sync::Arc::strong_count(&token), 1);
    assert_eq!(handle.progress().running, 0);
}
