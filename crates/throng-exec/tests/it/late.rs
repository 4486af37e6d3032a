//! Time that passes between two steps of a run: between the admission of jobs and the first look of a worker, and beyond
//! the end of the last job.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throng_core::{ErrorClass, Event, EventKind, OutcomeKind};
use throng_exec::{Attempt, CircuitBreaker, Fallback, Shedding, WhileOpen};
use tokio::time::{advance, sleep};

use crate::support::{Fault, TRANSIENT, attempts, fixed, ms, once, poll_once};

#[tokio::test(start_paused = true)]
async fn jobs_that_are_shed_while_their_worker_is_on_its_way_have_an_outcome() {
    // A sink that takes its time: when the first worker looks for a job, all have waited too long.
    let slow = |event: &Event| {
        if matches!(event.kind, EventKind::JobAdmitted { .. }) {
            let _ = poll_once(pin!(advance(ms(20))));
        }
    };
    let executor = once(1)
        .shed(Shedding::new().max_wait(ms(10)))
        .events(Arc::new(slow))
        .build()
        .unwrap();
    let report = executor
        .run(0..3_u64, |_: u64, _: Attempt| async { Ok::<_, Fault>(()) })
        .await;
    assert_eq!(report.summary.admitted, 3);
    assert_eq!(report.finished.len(), 3);
    assert_eq!(report.summary.count(OutcomeKind::Shed), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_after_the_end_of_a_run() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&log);
    // The retry is ready within the same millisecond as the rest of the breaker is over, and before it: the job that is
    // rejected is the last, and what else is due then is not told.
    let breaker = CircuitBreaker::new()
        .sample(attempts(1))
        .rest(Duration::from_micros(100_700))
        .while_open(WhileOpen::Fail);
    let executor = once(2)
        .retry(fixed(2, Duration::from_micros(100_300)))
        .circuit_breaker(breaker)
        .events(Arc::new(move |event: &Event| {
            sink.lock().unwrap().push(event.clone());
        }))
        .build()
        .unwrap();
    let fails = |_: u64, _: Attempt| async { Err::<(), _>(TRANSIENT) };
    let report = executor.run([1_u64], fails).await;
    assert_eq!((report.summary.attempts, report.summary.wall), (1, ms(101)));
    let last = log.lock().unwrap().last().map(|event| event.kind.clone());
    assert_eq!(last, Some(EventKind::RunFinished));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_ready_when_the_breaker_has_rested_is_not_rejected() {
    let breaker = CircuitBreaker::new()
        .sample(attempts(1))
        .rest(ms(100))
        .while_open(WhileOpen::Fail);
    let executor = once(2)
        .retry(fixed(2, ms(100)))
        .circuit_breaker(breaker)
        .fallback(Fallback::new())
        .build()
        .unwrap();
    let once_down = |_: u64, cx: Attempt| async move {
        if cx.number().get() == 1 {
            return Err(Fault(ErrorClass::Transient));
        }
        sleep(ms(1)).await;
        Ok(cx.step())
    };
    let report = executor.run([1_u64], once_down).await;
    assert_eq!(report.finished[0].outcome.as_success(), Some(&0));
}
