//! A job that has ended, on its way to its consumer. It is moved by pointer, so that little happens under the lock, and its
//! place in memory goes back to the workers: what one thread allocates and another frees makes both wait for the allocator.

use throng_core::{JobId, Outcome};

use crate::{Finished, Key};

/// A job that has ended; or a place for one.
#[derive(Debug)]
pub(crate) struct Record<J, T, E>(Box<Option<Finished<J, T, E>>>);

impl<J, T, E> Record<J, T, E> {
    /// Writes a job into a place that another has left, or into a new one.
    pub(crate) fn new(finished: Finished<J, T, E>, spare: Option<Self>) -> Self {
        match spare {
            Some(Self(mut place)) => {
                *place = Some(finished);
                Self(place)
            }
            None => Self(Box::new(Some(finished))),
        }
    }

    pub(crate) fn get(&self) -> Option<&Finished<J, T, E>> {
        self.0.as_ref().as_ref()
    }

    pub(crate) fn get_mut(&mut self) -> Option<&mut Finished<J, T, E>> {
        self.0.as_mut().as_mut()
    }

    pub(crate) fn take(&mut self) -> Option<Finished<J, T, E>> {
        self.0.take()
    }
}

/// A job that has not ended.
pub(crate) struct Job<J, E> {
    pub(crate) input: J,
    pub(crate) key: Option<Key>,
    pub(crate) errors: Vec<E>,
}

impl<J, E> Job<J, E> {
    pub(crate) fn new(input: J, key: Option<Key>) -> Self {
        Self {
            input,
            key,
            errors: Vec::new(),
        }
    }

    pub(crate) fn end<T>(self, outcome: Outcome<T, E>, spare: Option<Record<J, T, E>>) -> Record<J, T, E> {
        let mut finished = Finished::new(JobId::new(0), self.input, self.key, outcome);
        finished.errors = self.errors;
        Record::new(finished, spare)
    }
}

/// What is left of a job when an attempt has ended.
pub(crate) enum Left<J, T, E> {
    /// It has ended, with a value or a panic.
    Ended(Record<J, T, E>),
    /// It may get another attempt.
    Open(Job<J, E>),
}
