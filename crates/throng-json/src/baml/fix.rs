//! Reads JSON with mistakes: one pass over the characters with a stack of what is open.

use serde_json::Number;

use super::value::Ish;

enum Open {
    Object(Vec<String>, Vec<Ish>),
    Array(Vec<Ish>),
    Quoted(String),
    Triple(String),
    Single(String),
    Bare(String),
    LineComment,
    BlockComment,
}

/// Where a string lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Key,
    Value,
    Array,
}

struct Fixer {
    open: Vec<Open>,
    /// Complete values, and whether each is a container.
    done: Vec<(bool, Ish)>,
}

/// Reads a text. `None`: there is nothing in it.
pub(super) fn parse(text: &str, cut: &mut bool) -> Option<Vec<Ish>> {
    let chars: Vec<char> = text.chars().collect();
    let mut fixer = Fixer {
        open: Vec::new(),
        done: Vec::new(),
    };
    let mut at = 0;
    while let Some(&char) = chars.get(at) {
        let next = chars.get(at + 1..).unwrap_or_default();
        at += 1 + fixer.take(char, next);
    }
    *cut |= fixer
        .open
        .iter()
        .any(|open| matches!(open, Open::Object(..) | Open::Array(_)));
    while !fixer.open.is_empty() {
        fixer.complete();
    }
    if fixer.done.len() == 1 {
        return Some(fixer.done.into_iter().map(|(_, ish)| ish).collect());
    }
    let containers: Vec<Ish> = fixer
        .done
        .into_iter()
        .filter_map(|(is_container, ish)| is_container.then_some(ish))
        .collect();
    (!containers.is_empty()).then_some(containers)
}

