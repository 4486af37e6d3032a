//! The policies of an executor as a layer of tower, and a service of tower as what runs jobs.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use throng_core::{Classify, Outcome, TimeoutKind};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Attempt, Executor, JobSpec, Runner, Submitter};

/// A [`Runner`] that calls a service of tower: each attempt clones the service, waits until the clone is ready, and calls
/// it with a clone of the request. The service must be `Sync`; one that is not can be put behind a buffer.
#[derive(Clone, Debug)]
pub struct ServiceRunner<S>(S);

impl<S> ServiceRunner<S> {
    /// Makes a runner.
    pub const fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, Request> Runner<Request> for ServiceRunner<S>
where
    S: Service<Request> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Send + 'static,
    Request: Clone + Send + Sync + 'static,
{
    type Output = S::Response;
    type Error = S::Error;

    async fn run(&self, request: &Request, _: Attempt) -> Result<S::Response, S::Error> {
        let mut service = self.0.clone();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request.clone()).await
    }
}

/// A layer of tower that runs each request as a job of one run, with all policies of the executor.
///
/// Each service that it makes has a run of its own, which ends when all clones of the service are gone. Requests are
/// cloned for each attempt. `poll_ready` is always ready: what is too much waits, or is shed by
/// [`ExecutorBuilder::shed`](crate::ExecutorBuilder::shed).
#[derive(Clone, Debug)]
pub struct ExecutorLayer<Request> {
    executor: Executor,
    spec: fn(Request) -> JobSpec<Request>,
}

impl<Request> ExecutorLayer<Request> {
    /// Makes a layer in which every request is a job with the defaults.
    pub const fn new(executor: Executor) -> Self {
        Self {
            executor,
            spec: JobSpec::new,
        }
    }

    /// Sets how a request becomes a job: its key, priority, weight, cost and timeout.
    pub const fn jobs(mut self, spec: fn(Request) -> JobSpec<Request>) -> Self {
        self.spec = spec;
        self
    }
}

impl<S, Request> Layer<S> for ExecutorLayer<Request>
where
    S: Service<Request> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Response: Send + 'static,
    S::Error: Classify + Send + 'static,
    Request: Clone + Send + Sync + 'static,
{
    type Service = ExecutorService<Request, S::Response, S::Error>;

    /// Wraps a service and starts its run.
    ///
    /// # Panics
    ///
    /// Panics outside of a Tokio runtime that has its time driver enabled.
    fn layer(&self, service: S) -> Self::Service {
        ExecutorService {
            submitter: self.executor.serve(ServiceRunner::new(service)),
            spec: self.spec,
        }
    }
}

/// A service whose requests are jobs of one run, made by [`ExecutorLayer`].
pub struct ExecutorService<Request, T, E> {
    submitter: Submitter<Request, T, E>,
    spec: fn(Request) -> JobSpec<Request>,
}

impl<Request, T, E> ExecutorService<Request, T, E> {
    /// Returns the submitter of the run, for instance to steer it.
    pub const fn submitter(&self) -> &Submitter<Request, T, E> {
        &self.submitter
    }
}

impl<Request, T, E> Clone for ExecutorService<Request, T, E> {
    fn clone(&self) -> Self {
        Self {
            submitter: self.submitter.clone(),
            spec: self.spec,
        }
    }
}

impl<Request, T, E> fmt::Debug for ExecutorService<Request, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecutorService")
            .field("submitter", &self.submitter)
            .finish_non_exhaustive()
    }
}

impl<Request, T, E> Service<Request> for ExecutorService<Request, T, E>
where
    Request: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    type Response = T;
    type Error = ServiceError<E>;
    type Future = Pin<Box<dyn Future<Output = Result<T, ServiceError<E>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let submitter = self.submitter.clone();
        let job = (self.spec)(request);
        Box::pin(async move {
            let finished = submitter.submit(job).await.map_err(|_| ServiceError::Over)?;
            match finished.outcome {
                Outcome::Succeeded(response) => Ok(response),
                Outcome::Failed(error) => Err(ServiceError::Failed(error)),
                Outcome::TimedOut(kind) => Err(ServiceError::TimedOut(kind)),
                Outcome::Panicked(message) => Err(ServiceError::Panicked(message)),
                Outcome::Shed => Err(ServiceError::Shed),
                _ => Err(ServiceError::Over),
            }
        })
    }
}

/// Why a request to an [`ExecutorService`] has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceError<E> {
    /// The last attempt failed, and no further attempt was allowed.
    Failed(E),
    /// A time limit ended the last attempt.
    TimedOut(TimeoutKind),
    /// The service panicked.
    Panicked(String),
    /// The request was refused because there was too much to do.
    Shed,
    /// The run is over, or was stopped before the request could end.
    Over,
}

impl<E> fmt::Display for ServiceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(_) => f.write_str("the request failed"),
            Self::TimedOut(kind) => write!(f, "the {kind} ended the request"),
            Self::Panicked(message) => write!(f, "the service panicked: {message}"),
            Self::Shed => f.write_str("the request was refused because there is too much to do"),
            Self::Over => f.write_str("the run of the service is over"),
        }
    }
}

impl<E: Error + 'static> Error for ServiceError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}
