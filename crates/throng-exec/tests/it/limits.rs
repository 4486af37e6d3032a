//! Limits are never exceeded: concurrency, start rate, token rates; keys take turns.

use std::sync::{Arc, Mutex};

use throng_core::{OutcomeKind, Usage};
use throng_exec::{Attempt, Cost, Executor, JobSpec, Rates};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, Gauge, attempts, ms, n, once};

#[tokio::test(start_paused = true)]
async fn at_most_max_concurrent_attempts_run() {
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let executor = once(7).build().unwrap();
    let runner = move |n: u64, _: Attempt| {
        let inside = inside.enter();
        async move {
            sleep(ms(n * 13 % 29)).await;
            drop(inside);
            Ok::<_, Fault>(())
        }
    };
    let _ = executor.run(0..500, runner).await;
    assert_eq!((gauge.peak(), gauge.now()), (7, 0));
}

#[tokio::test(start_paused = true)]
async fn concurrency_can_be_raised_and_lowered_while_jobs_wait() {
    let gauge = Gauge::default();
    let inside = gauge.clone();
    let executor = once(2).build().unwrap();
    let runner = move |_: u64, _: Attempt| {
        let inside = inside.enter();
        async move {
            sleep(ms(10)).await;
            drop(inside);
            Ok::<_, Fault>(())
        }
    };
    let mut run = executor.start(0..1_000, runner);
    let handle = run.handle();
    let collect = tokio::spawn(async move { while run.next().await.is_some() {} });
    for limit in [2, 9, 1, 4] {
        handle.set_max_concurrent(n(limit));
        sleep(ms(15)).await;
        assert_eq!(gauge.now(), limit);
        assert_eq!(handle.progress().running, limit as u64);
    }
    handle.abort();
    collect.await.unwrap();
}

