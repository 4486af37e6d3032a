//! What an output file holds from earlier runs. A result counts only if its newline is in the file; what follows
//! the last newline is a torn tail.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use serde::Deserialize;

use crate::input::{Fingerprint, Fingerprints};

/// A longer line is no result line.
const MAX_LINE: u64 = 256 << 20;

/// The results that a file holds.
#[derive(Debug, Default)]
pub(crate) struct Existing {
    done: HashSet<Fingerprint>,
    /// Ids without a success, with the line of their last failure.
    failed: HashMap<Fingerprint, u64>,
    /// Complete lines.
    lines: u64,
    /// Bytes up to and with the last newline.
    pub(crate) complete: u64,
    /// Bytes after the last newline.
    pub(crate) torn: u64,
}

/// A file does not hold result lines.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotResults {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    /// A complete line is something else.
    #[error("its line {line} is no result line of version 1")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        cause: Option<serde_json::Error>,
    },
}

#[derive(Deserialize)]
struct Head<'a> {
    v: u64,
    id: serde_json::Value,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
}

impl Existing {
    /// Reads a file from its beginning.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or a complete line is no result line.
    pub(crate) fn read(reader: impl Read, prints: &Fingerprints) -> Result<Self, NotResults> {
        let mut existing = Self::default();
        for_each_line(reader, |line, bytes| match bytes {
            Line::Torn(length) => {
                existing.torn = length;
                Ok(())
            }
            Line::Whole(bytes) => {
                existing.lines = line;
                existing.complete += bytes.len() as u64;
                let (print, succeeded) = head(line, bytes, prints)?;
                if succeeded {
                    existing.failed.remove(&print);
                    existing.done.insert(print);
                } else if !existing.done.contains(&print) {
                    existing.failed.insert(print, line);
                }
                Ok(())
            }
        })?;
        Ok(existing)
    }

    /// Returns true if the id succeeded.
    pub(crate) fn is_done(&self, print: Fingerprint) -> bool {
        self.done.contains(&print)
    }

    /// Returns true if the id has results and no success among them.
    pub(crate) fn has_failed(&self, print: Fingerprint) -> bool {
        self.failed.contains_key(&print)
    }

    /// Returns true if the file has no complete line.
    pub(crate) const fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Returns true if the file has lines that [`Existing::compact`] would drop.
    pub(crate) fn is_loose(&self, again: &HashSet<Fingerprint>) -> bool {
        self.lines != (self.done.len() + self.failed.len()) as u64
            || again.iter().any(|print| self.failed.contains_key(print))
    }

    /// Writes one line for each id: its first success, or else its last failure unless the id is tried again.
    /// The torn tail is left out.
    ///
    /// # Errors
    ///
    /// If reading or writing fails.
    pub(crate) fn compact(
        &self,
        from: impl Read,
        to: impl Write,
        prints: &Fingerprints,
        again: &HashSet<Fingerprint>,
    ) -> Result<u64, NotResults> {
        let mut kept = HashSet::new();
        let mut to = BufWriter::new(to);
        let mut written = 0;
        for_each_line(from, |line, bytes| {
            let Line::Whole(bytes) = bytes else { return Ok(()) };
            let (print, succeeded) = head(line, bytes, prints)?;
            let keep = if succeeded {
                kept.insert(print)
            } else {
                self.failed.get(&print) == Some(&line) && !again.contains(&print)
            };
            if keep {
                to.write_all(bytes)?;
                written += bytes.len() as u64;
            }
            Ok(())
        })?;
        to.flush()?;
        Ok(written)
    }
}

/// Replaces the file at `path` by its compacted form. `file` is open on it and locked; the new file is locked before
/// it takes the name, so that no other run can get between. Returns the new file, at its end.
///
/// # Errors
///
/// If the new file cannot be written; the old one is then as it was.
pub(crate) fn replace(
    path: &Path,
    file: &mut File,
    existing: &Existing,
    prints: &Fingerprints,
    again: &HashSet<Fingerprint>,
) -> Result<(File, u64), NotResults> {
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".compact");
    let temporary = path.with_file_name(name);
    // The lock on the output is held, so a file of this name is what a killed run left behind.
    let _ = fs::remove_file(&temporary);
    let result = (|| {
        let new = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .open(&temporary)?;
        new.set_permissions(file.metadata()?.permissions())?;
        new.try_lock().map_err(io::Error::from)?;
        file.rewind()?;
        let length = existing.compact(&*file, &new, prints, again)?;
        new.sync_all()?;
        fs::rename(&temporary, &path)?;
        if let Some(Ok(folder)) = path.parent().map(File::open) {
            // Not every file system can sync a folder; the rename is atomic either way.
            let _ = folder.sync_all();
        }
        Ok((new, length))
    })();
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

enum Line<'a> {
    /// With its newline.
    Whole(&'a [u8]),
    /// So many bytes without one, at the end of the file.
    Torn(u64),
}

