//! What a call touches: resources with a path hierarchy, and how.
//!
//! Invariant: the text of a [`Resource`] is normal, so that two texts name the same thing only if they are equal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A thing that calls read and write: a scheme and a path, such as `file:/etc/hosts` or `db:users`.
///
/// Paths are hierarchies: `file:/a` holds `file:/a/b`, but not `file:/ab`. The resource without a path, such as
/// `file:`, holds all of its scheme, and `*` holds everything. Text without a scheme is a `file:` path.
///
/// Paths are compared by their text: `.`, `..`, `//` and a `/` at the end are taken out; links and letter case are not
/// seen. What cannot be told from the text holds more rather than less: a path that climbs above its start, begins with
/// `~`, or has a `*` in it stands for the directory (or scheme) in which it begins. A relative `file:` path may lie
/// anywhere, so it overlaps with every absolute one.
///
/// # Examples
///
/// ```
/// use throng_tools::Resource;
///
/// let folder: Resource = "file:/srv/./data/".parse()?;
/// let file: Resource = "/srv/x/../data/a.txt".parse()?;
/// assert_eq!(folder.as_str(), "file:/srv/data");
/// assert!(folder.holds(&file));
/// assert!(!folder.overlaps(&"file:/srv/data2".parse()?));
/// assert!(Resource::everything().holds(&folder));
/// # Ok::<(), throng_tools::InvalidResource>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resource(Box<str>);

impl Resource {
    /// Reads a resource and brings it into its normal form.
    ///
    /// # Errors
    ///
    /// [`InvalidResource`] if the text is empty or holds a control character.
    pub fn parse(text: &str) -> Result<Self, InvalidResource> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(InvalidResource {
                text: text.to_owned(),
            });
        }
        if text == "*" {
            return Ok(Self::everything());
        }
        let (scheme, path) = split_scheme(text);
        Ok(Self::normal(scheme.to_ascii_lowercase().as_str(), path))
    }

    /// Returns `*`, which holds everything.
    pub fn everything() -> Self {
        Self("*".into())
    }

    /// Returns the resource that holds all of a scheme.
    ///
    /// # Errors
    ///
    /// [`InvalidResource`] if the scheme is not at least two letters, digits, `+`, `-` and `.` after a letter.
    pub fn scheme(scheme: &str) -> Result<Self, InvalidResource> {
        if is_scheme(scheme) {
            Ok(Self(format!("{}:", scheme.to_ascii_lowercase()).into()))
        } else {
            Err(InvalidResource {
                text: scheme.to_owned(),
            })
        }
    }

    /// Returns the normal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the other resource is this one or lies in it.
    pub fn holds(&self, other: &Self) -> bool {
        let (own, theirs) = (self.parts(), other.parts());
        match (own.scheme, theirs.scheme) {
            (None, _) => true,
            (Some(own_scheme), Some(scheme)) if own_scheme == scheme => match (own.path, theirs.path) {
                (None, _) => true,
                (Some(own_path), Some(path)) => own.absolute == theirs.absolute && holds(own_path, path),
                (Some(_), None) => false,
            },
            _ => false,
        }
    }

    /// Returns true if the two have something in common: one holds the other, or it cannot be told that they are
    /// apart.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (own, theirs) = (self.parts(), other.parts());
        self.holds(other)
            || other.holds(self)
            || (own.scheme == Some(FILE) && theirs.scheme == Some(FILE) && own.absolute != theirs.absolute)
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        let Some((scheme, path)) = self.0.split_once(':') else {
            return Parts {
                scheme: None,
                absolute: false,
                path: None,
            };
        };
        let absolute = path.starts_with('/');
        Parts {
            scheme: Some(scheme),
            absolute,
            path: (!path.is_empty()).then(|| path.trim_start_matches('/')),
        }
    }

    fn normal(scheme: &str, path: &str) -> Self {
        let absolute = scheme == FILE && path.starts_with('/');
        let mut kept: Vec<&str> = Vec::new();
        let mut whole = scheme == FILE && path.starts_with('~');
        for segment in path.split('/') {
            match segment {
                "" | "." => {}
                ".." if kept.pop().is_some() || absolute => {}
                ".." => {
                    whole = true;
                    break;
                }
                glob if glob.contains('*') || (scheme == FILE && glob.contains('?')) => break,
                _ => kept.push(segment),
            }
        }
        let mut text = String::with_capacity(scheme.len() + path.len() + 1);
        text.push_str(scheme);
        text.push(':');
        if !whole {
            if absolute {
                text.push('/');
            }
            text.push_str(&kept.join("/"));
        }
        Self(text.into())
    }
}

impl FromStr for Resource {
    type Err = InvalidResource;

    fn from_str(text: &str) -> Result<Self, InvalidResource> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Resource {
    type Error = InvalidResource;

    fn try_from(text: String) -> Result<Self, InvalidResource> {
        Self::parse(&text)
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.0.into()
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a call touches a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// Looks at it: calls that read the same may run at the same time.
    Read,
    /// Changes it.
    Write,
    /// Needs it alone: as a write, and also against other plans on the same executor.
    Exclusive,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reads",
            Self::Write => "writes",
            Self::Exclusive => "needs alone",
        })
    }
}

/// One resource and how a call touches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Access {
    /// The resource.
    pub resource: Resource,
    /// How.
    pub mode: Mode,
}

impl Access {
    /// Makes an access.
    pub fn new(resource: Resource, mode: Mode) -> Self {
        Self { resource, mode }
    }

    /// Makes a read.
    pub fn read(resource: Resource) -> Self {
        Self::new(resource, Mode::Read)
    }

    /// Makes a write.
    pub fn write(resource: Resource) -> Self {
        Self::new(resource, Mode::Write)
    }

    /// Makes an exclusive access.
    pub fn exclusive(resource: Resource) -> Self {
        Self::new(resource, Mode::Exclusive)
    }

    /// Returns true if two calls with these accesses have to keep their order: the resources overlap, and not both
    /// only read.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        (self.mode != Mode::Read || other.mode != Mode::Read) && self.resource.overlaps(&other.resource)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.mode, self.resource)
    }
}

/// A text names no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no resource: write `scheme:path`, such as `file:/tmp/a` or `db:users`, or `*`")]
#[non_exhaustive]
pub struct InvalidResource {
    /// The text.
    pub text: String,
}

/// The parts of a resource. Without a scheme it is everything; without a path, all of the scheme.
pub(crate) struct Parts<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) absolute: bool,
    pub(crate) path: Option<&'a str>,
}

/// The scheme that a path without a scheme has, and the only one that tells absolute paths from relative ones.
pub(crate) const FILE: &str = "file";

/// Returns the scheme that the text names, or [`FILE`], and the rest.
pub(crate) fn split_scheme(text: &str) -> (&str, &str) {
    match text.split_once(':') {
        Some((scheme, path)) if is_scheme(scheme) => (scheme, path),
        _ => (FILE, text),
    }
}

/// One letter is no scheme: it is a drive.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn holds(folder: &str, path: &str) -> bool {
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
