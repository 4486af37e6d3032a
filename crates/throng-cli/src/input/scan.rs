//! Reads every input once before anything is sent: finds wrong records and repeated ids, and counts.

use std::collections::HashSet;

use super::feed::{Feed, Task};
use super::ids::{Fingerprint, SeenIds};
use super::prompt::Prompt;
use super::record::{Id, Place, RecordError};
use crate::error::CliError;
use crate::output::Existing;

/// For how many repeated ids the earlier record is looked up.
const SEARCHES: usize = 100;

/// How many wrong records are named.
const NAMED: usize = 5;

/// What the first reading of the inputs found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Good records.
    pub(crate) records: u64,
    /// Wrong records that were left out.
    pub(crate) invalid: u64,
    /// Their first few, as text.
    pub(crate) named: Vec<String>,
    /// Where records stand whose id came before.
    pub(crate) repeated: HashSet<(usize, u64)>,
    /// Records whose id had succeeded before.
    pub(crate) done: u64,
    /// Ids that had failed before and will be tried again.
    pub(crate) again: HashSet<Fingerprint>,
    /// Records that have a priority, and a key.
    prioritised: u64,
    keyed: u64,
    /// Estimated input tokens of what is to be sent.
    pub(crate) tokens: u64,
    /// The first few prompts that are to be sent.
    pub(crate) samples: Vec<(Id, Prompt)>,
}

/// What a scan is to do.
pub(crate) struct ScanOptions<'a> {
    /// Goes on after a wrong record.
    pub(crate) skip_invalid: bool,
    /// Reads no more good records than this.
    pub(crate) limit: Option<u64>,
    /// Put ahead of each prompt, for the estimate of tokens.
    pub(crate) system: Option<&'a str>,
    /// What the output holds already.
    pub(crate) existing: &'a Existing,
}

/// Returns what tells a record's place from all others, for a set.
pub(crate) fn key(place: Place) -> (usize, u64) {
    (place.input, place.item.unwrap_or(place.line))
}

impl Scan {
    /// Reads the inputs.
    ///
    /// # Errors
    ///
    /// If an input cannot be read, or a record is wrong or repeats an id and such records are not to be left out.
    pub(crate) fn read(feed: &Feed, options: &ScanOptions<'_>) -> Result<Self, CliError> {
        Self::read_with(feed, options, |_| ())
    }

    /// Reads the inputs, and shows each task that is to be sent to `see`.
    ///
    /// # Errors
    ///
    /// As [`Scan::read`].
    pub(crate) fn read_with(
        feed: &Feed,
        options: &ScanOptions<'_>,
        mut see: impl FnMut(&Task),
    ) -> Result<Self, CliError> {
        let mut scan = Self::default();
        let mut seen = SeenIds::default();
        let limit = options.limit.unwrap_or(u64::MAX);
        let mut first: Option<RecordError> = None;
        let mut tasks = feed.tasks()?;
        while scan.records < limit {
            let error = match tasks.next() {
                None => break,
                Some(Ok(task)) => match scan.take(feed, task, &mut seen, options, &mut see)? {
                    None => continue,
                    Some(error) => error,
                },
                Some(Err(error)) => error,
            };
            scan.invalid += 1;
            if scan.named.len() < NAMED {
                scan.named
                    .push(format!("{}: {}", feed.place(error.place), error.message));
            }
            let fatal = error.fatal;
            first.get_or_insert(error);
            if fatal {
                break;
            }
        }
        match first {
            Some(error) if error.fatal || !options.skip_invalid => Err(scan.refuse(feed, &error)),
            _ => Ok(scan),
        }
    }

    /// Takes one good record; gives the error that it repeats an id.
    fn take(
        &mut self,
        feed: &Feed,
        task: Task,
        seen: &mut SeenIds,
        options: &ScanOptions<'_>,
        see: &mut impl FnMut(&Task),
    ) -> Result<Option<RecordError>, CliError> {
        const SAMPLES: usize = 3;
        let line = task.numbered.then_some(task.place.line);
        if seen.repeats(&task.id, task.fingerprint, line) {
            // Each search reads the inputs again, so an input full of repeats is not searched for every one.
            let searched = feed.is_rereadable() && self.repeated.len() < SEARCHES;
            let earlier = if searched { find(feed, &task)? } else { None };
            if earlier.is_some() || !searched {
                self.repeated.insert(key(task.place));
                return Ok(Some(repeated(feed, &task, earlier)));
            }
        }
        self.records += 1;
        self.prioritised += u64::from(task.priority.is_some());
        self.keyed += u64::from(task.key.is_some());
        if options.existing.is_done(task.fingerprint) {
            self.done += 1;
            return Ok(None);
        }
        if options.existing.has_failed(task.fingerprint) {
            self.again.insert(task.fingerprint);
        }
        self.tokens += u64::from(task.prompt.estimate_tokens(options.system));
        see(&task);
        if self.samples.len() < SAMPLES {
            self.samples.push((task.id, task.prompt));
        }
        Ok(None)
    }

    /// Returns what is to be said of named fields that no record has.
    pub(crate) fn unused(&self, feed: &Feed) -> Vec<String> {
        let fields = [
            ("--priority-field", &feed.terms.priority, self.prioritised),
            ("--key-field", &feed.terms.key, self.keyed),
        ];
        fields
            .into_iter()
            .filter_map(|(flag, name, found)| {
                let name = name.as_ref().filter(|_| found == 0 && self.records > 0)?;
                Some(format!(
                    "no record has a value in the field `{name}` that {flag} names"
                ))
            })
            .collect()
    }

    fn refuse(&self, feed: &Feed, error: &RecordError) -> CliError {
        let mut also: String = self
            .named
            .iter()
            .skip(1)
            .map(|line| format!("  also {line}\n"))
            .collect();
        let more = self.invalid.saturating_sub(self.named.len() as u64);
        if more > 0 {
            also.push_str(&format!("  and {more} more wrong records\n"));
        }
        let mut cli = feed.error(error).excerpt(also);
        if !error.fatal && !error.hint.contains("--skip-invalid") {
            cli = cli.hint("nothing was sent; --skip-invalid leaves wrong records out");
        }
        cli
    }
}

/// Makes the error that a record repeats an id.
pub(crate) fn repeated(feed: &Feed, task: &Task, earlier: Option<Place>) -> RecordError {
    let where_ = match earlier {
        Some(place) if place.input == task.place.input => format!("as on {place}"),
        Some(place) => format!("as in {}", feed.place(place)),
        None => "as an earlier record".to_owned(),
    };
    RecordError::new(
        task.place,
        format!("the record has the same id {:?} {where_}", task.id.to_string()),
        "ids name the answers, so each must occur once; rename one of them, or drop the `id` fields to use line numbers",
    )
}

/// Finds the earlier record with the id of a task, by reading again.
fn find(feed: &Feed, task: &Task) -> Result<Option<Place>, CliError> {
    let id = task.id.to_string();
    for earlier in feed.tasks()?.flatten() {
        if earlier.place == task.place {
            return Ok(None);
        }
        if earlier.id.to_string() == id {
            return Ok(Some(earlier.place));
        }
    }
    Ok(None)
}
