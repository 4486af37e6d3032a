//! Reads the records of one input, lazily, in any format.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::array::{Element, Elements};
use super::csv_rows::CsvRows;
use super::format::{Format, Peeked, detect, not_text};
use super::lines::{Line, Lines, MAX_RECORD_BYTES};
use super::record::{Body, Place, Record, RecordError, type_name};
use crate::error::CliError;

/// How much is read at a time.
pub(super) const BUFFER: usize = 64 << 10;

/// One input as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Source {
    /// Reads the name of an input; `-` is standard input.
    pub(crate) fn named(name: &Path) -> Self {
        if name.as_os_str() == "-" {
            Self::Stdin
        } else {
            Self::File(name.to_owned())
        }
    }

    /// Returns the name for messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Looks whether the input is there, without opening it: opening a pipe would wait for its writer.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub(crate) fn look(&self) -> Result<(), CliError> {
        match self {
            Self::Stdin => Ok(()),
            Self::File(path) => path
                .metadata()
                .map(|_| ())
                .map_err(|error| cannot_read(self, &error)),
        }
    }

    /// Returns true if the input can be read twice.
    pub(crate) fn is_rereadable(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::File(path) => path.metadata().is_ok_and(|data| data.is_file() || data.is_dir()),
        }
    }
}

/// Makes the error that an input cannot be read.
fn cannot_read(source: &Source, error: &io::Error) -> CliError {
    let cli = CliError::usage(format!("cannot read {}", source.name())).cause(error);
    match error.kind() {
        io::ErrorKind::NotFound => cli.hint("check the path; `-` reads standard input"),
        io::ErrorKind::IsADirectory => cli.hint("name the files inside it"),
        _ => cli,
    }
}

/// The records of one input, each read as it is asked for.
pub(crate) type Records = Box<dyn Iterator<Item = Result<Record, RecordError>> + Send>;

/// Opens an input.
///
/// # Errors
///
/// If it cannot be opened or is not text.
pub(crate) fn open(
    input: usize,
    source: &Source,
    format: Option<Format>,
    prompt_field: Option<&str>,
) -> Result<Records, CliError> {
    let failed = |error: io::Error| cannot_read(source, &error);
    let (reader, path): (Box<dyn Read + Send>, &Path) = match source {
        Source::Stdin => (Box::new(io::stdin()), Path::new("-")),
        Source::File(path) => (Box::new(File::open(path).map_err(failed)?), path),
    };
    let peeked = Peeked::new(reader).map_err(failed)?;
    if let Some((why, hint)) = not_text(&peeked.head) {
        return Err(CliError::usage(format!("cannot use {} as input: {why}", source.name())).hint(hint));
    }
    let format = format.unwrap_or_else(|| detect(path, &peeked.head, prompt_field));
    records(input, peeked.into_reader(), format).map_err(|error| {
        CliError::usage(format!("{}, {}: {}", source.name(), error.place, error.message)).hint(error.hint)
    })
}

/// Reads the records of a format from bytes without a byte order mark.
///
/// # Errors
///
/// If the header of a CSV file is wrong.
pub(crate) fn records(
    input: usize,
    reader: impl Read + Send + 'static,
    format: Format,
) -> Result<Records, RecordError> {
    let buffered = |reader| BufReader::with_capacity(BUFFER, reader);
    Ok(match format {
        Format::Jsonl => Box::new(LineRecords {
            input,
            lines: Lines::new(buffered(reader)),
            parse: json_record,
            over: false,
        }),
        Format::Lines => Box::new(LineRecords {
            input,
            lines: Lines::new(buffered(reader)),
            parse: text_record,
            over: false,
        }),
        Format::Json => Box::new(JsonArray {
            input,
            elements: Elements::new(buffered(reader), MAX_RECORD_BYTES),
        }),
        Format::Csv => Box::new(CsvRows::new(input, reader, b',')?),
        Format::Tsv => Box::new(CsvRows::new(input, reader, b'\t')?),
    })
}

/// What is wrong with a record that is too long.
pub(super) const TOO_LONG: &str = "it is longer than 16 MiB";
const SPLIT: &str = "split the record; a prompt of this size fits no model";

/// Records of one line each.
struct LineRecords<R> {
    input: usize,
    lines: Lines<R>,
    parse: fn(Place, &[u8]) -> Result<Record, RecordError>,
    over: bool,
}

impl<R: io::BufRead> Iterator for LineRecords<R> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let at = |line| Place {
            input: self.input,
            line,
            item: None,
        };
        match self.lines.next() {
            Ok(None) => None,
            Ok(Some((line, Line::TooLong))) => Some(Err(RecordError::new(at(line), TOO_LONG, SPLIT))),
            Ok(Some((line, Line::Text(bytes)))) => Some((self.parse)(at(line), bytes)),
            Err(error) => {
                self.over = true;
                Some(Err(unreadable(at(self.lines.number() + 1), &error)))
            }
        }
    }
}

struct JsonArray<R> {
    input: usize,
    elements: Elements<R>,
}