fn bare(text: &str) -> Ish {
    let text = text.trim();
    match text {
        "true" => return Ish::Bool(true),
        "false" => return Ish::Bool(false),
        "null" => return Ish::Null,
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ish::Number(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Ish::Number(number.into());
    }
    match text.parse().ok().and_then(Number::from_f64) {
        Some(number) => Ish::Number(number),
        None => Ish::Text(text.to_owned()),
    }
}

impl Fixer {
    fn complete(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let is_container = matches!(open, Open::Object(..) | Open::Array(_));
        let value = match open {
            Open::LineComment | Open::BlockComment => return,
            Open::Object(keys, values) => Ish::Object(keys.into_iter().zip(values).collect()),
            Open::Array(items) => Ish::Array(items),
            Open::Quoted(text) | Open::Triple(text) | Open::Single(text) => Ish::Text(text),
            Open::Bare(text) => bare(&text),
        };
        match self.open.last_mut() {
            Some(Open::Object(keys, values)) => {
                if keys.len() == values.len() {
                    keys.push(value.to_string());
                } else {
                    values.push(value);
                }
            }
            Some(Open::Array(items)) => items.push(value),
            _ => self.done.push((is_container, value)),
        }
    }

    fn push(&mut self, char: char) {
        if let Some(Open::Quoted(text) | Open::Triple(text) | Open::Single(text) | Open::Bare(text)) =
            self.open.last_mut()
        {
            text.push(char);
        }
    }

    /// Where the innermost string lies.
    fn place(&self) -> Place {
        match self.open.iter().rev().nth(1) {
            Some(Open::Object(keys, values)) if keys.len() == values.len() => Place::Key,
            Some(Open::Object(..)) => Place::Value,
            Some(Open::Array(_)) => Place::Array,
            _ => Place::Top,
        }
    }

    /// Takes a character; returns how many of the next ones were taken too.
    fn take(&mut self, char: char, next: &[char]) -> usize {
        let first = next.first().copied();
        match self.open.last() {
            None => self.begin(char, next),
            Some(Open::Object(..)) => match char {
                '}' => {
                    self.complete();
                    0
                }
                ',' | ':' => 0,
                _ => self.begin(char, next),
            },
            Some(Open::Array(_)) => match char {
                ']' => {
                    self.complete();
                    0
                }
                ',' => 0,
                _ => self.begin(char, next),
            },
            Some(Open::Triple(_)) => {
                if char == '"' && matches!(first, Some('"') | None) {
                    self.complete();
                    return 3;
                }
                self.push(char);
                0
            }
            Some(Open::Quoted(_)) => match char {
                '"' if self.closes(next, '"') => {
                    self.complete();
                    0
                }
                '\\' => self.escape(next),
                _ => {
                    self.push(char);
                    0
                }
            },
            Some(Open::Single(_)) => {
                if char == '\'' && self.closes(next, '\'') {
                    self.complete();
                } else {
                    self.push(char);
                }
                0
            }
            Some(Open::Bare(_)) => {
                self.push(char);
                self.end_bare(next)
            }
            Some(Open::LineComment) => {
                if char == '\n' {
                    self.complete();
                }
                0
            }
            Some(Open::BlockComment) => {
                if char == '*' && first == Some('/') {
                    self.complete();
                    return 1;
                }
                0
            }
        }
    }

    fn escape(&mut self, next: &[char]) -> usize {
        let char = match next.first() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('\\') => '\\',
            Some('"') => '"',
            Some('u') => {
                let digits: String = next.iter().skip(1).take(4).collect();
                let decoded = u32::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 4);
                if let Some(char) = decoded.and_then(char::from_u32) {
                    self.push(char);
                } else {
                    self.push('\\');
                    next.iter().take(5).for_each(|char| self.push(*char));
                }
                return 5;
            }
            _ => {
                self.push('\\');
                return 0;
            }
        };
        self.push(char);
        1
    }

    /// Begins a value with a character, unless it is space.
    fn begin(&mut self, char: char, next: &[char]) -> usize {
        let first = next.first().copied();
        match char {
            '{' => self.open.push(Open::Object(Vec::new(), Vec::new())),
            '[' => self.open.push(Open::Array(Vec::new())),
            '"' if first == Some('"') && next.get(1) == Some(&'"') => {
                self.open.push(Open::Triple(String::new()));
                return 2;
            }
            '"' => self.open.push(Open::Quoted(String::new())),
            '\'' => self.open.push(Open::Single(String::new())),
            '/' if first == Some('/') => {
                self.open.push(Open::LineComment);
                return 1;
            }
            '/' if first == Some('*') => {
                self.open.push(Open::BlockComment);
                return 1;
            }
            '/' => {}
            _ if char.is_whitespace() => {}
            _ => {
                self.open.push(Open::Bare(char.into()));
                return self.end_bare(next);
            }
        }
        0
    }

    /// Reads text without quotes to its end, and completes it.
    fn end_bare(&mut self, next: &[char]) -> usize {
        let mut taken = 0;
        match self.place() {
            Place::Top => {
                for (at, char) in next.iter().enumerate() {
                    taken = at;
                    if matches!(char, '{' | '[') {
                        break;
                    }
                    self.push(*char);
                }
            }
            Place::Key => {
                for (at, char) in next.iter().enumerate() {
                    taken = at;
                    if *char == ':' {
                        break;
                    }
                    self.push(*char);
                }
            }
            Place::Value => taken = self.bare_value(next),
            Place::Array => {
                taken = next.len();
                for (at, char) in next.iter().enumerate() {
                    if matches!(char, ',' | ']') {
                        taken = at;
                        break;
                    }
                    self.push(*char);
                }
            }
        }
        self.complete();
        taken
    }

    fn bare_value(&mut self, next: &[char]) -> usize {
        let mut taken = 0;
        let mut at = 0;
        while let Some(&char) = next.get(at) {
            taken = at;
            at += 1;
            match char {
                '}' => return taken,
                ',' => match next.get(at) {
                    None | Some('\n') => return taken,
                    Some(' ') => {
                        // Behind a comma and space: a comment or a key ends the value, as does the end of the line.
                        let mut words = false;
                        let from = at;
                        while let Some(&ahead) = next.get(at) {
                            at += 1;
                            words |= !ahead.is_whitespace();
                            match ahead {
                                ' ' => {}
                                '\n' if !words => return taken,
                                '\n' => {}
                                '/' if matches!(next.get(at), Some('/' | '*')) => return taken,
                                '/' => {}
                                '"' => return taken,
                                _ => break,
                            }
                        }
                        self.push(',');
                        for char in next.get(from..at).unwrap_or_default() {
                            self.push(*char);
                        }
                    }
                    Some(_) => self.push(','),
                },
                _ => self.push(char),
            }
        }
        taken
    }

    /// Whether a quote ends its string, which the characters behind it tell.
    fn closes(&self, next: &[char], quote: char) -> bool {
        let place = self.place();
        let in_key = place == Place::Key;
        let in_value = place == Place::Value;
        let in_array = matches!(place, Place::Array | Place::Value);
        let Some(&first) = next.first() else { return true };
        match first {
            ':' | '}' if in_key => true,
            ',' | '}' if in_value => true,
            ',' | ']' if in_array => true,
            ' ' | '\t' | '\n' => {
                for (at, char) in next.iter().enumerate() {
                    match char {
                        ' ' | '\t' | '\n' => {}
                        '}' if in_key || in_value => return true,
                        ':' if in_key => return true,
                        ',' if in_value => return true,
                        ',' | ']' if in_array => return true,
                        '/' => return matches!(next.get(at + 1), Some('/' | '*')),
                        _ => return false,
                    }
                }
                true
            }
            _ if first == quote => false,
            '{' | '"' | '\'' | '[' => place == Place::Top && self.open.len() < 2,
            _ => false,
        }
    }
}
