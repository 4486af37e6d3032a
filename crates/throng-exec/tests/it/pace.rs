//! A provider with a limit that nobody was told: the run finds it, keeps it busy, and is seldom refused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use throng_core::OutcomeKind;
use throng_exec::{Attempt, JobSpec, RetryPolicy, RunSummary};
use tokio::time::{Instant, sleep};

use crate::support::{Fault, attempts, ms, once, throttled};

/// A bucket that refills continuously and holds one second's worth.
struct Provider {
    per_second: f64,
    level: f64,
    filled_at: Instant,
    rng: fastrand::Rng,
    /// Share of the requests that are refused for no reason.
    stray: f64,
}

impl Provider {
    fn new(per_second: f64, stray: f64) -> Arc<Mutex<Self>> {
        let rng = fastrand::Rng::with_seed(5);
        Arc::new(Mutex::new(Self {
            per_second,
            level: per_second,
            filled_at: Instant::now(),
            rng,
            stray,
        }))
    }

    fn admit(&mut self) -> Result<Duration, Duration> {
        let now = Instant::now();
        let came_in = (now - self.filled_at).as_secs_f64() * self.per_second;
        self.level = (self.level + came_in).min(self.per_second);
        self.filled_at = now;
        if self.rng.f64() < self.stray {
            return Err(ms(1));
        }
        if self.level < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.level) / self.per_second));
        }
        self.level -= 1.0;
        Ok(ms(150 + self.rng.u64(0..100)))
    }
}

async fn campaign(provider: &Arc<Mutex<Provider>>, limit: usize, jobs: u64) -> RunSummary {
    let provider = Arc::clone(provider);
    let runner = move |_: u64, _: Attempt| {
        let admitted = provider.lock().unwrap().admit();
        async move {
            match admitted {
                Ok(latency) => {
                    sleep(latency).await;
                    Ok(())
                }
                Err(wait) => {
                    sleep(ms(5)).await;
                    Err::<(), Fault>(throttled(Some(wait)))
                }
            }
        }
    };
    let executor = once(limit)
        .retry(RetryPolicy::exponential(attempts(3)))
        .build()
        .unwrap();
    executor
        .start((0..jobs).map(|n| JobSpec::new(n).key("model")), runner)
        .finish()
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_unknown_limit_is_found_and_kept_busy() {
    for limit in [32, 64, 256] {
        let provider = Provider::new(100.0, 0.0);
        let summary = campaign(&provider, limit, 4_000).await;
        assert_eq!(summary.count(OutcomeKind::Succeeded), 4_000);
        let (wall, refused) = (summary.wall.as_secs_f64(), summary.throttles as f64 / 4_000.0);
        assert!(
            wall < 1.08 * 39.0,
            "limit {limit}: {wall:.1} s where the provider allows 39"
        );
        assert!(refused < 0.4, "limit {limit}: {refused:.3} refusals a job");
    }
}

#[tokio::test(start_paused = true)]
async fn stray_refusals_do_not_slow_a_run_down() {
    let provider = Provider::new(1_000.0, 0.03);
    let summary = campaign(&provider, 20, 4_000).await;
    assert_eq!(summary.count(OutcomeKind::Succeeded), 4_000);
    // 20 at a time and 200 ms each: 100 a second, without a limit in the way.
    let wall = summary.wall.as_secs_f64();
    assert!(wall < 1.1 * 40.0, "{wall:.1} s where 40 are needed");
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_is_used_before_long() {
    let provider = Provider::new(50.0, 0.0);
    let raised = Arc::clone(&provider);
    tokio::spawn(async move {
        sleep(ms(20_000)).await;
        raised.lock().unwrap().per_second = 100.0;
    });
    let summary = campaign(&provider, 64, 4_000).await;
    // 1,000 in the first 20 s, the rest at 100 a second: 50 s at the best.
    let wall = summary.wall.as_secs_f64();
    assert!(wall < 1.2 * 50.0, "{wall:.1} s where 50 are possible");
}
