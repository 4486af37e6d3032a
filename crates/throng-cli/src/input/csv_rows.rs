//! Rows of CSV and TSV files: the line on which each begins, and quotes that are never closed.

use std::collections::VecDeque;
use std::io::{self, Read};

use serde_json::{Map, Value};

use super::lines::MAX_RECORD_BYTES;
use super::reader::{BUFFER, TOO_LONG, not_utf8, unreadable};
use super::record::{Body, Place, Record, RecordError, other_separator};

/// Lets at most a bounded number of bytes pass between two calls of its owner, so that a quote that is never
/// closed does not load the whole file, and knows the lines: the CSV reader's own count lags behind at CRLF.
struct Bounded<R> {
    reader: R,
    left: usize,
    offset: u64,
    /// Where line breaks stand that no record has passed yet; true for LF.
    breaks: VecDeque<(u64, bool)>,
    line: u64,
    quotes: Quotes,
}

/// Follows the quotes, because the CSV reader takes a file that ends within quotes for a whole one.
struct Quotes {
    separator: u8,
    state: Quoting,
    /// The line that is read, which is ahead of the record that is parsed.
    line: u64,
    /// The line on which the last quoted value began.
    opened: u64,
    /// The input ended within it.
    unclosed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// At the beginning of a value.
    Begin,
    /// Within a value without quotes, where a quote means itself.
    Plain,
    /// Within quotes.
    Within,
    /// After a quote within quotes: the end of the value, or the first of a pair.
    After,
}

impl Quotes {
    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state = match (self.state, *byte) {
                (Quoting::Within, b'"') => Quoting::After,
                (Quoting::Within, _) | (Quoting::After, b'"') => Quoting::Within,
                (Quoting::Begin, b'"') => {
                    self.opened = self.line;
                    Quoting::Within
                }
                (_, b'\n' | b'\r') => Quoting::Begin,
                (_, byte) if byte == self.separator => Quoting::Begin,
                _ => Quoting::Plain,
            };
            self.line += u64::from(*byte == b'\n');
        }
    }

    fn end(&mut self) {
        self.unclosed = self.state == Quoting::Within;
    }
}

impl<R> Bounded<R> {
    /// Returns the line on which the record that begins at a byte has its text. Asked in order of the bytes.
    fn line_at(&mut self, byte: u64) -> u64 {
        let mut start = byte;
        while let Some((at, newline)) = self.breaks.front().copied().filter(|(at, _)| *at <= start) {
            self.breaks.pop_front();
            self.line += u64::from(newline);
            // Line breaks at the very beginning belong to the record before, or are blank lines.
            start += u64::from(at == start);
        }
        self.line
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a record is longer than 16 MiB",
            ));
        }
        let most = buffer.len().min(self.left);
        let n = self.reader.read(&mut buffer[..most])?;
        if n == 0 && most > 0 {
            self.quotes.end();
        }
        self.quotes.push(&buffer[..n]);
        self.left -= n;
        let breaks = buffer[..n]
            .iter()
            .zip(self.offset..)
            .filter(|(byte, _)| matches!(byte, b'\n' | b'\r'));
        self.breaks.extend(breaks.map(|(byte, at)| (at, *byte == b'\n')));
        self.offset += n as u64;
        Ok(n)
    }
}

/// The rows of a file with a header.
pub(super) struct CsvRows<R> {
    input: usize,
    header: Vec<String>,
    rows: csv::Reader<Bounded<R>>,
    row: csv::StringRecord,
    over: bool,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// If it is wrong.
    pub(super) fn new(input: usize, reader: R, separator: u8) -> Result<Self, RecordError> {
        let bounded = Bounded {
            reader,
            left: MAX_RECORD_BYTES,
            offset: 0,
            breaks: VecDeque::new(),
            line: 1,
            quotes: Quotes {
                separator,
                state: Quoting::Begin,
                line: 1,
                opened: 1,
                unclosed: false,
            },
        };
        let mut rows = csv::ReaderBuilder::new()
            .delimiter(separator)
            .buffer_capacity(BUFFER)
            .from_reader(bounded);
        let place = Place {
            input,
            line: 1,
            item: None,
        };
        let header: Vec<String> = rows
            .headers()
            .map_err(|error| csv_error(place, &error, &[]))?
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        if let Some(error) = unclosed(input, &rows.get_ref().quotes) {
            return Err(error);
        }
        for (index, name) in header.iter().enumerate() {
            if header.iter().take(index).any(|earlier| earlier == name) {
                return Err(RecordError::new(
                    place,
                    format!("the header names the column {name:?} twice"),
                    "give each column a name of its own",
                ));
            }
        }
        Ok(Self {
            input,
            header,
            rows,
            row: csv::StringRecord::new(),
            over: false,
        })
    }

    fn place(&mut self, position: Option<csv::Position>) -> Place {
        let byte = position.unwrap_or_else(|| self.rows.position().clone()).byte();
        Place {
            input: self.input,
            line: self.rows.get_mut().line_at(byte),
            item: None,
        }
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Result<Record, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        self.rows.get_mut().left = MAX_RECORD_BYTES;
        let read = self.rows.read_record(&mut self.row);
        // The reader asks for the end of the input only when it needs it for the row that it has begun.
        let within_quotes = matches!(&read, Err(error) if is_too_long(error))
            && self.rows.get_ref().quotes.state == Quoting::Within;
        let error = unclosed(self.input, &self.rows.get_ref().quotes);
        if let Some(error) = error {
            self.over = true;
            return Some(Err(error));
        }
        match read {
            Ok(false) => None,
            Ok(true) => {
                let place = self.place(self.row.position().cloned());
                let values = self.row.iter().map(|value| Value::String(value.to_owned()));
                let fields: Map<String, Value> = self.header.iter().cloned().zip(values).collect();
                Some(Ok(Record {
                    place,
                    body: Body::Object(fields),
                }))
            }
            Err(error) => {
                let place = self.place(error.position().cloned());
                let mut failure = csv_error(place, &error, &self.header);
                if within_quotes {
                    failure.hint = format!(
                        "the double quote that opens on line {} may never be closed",
                        self.rows.get_ref().quotes.opened
                    );
                }
                self.over = failure.fatal;
                Some(Err(failure))
            }
        }
    }
}