fn for_each_line(
    reader: impl Read,
    mut take: impl FnMut(u64, Line<'_>) -> Result<(), NotResults>,
) -> Result<(), NotResults> {
    let mut reader = BufReader::with_capacity(256 << 10, reader);
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        line += 1;
        let n = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut bytes)?;
        if n == 0 {
            return Ok(());
        }
        if bytes.last() == Some(&b'\n') {
            take(line, Line::Whole(&bytes))?;
        } else if n as u64 == MAX_LINE {
            return Err(NotResults::Line { line, cause: None });
        } else {
            take(line, Line::Torn(n as u64))?;
        }
    }
}

fn head(line: u64, bytes: &[u8], prints: &Fingerprints) -> Result<(Fingerprint, bool), NotResults> {
    let head: Head<'_> = serde_json::from_slice(bytes).map_err(|cause| NotResults::Line {
        line,
        cause: Some(cause),
    })?;
    let id = match head.id {
        serde_json::Value::String(text) => text,
        serde_json::Value::Number(number) => number.to_string(),
        _ => return Err(NotResults::Line { line, cause: None }),
    };
    if head.v != u64::from(super::line::VERSION) {
        return Err(NotResults::Line { line, cause: None });
    }
    Ok((prints.of(&id), head.outcome == "succeeded"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn result(id: &str, succeeded: bool, text: &str) -> String {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        format!(
            "{}\n",
            serde_json::json!({"v": 1, "id": id, "outcome": outcome, "text": text})
        )
    }

    fn compacted(bytes: &[u8], again: &[&str]) -> String {
        let prints = Fingerprints::default();
        let existing = Existing::read(bytes, &prints).unwrap();
        let again = again.iter().map(|id| prints.of(id)).collect();
        let mut out = Vec::new();
        existing.compact(bytes, &mut out, &prints, &again).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_success_beats_failures_and_the_last_failure_beats_earlier_ones() {
        let file = [
            result("a", false, "1"),
            result("b", true, "2"),
            result("a", false, "3"),
            result("b", false, "4"),
            result("c", false, "5"),
            result("c", true, "6"),
            result("b", true, "7"),
        ];
        let text = file.concat();
        assert_eq!(
            compacted(text.as_bytes(), &[]),
            [&*file[1], &*file[2], &*file[5]].concat()
        );
        assert_eq!(
            compacted(text.as_bytes(), &["a", "b"]),
            [&*file[1], &*file[5]].concat()
        );
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let prints = Fingerprints::default();
        let read = |text: &str| Existing::read(text.as_bytes(), &prints).map(|existing| existing.lines);
        assert!(matches!(
            read("{\"v\":1,\"id\":1,\"outcome\":\"succeeded\"}\n"),
            Ok(1)
        ));
        assert!(matches!(read("hello\n"), Err(NotResults::Line { line: 1, .. })));
        assert!(matches!(
            read("{\"v\":2,\"id\":1,\"outcome\":\"failed\"}\n"),
            Err(NotResults::Line { line: 1, .. })
        ));
        assert!(matches!(read("\n"), Err(NotResults::Line { line: 1, .. })));
    }

    proptest! {
        /// Wherever a file was cut, exactly the complete lines count, and no id is lost or doubled.
        #[test]
        fn any_cut_keeps_every_complete_line_and_no_torn_one(
            rows in proptest::collection::vec((0_u8..6, any::<bool>(), "[^\u{0}]{0,6}"), 0..10),
            cut in any::<proptest::sample::Index>(),
        ) {
            let lines: Vec<String> = rows.iter().map(|(id, ok, text)| result(&id.to_string(), *ok, text)).collect();
            let whole = lines.concat();
            let cut = cut.index(whole.len() + 1);
            let bytes = &whole.as_bytes()[..cut];

            // The model: walk over the lines that fit whole.
            let mut end = 0;
            let mut succeeded: BTreeMap<String, &str> = BTreeMap::new();
            let mut failed: BTreeMap<String, &str> = BTreeMap::new();
            for (line, (id, ok, _)) in lines.iter().zip(&rows) {
                if end + line.len() > cut {
                    break;
                }
                end += line.len();
                if *ok {
                    succeeded.entry(id.to_string()).or_insert(line);
                } else {
                    failed.insert(id.to_string(), line);
                }
            }

            let prints = Fingerprints::default();
            let existing = Existing::read(bytes, &prints).unwrap();
            prop_assert_eq!(existing.complete, end as u64);
            prop_assert_eq!(existing.torn, (cut - end) as u64);
            for id in 0..6_u8 {
                let id = id.to_string();
                prop_assert_eq!(existing.is_done(prints.of(&id)), succeeded.contains_key(&id));
                let only_failed = failed.contains_key(&id) && !succeeded.contains_key(&id);
                prop_assert_eq!(existing.has_failed(prints.of(&id)), only_failed);
            }
            let mut expect: Vec<&str> = succeeded.values().copied().collect();
            expect.extend(failed.iter().filter(|(id, _)| !succeeded.contains_key(*id)).map(|(_, line)| *line));
            expect.sort_unstable();
            let text = compacted(bytes, &[]);
            let mut found: Vec<&str> = text.split_inclusive('\n').collect();
            found.sort_unstable();
            prop_assert_eq!(&found, &expect);
            prop_assert_eq!(compacted(text.as_bytes(), &[]), text, "compacting twice changes nothing");
        }
    }
}
