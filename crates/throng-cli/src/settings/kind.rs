//! The types of settings: how a value is read from text (flags and environment) and from TOML, and how it is
//! shown. Every reader says what is allowed when it refuses.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use throng_llm::Cost;
use toml::de::DeValue;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number from a least value up to a greatest.
    Count(u64, u64),
    /// A number between two others.
    Number(i32, i32),
    /// A length of time such as `30s`, longer than zero.
    Duration,
    /// Any text.
    Text,
    /// The address of a server.
    Url,
    /// A path, relative to the current folder.
    Path,
    /// A number above so many hundredths and below 1.
    Share(u32),
    /// True or false; its flag turns it off.
    Switch,
    /// True or false; its flag turns it on.
    Toggle,
    /// Texts: its flag is repeated, and its variable has commas between them.
    List,
    /// True, false, or a path.
    Folder,
    /// A sum of dollars above zero.
    Dollars,
    /// One of a few words.
    Choice(&'static [&'static str]),
}

/// A value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// See [`Kind::Count`].
    Count(u64),
    /// See [`Kind::Number`] and [`Kind::Share`].
    Number(f64),
    /// See [`Kind::Duration`].
    Duration(Duration),
    /// See [`Kind::Text`], [`Kind::Url`] and [`Kind::Choice`].
    Text(String),
    /// See [`Kind::Path`] and [`Kind::Folder`].
    Path(PathBuf),
    /// See [`Kind::Switch`], [`Kind::Toggle`] and [`Kind::Folder`].
    Switch(bool),
    /// See [`Kind::List`].
    List(Vec<String>),
    /// See [`Kind::Dollars`].
    Cost(Cost),
}

impl Kind {
    /// Reads a value from a flag or a variable of the environment.
    ///
    /// # Errors
    ///
    /// What is allowed, as a phrase that follows "must be".
    pub(crate) fn parse(self, text: &str) -> Result<Value, String> {
        let refused = || Err(self.allowed());
        match self {
            Self::Count(least, most) => match text.parse() {
                Ok(n) if n >= least && n <= most => Ok(Value::Count(n)),
                _ => refused(),
            },
            Self::Number(least, most) => match text.parse::<f64>() {
                Ok(n) if n >= f64::from(least) && n <= f64::from(most) => Ok(Value::Number(n)),
                _ => refused(),
            },
            Self::Share(percent) => match text.parse::<f64>() {
                Ok(n) if n > f64::from(percent) / 100.0 && n < 1.0 => Ok(Value::Number(n)),
                _ => refused(),
            },
            Self::Duration => match humantime::parse_duration(text) {
                Ok(time) if !time.is_zero() => Ok(Value::Duration(time)),
                Ok(_) => Err("longer than zero, such as \"500ms\", \"30s\" or \"2m\"".to_owned()),
                Err(_) => refused(),
            },
            Self::Text => Ok(Value::Text(text.to_owned())),
            Self::Url => match text
                .strip_prefix("http://")
                .or_else(|| text.strip_prefix("https://"))
            {
                Some(rest)
                    if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(char::is_whitespace) =>
                {
                    Ok(Value::Text(text.to_owned()))
                }
                _ => refused(),
            },
            Self::Path | Self::Folder if text.is_empty() => refused(),
            Self::Path => Ok(Value::Path(PathBuf::from(text))),
            Self::Switch | Self::Toggle => match text {
                "true" | "1" | "yes" | "on" => Ok(Value::Switch(true)),
                "false" | "0" | "no" | "off" => Ok(Value::Switch(false)),
                _ => refused(),
            },
            Self::Folder => Ok(match Self::Toggle.parse(text) {
                Ok(on) => on,
                Err(_) => Value::Path(PathBuf::from(text)),
            }),
            Self::List => {
                let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
                if items.iter().any(String::is_empty) {
                    return refused();
                }
                Ok(Value::List(items))
            }
            Self::Dollars => match text.parse::<Cost>() {
                Ok(cost) if cost > Cost::ZERO => Ok(Value::Cost(cost)),
                _ => refused(),
            },
            Self::Choice(words) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            Self::Choice(_) => refused(),
        }
    }

