//! A job that has ended, on its way to its consumer. It is moved by pointer, so that little happens under the lock, and its
//! place in memory goes back to the workers: what one thread allocates and another frees makes both wait for the allocator.

use throng_core::{JobId, Outcome};

use crate::{Finished, Key};

/// A job that has ended; or a place for one.
#[derive(Debug)]
pub(crate) struct Record<J, T, E>(Box<Option<Finished<J, T, E>>>);

impl<J, T, E> Record<J, T, E> {
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
    /// Of an attempt before; most jobs have none, and then it is a pointer to nothing.
    #[expect(
        clippy::box_collection,
        reason = "a vector takes 24 bytes of every job that waits or runs"
    )]
    pub(crate) errors: Option<Box<Vec<E>>>,
}

impl<J, E> Job<J, E> {
    pub(crate) fn new(input: J, key: Option<Key>) -> Self {
        Self {
            input,
            key,
            errors: None,
        }
    }

    /// Writes the ended job into a place that another has left, or into a new one. It is put together where it stays.
    pub(crate) fn end<T>(self, outcome: Outcome<T, E>, spare: Option<Record<J, T, E>>) -> Record<J, T, E> {
        let mut place = spare.map_or_else(|| Box::new(None), |spare| spare.0);
        *place = Some(Finished {
            errors: self.errors.map_or_else(Vec::new, |errors| *errors),
            ..Finished::new(JobId::new(0), self.input, self.key, outcome)
        });
        Record(place)
    }
}

/// What is left of a job when an attempt has ended.
pub(crate) enum Left<J, T, E> {
    /// It has ended, with a value or a panic.
    Ended(Record<J, T, E>),
    /// It may get another attempt.
    Open(Job<J, E>),
}
