//! Attempts on threads. Gates are std's channels, so that a call returns when a test says so, and the clock moves only
//! when a test moves it.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use throng_core::{Outcome, OutcomeKind};
use throng_exec::{Attempt, Blocking, Hedge};
use tokio::sync::mpsc as tokio_mpsc;
use tokio::time::advance;

use crate::support::{Fault, Gauge, PERMANENT, TRANSIENT, attempts, fixed, ms, n, once};

type Gate = Arc<Mutex<Receiver<()>>>;

/// A gate that lets one call through for each message, and all of them once the sender is gone.
fn gate() -> (Sender<()>, Gate) {
    let (open, gate) = mpsc::channel();
    (open, Arc::new(Mutex::new(gate)))
}

fn pass(gate: &Gate) {
    let _ = gate.lock().unwrap().recv();
}

#[tokio::test]
async fn values_and_errors_pass_and_no_call_is_left() {
    let caller = std::thread::current().id();
    let work = Blocking::new(n(3), move |job: u32, cx: Attempt| {
        assert_ne!(std::thread::current().id(), caller);
        match (job, cx.number().get()) {
            (0, _) => Err(PERMANENT),
            (_, 1) => Err(TRANSIENT),
            _ => Ok(10 * job),
        }
    });
    let executor = once(8).retry(fixed(2, ms(1))).build().unwrap();
    let report = executor.run(0..20, work.clone()).await;
    for (job, finished) in (0..).zip(&report.finished) {
        match job {
            0 => assert!(matches!(finished.outcome, Outcome::Failed(_)), "{finished:?}"),
            _ => assert_eq!(finished.outcome.as_success(), Some(&(10 * job))),
        }
    }
    assert_eq!(
        (report.summary.attempts, report.summary.detached),
        (1 + 2 * 19, 0)
    );
    assert_eq!((work.running(), work.detached()), (0, 0));
}

