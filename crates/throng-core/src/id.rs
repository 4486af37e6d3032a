//! Names of runs, jobs and attempts. Ids are values: making one reads neither the clock nor a random source.

use std::fmt;
use std::num::NonZeroU32;

/// Names one run: a UUID of version 7, so that ids sort by the time at which their runs began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u128);

impl RunId {
    /// Makes an id from the milliseconds since the Unix epoch and ten random bytes.
    ///
    /// Equal arguments give equal ids; only the low 48 bits of `unix_ms` and 74 of the random bits are kept
    /// (RFC 9562, section 5.7).
    pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(
            uuid::Builder::from_unix_timestamp_millis(unix_ms, &random)
                .into_uuid()
                .as_u128(),
        )
    }

    /// Returns the 128 bits of the UUID.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

/// Names one job of a run: its place in the order of submission, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct JobId(u64);

impl JobId {
    /// Makes the id of the job that was submitted as number `index`, from 0.
    pub const fn new(index: u64) -> Self {
        Self(index)
    }

    /// Returns the job's place in the order of submission, from 0.
    pub const fn index(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one attempt of one job; prints as `run:job#attempt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The run that the job belongs to.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// Which try of the job this is, from 1.
    pub attempt: NonZeroU32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}#{}", self.run, self.job, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_prints_as_run_job_attempt() {
        let run = RunId::from_parts(1_700_000_000_000, [7; 10]);
        let id = AttemptId {
            run,
            job: JobId::new(3),
            attempt: NonZeroU32::new(2).unwrap(),
        };
        assert_eq!(id.to_string(), format!("{run}:3#2"));
        assert_eq!(run.to_string().len(), 36);
        assert_eq!(run.to_string().as_bytes()[14], b'7', "the version digit of {run}");
    }

    #[test]
    fn later_runs_sort_after_earlier_ones() {
        assert!(RunId::from_parts(1, [255; 10]) < RunId::from_parts(2, [0; 10]));
    }
}
