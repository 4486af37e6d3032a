//! Turns inputs into tasks: records with an id and a prompt, read lazily, as often as the inputs allow.

use std::sync::Arc;

use throng_exec::{Key, Priority};

use super::format::Format;
use super::ids::{Fingerprint, Fingerprints};
use super::prompt::{Prompt, PromptSource};
use super::purse::Purse;
use super::reader::{Records, Source, open};
use super::record::{Id, Place, Record, RecordError};
use super::terms::TermFields;
use crate::error::CliError;
use crate::vote::Poll;

/// One prompt to be sent, and whose answer it is.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The record's id.
    pub(crate) id: Id,
    /// What stands for the id.
    pub(crate) fingerprint: Fingerprint,
    /// Where the record stands.
    pub(crate) place: Place,
    /// True if the id is the line number.
    pub(crate) numbered: bool,
    /// What is sent.
    pub(crate) prompt: Prompt,
    /// How soon it goes, if the record says so.
    pub(crate) priority: Option<Priority>,
    /// Whose limits it uses, if the record says so.
    pub(crate) key: Option<Key>,
    /// Where the calls of its vote are counted, if there is one.
    pub(crate) poll: Option<Arc<Poll>>,
    /// What its calls cost.
    pub(crate) purse: Purse,
}

impl Task {
    /// Makes a task without an input, for measurements.
    pub(crate) fn numbered(number: u64, prints: &Fingerprints) -> Self {
        let id = Id::Number(number.into());
        Self {
            fingerprint: prints.of(&id.to_string()),
            id,
            place: Place {
                input: 0,
                line: number,
                item: None,
            },
            numbered: true,
            prompt: Prompt::Text(format!(
                "In one sentence, what is remarkable about the number {number}?"
            )),
            priority: None,
            key: None,
            poll: None,
            purse: Purse::default(),
        }
    }
}

/// The inputs of a run and how they are read.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    /// The inputs, in order.
    pub(crate) sources: Vec<Source>,
    /// Their format, if it was named.
    pub(crate) format: Option<Format>,
    /// Where the prompts are.
    pub(crate) prompts: PromptSource,
    /// Where the priority and the key are.
    pub(crate) terms: TermFields,
    /// Makes what stands for ids.
    pub(crate) fingerprints: Fingerprints,
}

impl Feed {
    /// Returns true if every input can be read twice.
    pub(crate) fn is_rereadable(&self) -> bool {
        self.sources.iter().all(Source::is_rereadable)
    }

    /// Opens the first input and returns the tasks of all.
    ///
    /// # Errors
    ///
    /// If the first input cannot be opened or is not text.
    pub(crate) fn tasks(&self) -> Result<Tasks, CliError> {
        let mut tasks = Tasks {
            feed: self.clone(),
            next: 0,
            records: None,
        };
        tasks.open_next()?;
        Ok(tasks)
    }

    /// Names the place of a record for messages.
    pub(crate) fn place(&self, place: Place) -> String {
        match self.sources.get(place.input) {
            Some(source) => format!("{}, {place}", source.name()),
            None => place.to_string(),
        }
    }

    /// Makes the error that ends a command because of a record.
    pub(crate) fn error(&self, error: &RecordError) -> CliError {
        CliError::usage(format!("{}: {}", self.place(error.place), error.message)).hint(error.hint.clone())
    }

    fn task(&self, record: &Record) -> Result<Task, RecordError> {
        let prompt = self.prompts.prompt(record)?;
        let own = record.own_id()?;
        let numbered = own.is_none();
        let number = record.place.item.unwrap_or(record.place.line);
        let id = own.unwrap_or_else(|| match self.sources.as_slice() {
            [_] | [] => Id::Number(number.into()),
            // Numbers of several inputs would collide.
            sources => Id::Text(format!("{}:{number}", sources[record.place.input].name())),
        });
        let priority = self.terms.priority(record, &id)?;
        let key = self.terms.key(record, &id)?;
        Ok(Task {
            fingerprint: self.fingerprints.of(&id.to_string()),
            id,
            place: record.place,
            numbered,
            prompt,
            priority,
            key,
            poll: None,
            purse: Purse::default(),
        })
    }
}

/// The tasks of all inputs of a run. Records that are wrong come as errors in their place.
pub(crate) struct Tasks {
    feed: Feed,
    next: usize,
    records: Option<Records>,
}

impl Tasks {
    fn open_next(&mut self) -> Result<(), CliError> {
        if let Some(source) = self.feed.sources.get(self.next) {
            let records = open(self.next, source, self.feed.format, self.feed.prompts.field())?;
            self.next += 1;
            self.records = Some(records);
        }
        Ok(())
    }
}

impl Iterator for Tasks {
    type Item = Result<Task, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.records.as_mut()?.next() {
                Some(Ok(record)) => return Some(self.feed.task(&record)),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.records = None;
                    if let Err(error) = self.open_next() {
                        let place = Place {
                            input: self.next,
                            line: 0,
                            item: None,
                        };
                        self.next = usize::MAX;
                        let hint = "check the path; `-` reads standard input";
                        return Some(Err(RecordError::new(place, error.message(), hint).fatal()));
                    }
                }
            }
        }
    }
}