async fn start_times(executor: &Executor, jobs: Vec<JobSpec<u64>>, used: Option<Usage>) -> Vec<u128> {
    let began = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&times);
    let runner = move |_: u64, cx: Attempt| {
        log.lock().unwrap().push(began.elapsed().as_millis());
        async move {
            if let Some(used) = used {
                cx.report_usage(&used);
            }
            Ok::<_, Fault>(())
        }
    };
    let report = executor.run(jobs, runner).await;
    assert_eq!(
        report.summary.count(OutcomeKind::Succeeded),
        report.summary.admitted
    );
    std::mem::take(&mut *times.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn starts_keep_to_the_request_rate() {
    let rates = Rates::new().requests_per_minute(attempts(120));
    let executor = once(50).rates(rates).build().unwrap();
    let times = start_times(&executor, (0..10).map(JobSpec::new).collect(), None).await;
    assert_eq!(
        times,
        [0, 0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000]
    );
}

#[tokio::test(start_paused = true)]
async fn time_behind_a_rate_counts_as_throttled() {
    let rates = Rates::new().requests_per_minute(attempts(60));
    let executor = once(50).rates(rates).build().unwrap();
    let runner = |_: u64, _: Attempt| async move { Ok::<_, Fault>(()) };
    let report = executor.run(0..4, runner).await;
    for job in report.finished {
        assert_eq!(job.timing.throttled, ms(1_000 * job.id.index()));
        assert_eq!(job.timing.queued, ms(0));
    }
}

#[tokio::test(start_paused = true)]
async fn token_rates_are_settled_with_what_was_used() {
    let cost = Cost {
        input_tokens: 0,
        output_tokens: 100,
    };
    let jobs = || (0..4).map(|n| JobSpec::new(n).cost(cost)).collect();
    let rates = Rates::new().output_tokens_per_minute(attempts(600));
    let executor = once(1).rates(rates).build().unwrap();
    assert_eq!(
        start_times(&executor, jobs(), None).await,
        [0, 10_000, 20_000, 30_000],
        "as estimated"
    );
    let less = Some(Usage::of(0, 20));
    assert_eq!(
        start_times(&executor, jobs(), less).await,
        [0, 2_000, 4_000, 6_000],
        "refunded"
    );
    let more = Some(Usage::of(0, 200));
    assert_eq!(
        start_times(&executor, jobs(), more).await,
        [0, 20_000, 40_000, 60_000],
        "charged"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_take_turns_within_the_window() {
    let executor = once(1).window(n(100)).build().unwrap();
    let runner = |_: u64, _: Attempt| async move {
        sleep(ms(1)).await;
        Ok::<_, Fault>(())
    };
    let many = (0..90).map(|n| JobSpec::new(n).key("many"));
    let few = (90..100).map(|n| JobSpec::new(n).key("few"));
    let mut run = executor.start(many.chain(few), runner);
    let mut first = Vec::new();
    while let Some(job) = run.next().await {
        first.push(job.key.unwrap().as_str().to_owned());
    }
    let few_in_first_twenty = first.iter().take(20).filter(|key| *key == "few").count();
    assert_eq!(few_in_first_twenty, 10);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_cools_down_does_not_stop_the_input_of_others() {
    let executor = once(10)
        .window(n(64))
        .retry(throng_exec::RetryPolicy::exponential(attempts(2)))
        .build()
        .unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        if job < 50 && cx.number().get() == 1 {
            return Err(crate::support::throttled(Some(ms(60_000))));
        }
        sleep(ms(10)).await;
        Ok(())
    };
    let jobs = (0..1_000).map(|job| JobSpec::new(job).key(if job < 50 { "a" } else { "b" }));
    let run = executor.start(jobs, runner);
    let handle = run.handle();
    let all = tokio::spawn(run.finish());
    sleep(ms(30_000)).await;
    assert!(handle.progress().ended() >= 900, "{:?}", handle.progress());
    assert_eq!(all.await.unwrap().unwrap().count(OutcomeKind::Succeeded), 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_refund_starts_every_job_that_it_makes_room_for() {
    let rates = Rates::new().output_tokens_per_minute(attempts(600));
    let executor = once(10).rates(rates).build().unwrap();
    let cost = |output_tokens| Cost {
        input_tokens: 0,
        output_tokens,
    };
    let jobs = [200, 2, 2, 2, 2].map(|tokens| JobSpec::new(u64::from(tokens)).cost(cost(tokens)));
    let began = Instant::now();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&starts);
    let runner = move |_: u64, cx: Attempt| {
        log.lock().unwrap().push(began.elapsed().as_millis());
        async move {
            sleep(ms(1_000)).await;
            cx.report_usage(&Usage::of(0, 1));
            Ok::<_, Fault>(())
        }
    };
    let _ = executor.run(jobs, runner).await;
    assert_eq!(*starts.lock().unwrap(), [0, 1_000, 1_000, 1_000, 1_000]);
}

#[tokio::test(start_paused = true)]
async fn a_rate_and_a_cool_down_at_the_same_time_count_once() {
    let rates = Rates::new().requests_per_minute(attempts(6));
    let executor = once(1)
        .rates(rates)
        .retry(throng_exec::RetryPolicy::exponential(attempts(2)))
        .build()
        .unwrap();
    let runner = |job: u64, cx: Attempt| async move {
        sleep(ms(1_000)).await;
        let refused = job == 0 && cx.number().get() == 1;
        if refused {
            Err(crate::support::throttled(Some(ms(12_000))))
        } else {
            Ok(())
        }
    };
    let report = executor.run([0, 1], runner).await;
    for job in report.finished {
        let timing = job.timing;
        assert!(timing.queued <= ms(1_000), "{timing:?}");
        assert_eq!(timing.running, ms(1_000) * job.attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn long_jobs_fill_a_window_that_is_no_larger_than_the_limit() {
    let executor = once(1_000).window(n(1_000)).build().unwrap();
    let forever = |_: u64, _: Attempt| async move {
        std::future::pending::<()>().await;
        Ok::<_, Fault>(())
    };
    let run = executor.start(0..2_000, forever);
    sleep(ms(10)).await;
    assert_eq!(run.handle().progress().running, 1_000);
    run.shutdown().await;
}
