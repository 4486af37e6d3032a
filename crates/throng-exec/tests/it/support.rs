//! What the tests share: executors, errors of each class, and a gauge that counts what runs at the same time.

use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use throng_core::{Classify, ErrorClass};
use throng_exec::{Executor, ExecutorBuilder, Jitter, RetryPolicy};

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn n(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("tests do not pass zero")
}

pub(crate) fn attempts(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("tests do not pass zero")
}

/// An executor with a fixed seed that tries each job once.
pub(crate) fn once(limit: usize) -> ExecutorBuilder {
    Executor::builder()
        .max_concurrent(n(limit))
        .retry(RetryPolicy::none())
        .seed(7)
}

/// A policy that waits exactly `wait` between attempts.
pub(crate) fn fixed(max_attempts: u32, wait: Duration) -> RetryPolicy {
    RetryPolicy::exponential(attempts(max_attempts))
        .base(wait)
        .factor(1.0)
        .jitter(Jitter::None)
}

/// An error of a given class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) ErrorClass);

impl Classify for Fault {
    fn classify(&self) -> ErrorClass {
        self.0
    }
}

pub(crate) const PERMANENT: Fault = Fault(ErrorClass::Permanent);
pub(crate) const TRANSIENT: Fault = Fault(ErrorClass::Transient);

pub(crate) fn throttled(retry_after: Option<Duration>) -> Fault {
    Fault(ErrorClass::Throttled { retry_after })
}

/// Counts what is inside, and the most that ever was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    pub(crate) fn enter(&self) -> Inside {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Inside(self.clone())
    }

    pub(crate) fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub(crate) fn peak(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

pub(crate) struct Inside(Gauge);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Polls a future once, with a waker that does nothing.
pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
