//! What is kept of a stream of output: its head and its tail, in bounded memory, with a count of what lies between.

use std::borrow::Cow;
use std::collections::VecDeque;

/// How much of a stream is kept. All of it is read, so that the child never waits for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    head: usize,
    tail: usize,
}

impl Keep {
    /// Keeps the first bytes.
    pub const fn first(bytes: usize) -> Self {
        Self { head: bytes, tail: 0 }
    }

    /// Keeps the last bytes.
    pub const fn last(bytes: usize) -> Self {
        Self { head: 0, tail: bytes }
    }

    /// Keeps the first and the last bytes.
    pub const fn ends(first: usize, last: usize) -> Self {
        Self {
            head: first,
            tail: last,
        }
    }

    /// Returns how many bytes are kept at most.
    pub const fn bytes(self) -> usize {
        self.head.saturating_add(self.tail)
    }
}

impl Default for Keep {
    /// Keeps the first and the last 512 KiB.
    fn default() -> Self {
        Self::ends(512 * 1024, 512 * 1024)
    }
}

/// What was kept of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: u64,
}

impl Captured {
    /// Returns how many bytes between the head and the tail were not kept.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns the whole output, or `None` if some of it was not kept.
    pub fn whole(&self) -> Option<&[u8]> {
        (self.dropped == 0).then_some(self.head.as_slice())
    }

    /// Returns the first bytes: all of them if nothing was dropped.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Returns the last bytes, after those that were dropped. Empty if nothing was dropped.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Returns the output as text, with a note in the place of what was dropped. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        if self.dropped == 0 {
            return String::from_utf8_lossy(&self.head);
        }
        let mut text = String::from_utf8_lossy(whole_characters(&self.head)).into_owned();
        text.push_str(&format!("\n[{} bytes dropped]\n", self.dropped));
        text.push_str(&String::from_utf8_lossy(after_continuation(&self.tail)));
        Cow::Owned(text)
    }
}

/// Collects a stream.
#[derive(Debug)]
pub(crate) struct Capture {
    keep: Keep,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Capture {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self {
            keep,
            head: Vec::new(),
            tail: VecDeque::new(),
            total: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (head, rest) = bytes.split_at(bytes.len().min(self.keep.head - self.head.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(self.keep.tail)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.keep.tail);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    pub(crate) fn captured(&self) -> Captured {
        let mut head = self.head.clone();
        let mut tail = Vec::with_capacity(self.tail.len());
        let (a, b) = self.tail.as_slices();
        tail.extend_from_slice(a);
        tail.extend_from_slice(b);
        let dropped = self.total - (head.len() + tail.len()) as u64;
        if dropped == 0 {
            head.append(&mut tail);
        }
        Captured { head, tail, dropped }
    }
}

/// Cuts off a character that the end of the head splits.
fn whole_characters(head: &[u8]) -> &[u8] {
    let start = head.iter().rposition(|byte| byte & 0xc0 != 0x80).unwrap_or(0);
    match std::str::from_utf8(&head[start..]) {
        Err(error) if error.error_len().is_none() => &head[..start],
        _ => head,
    }
}

/// Cuts off the rest of a character that the beginning of the tail splits.
fn after_continuation(tail: &[u8]) -> &[u8] {
    let rest = tail
        .iter()
        .take(3)
        .take_while(|byte| *byte & 0xc0 == 0x80)
        .count();
    &tail[rest..]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn captured(keep: Keep, chunks: &[Vec<u8>]) -> Captured {
        let mut capture = Capture::new(keep);
        for chunk in chunks {
            capture.push(chunk);
            assert!(capture.head.len() + capture.tail.len() <= keep.bytes());
        }
        capture.captured()
    }

    proptest! {
        #[test]
        fn the_ends_are_kept_however_the_bytes_are_split(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..8),
            head in 0_usize..20,
            tail in 0_usize..20,
        ) {
            let all = chunks.concat();
            let captured = captured(Keep::ends(head, tail), &chunks);
            if all.len() <= head + tail {
                prop_assert_eq!(captured.whole(), Some(all.as_slice()));
            } else {
                prop_assert_eq!(captured.head(), &all[..head]);
                prop_assert_eq!(captured.tail(), &all[all.len() - tail..]);
                prop_assert_eq!(captured.dropped(), (all.len() - head - tail) as u64);
                prop_assert_eq!(captured.whole(), None);
            }
        }
    }

    #[test]
    fn a_character_that_a_cut_splits_is_left_out_of_the_text() {
        let text = |keep| captured(keep, &["äöü".as_bytes().to_vec()]).text().into_owned();
        assert_eq!(text(Keep::first(3)), "ä\n[3 bytes dropped]\n");
        assert_eq!(text(Keep::last(3)), "\n[3 bytes dropped]\nü");
        assert_eq!(text(Keep::first(6)), "äöü");
    }
}
