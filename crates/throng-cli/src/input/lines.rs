//! Reads an input line by line, with a bound on the length of a line, whatever the line ends are.

use std::io::{self, BufRead};

/// A line, a JSON element or a CSV record longer than this is refused.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;

/// Splits bytes into lines. Blank lines are skipped and counted.
pub(crate) struct Lines<R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
    limit: usize,
}

/// What a line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line without its end, and not blank.
    Text(&'a [u8]),
    /// A line over the bound; its bytes were dropped.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    /// Makes a reader with the usual bound.
    pub(crate) const fn new(reader: R) -> Self {
        Self::with_limit(reader, MAX_RECORD_BYTES)
    }

    /// Makes a reader with a bound of its own.
    pub(crate) const fn with_limit(reader: R, limit: usize) -> Self {
        Self {
            reader,
            number: 0,
            line: Vec::new(),
            limit,
        }
    }

    /// Returns the next line that is not blank, with its number from 1; `None` at the end.
    ///
    /// # Errors
    ///
    /// If the input cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, Line<'_>)>> {
        loop {
            self.line.clear();
            let Some(whole) = self.fill()? else {
                return Ok(None);
            };
            self.number += 1;
            if !whole {
                self.line = Vec::new();
                return Ok(Some((self.number, Line::TooLong)));
            }
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        Ok(Some((self.number, Line::Text(&self.line))))
    }

    /// Returns the number of the line that was read last.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Reads up to a newline: `None` at the end, false if the line is over the bound.
    fn fill(&mut self) -> io::Result<Option<bool>> {
        let mut any = false;
        let mut whole = true;
        loop {
            let bytes = match self.reader.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if bytes.is_empty() {
                return Ok(any.then_some(whole));
            }
            any = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            // One byte over the bound is let through for the CR of a line end.
            whole = whole && self.line.len() + part.len() <= self.limit + 1;
            if whole {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(whole));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[(u64, Option<&str>)]) {
        for buffer in [1, 2, 3, 64] {
            let mut lines = Lines::with_limit(io::BufReader::with_capacity(buffer, text.as_bytes()), 8);
            let mut found = Vec::new();
            while let Some((number, line)) = lines.next().unwrap() {
                found.push(match line {
                    Line::Text(bytes) => (number, Some(String::from_utf8(bytes.to_vec()).unwrap())),
                    Line::TooLong => (number, None),
                });
            }
            let found: Vec<_> = found.iter().map(|(n, line)| (*n, line.as_deref())).collect();
            assert_eq!(found, expect, "with a buffer of {buffer}");
        }
    }

    #[test]
    fn lines_keep_their_numbers_whatever_ends_them() {
        check("", &[]);
        check("a\r\n\r\n  \nb", &[(1, Some("a")), (4, Some("b"))]);
        check("a\n", &[(1, Some("a"))]);
    }

    #[test]
    fn a_line_over_the_bound_is_dropped_and_the_next_is_read() {
        check("1234567890\nok\n", &[(1, None), (2, Some("ok"))]);
        check("12345678\r\nok", &[(1, Some("12345678")), (2, Some("ok"))]);
    }
}
