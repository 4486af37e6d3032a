//! One text for each JSON value, after RFC 8785 (JSON Canonicalization Scheme, 2020): names sorted at every depth, no
//! white space, one way to write each string and each number.
//!
//! It differs from the RFC in that numbers are exact: they are never rounded to a double, so two numbers have the same
//! text if and only if they have the same value. The text is read here and not through a tree of values, because such a
//! tree rounds large numbers and, with features that another crate may turn on, keeps another order.

use std::iter;

use serde_json::Deserializer;

/// How deep values may be nested, as in `serde_json`.
const MAX_DEPTH: usize = 128;

/// Returns the canonical text of the JSON value that `text` holds; `None` if it holds something else, or a value that
/// has no canonical text: nested deeper than 128 levels, with one name twice in an object, or with a number whose
/// exponent has more than 18 digits.
pub(crate) fn canonical_json(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text };
    let mut out = String::with_capacity(text.len());
    reader.value(&mut out, MAX_DEPTH)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(out)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, out: &mut String, depth: usize) -> Option<()> {
        self.skip_space();
        match self.rest.bytes().next()? {
            b'{' => self.object(out, depth.checked_sub(1)?),
            b'[' => self.array(out, depth.checked_sub(1)?),
            b'"' => {
                out.push_str(&written(&self.string()?));
                Some(())
            }
            b'-' | b'0'..=b'9' => self.number(out),
            _ => {
                let literal = ["true", "false", "null"]
                    .into_iter()
                    .find(|&word| self.take(word))?;
                out.push_str(literal);
                Some(())
            }
        }
    }

    fn object(&mut self, out: &mut String, depth: usize) -> Option<()> {
        let mut members: Vec<(String, String)> = Vec::new();
        self.list('{', '}', |reader| {
            reader.skip_space();
            let name = reader.string()?;
            reader.skip_space();
            if !reader.take(":") {
                return None;
            }
            let mut value = String::new();
            reader.value(&mut value, depth)?;
            members.push((name, value));
            Some(())
        })?;
        members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        if members
            .iter()
            .zip(members.iter().skip(1))
            .any(|(a, b)| a.0 == b.0)
        {
            return None;
        }
        out.push('{');
        for (index, (name, value)) in members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&written(name));
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Some(())
    }

    fn array(&mut self, out: &mut String, depth: usize) -> Option<()> {
        out.push('[');
        let mut first = true;
        self.list('[', ']', |reader| {
            if !std::mem::replace(&mut first, false) {
                out.push(',');
            }
            reader.value(out, depth)
        })?;
        out.push(']');
        Some(())
    }

    /// Reads `open`, items with commas between them, and `close`.
    fn list(&mut self, open: char, close: char, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.rest = self.rest.strip_prefix(open)?;
        self.skip_space();
        if let Some(rest) = self.rest.strip_prefix(close) {
            self.rest = rest;
            return Some(());
        }
        loop {
            item(self)?;
            self.skip_space();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(());
            }
            self.rest = self.rest.strip_prefix(',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.rest.starts_with('"') {
            return None;
        }
        let mut strings = Deserializer::from_str(self.rest).into_iter::<String>();
        let string = strings.next()?.ok()?;
        self.rest = self.rest.get(strings.byte_offset()..)?;
        Some(string)
    }

    fn number(&mut self, out: &mut String) -> Option<()> {
        let negative = self.take("-");
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        let fraction = if self.take(".") { self.digits()? } else { "" };
        let mut exponent = ("", false);
        if self.take("e") || self.take("E") {
            let below = self.take("-");
            if !below {
                self.take("+");
            }
            exponent = (self.digits()?, below);
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            out.push('0');
            return Some(());
        }
        let (digits, below) = (exponent.0.trim_start_matches('0'), exponent.1);
        if digits.len() > 18 {
            return None;
        }
        let power: i64 = if digits.is_empty() {
            0
        } else {
            digits.parse().ok()?
        };
        let power = if below { -power } else { power };
        let leading = all.len() - all.trim_start_matches('0').len();
        // The value is 0.SIGNIFICANT × 10^point.
        let point = power + i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()?;
        if negative {
            out.push('-');
        }
        write_decimal(out, significant, point);
        Some(())
    }

    fn digits(&mut self) -> Option<&'a str> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!digits.is_empty()).then_some(digits)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// Writes 0.DIGITS × 10^point as ECMAScript writes numbers, which is what the RFC asks for.
fn write_decimal(out: &mut String, digits: &str, point: i64) {
    let zeros = |count: usize| iter::repeat_n('0', count);
    match usize::try_from(point) {
        Ok(point) if point >= digits.len() && point <= 21 => {
            out.push_str(digits);
            out.extend(zeros(point - digits.len()));
        }
        Ok(point) if (1..=21).contains(&point) => {
            let (whole, fraction) = digits.split_at(point);
            out.push_str(whole);
            out.push('.');
            out.push_str(fraction);
        }
        _ if (-5..=0).contains(&point) => {
            out.push_str("0.");
            out.extend(zeros(usize::try_from(-point).unwrap_or(0)));
            out.push_str(digits);
        }
        _ => {
            let (first, fraction) = digits.split_at(1);
            out.push_str(first);
            if !fraction.is_empty() {
                out.push('.');
                out.push_str(fraction);
            }
            let exponent = point - 1;
            let sign = if exponent < 0 { "" } else { "+" };
            out.push_str(&format!("e{sign}{exponent}"));
        }
    }
}

fn written(string: &str) -> String {
    serde_json::to_string(string).expect("a string can always be written as JSON")
}