impl<R: io::BufRead> Iterator for JsonArray<R> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = |line, item| Place {
            input: self.input,
            line,
            item: Some(item),
        };
        match self.elements.next() {
            Ok(None) => None,
            Ok(Some((line, item, Element::Bytes(bytes)))) => Some(json_record(at(line, item), &bytes)),
            Ok(Some((line, item, Element::TooLong))) => {
                Some(Err(RecordError::new(at(line, item), TOO_LONG, SPLIT)))
            }
            Ok(Some((line, item, Element::Broken(why)))) => Some(Err(RecordError::new(
                at(line, item),
                format!("the JSON array is broken: {why}"),
                "the whole input must be one array, [{…}, {…}]; for one object a line use --input-format jsonl",
            )
            .fatal())),
            Err(error) => {
                let place = at(0, 0);
                self.elements.stop();
                Some(Err(unreadable(place, &error)))
            }
        }
    }
}

fn text_record(place: Place, bytes: &[u8]) -> Result<Record, RecordError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Record {
            place,
            body: Body::Text(text.to_owned()),
        }),
        Err(_) => Err(not_utf8(place)),
    }
}

fn json_record(place: Place, bytes: &[u8]) -> Result<Record, RecordError> {
    let value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(_) if std::str::from_utf8(bytes).is_err() => return Err(not_utf8(place)),
        Err(error) => {
            let text = error.to_string();
            let what = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(what, _)| what);
            return Err(RecordError::new(
                place,
                format!("it is not valid JSON: {what} at character {}", error.column()),
                match place.item {
                    Some(_) => "each element must be an object such as {\"id\": \"q1\", \"prompt\": \"…\"}",
                    None => {
                        "each line must be one object such as {\"id\": \"q1\", \"prompt\": \"…\"}; \
                         --input-format lines takes plain text, --skip-invalid leaves wrong records out"
                    }
                },
            ));
        }
    };
    let body = match value {
        Value::Object(fields) => Body::Object(fields),
        Value::String(text) => Body::Text(text),
        other => {
            return Err(RecordError::new(
                place,
                format!("it is {}, not an object", type_name(&other)),
                "each record must be an object such as {\"id\": \"q1\", \"prompt\": \"…\"}, or a text",
            ));
        }
    };
    Ok(Record { place, body })
}

/// Makes the error that a record is not UTF-8.
pub(super) fn not_utf8(place: Place) -> RecordError {
    RecordError::new(
        place,
        "it is not valid UTF-8",
        "convert it first: iconv -f WINDOWS-1252 -t UTF-8 FILE",
    )
}

/// Makes the error that an input broke off.
pub(super) fn unreadable(place: Place, error: &io::Error) -> RecordError {
    RecordError::new(
        place,
        format!("it cannot be read: {error}"),
        "check the disk or the command that writes it",
    )
    .fatal()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, format: Format) -> Vec<Result<Record, RecordError>> {
        records(0, io::Cursor::new(text.to_owned()), format)
            .unwrap()
            .collect()
    }

    fn bodies(text: &str, format: Format) -> Vec<Body> {
        read(text, format)
            .into_iter()
            .map(|record| record.unwrap().body)
            .collect()
    }

    #[test]
    fn a_wrong_line_is_named_and_the_next_is_read() {
        let found = read("{\"a\": 1}\n\n{oops\n[1]\n\"text\"\n", Format::Jsonl);
        assert_eq!(found.len(), 4);
        let error = found[1].as_ref().unwrap_err();
        assert_eq!((error.place.line, error.fatal), (3, false));
        assert_eq!(
            error.message,
            "it is not valid JSON: key must be a string at character 2"
        );
        assert_eq!(
            found[2].as_ref().unwrap_err().message,
            "it is an array, not an object"
        );
        assert_eq!(found[3].as_ref().unwrap().body, Body::Text("text".into()));
    }

    proptest! {
        #[test]
        fn every_format_gives_the_same_records(
            rows in proptest::collection::vec(("[a-z0-9]{1,6}", "[^\u{0}]{0,20}"), 1..12)
        ) {
            let objects: Vec<Value> =
                rows.iter().map(|(id, text)| serde_json::json!({"id": id, "question": text})).collect();
            let jsonl: String = objects.iter().map(|object| format!("{object}\n")).collect();
            let array = serde_json::to_string_pretty(&objects).unwrap();
            let mut csv = csv::Writer::from_writer(Vec::new());
            csv.write_record(["id", "question"]).unwrap();
            for (id, text) in &rows {
                csv.write_record([id, text]).unwrap();
            }
            let csv = String::from_utf8(csv.into_inner().unwrap()).unwrap();
            let expect = bodies(&jsonl, Format::Jsonl);
            prop_assert_eq!(expect.len(), rows.len());
            prop_assert_eq!(&bodies(&array, Format::Json), &expect);
            prop_assert_eq!(&bodies(&csv, Format::Csv), &expect);
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for format in [Format::Jsonl, Format::Json, Format::Csv, Format::Tsv, Format::Lines] {
                if let Ok(records) = records(0, io::Cursor::new(bytes.clone()), format) {
                    prop_assert!(records.take(1000).count() < 1000, "{:?} never ends", format);
                }
            }
        }
    }
}
