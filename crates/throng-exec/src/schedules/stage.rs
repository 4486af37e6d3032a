//! What the scenes of [`super`] play on: shuttle's schedulers, a clock, a steering hand, and what is checked at the end.

use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use shuttle::future::{block_on, yield_now};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, MaxSteps, Runner, thread};
use throng_core::{Classify, ErrorClass, Event, EventKind, RunId};
use tokio::time::{Instant, advance};

use crate::tasks::{by_shuttle, sleep_until};
use crate::{Attempt, Executor, ExecutorBuilder, Finished, Jitter, RetryPolicy, Run, RunHandle};

const STEPS: usize = 50_000;

pub(super) fn explore(scene: fn()) {
    let cases = tests::cases();
    explore_with(RandomScheduler::new(cases), scene);
    explore_with(PctScheduler::new(3, cases.div_ceil(4)), scene);
}

pub(super) fn explore_with(scheduler: impl Scheduler + 'static, scene: fn()) {
    // Shuttle's tasks all run on this thread and find the paused clock of this runtime, whose own timers are not used.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be made");
    let _clock = runtime.enter();
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(STEPS);
    Runner::new(scheduler, config).run(move || {
        by_shuttle::reset();
        scene();
    });
}

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("scenes do not pass zero")
}

#[derive(Clone, Debug)]
pub(super) struct Fault;

impl Classify for Fault {
    fn classify(&self) -> ErrorClass {
        ErrorClass::Transient
    }
}

pub(super) type Log = Arc<Mutex<Vec<Event>>>;
pub(super) type Done = Finished<u64, u32, Fault>;

/// Two permits, up to three attempts with 1 ms between them, and a log.
pub(super) fn builder(log: &Log) -> ExecutorBuilder {
    let retry = RetryPolicy::exponential(NonZeroU32::MIN.saturating_add(2))
        .base(ms(1))
        .factor(1.0)
        .jitter(Jitter::None);
    let log = Arc::clone(log);
    let sink = move |event: &Event| {
        // Others go on while the sink is at work.
        thread::yield_now();
        log.lock().expect("no sink panics").push(event.clone());
    };
    Executor::builder()
        .max_concurrent(n(2))
        .window(n(3))
        .retry(retry)
        .seed(1)
        .run_id(RunId::from_parts(0, [0; 10]))
        .events(Arc::new(sink))
}

/// Every third job succeeds at once, every third after a failure, and every third after 1 ms.
pub(super) async fn job(job: u64, cx: Attempt) -> Result<u32, Fault> {
    match job % 3 {
        0 => {}
        1 if cx.number().get() == 1 => {
            yield_now().await;
            return Err(Fault);
        }
        1 => yield_now().await,
        _ => sleep_until(Instant::now() + ms(1)).await,
    }
    Ok(cx.number().get())
}

/// Lets time pass from timer to timer for as long as there are tasks.
pub(super) fn spawn_clock() -> thread::JoinHandle<()> {
    thread::spawn(|| {
        while by_shuttle::alive() > 0 {
            if let Some(due) = by_shuttle::next_due() {
                let passing = pin!(advance(due.saturating_duration_since(Instant::now())));
                // The first poll moves the clock.
                let _ = passing.poll(&mut Context::from_waker(Waker::noop()));
                by_shuttle::fire();
            }
            thread::yield_now();
        }
    })
}

pub(super) fn spawn_hand(
    handle: &RunHandle,
    steer: impl FnOnce(&RunHandle) + Send + 'static,
) -> thread::JoinHandle<()> {
    let handle = handle.clone();
    thread::spawn(move || steer(&handle))
}

/// Takes every outcome, and then looks at what is left.
pub(super) fn consume(
    mut run: Run<u64, u32, Fault>,
    log: &Log,
    steer: impl FnOnce(&RunHandle) + Send + 'static,
) -> Vec<Done> {
    let handle = run.handle();
    let clock = spawn_clock();
    let hand = spawn_hand(&handle, steer);
    let mut done = Vec::new();
    while let Some(job) = block_on(run.next()) {
        done.push(job);
    }
    // The consumer learns of the end only when all of it was told.
    check_log(log, true);
    let summary = block_on(run.finish()).expect("the run can go on");
    assert_eq!(summary.admitted, done.len() as u64, "an outcome is lost");
    assert_eq!(summary.ended(), summary.admitted);
    check_end(&handle, clock, hand);
    let mut ids: Vec<u64> = done.iter().map(|job| job.id.index()).collect();
    ids.sort_unstable();
    let dense: Vec<u64> = (0..summary.admitted).collect();
    assert_eq!(ids, dense, "each job has one outcome");
    check_attempts(&done, log);
    done
}

pub(super) fn check_end(handle: &RunHandle, clock: thread::JoinHandle<()>, hand: thread::JoinHandle<()>) {
    hand.join().expect("the hand does not panic");
    clock.join().expect("the clock stops when no task is left");
    let progress = handle.progress();
    assert!(progress.over);
    assert_eq!(
        (progress.ready, progress.running, progress.backing_off),
        (0, 0, 0)
    );
    assert!(handle.keys().iter().all(|key| (key.jobs, key.running) == (0, 0)));
}

/// Checks the order of the log, and that it goes on to the end of the run.
pub(super) fn check_log(log: &Log, complete: bool) {
    let log = log.lock().expect("no sink panics");
    assert!(log.is_sorted_by_key(|event| event.at), "{log:#?}");
    let ends = log
        .iter()
        .filter(|event| event.kind == EventKind::RunFinished)
        .count();
    let last = log
        .last()
        .is_some_and(|event| event.kind == EventKind::RunFinished);
    assert!(ends <= 1 && (ends == 1) == last, "{log:#?}");
    assert!(last || !complete, "{log:#?}");
    let (mut admitted, mut running, mut finished) = (0, 0_usize, Vec::new());
    for event in &*log {
        match &event.kind {
            EventKind::JobAdmitted { job } => {
                assert_eq!(job.index(), admitted, "{log:#?}");
                admitted += 1;
            }
            EventKind::AttemptStarted { .. } | EventKind::HedgeStarted { .. } => running += 1,
            EventKind::AttemptFailed { .. } | EventKind::AttemptDropped { .. } => {
                running = running.checked_sub(1).expect("an attempt ends once");
            }
            EventKind::JobFinished { job, .. } => finished.push(job.index()),
            _ => {}
        }
    }
    finished.sort_unstable();
    assert!(finished.windows(2).all(|pair| pair[0] < pair[1]), "{log:#?}");
    assert!(running <= finished.len() || !complete, "{log:#?}");
    assert!(!complete || finished.len() as u64 == admitted, "{log:#?}");
}

pub(super) fn check_attempts(done: &[Done], log: &Log) {
    let log = log.lock().expect("no sink panics");
    let begun = log.iter().filter(|event| {
        matches!(
            event.kind,
            EventKind::AttemptStarted { .. } | EventKind::HedgeStarted { .. }
        )
    });
    let attempts: u32 = done.iter().map(|job| job.attempts).sum();
    assert_eq!(begun.count(), attempts as usize);
}

pub(super) fn build(builder: ExecutorBuilder) -> Executor {
    builder.build().expect("the settings of scenes make sense")
}

#[cfg(test)]
mod tests {
    /// Returns how many schedules are drawn at random: `THRONG_CASES`, or 1,000.
    pub(super) fn cases() -> usize {
        let cases = std::env::var("THRONG_CASES").ok();
        cases.and_then(|cases| cases.parse().ok()).unwrap_or(1_000)
    }
}
