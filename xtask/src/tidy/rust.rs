//! Enough of Rust's lexical structure for line scans: which characters are code, and where the tests begin.

/// Blanks comments, strings and character literals; every line keeps its place and its length.
pub(crate) fn mask(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(&here) = chars.get(at) {
        let next = chars.get(at + 1);
        let end = match here {
            '/' if next == Some(&'/') => Some(line_end(&chars, at)),
            '/' if next == Some(&'*') => Some(block_comment_end(&chars, at)),
            '"' => Some(string_end(&chars, at + 1)),
            '\'' => character_end(&chars, at),
            'r' | 'b' | 'c' if at == 0 || !is_word(chars[at - 1]) => raw_string_end(&chars, at),
            _ => None,
        };
        match end {
            Some(end) => {
                let end = end.min(chars.len());
                for masked in chars[at..end].iter_mut().filter(|c| **c != '\n') {
                    *masked = ' ';
                }
                at = end;
            }
            None => at += 1,
        }
    }
    chars.into_iter().collect()
}

/// Returns how many lines of a masked file come before its `mod tests { … }`, which stands last.
pub(crate) fn code_lines(masked: &str) -> usize {
    let lines: Vec<&str> = masked.lines().collect();
    let tests = lines.iter().position(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        line.strip_prefix("mod tests")
            .is_some_and(|rest| rest.trim_start().starts_with('{'))
    });
    match tests {
        Some(at) if at > 0 && lines[at - 1].trim_start().starts_with("#[cfg(test)]") => at - 1,
        Some(at) => at,
        None => lines.len(),
    }
}

/// Returns true for files that hold nothing but tests.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Splits code into words: runs of letters, digits and `_`.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..]
        .iter()
        .position(|c| *c == '\n')
        .map_or(chars.len(), |len| at + len)
}

fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns where a string ends whose first character after the quote is at `at`.
fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '"' => return at + 1,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// Returns where a character literal ends, or `None` if the quote begins a lifetime.
fn character_end(chars: &[char], at: usize) -> Option<usize> {
    match chars.get(at + 1)? {
        '\\' => chars[at + 3..]
            .iter()
            .position(|c| *c == '\'')
            .map(|len| at + 3 + len + 1),
        _ => (chars.get(at + 2) == Some(&'\'')).then_some(at + 3),
    }
}

/// Returns where a string ends that has the prefix `r`, `b`, `c`, `br` or `cr`, or `None` if it is no such string.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let prefix = chars[at..]
        .iter()
        .take(2)
        .take_while(|c| matches!(c, 'r' | 'b' | 'c'))
        .count();
    let raw = chars[at + prefix - 1] == 'r';
    let hashes = chars[at + prefix..].iter().take_while(|c| **c == '#').count();
    let open = at + prefix + hashes;
    if chars.get(open) != Some(&'"') || (hashes > 0 && !raw) {
        return None;
    }
    if !raw {
        return Some(string_end(chars, open + 1));
    }
    let closes =
        |at: usize| chars[at] == '"' && chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes;
    let close = (open + 1..chars.len()).find(|at| closes(*at))?;
    Some(close + 1 + hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, code: &str) {
        let masked = mask(input);
        assert_eq!(masked.chars().count(), input.chars().count(), "{input}");
        assert_eq!(words(&masked).collect::<Vec<_>>().join(" "), code, "{input}");
    }

    #[test]
    fn code_stays_and_the_rest_is_blank() {
        check("let a = 1; // todo!", "let a 1");
        check("a /* b /* c */ d */ e", "a e");
        check(r#"f("x \" y", z)"#, "f z");
        check(r##"f(r#"x " y"#, z)"##, "f z");
        check(r#"f(b"x", br"\", c"y", z)"#, "f z");
        check("let r#type = brr; c", "let r type brr c");
        check(
            "let c = 'x'; let d = '\\''; let e = '\\u{41}'; f",
            "let c let d let e f",
        );
        check("fn f<'a>(x: &'a str, y: 'static) {}", "fn f a x a str y static");
        check("a \"open", "a");
        check("a '", "a");
    }

    #[test]
    fn the_tests_at_the_end_do_not_count() {
        assert_eq!(code_lines("a\nb\n\n#[cfg(test)]\nmod tests {\n}\n"), 3);
        assert_eq!(code_lines("a\nmod tests;\nb\n"), 3);
        assert_eq!(code_lines("a\n#[cfg(test)]\npub(crate) mod tests {\n}\n"), 1);
    }
}
