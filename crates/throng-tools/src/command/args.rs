//! The arguments of a command: templates that a call fills, each within its own element.

use std::collections::BTreeSet;
use std::ffi::OsString;

use serde_json::Value;

use crate::holes::{self, Piece, Template};
#[cfg(feature = "declare")]
use crate::holes::{Form, Need};
use crate::{InvalidSetting, ToolError};

/// An argument of a command, with holes for the arguments of a call.
///
/// - `--depth={depth}`: text with holes. What fills a hole stays within the element, spaces and quotes included. `{a.b}`
///   is the member `b` of the argument `a`; `{{` and `}}` are braces. What is neither text nor number is put in as JSON.
/// - `{files...}`: one element for each element of an array; only as the whole of an element.
/// - A group, such as `["--limit", "{limit}"]`: left out if an argument that it needs is missing, null or an empty array.
/// - `{?verbose}`, in a group: gives no element, but leaves the group out unless the argument is there and not false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandArg(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Text(Template),
    Spread(Vec<String>),
    Condition(Vec<String>),
    Group(Vec<Kind>),
}

impl CommandArg {
    /// Reads an argument.
    ///
    /// # Errors
    ///
    /// If a brace has no partner, a hole has no name, or a hole stands where it may not.
    pub fn parse(text: &str) -> Result<Self, InvalidSetting> {
        match Kind::parse(text)? {
            Kind::Condition(_) => Err(invalid(format!(
                "`{text}` is a condition, which only a group can have"
            ))),
            kind => Ok(Self(kind)),
        }
    }

    /// Makes a group of arguments that are given together or not at all.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`]; and if the group has no hole, so that it would always be there.
    pub fn group<T: AsRef<str>>(parts: impl IntoIterator<Item = T>) -> Result<Self, InvalidSetting> {
        let parts = parts
            .into_iter()
            .map(|part| Kind::parse(part.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        if !parts.iter().any(Kind::has_hole) {
            return Err(invalid(
                "a group needs a hole that says when it is left out".to_owned(),
            ));
        }
        Ok(Self(Kind::Group(parts)))
    }
}

/// The arguments of a command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) args: Vec<CommandArg>,
    pub(crate) dashes: BTreeSet<String>,
}

impl Line {
    /// Fills the arguments from those of a call.
    ///
    /// # Errors
    ///
    /// If one is missing, or might be taken for an option.
    pub(crate) fn fill(&self, arguments: &Value, program: &str) -> Result<Vec<OsString>, ToolError> {
        let mut filling = Filling {
            arguments,
            program,
            dashes: &self.dashes,
            options_over: false,
            filled: Vec::new(),
        };
        for arg in &self.args {
            filling.add(&arg.0)?;
        }
        Ok(filling.filled)
    }

    /// Returns the arguments that fill the holes.
    #[cfg(feature = "declare")]
    pub(crate) fn needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        self.args.iter().for_each(|arg| arg.0.needs(false, &mut needs));
        needs
    }
}

struct Filling<'a> {
    arguments: &'a Value,
    program: &'a str,
    dashes: &'a BTreeSet<String>,
    /// Whether `--` has been given, after which nothing is taken for an option.
    options_over: bool,
    filled: Vec<OsString>,
}

impl Filling<'_> {
    fn add(&mut self, kind: &Kind) -> Result<(), ToolError> {
        match kind {
            Kind::Text(template) => {
                let text = template.fill(self.arguments)?;
                match template.pieces().first() {
                    Some(Piece::Hole(path)) => {
                        self.check(path, holes::present(self.arguments, path)?, &text)?;
                    }
                    _ => self.options_over |= text == "--",
                }
                self.filled.push(text.into());
            }
            Kind::Spread(path) => match holes::present(self.arguments, path)? {
                Value::Array(values) => {
                    for value in values {
                        let text = holes::text(value);
                        self.check(path, value, &text)?;
                        self.filled.push(text.into_owned().into());
                    }
                }
                value => {
                    let text = holes::text(value);
                    self.check(path, value, &text)?;
                    self.filled.push(text.into_owned().into());
                }
            },
            Kind::Condition(_) => {}
            Kind::Group(parts) => {
                if parts.iter().all(|part| part.is_there(self.arguments)) {
                    for part in parts {
                        self.add(part)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses what the program might take for an option.
    fn check(&self, path: &[String], value: &Value, text: &str) -> Result<(), ToolError> {
        let name = path.join(".");
        if !text.starts_with('-') || self.options_over || value.is_number() || self.dashes.contains(&name) {
            return Ok(());
        }
        Err(ToolError::permanent(format!(
            "the argument `{name}` begins with `-`, so `{}` might take it for an option",
            self.program
        )))
    }
}

impl Kind {
    fn parse(text: &str) -> Result<Self, InvalidSetting> {
        let nameless = || invalid(format!("`{text}` has a hole without a name"));
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if let Some(inner) = inner.filter(|inner| !inner.contains(['{', '}'])) {
            if let Some(name) = inner.strip_suffix("...") {
                return holes::path(name).map(Self::Spread).ok_or_else(nameless);
            }
            if let Some(name) = inner.strip_prefix('?') {
                return holes::path(name).map(Self::Condition).ok_or_else(nameless);
            }
        }
        let template = Template::parse(text).map_err(invalid)?;
        if template.holes().flatten().any(|name| name.starts_with('?')) {
            return Err(invalid(format!(
                "`{text}` has a condition that is not an element by itself"
            )));
        }
        Ok(Self::Text(template))
    }

    /// Returns true if all arguments that it needs are there.
    fn is_there(&self, arguments: &Value) -> bool {
        let is = |path: &[String]| match holes::present(arguments, path) {
            Ok(Value::Array(values)) => !values.is_empty(),
            Ok(_) => true,
            Err(_) => false,
        };
        match self {
            Self::Text(template) => template.holes().all(is),
            Self::Spread(path) => is(path),
            Self::Condition(path) => {
                holes::present(arguments, path).is_ok_and(|value| *value != Value::Bool(false))
            }
            Self::Group(parts) => parts.iter().all(|part| part.is_there(arguments)),
        }
    }

    fn has_hole(&self) -> bool {
        match self {
            Self::Text(template) => template.holes().next().is_some(),
            Self::Spread(_) | Self::Condition(_) => true,
            Self::Group(parts) => parts.iter().any(Self::has_hole),
        }
    }

    #[cfg(feature = "declare")]
    fn needs(&self, optional: bool, needs: &mut Vec<Need>) {
        match self {
            Self::Text(template) => {
                let holes = template.holes();
                needs.extend(holes.filter_map(|path| Need::new(path, Form::Text, optional)));
            }
            Self::Spread(path) => needs.extend(Need::new(path, Form::Texts, optional)),
            Self::Condition(path) => needs.extend(Need::new(path, Form::Condition, true)),
            Self::Group(parts) => parts.iter().for_each(|part| part.needs(true, needs)),
        }
    }
}

fn invalid(message: String) -> InvalidSetting {
    InvalidSetting::new("command", message)
}