    /// Reads a value from TOML.
    ///
    /// # Errors
    ///
    /// What is allowed, as a phrase that follows "must be".
    pub(crate) fn read_toml(self, value: &DeValue<'_>) -> Result<Value, String> {
        let text = match (self, value) {
            (Self::Count(..), DeValue::Integer(n)) if n.radix() == 10 => n.as_str(),
            (Self::Number(..) | Self::Share(_), DeValue::Integer(n)) if n.radix() == 10 => n.as_str(),
            (Self::Number(..) | Self::Share(_), DeValue::Float(n)) => n.as_str(),
            (Self::Switch | Self::Toggle | Self::Folder, DeValue::Boolean(on)) => {
                return Ok(Value::Switch(*on));
            }
            (Self::Dollars, DeValue::Integer(n)) if n.radix() == 10 => n.as_str(),
            (Self::Dollars, DeValue::Float(n)) => n.as_str(),
            (Self::List, DeValue::Array(items)) => {
                let texts = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) if !text.is_empty() => Ok(text.to_string()),
                    _ => Err(self.allowed()),
                });
                return texts.collect::<Result<_, _>>().map(Value::List);
            }
            (
                Self::Duration
                | Self::Text
                | Self::Url
                | Self::Path
                | Self::Folder
                | Self::List
                | Self::Dollars
                | Self::Choice(_),
                DeValue::String(text),
            ) => text.as_ref(),
            _ => return Err(self.allowed()),
        };
        self.parse(text)
    }

    /// Returns what is allowed, as a phrase that follows "must be".
    pub(crate) fn allowed(self) -> String {
        match self {
            Self::Count(least, most) if most >= u64::from(u32::MAX) => {
                format!("a whole number of at least {least}")
            }
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::Number(least, most) => format!("a number from {least} to {most}"),
            Self::Duration => {
                "a length of time with its unit, such as \"500ms\", \"30s\" or \"2m\"".to_owned()
            }
            Self::Text => "text".to_owned(),
            Self::Url => "an address that begins with http:// or https://".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Share(percent) => {
                format!("a number above {} and below 1", f64::from(percent) / 100.0)
            }
            Self::Switch | Self::Toggle => "true or false".to_owned(),
            Self::Folder => "true, false or a path".to_owned(),
            Self::List => "a list of texts".to_owned(),
            Self::Dollars => "a sum of dollars above 0, such as 2.50".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
        }
    }

    /// Returns the type in a word or two, for the reference pages.
    pub(crate) fn type_name(self) -> String {
        match self {
            Self::Count(..) => "whole number".to_owned(),
            Self::Number(..) | Self::Share(_) => "number".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::Text => "text".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Switch | Self::Toggle => "true or false".to_owned(),
            Self::Folder => "true, false or path".to_owned(),
            Self::List => "list of texts".to_owned(),
            Self::Dollars => "dollars".to_owned(),
            Self::Choice(words) => words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// Returns the placeholder of the flag's value in the help.
    pub(crate) const fn placeholder(self) -> &'static str {
        match self {
            Self::Count(..) | Self::Number(..) => "N",
            Self::Share(_) => "SHARE",
            Self::Duration => "DURATION",
            Self::Text => "TEXT",
            Self::Url => "URL",
            Self::Path => "FILE",
            Self::Folder => "DIR",
            Self::List => "TEXT",
            Self::Dollars => "DOLLARS",
            Self::Switch | Self::Toggle => "BOOL",
            Self::Choice(_) => "WORD",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(n) => n.fmt(f),
            Self::Number(n) => n.fmt(f),
            Self::Duration(time) => humantime::format_duration(*time).fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Switch(on) => on.fmt(f),
            Self::List(items) => items.join(",").fmt(f),
            Self::Cost(cost) => cost.fmt(f),
        }
    }
}

impl Value {
    /// Returns the value as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Count(n) => (*n).into(),
            Self::Number(n) => (*n).into(),
            Self::Switch(on) => (*on).into(),
            Self::List(items) => items.clone().into(),
            Self::Cost(cost) => cost.dollars().into(),
            Self::Duration(_) | Self::Text(_) | Self::Path(_) => self.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, text: &str, expect: impl Into<Option<Value>>) {
        assert_eq!(kind.parse(text).ok(), expect.into(), "{kind:?} from {text:?}");
    }

    #[test]
    fn text_becomes_a_value_or_is_refused() {
        check(Kind::Count(1, u64::MAX), "0", None);
        check(Kind::Count(1, u64::MAX), "7", Some(Value::Count(7)));
        check(Kind::Count(0, 9), "10", None);
        check(Kind::Count(0, 9), "-1", None);
        check(Kind::Number(0, 2), "0.7", Some(Value::Number(0.7)));
        check(Kind::Number(0, 2), "NaN", None);
        check(Kind::Number(0, 2), "2.1", None);
        check(Kind::Share(0), "0", None);
        check(Kind::Share(0), "0.95", Some(Value::Number(0.95)));
        check(Kind::Share(50), "0.5", None);
        check(Kind::Share(50), "1", None);
        check(Kind::Toggle, "on", Some(Value::Switch(true)));
        check(
            Kind::Duration,
            "1m 30s",
            Some(Value::Duration(Duration::from_secs(90))),
        );
        check(Kind::Duration, "30", None);
        check(Kind::Duration, "0s", None);
        check(
            Kind::Url,
            "http://h:1/v1",
            Some(Value::Text("http://h:1/v1".into())),
        );
        check(Kind::Url, "localhost:1", None);
        check(Kind::Url, "http://", None);
        check(Kind::Folder, "true", Some(Value::Switch(true)));
        check(Kind::Folder, "a/b", Some(Value::Path("a/b".into())));
        check(
            Kind::List,
            "a, b/c",
            Some(Value::List(vec!["a".into(), "b/c".into()])),
        );
        check(Kind::List, "a,,b", None);
        check(Kind::Dollars, "$2.50", Some(Value::Cost("2.5".parse().unwrap())));
        check(Kind::Dollars, "0", None);
        check(Kind::Dollars, "-1", None);
        check(Kind::Switch, "off", Some(Value::Switch(false)));
        check(Kind::Choice(&["a", "b"]), "c", None);
    }

    #[test]
    fn toml_types_are_not_mixed_up() {
        let parse = |kind: Kind, text: &str| {
            let document = format!("k = {text}");
            let table = toml::de::DeTable::parse(&document).unwrap();
            kind.read_toml(table.get_ref().get("k").unwrap().get_ref()).ok()
        };
        assert_eq!(parse(Kind::Count(1, 99), "7"), Some(Value::Count(7)));
        assert_eq!(parse(Kind::Count(1, 99), "\"7\""), None);
        assert_eq!(parse(Kind::Number(0, 2), "1"), Some(Value::Number(1.0)));
        assert_eq!(parse(Kind::Duration, "30"), None);
        assert_eq!(
            parse(Kind::Duration, "\"30s\""),
            Some(Value::Duration(Duration::from_secs(30)))
        );
        assert_eq!(parse(Kind::Switch, "true"), Some(Value::Switch(true)));
    }
}
