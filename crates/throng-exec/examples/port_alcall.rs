//! lionagi's alcall ported line by line: above each line of Rust stands the Python that it replaces.
//!
//! `cargo run -p throng-exec --example port_alcall`
#![expect(clippy::print_stdout, reason = "an example shows its results")]

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use throng_core::OutcomeKind;
use throng_exec::list::unique;
use throng_exec::{Attempt, Executor, RetryPolicy};
use tokio::time::sleep;

// async def run_single_test(file, framework):
async fn run_single_test(file: String, framework: &str, number: u32) -> Result<String, std::io::Error> {
    //     await asyncio.sleep(0.1)
    sleep(Duration::from_millis(100)).await;
    //     if file == "test_gone.py":
    if file == "test_gone.py" {
        //         raise FileNotFoundError(file)   # alcall repeats it 3 times; by its class it is permanent, and is not
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, file));
    }
    //     if file == "test_auth.py" and first_try:
    if file == "test_auth.py" && number == 1 {
        //         raise ConnectionResetError(file)
        return Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, file));
    }
    //     return f"{file}: passed with {framework}"
    Ok(format!("{file}: passed with {framework}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // params = AlcallParams(
    let executor = Executor::builder()
        //     max_concurrent=10,
        .max_concurrent(NonZeroUsize::new(10).ok_or("zero")?)
        //     retry_attempts=3,          # tries after the first, 4 in all
        .retry(
            RetryPolicy::exponential(NonZeroU32::new(4).ok_or("zero")?)
                //     retry_initial_delay=0.2,   # without this alcall does not wait at all
                .base(Duration::from_millis(200))
                //     retry_backoff=2.0,
                .factor(2.0),
        )
        //     retry_timeout=60.0,
        .attempt_timeout(Duration::from_secs(60))
        //     throttle_period=0.05,
        .throttle(Duration::from_millis(50))
        //     delay_before_start=0.1,
        .start_delay(Duration::from_millis(100))
        //     return_exceptions=True,    # always: one outcome for each job
        // )
        .build()?;

    // test_files = ["test_api.py", "test_db.py", "test_auth.py", "test_api.py", "test_gone.py"]
    let test_files = [
        "test_api.py",
        "test_db.py",
        "test_auth.py",
        "test_api.py",
        "test_gone.py",
    ];
    // framework = "pytest"
    let framework = "pytest";

    // results = await params(test_files, run_single_test, input_flatten=True, input_unique=True, framework=framework)
    let report = executor
        .run(
            unique(test_files).map(String::from),
            move |file: String, cx: Attempt| run_single_test(file, framework, cx.number().get()),
        )
        .await;

    // passed = sum(not isinstance(result, BaseException) for result in results)
    let passed = report.summary.count(OutcomeKind::Succeeded);
    // total = len(results)
    let total = report.summary.ended();

    // for file, result in zip(test_files, results):
    for job in report.finished {
        let (file, attempts) = (job.input, job.attempts);
        //     print(file, result)
        println!("{file:<13} attempts {attempts}  {:?}", job.outcome);
    }

    // print({"total": total, "passed": passed, "retries": ..., "execution_time": ...})   # alcall counts neither
    let summary = report.summary;
    println!(
        "total {total}, passed {passed}, retries {}, attempts {}",
        summary.retries, summary.attempts
    );
    println!(
        "wall {:.0?}: mean running time {:.0?} of a job, {:.0?} in backoff, {:.0?} throttled",
        summary.wall, summary.running_time.mean, summary.backoff, summary.throttled
    );
    Ok(())
}
