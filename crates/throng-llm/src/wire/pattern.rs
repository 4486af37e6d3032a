//! Frames that differ from one before only in their text. A stream consists mostly of them, and of such a frame only the
//! text has to be read: what stands before and after it is the same, byte by byte, and so means the same.

use super::draft::Channel;

/// A larger frame is not kept to compare others with.
const MAX_BYTES: usize = 4 * 1024;

/// After so many frames that fit to none before, no more are kept: the server writes something into each that changes.
const MAX_MISSES: u32 = 8;

/// A frame that said nothing but a piece of text.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    /// What stands before and after the text, its quotation marks included.
    around: Option<(String, String, Channel)>,
    misses: u32,
}

impl Pattern {
    /// Returns the text of a frame that is the same as the one kept but for the text, and where the text belongs.
    pub(super) fn text_of<'a>(&self, frame: &'a str) -> Option<(Channel, &'a str)> {
        let (before, after, channel) = self.around.as_ref()?;
        let text = frame
            .strip_prefix(before.as_str())?
            .strip_suffix(after.as_str())?;
        // A quotation mark would end the text, and an escape stands for something else. Control characters are no JSON.
        let plain =
            memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none() && text.bytes().all(|byte| byte >= 0x20);
        plain.then_some((*channel, text))
    }

    /// Returns the text of the event at the beginning of the bytes of a stream, where the text belongs, and the bytes after
    /// the event, if it is one line with such a frame. Says `None` of many an event that [`text_of`](Self::text_of) takes:
    /// this only saves looking at every byte.
    pub(super) fn text_of_event<'a>(&self, bytes: &'a [u8]) -> Option<(Channel, &'a str, &'a [u8])> {
        let (before, after, channel) = self.around.as_ref()?;
        let rest = bytes.strip_prefix(b"data: ")?.strip_prefix(before.as_bytes())?;
        // What stands after the text begins with a quotation mark.
        let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
        let end = rest.iter().position(|byte| !is_plain(*byte))?;
        let (text, rest) = rest.split_at(end);
        let rest = rest.strip_prefix(after.as_bytes())?.strip_prefix(b"\n\n")?;
        Some((*channel, str::from_utf8(text).ok()?, rest))
    }

    /// Keeps a frame that said nothing but this text, if the text is a part of it as it stands.
    pub(super) fn keep(&mut self, frame: &str, text: &str, channel: Channel) {
        if self.misses >= MAX_MISSES || frame.len() > MAX_BYTES || text.is_empty() {
            return;
        }
        self.misses += u32::from(self.around.is_some());
        let start = (text.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
        let (Some(before), Some(after)) = (frame.get(..start), frame.get(start.saturating_add(text.len())..))
        else {
            return;
        };
        if before.ends_with('"') && after.starts_with('"') {
            self.around = Some((before.to_owned(), after.to_owned(), channel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_differs_in_its_text_only_is_read_by_its_text() {
        let frame = r#"{"id":"a","t":"Hel","n":1}"#;
        let mut pattern = Pattern::default();
        assert_eq!(pattern.text_of(frame), None);
        pattern.keep(frame, &frame[15..18], Channel::Text);
        let text = |frame: &str| {
            let text = pattern.text_of(frame).map(|(_, text)| text.to_owned());
            let event = format!("data: {frame}\n\n: after");
            let found = pattern.text_of_event(event.as_bytes());
            assert_eq!(found.map(|(_, text, _)| text), text.as_deref(), "{frame}");
            assert!(found.is_none_or(|(_, _, rest)| rest == b": after"), "{frame}");
            text
        };
        assert_eq!(
            text(r#"{"id":"a","t":"lo, wörld","n":1}"#),
            Some("lo, wörld".to_owned())
        );
        assert_eq!(text(r#"{"id":"a","t":"","n":1}"#), Some(String::new()));
        for other in [
            r#"{"id":"b","t":"lo","n":1}"#,
            r#"{"id":"a","t":"lo","n":2}"#,
            r#"{"id":"a","t":"l\"o","n":1}"#,
            r#"{"id":"a","t":"l\no","n":1}"#,
            r#"{"id":"a","t":"l","e":"o","n":1}"#,
            "{\"id\":\"a\",\"t\":\"l\no\",\"n\":1}",
            r#"{"id":"a","t":","n":1}"#,
            "",
        ] {
            assert_eq!(text(other), None, "{other}");
        }
    }
}