#[tokio::test]
async fn a_panic_is_an_outcome() {
    let work = Blocking::new(n(1), |job: u32, _: Attempt| {
        assert!(job != 1, "job {job} is one too many");
        Ok::<_, Fault>(job)
    });
    let report = once(2).build().unwrap().run(0..3, work.clone()).await;
    let kinds: Vec<_> = report.finished.iter().map(|job| job.outcome.kind()).collect();
    let (succeeded, panicked) = (OutcomeKind::Succeeded, OutcomeKind::Panicked);
    assert_eq!(kinds, [succeeded, panicked, succeeded]);
    let Outcome::Panicked(message) = &report.finished[1].outcome else {
        panic!("{:?}", report.finished[1]);
    };
    assert_eq!(message, "job 1 is one too many");
    assert_eq!((work.running(), work.detached()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_detaches_the_call_which_is_counted_until_it_returns() {
    let (open, gate) = gate();
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let dropped = Gauge::default();
    let returns = dropped.clone();
    let work = Blocking::new(n(2), move |_: u32, cx: Attempt| {
        let value = returns.enter();
        begins.send(cx).unwrap();
        pass(&gate);
        Ok::<_, Fault>(value)
    });
    let executor = once(1).attempt_timeout(ms(100)).build().unwrap();
    let mut run = executor.start([0, 1], work.clone());
    let handle = run.handle();
    for detached in 1..=2 {
        let cx = begun.recv().await.unwrap();
        assert!(!cx.is_abandoned());
        advance(ms(100)).await;
        assert_eq!(run.next().await.unwrap().outcome.kind(), OutcomeKind::TimedOut);
        assert!(cx.is_abandoned() && !cx.is_cancelled());
        assert_eq!(
            (work.detached(), handle.progress().detached),
            (detached, detached as u64)
        );
    }
    assert_eq!(work.running(), 2);
    // The tasks of the run are gone, and the calls are not.
    assert_eq!(run.shutdown().await.detached, 2);
    drop(open);
    work.wait_detached().await;
    assert_eq!((work.running(), work.detached(), dropped.now()), (0, 0, 0));
    assert_eq!((handle.progress().detached, handle.summary().detached), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn detached_calls_keep_their_places() {
    let (open, gate) = gate();
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let inside = Gauge::default();
    let calls = inside.clone();
    let work = Blocking::new(n(2), move |job: u32, _: Attempt| {
        let _inside = calls.enter();
        begins.send(job).unwrap();
        pass(&gate);
        Ok::<_, Fault>(job)
    });
    let executor = once(8).attempt_timeout(ms(100)).build().unwrap();
    let mut run = executor.start(0..6, work.clone());
    assert_eq!((begun.recv().await, begun.recv().await), (Some(0), Some(1)));
    advance(ms(100)).await;
    // The four that had no thread have timed out without a call.
    for _ in 0..6 {
        assert_eq!(run.next().await.unwrap().outcome.kind(), OutcomeKind::TimedOut);
    }
    assert_eq!((work.running(), work.detached(), inside.peak()), (2, 2, 2));
    open.send(()).unwrap();
    let mut next = executor.start([7], work.clone());
    assert_eq!(
        begun.recv().await,
        Some(7),
        "a call has returned, and its thread is free"
    );
    drop(open);
    assert_eq!(next.next().await.unwrap().outcome.as_success(), Some(&7));
    work.wait_detached().await;
    assert_eq!((work.running(), inside.now(), inside.peak()), (0, 0, 2));
    assert!(begun.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_a_timeout_is_a_call_of_its_own() {
    let (open, gate) = gate();
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let work = Blocking::new(n(2), move |_: u32, cx: Attempt| {
        begins.send(()).unwrap();
        if cx.number() == attempts(1) {
            pass(&gate);
        }
        Ok::<_, Fault>(cx.number().get())
    });
    let executor = once(1)
        .attempt_timeout(ms(100))
        .retry(fixed(2, ms(0)))
        .build()
        .unwrap();
    let mut run = executor.start([0], work.clone());
    begun.recv().await.unwrap();
    advance(ms(100)).await;
    begun.recv().await.unwrap();
    assert_eq!(run.next().await.unwrap().outcome.as_success(), Some(&2));
    assert_eq!((work.running(), work.detached()), (1, 1));
    drop(open);
    work.wait_detached().await;
}

#[tokio::test]
async fn dropping_a_run_detaches_its_calls() {
    let (open, gate) = gate();
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let (leaves, left) = mpsc::channel();
    let work = Blocking::new(n(4), move |_: u32, cx: Attempt| {
        begins.send(()).unwrap();
        pass(&gate);
        leaves.send((cx.is_abandoned(), cx.is_cancelled())).unwrap();
        Ok::<_, Fault>(())
    });
    let run = once(3).build().unwrap().start(0..5, work.clone());
    let handle = run.handle();
    for _ in 0..3 {
        begun.recv().await.unwrap();
    }
    drop(run);
    // The tasks of the run are dropped by the runtime, not by the drop of the run.
    while work.detached() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!((work.running(), handle.progress().detached), (3, 3));
    drop(open);
    work.wait_detached().await;
    assert_eq!((work.running(), handle.progress().detached), (0, 0));
    assert_eq!(left.iter().take(3).collect::<Vec<_>>(), [(true, true); 3]);
    assert!(begun.try_recv().is_err(), "nothing began after the drop");
}

#[tokio::test]
async fn a_call_that_looks_at_the_cancellation_ends_within_the_grace_period() {
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let work = Blocking::new(n(2), move |_: u32, cx: Attempt| {
        begins.send(()).unwrap();
        while !cx.is_cancelled() {
            std::thread::yield_now();
        }
        Ok::<_, Fault>("saw it")
    });
    let mut run = once(2).build().unwrap().start(0..2, work.clone());
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    run.handle().cancel(std::time::Duration::from_secs(600));
    for _ in 0..2 {
        assert_eq!(run.next().await.unwrap().outcome.as_success(), Some(&"saw it"));
    }
    assert_eq!(run.finish().await.unwrap().detached, 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_looks_whether_it_is_abandoned_ends_after_its_timeout() {
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let work = Blocking::new(n(1), move |_: u32, cx: Attempt| {
        begins.send(()).unwrap();
        while !cx.is_abandoned() {
            std::thread::yield_now();
        }
        Ok::<_, Fault>(())
    });
    let executor = once(1).attempt_timeout(ms(100)).build().unwrap();
    let mut run = executor.start(0..3, work.clone());
    for _ in 0..3 {
        begun.recv().await.unwrap();
        advance(ms(100)).await;
        assert_eq!(run.next().await.unwrap().outcome.kind(), OutcomeKind::TimedOut);
    }
    work.wait_detached().await;
    assert_eq!((work.running(), work.detached()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_detached_call_that_panics_ends_as_well() {
    let (open, gate) = gate();
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let work = Blocking::new(n(1), move |_: u32, _: Attempt| -> Result<(), Fault> {
        begins.send(()).unwrap();
        pass(&gate);
        panic!("nobody hears this");
    });
    let executor = once(1).attempt_timeout(ms(100)).build().unwrap();
    let mut run = executor.start([0], work.clone());
    begun.recv().await.unwrap();
    advance(ms(100)).await;
    assert_eq!(run.next().await.unwrap().outcome.kind(), OutcomeKind::TimedOut);
    assert_eq!(work.detached(), 1);
    drop(open);
    work.wait_detached().await;
    assert_eq!((work.running(), work.detached()), (0, 0));
    assert_eq!(run.finish().await.unwrap().count(OutcomeKind::TimedOut), 1);
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_hedge_is_detached() {
    let (open, gate) = gate();
    let (begins, mut begun) = tokio_mpsc::unbounded_channel();
    let work = Blocking::new(n(2), move |job: u32, cx: Attempt| {
        begins.send(()).unwrap();
        if job > 0 && !cx.is_hedge() {
            pass(&gate);
        }
        Ok::<_, Fault>(cx.is_hedge())
    });
    let hedge = Hedge::new().sample(1).max_share(1.0);
    let executor = once(1).window(n(2)).hedge(hedge).build().unwrap();
    let mut run = executor.start(0..2, work.clone());
    let handle = run.handle();
    assert_eq!(run.next().await.unwrap().outcome.as_success(), Some(&false));
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    handle.set_max_concurrent(n(2));
    // The hedge begins after what the first job took, or a least delay.
    while begun.try_recv().is_err() {
        advance(ms(10)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(run.next().await.unwrap().outcome.as_success(), Some(&true));
    assert_eq!(work.detached(), 1);
    drop(open);
    work.wait_detached().await;
    assert_eq!(run.finish().await.unwrap().hedges_won, 1);
}
