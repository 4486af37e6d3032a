//! Whole runs under schedules that shuttle draws: driver, workers, consumer, a steering hand and the clock take turns at
//! every lock and every await. Each admitted job has one outcome, the log is in order and complete, nothing is left
//! running, and nobody waits for a wake-up that does not come.
//!
//! `RUSTFLAGS="--cfg throng_shuttle" cargo test --release -p throng-exec --lib schedules`
//!
//! `THRONG_CASES` sets how many schedules each test draws at random; a quarter as many are drawn by priorities that
//! change at few points (PCT; Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with Probabilistic
//! Guarantees of Finding Bugs", ASPLOS 2010).

mod stage;

use std::sync::Arc;

use futures_util::stream;
use shuttle::future::{block_on, yield_now};
use shuttle::thread;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::tasks::{by_shuttle, sleep_until};
use crate::{
    Attempt, ExecutorBuilder, Fallback, Hedge, JobSpec, OutputOrder, RetryPolicy, RunHandle, Shedding,
};
use stage::{
    Fault, Log, build, builder, check_end, check_log, consume, explore, job, ms, n, spawn_clock, spawn_hand,
};

#[test]
fn failures_and_retries_lose_no_job_and_no_wakeup() {
    explore(|| {
        let log = Log::default();
        let run = build(builder(&log)).start(0..5, job);
        let done = consume(run, &log, |_| {});
        assert_eq!(done.len(), 5);
        assert!(done.iter().all(|job| job.outcome.is_success()));
    });
}

#[test]
fn an_outcome_reaches_a_waiting_consumer_while_the_others_wait_for_it() {
    explore(|| {
        let log = Log::default();
        let taken = Arc::new(Notify::new());
        let waits = Arc::clone(&taken);
        // No other job ends before the consumer has taken the one before.
        let one_by_one = move |job: u64, cx: Attempt| {
            let waits = Arc::clone(&waits);
            async move {
                if job > 0 {
                    waits.notified().await;
                }
                Ok::<_, Fault>(cx.number().get())
            }
        };
        let mut run = build(builder(&log)).start(0..4, one_by_one);
        let handle = run.handle();
        let clock = spawn_clock();
        let hand = spawn_hand(&handle, |_| {});
        let mut done = 0;
        while block_on(run.next()).is_some() {
            done += 1;
            taken.notify_one();
        }
        assert_eq!(done, 4);
        check_log(&log, true);
        check_end(&handle, clock, hand);
    });
}

#[test]
fn outcomes_in_the_order_of_submission_do_not_block_the_window() {
    explore(|| {
        let log = Log::default();
        let ordered = builder(&log).window(n(2)).order(OutputOrder::Submission);
        let done = consume(build(ordered).start(0..4, job), &log, |_| {});
        assert!(done.iter().map(|job| job.id.index()).eq(0..4));
    });
}

#[test]
fn a_stream_that_is_slow_is_read_to_its_end() {
    explore(|| {
        let log = Log::default();
        let jobs = stream::unfold(0_u64, |next| async move {
            yield_now().await;
            (next < 4).then_some((next, next + 1))
        });
        let barrier = builder(&log).barrier(n(2));
        assert_eq!(
            consume(build(barrier).start_stream(jobs, job), &log, |_| {}).len(),
            4
        );
    });
}

#[test]
fn pauses_and_limits_take_effect_whenever_they_come() {
    explore(|| {
        let log = Log::default();
        let run = build(builder(&log)).start(0..4, job);
        let done = consume(run, &log, |run| {
            run.pause();
            run.set_max_concurrent(n(1));
            run.resume();
            run.set_max_concurrent(n(3));
        });
        assert_eq!(done.len(), 4);
    });
}

#[test]
fn a_run_can_be_drained_at_any_time() {
    explore(|| {
        let log = Log::default();
        let run = build(builder(&log)).start(0..6, job);
        consume(run, &log, RunHandle::drain);
    });
}

#[test]
fn a_run_can_be_cancelled_at_any_time() {
    explore(|| {
        let log = Log::default();
        let run = build(builder(&log)).start(0..6, job);
        consume(run, &log, |run| {
            run.cancel(ms(1));
            thread::yield_now();
            run.abort();
        });
    });
}

#[test]
fn jobs_are_shed_fall_back_and_time_out_once() {
    explore(|| {
        let log = Log::default();
        let stuck = |job: u64, cx: Attempt| async move {
            if job % 2 == 1 && cx.step() == 0 {
                std::future::pending::<()>().await;
            }
            yield_now().await;
            if cx.step() == 0 {
                Err(Fault)
            } else {
                Ok(cx.number().get())
            }
        };
        let busy = builder(&log)
            .max_concurrent(n(1))
            .retry(RetryPolicy::none())
            .attempt_timeout(ms(1))
            .fallback(Fallback::new().key("other"))
            .shed(Shedding::new().max_wait(ms(1)));
        assert_eq!(consume(build(busy).start(0..4, stuck), &log, |_| {}).len(), 4);
    });
}

/// The first attempt of a later job waits for its hedge, and one in three fails before.
async fn hedged(job: u64, cx: Attempt) -> Result<u32, Fault> {
    if job > 0 && !cx.is_hedge() {
        sleep_until(Instant::now() + ms(2)).await;
        if job % 3 == 1 {
            return Err(Fault);
        }
    }
    sleep_until(Instant::now() + ms(1)).await;
    Ok(cx.number().get())
}

fn hedging(log: &Log) -> ExecutorBuilder {
    let hedge = Hedge::new().sample(1).quantile(0.1).max_share(1.0);
    builder(log).retry(RetryPolicy::none()).hedge(hedge)
}

#[test]
fn hedges_give_their_permits_back() {
    explore(|| {
        let log = Log::default();
        let run = build(hedging(&log).attempt_timeout(ms(4))).start(0..4, hedged);
        assert_eq!(consume(run, &log, |_| {}).len(), 4);
    });
}

#[test]
fn hedges_give_their_permits_back_when_the_run_is_aborted() {
    explore(|| {
        let log = Log::default();
        let run = build(hedging(&log)).start(0..4, hedged);
        consume(run, &log, |run| {
            run.set_max_concurrent(n(3));
            run.abort();
        });
    });
}

#[test]
fn a_consumer_that_goes_away_leaves_nothing_behind() {
    explore(|| {
        let log = Log::default();
        let mut run = build(builder(&log)).start((0..6).map(|job| JobSpec::new(job).key("one")), job);
        let handle = run.handle();
        let clock = spawn_clock();
        let hand = spawn_hand(&handle, |run| run.set_max_concurrent(n(1)));
        let first = block_on(run.next());
        assert!(first.is_some());
        drop(run);
        check_end(&handle, clock, hand);
        check_log(&log, false);
    });
}

#[test]
fn a_shutdown_waits_for_every_task() {
    explore(|| {
        let log = Log::default();
        let run = build(builder(&log)).start(0..4, job);
        let handle = run.handle();
        let clock = spawn_clock();
        let hand = spawn_hand(&handle, RunHandle::pause);
        let summary = block_on(run.shutdown());
        assert_eq!(by_shuttle::alive(), 0, "a task is left");
        assert_eq!(summary.ended(), summary.admitted);
        check_end(&handle, clock, hand);
        check_log(&log, true);
    });
}
