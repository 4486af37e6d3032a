//! Splits a JSON array into its elements without loading it: only one element is held at a time.

use std::io::{self, BufRead};

/// The elements of a JSON array, as bytes.
pub(crate) struct Elements<R> {
    reader: R,
    line: u64,
    item: u64,
    state: State,
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    First,
    Next,
    Closed,
    Done,
}

/// An element, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// The bytes of one element, which may still not be JSON.
    Bytes(Vec<u8>),
    /// An element over the bound; its bytes were dropped.
    TooLong,
    /// The array itself is wrong, so that nothing after this place can be read.
    Broken(&'static str),
}

impl<R: BufRead> Elements<R> {
    /// Makes a reader of elements up to `limit` bytes.
    pub(crate) const fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            line: 1,
            item: 0,
            state: State::Start,
            limit,
        }
    }

    /// Gives no more elements.
    pub(crate) const fn stop(&mut self) {
        self.state = State::Done;
    }

    /// Returns the next element with its line and its number, both from 1; `None` after the end of the array.
    ///
    /// # Errors
    ///
    /// If the input cannot be read.
    pub(crate) fn next(&mut self) -> io::Result<Option<(u64, u64, Element)>> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Start => {
                    if self.skip_space()? != Some(b'[') {
                        return Ok(self.broken("expected `[`"));
                    }
                    self.reader.consume(1);
                    self.state = State::First;
                }
                State::Closed => {
                    if self.skip_space()?.is_some() {
                        return Ok(self.broken("something follows the array"));
                    }
                    self.state = State::Done;
                }
                State::First | State::Next => match self.skip_space()? {
                    None => return Ok(self.broken("the array is not closed")),
                    Some(b']') if self.state == State::First => {
                        self.reader.consume(1);
                        self.state = State::Closed;
                    }
                    Some(b']') => return Ok(self.broken("a comma stands before the `]`")),
                    Some(b',') => return Ok(self.broken("an element is missing before the comma")),
                    Some(_) => {
                        self.item += 1;
                        let (line, item) = (self.line, self.item);
                        let Some((element, closed)) = self.element()? else {
                            return Ok(self.broken("the array is not closed"));
                        };
                        self.state = if closed { State::Closed } else { State::Next };
                        return Ok(Some((line, item, element)));
                    }
                },
            }
        }
    }

    /// Reads one element up to and with the `,` or `]` that ends it; true if it was the `]`.
    fn element(&mut self) -> io::Result<Option<(Element, bool)>> {
        let mut bytes = Vec::new();
        let mut whole = true;
        let mut depth = 0_u64;
        let mut in_text = false;
        let mut escaped = false;
        loop {
            let buffer = fill(&mut self.reader)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let mut end = None;
            for (index, byte) in buffer.iter().enumerate() {
                self.line += u64::from(*byte == b'\n');
                match (in_text, *byte) {
                    (true, _) if escaped => escaped = false,
                    (true, b'\\') => escaped = true,
                    (true, b'"') => in_text = false,
                    (true, _) => {}
                    (false, b'"') => in_text = true,
                    (false, b'{' | b'[') => depth += 1,
                    (false, b',' | b']') if depth == 0 => {
                        end = Some((index, *byte == b']'));
                        break;
                    }
                    (false, b'}' | b']') => depth = depth.saturating_sub(1),
                    (false, _) => {}
                }
            }
            let part = &buffer[..end.map_or(buffer.len(), |(index, _)| index)];
            whole = whole && bytes.len() + part.len() <= self.limit;
            if whole {
                bytes.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if let Some((_, closed)) = end {
                return Ok(Some((
                    if whole {
                        Element::Bytes(bytes)
                    } else {
                        Element::TooLong
                    },
                    closed,
                )));
            }
        }
    }

    fn broken(&mut self, why: &'static str) -> Option<(u64, u64, Element)> {
        self.state = State::Done;
        Some((self.line, self.item, Element::Broken(why)))
    }

    /// Skips white space and returns the byte after it, without taking it.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let buffer = fill(&mut self.reader)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let space = buffer
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.line += buffer[..space].iter().filter(|byte| **byte == b'\n').count() as u64;
            let next = buffer.get(space).copied();
            self.reader.consume(space);
            if next.is_some() {
                return Ok(next);
            }
        }
    }
}

fn fill<R: BufRead>(reader: &mut R) -> io::Result<&[u8]> {
    // A loop around `fill_buf` that returns the slice does not pass the borrow checker, so ask twice.
    loop {
        match reader.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    reader.fill_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &[(u64, u64, Result<&str, &str>)]) {
        for buffer in [1, 3, 64] {
            let mut elements = Elements::new(io::BufReader::with_capacity(buffer, text.as_bytes()), 12);
            let mut found = Vec::new();
            while let Some((line, item, element)) = elements.next().unwrap() {
                found.push((
                    line,
                    item,
                    match element {
                        Element::Bytes(bytes) => Ok(String::from_utf8(bytes).unwrap().trim().to_owned()),
                        Element::TooLong => Err("too long".to_owned()),
                        Element::Broken(why) => Err(why.to_owned()),
                    },
                ));
            }
            let expect: Vec<_> = expect
                .iter()
                .map(|(line, item, element)| {
                    (*line, *item, element.map(str::to_owned).map_err(str::to_owned))
                })
                .collect();
            assert_eq!(found, expect, "{text:?} with a buffer of {buffer}");
        }
    }

    #[test]
    fn an_array_falls_into_its_elements() {
        check("[]", &[]);
        check(" [ 1 ,\n\"a,]\" ] \n", &[(1, 1, Ok("1")), (2, 2, Ok("\"a,]\""))]);
        check(
            "[{\"a\":[1]},\n[2]]",
            &[(1, 1, Ok("{\"a\":[1]}")), (2, 2, Ok("[2]"))],
        );
        check("[\"\\\"]\",2]", &[(1, 1, Ok("\"\\\"]\"")), (1, 2, Ok("2"))]);
    }

    #[test]
    fn a_broken_array_says_why_after_its_good_elements() {
        check(
            "[1] x",
            &[(1, 1, Ok("1")), (1, 1, Err("something follows the array"))],
        );
        check(
            "[1,]",
            &[(1, 1, Ok("1")), (1, 1, Err("a comma stands before the `]`"))],
        );
        check(
            "[1,,2]",
            &[
                (1, 1, Ok("1")),
                (1, 1, Err("an element is missing before the comma")),
            ],
        );
        check(
            "[1,\n{",
            &[(1, 1, Ok("1")), (2, 2, Err("the array is not closed"))],
        );
        check("[", &[(1, 0, Err("the array is not closed"))]);
        check("x", &[(1, 0, Err("expected `[`"))]);
        check(
            "[\"0123456789ab\",1]",
            &[(1, 1, Err("too long")), (1, 2, Ok("1"))],
        );
    }
}
