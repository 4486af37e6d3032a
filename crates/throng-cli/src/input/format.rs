//! Which format an input has: by its name, else by its first bytes.

use std::io::{self, Read};
use std::path::Path;

use super::record::PROMPT_FIELDS;

/// How records are written in an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON value a line.
    Jsonl,
    /// One JSON array.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// Tab-separated values with a header.
    Tsv,
    /// One prompt a line.
    Lines,
}

/// How much of an input is looked at.
const PEEK: usize = 64 << 10;

/// What the first bytes of an input show, and an input that begins with them again.
pub(crate) struct Peeked<R> {
    /// The first bytes, without a byte order mark.
    pub(crate) head: Vec<u8>,
    rest: R,
}

impl<R: Read> Peeked<R> {
    /// Reads the first bytes, up to the first line that is not blank.
    ///
    /// # Errors
    ///
    /// If the input cannot be read.
    pub(crate) fn new(mut rest: R) -> io::Result<Self> {
        let mut head = Vec::new();
        let mut buffer = [0; 4096];
        while head.len() < PEEK {
            match rest.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => head.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // A whole line decides, but a `[` alone does not.
            let text = head.trim_ascii_start();
            if text.contains(&b'\n') && text.trim_ascii_end().len() > 1 {
                break;
            }
        }
        if head.starts_with(b"\xef\xbb\xbf") {
            head.drain(..3);
        }
        Ok(Self { head, rest })
    }

    /// Returns the whole input, its byte order mark left out.
    pub(crate) fn into_reader(self) -> impl Read + use<R> {
        io::Cursor::new(self.head).chain(self.rest)
    }
}

/// Returns what keeps an input from being text, if its first bytes show it.
pub(crate) fn not_text(head: &[u8]) -> Option<(&'static str, &'static str)> {
    match head {
        [0x1f, 0x8b, ..] => Some((
            "it is compressed with gzip",
            "unpack it on the way: gunzip -c FILE | throng run -",
        )),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some((
            "it is compressed with zstd",
            "unpack it on the way: zstdcat FILE | throng run -",
        )),
        [b'P', b'K', 3 | 5, ..] => Some((
            "it is a zip archive or a spreadsheet",
            "save the sheet as CSV in UTF-8",
        )),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(("it is UTF-16", "save it as UTF-8")),
        _ => None,
    }
}

/// Decides on the format.
///
/// A name that ends in `.jsonl`, `.ndjson`, `.csv`, `.tsv` or `.txt` decides. Else the content does: `[` and a
/// value begin a JSON array, `{` begins JSON Lines, a first line with a comma and a usual prompt field begins a
/// CSV file, and everything else is plain lines.
pub(crate) fn detect(path: &Path, head: &[u8], prompt_field: Option<&str>) -> Format {
    let extension = path
        .extension()
        .and_then(|ext| ext.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match extension.as_str() {
        "jsonl" | "ndjson" => return Format::Jsonl,
        "csv" => return Format::Csv,
        "tsv" => return Format::Tsv,
        "txt" | "text" | "md" => return Format::Lines,
        _ => {}
    }
    let text = head.trim_ascii_start();
    match text.split_first() {
        Some((b'{', _)) => return Format::Jsonl,
        Some((b'[', rest)) => {
            let next = rest.trim_ascii_start().first();
            if matches!(next, None | Some(b'{' | b'"' | b']')) || extension == "json" {
                return Format::Json;
            }
        }
        _ => {}
    }
    let first = text
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or_default();
    for (separator, format) in [(b',', Format::Csv), (b'\t', Format::Tsv)] {
        let names = first
            .split(|byte| *byte == separator)
            .map(|name| name.trim_ascii().trim_ascii());
        let usual = |name: &[u8]| {
            let name = name
                .strip_prefix(b"\"")
                .and_then(|name| name.strip_suffix(b"\""))
                .unwrap_or(name);
            PROMPT_FIELDS
                .iter()
                .copied()
                .chain(prompt_field)
                .any(|field| field.as_bytes() == name)
        };
        if names.clone().count() > 1 && names.clone().any(usual) {
            return format;
        }
    }
    if extension == "json" {
        Format::Jsonl
    } else {
        Format::Lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, head: &str, expect: Format) {
        assert_eq!(
            detect(Path::new(name), head.as_bytes(), Some("ask")),
            expect,
            "{name} with {head:?}"
        );
    }

    #[test]
    fn the_name_decides_and_else_the_content() {
        check("a.jsonl", "[1]", Format::Jsonl);
        check("a.CSV", "{", Format::Csv);
        check("a.txt", "{\"a\": 1}", Format::Lines);
        check("a.json", " [ 1, 2]", Format::Json);
        check("a.json", "{\"a\": 1}\n", Format::Jsonl);
        check("-", "{\"a\": 1}\n", Format::Jsonl);
        check("-", "\n[\n {\"a\": 1}", Format::Json);
        check("-", "[1] What does the first footnote say?", Format::Lines);
        check("-", "id,question\n1,Why?", Format::Csv);
        check("-", "\"id\"\t\"ask\"\n1\tWhy?", Format::Tsv);
        check("-", "Well, why?\n", Format::Lines);
        check("-", "question\nWhy?\n", Format::Lines);
    }

    #[test]
    fn peeking_loses_nothing_but_the_byte_order_mark() {
        let text = format!("\u{feff}{}", "line of text\n".repeat(9000));
        let peeked = Peeked::new(text.as_bytes()).unwrap();
        let mut whole = String::new();
        peeked.into_reader().read_to_string(&mut whole).unwrap();
        assert_eq!(whole, text.trim_start_matches('\u{feff}'));
    }
}