fn unclosed(input: usize, quotes: &Quotes) -> Option<RecordError> {
    let place = Place {
        input,
        line: quotes.opened,
        item: None,
    };
    quotes.unclosed.then(|| {
        RecordError::new(
            place,
            "a double quote opens a value here and is never closed",
            "close it, write a quote within quotes twice (\"\"), or use --input-format lines for plain text",
        )
        .fatal()
    })
}

fn is_too_long(error: &csv::Error) -> bool {
    matches!(error.kind(), csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge)
}

fn csv_error(place: Place, error: &csv::Error, header: &[String]) -> RecordError {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let columns = if *expected_len == 1 { "column" } else { "columns" };
            RecordError::new(
                place,
                format!("it has {len} values, but the header names {expected_len} {columns}"),
                other_separator(header.iter().map(String::as_str)).unwrap_or_else(|| {
                    "put double quotes around values that hold a comma or a line break".to_owned()
                }),
            )
        }
        csv::ErrorKind::Utf8 { .. } => not_utf8(place),
        csv::ErrorKind::Io(_) if is_too_long(error) => {
            RecordError::new(place, TOO_LONG, "look for a double quote that is never closed").fatal()
        }
        csv::ErrorKind::Io(error) => unreadable(place, error),
        _ => RecordError::new(place, error.to_string(), "check the file with another CSV reader").fatal(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str) -> Vec<Result<Record, RecordError>> {
        CsvRows::new(0, io::Cursor::new(text.to_owned()), b',')
            .unwrap()
            .collect()
    }

    #[track_caller]
    fn check_unclosed(text: &str, line: u64) {
        let last = match CsvRows::new(0, io::Cursor::new(text.to_owned()), b',') {
            Ok(rows) => rows.last().unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert!(
            last.fatal && last.message.contains("never closed"),
            "{text:?}: {last:?}"
        );
        assert_eq!(last.place.line, line, "{text:?}");
    }

    #[test]
    fn a_quote_that_the_file_does_not_close_is_named_by_its_line() {
        check_unclosed("a,b\n1,x\n2,\"y\n3,z\n4,z\n", 3);
        check_unclosed("a\r\n\"x\ny\"\r\n\"z", 4);
        check_unclosed("a\n\"x \"\" y\n", 2);
        check_unclosed("\"a,b\n1,2\n", 1);
        check_unclosed("a\nx\n\"", 3);
        for fine in [
            "a\n\"x\"",
            "a\n\"x\"\"\"",
            "a\nx\"y\n",
            "a\n\"x\"y\"\n",
            "a\n\"\"",
        ] {
            assert!(rows(fine).iter().all(Result::is_ok), "{fine:?}");
        }
    }

    proptest! {
        #[test]
        fn quotes_are_followed_as_the_reader_follows_them(text in "[ab\"\",\n\r]{0,40}") {
            // Another value after the end is a record of its own if, and only if, no quote is open.
            let mut quotes = Quotes { separator: b',', state: Quoting::Begin, line: 1, opened: 1, unclosed: false };
            quotes.push(text.as_bytes());
            quotes.end();
            let count = |text: &str| {
                csv::ReaderBuilder::new()
                    .has_headers(false)
                    .flexible(true)
                    .from_reader(text.as_bytes())
                    .into_byte_records()
                    .count()
            };
            let closed = count(&format!("{text}\nx\nx\nx")) >= count(&text) + 3;
            prop_assert_eq!(quotes.unclosed, !closed, "{:?}", text);
        }
    }

    #[test]
    fn a_csv_row_keeps_the_line_on_which_it_begins() {
        let found = rows("id,question\r\n1,\"two\nlines\"\r\n2,x,y\n3,z\n");
        let places: Vec<u64> = found
            .iter()
            .map(|record| {
                record
                    .as_ref()
                    .map_or_else(|error| error.place.line, |record| record.place.line)
            })
            .collect();
        assert_eq!(places, [2, 4, 5]);
        let found = rows("question\r\n\r\n\r\na\r\n\r\nb\rc\n\n\nd");
        let places: Vec<u64> = found
            .iter()
            .map(|record| record.as_ref().unwrap().place.line)
            .collect();
        assert_eq!(places, [4, 6, 6, 9]);
        let found = rows("id,question\r\n1,\"two\nlines\"\r\n2,x,y\n3,z\n");
        assert_eq!(
            found[1].as_ref().unwrap_err().message,
            "it has 3 values, but the header names 2 columns"
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_does_not_load_the_file() {
        let endless = io::Cursor::new("a,b\n1,\"").chain(io::repeat(b'x'));
        let found: Vec<_> = CsvRows::new(0, endless, b',').unwrap().collect();
        let error = found[0].as_ref().unwrap_err();
        assert!(error.fatal && error.message == TOO_LONG, "{error:?}");
        assert!(error.hint.contains("opens on line 2"), "{error:?}");
    }
}
